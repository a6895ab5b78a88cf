"""The encoder of the default model: LSTMs, a linear path, the length and ROCKET features."""

from collections.abc import Sequence
from typing import Any

import keras

from refold.network.keras.cells import find_cell
from refold.network.keras.features import FixedMap, PooledConvolutions
from refold.network.keras.heads import ColumnEncoding
from refold.network.keras.initializers import Constant, dense
from refold.network.keras.lengths import LengthEncoding
from refold.network.keras.linear_path import LinearEncoding
from refold.network.keras.padding import PaddingMask, RealSteps
from refold.network.keras.patches import FoldSteps
from refold.network.keras.pooling import StatePooling
from refold.network.weights import MOST_STRIDE

# Initial log-variances of the posterior of a variational model.
_FIRST_LOG_VARIANCE = -4.0
# Upper bound of these log-variances.
_MOST_LOG_VARIANCE = 2.0


def make_encoder(
    num_categories: Sequence[int],
    num_channels: int,
    *,
    learned_dim: int,
    max_steps: int,
    units: int,
    depth: int,
    cell: str,
    dropout: float,
    variational: bool,
    patch: int,
    linear_steps: int | None,
    by_length: bool,
    length_scale: tuple[float, float] | None,
    rocket_dim: int,
) -> tuple[keras.Model, keras.Model | None]:
    """Build the encoder, and the model of means and log-variances if it is variational."""
    x = keras.Input((None, num_channels), name="sequence")
    hidden = PaddingMask(name="padding_mask")(x)
    if any(num_categories):
        hidden = ColumnEncoding(num_categories, name="column_encoding")(hidden)
    values = hidden
    if patch > 1:
        hidden = FoldSteps(patch, name="fold")(hidden)
    for i in range(depth):
        layer = find_cell(cell).make(units, name=f"{cell}_{i + 1}")
        hidden = keras.layers.Bidirectional(layer, name=f"encoder_{i + 1}")(hidden)
    pooling = StatePooling(max_steps, patch, name="pooling")
    if patch > 1:
        pooled = pooling(hidden, real_steps=RealSteps(name="lengths")(x))
    else:
        pooled = pooling(hidden)
    if dropout:
        pooled = keras.layers.Dropout(dropout, name="dropout")(pooled)
    code = dense(learned_dim, name="code")(pooled)
    if linear_steps is not None:
        linear = LinearEncoding(learned_dim, linear_steps, by_length=by_length, name="linear_code")
        code = linear(values, code)
    if length_scale is not None:
        length = LengthEncoding(*length_scale, name="length_code")(RealSteps(name="steps")(x))
        code = keras.ops.concatenate([code, length], axis=-1)
    if rocket_dim:
        features = convolutions(patch)(values)
        fixed = FixedMap(rocket_dim, name="rocket_dim")
        code = keras.ops.concatenate([code, fixed(features)], axis=-1)
    encoder = keras.Model(x, code, name="encoder")
    if not variational:
        return encoder, None
    wide = dense(
        learned_dim,
        kernel_initializer=Constant(),
        bias_initializer=Constant(_FIRST_LOG_VARIANCE),
        name="log_variance",
    )
    below: Any = keras.ops.softplus(_MOST_LOG_VARIANCE - wide(pooled))
    return encoder, keras.Model(x, [code, _MOST_LOG_VARIANCE - below], name="posterior")


def convolutions(patch: int) -> PooledConvolutions:
    """Return the layer of ROCKET features for a model with patches."""
    # With this stride it is not slower than the LSTMs. A stride above 4 would miss short patterns.
    return PooledConvolutions(stride=min(patch, MOST_STRIDE), name="convolutions")
