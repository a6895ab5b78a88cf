"""The weights of the default model, which Keras, packed rows and ONNX share."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from refold.kernels import packed, random_convolutions
from refold.network.specification import Specification
from refold.sequences.types import number_mask

MOST_STRIDE = 4
"""Cap on the stride of the pooled convolutions."""

# Cap on the weights of the linear path, in the encoder and in the decoder.
_MOST_WEIGHTS = 1 << 22
# Width of the hidden layer of the length model.
_LENGTH_UNITS = 64
DECODERS = ("parallel", "autoregressive")
"""Decoders that run on packed rows."""


def are_default(specification: Specification) -> bool:
    """Return whether a network is the default model with LSTMs, which needs no Keras."""
    default = specification.architecture == "default" and specification.cell == "lstm"
    # a decoder that was added to `refold.network.keras.decoder` runs in Keras
    return default and specification.decoder in DECODERS


def has_linear_path(specification: Specification) -> bool:
    """Return whether the default model has a linear path."""
    if specification.linear_path is None:
        return bool(number_mask(specification.column_types).any())
    return specification.linear_path


def input_width(specification: Specification) -> int:
    """Return the number of input channels with categorical columns as one-hot."""
    return specification.num_channels + sum(n - 1 for n in specification.num_categories if n)


def most_linear_steps(width: int, latent_dim: int) -> int:
    """Return the most steps that a linear path has weights for."""
    return max(1, _MOST_WEIGHTS // (width * latent_dim))


class Weight(NamedTuple):
    """A weight of the default model."""

    name: str  # the path of Keras's variable
    shape: tuple[int, ...]
    is_trained: bool = True


def weights_of(specification: Specification) -> list[Weight]:
    """List the weights of the default model, in the order in which Keras creates them."""
    latent_dim, units, patch = specification.latent_dim, specification.units, specification.patch
    learned, width = specification.learned_dim, input_width(specification)
    num_pooled = 6 * units + 3
    weights: list[Weight] = []
    inputs = patch * width + 1 if patch > 1 else width
    for i in range(1, specification.depth + 1):
        for direction in ("forward", "backward"):
            weights += _lstm(f"encoder_{i}/{direction}_lstm_{i}", inputs, units)
        inputs = 2 * units
    weights += _dense("code", num_pooled, learned)
    if has_linear_path(specification):
        steps = min(specification.max_steps, most_linear_steps(width, latent_dim))
        weights += _linear("linear_code", (steps, width, learned), (learned,))
        weights.append(Weight("linear_code/scale", (), is_trained=False))
        if specification.by_length:
            maps = (steps + 1, learned, learned)
            weights.append(Weight("linear_code/maps", maps, is_trained=False))
            weights.append(Weight("linear_code/offsets", maps[:2], is_trained=False))
    if specification.rocket_dim:
        arrays = random_convolutions(width).arrays()
        for part, array in arrays.items():
            weights.append(Weight(f"convolutions/{part}", array.shape, is_trained=False))
        num_features = 2 * len(arrays["bias"])
        weights.append(Weight("rocket_dim/center", (num_features,), is_trained=False))
        shape = (num_features, specification.rocket_dim)
        weights.append(Weight("rocket_dim/kernel", shape, is_trained=False))
    weights += _decoder(specification)
    if not specification.length_dim:
        weights += _dense("hidden", latent_dim, _LENGTH_UNITS)
        weights += _dense("length/dense", _LENGTH_UNITS, 2)
    if specification.variational:
        weights += _dense("log_variance", num_pooled, latent_dim)
    if specification.forecast_steps:
        weights += _forecaster(specification)
    return weights


def _decoder(specification: Specification) -> list[Weight]:
    latent_dim, outputs = specification.latent_dim, specification.num_outputs
    max_steps, patch = specification.max_steps, specification.patch
    inputs = latent_dim + num_position_features(-(-max_steps // patch))
    if specification.decoder == "autoregressive":
        inputs += outputs + 1
    weights = _recurrent_stack(specification, "", latent_dim, inputs)
    if has_linear_path(specification):
        steps = min(max_steps, most_linear_steps(input_width(specification), latent_dim))
        weights += _linear("linear_steps", (latent_dim, steps, outputs), (steps, outputs))
        weights.append(Weight("head/scale", (outputs,), is_trained=False))
    return weights + _dense("head/dense", specification.units, patch * outputs)


def _forecaster(specification: Specification) -> list[Weight]:
    latent_dim = specification.latent_dim + specification.recent_dim
    outputs, num_steps = specification.num_outputs, specification.forecast_steps
    inputs = latent_dim + num_position_features(num_steps)
    weights = _recurrent_stack(specification, "_ahead", latent_dim, inputs)
    # it has a linear path whatever the option says
    if specification.forecasts_linearly:
        steps = min(num_steps, most_linear_steps(outputs, latent_dim))
        weights += _linear("linear_steps_ahead", (latent_dim, steps, outputs), (steps, outputs))
        shape = (num_steps, outputs) if specification.recent_steps else (outputs,)
        weights.append(Weight("head_ahead/scale", shape, is_trained=False))
    return weights + _dense("head_ahead/dense", specification.units, outputs)


def _recurrent_stack(
    specification: Specification, suffix: str, latent_dim: int, inputs: int
) -> list[Weight]:
    """List the weights of a decoder's LSTMs, and of the maps from codes to their first states."""
    units, layers = specification.units, range(1, specification.depth + 1)
    weights: list[Weight] = []
    for i in layers:
        weights += _dense(f"start{suffix}_{i}", latent_dim, 2 * units)
    for i in layers:
        weights += _lstm(f"decoder{suffix}_{i}", inputs if i == 1 else units, units)
    return weights


def num_periods(max_steps: int) -> int:
    """Return the number of periods of the position features; see `refold.layers.RepeatCode`."""
    return 1 + max(1, math.ceil(math.log2(max_steps + 1)))


def num_position_features(max_steps: int) -> int:
    """Return the number of position features: two, and the sine and cosine of each period."""
    return 2 + 2 * num_periods(max_steps)


def _dense(layer: str, inputs: int, outputs: int) -> list[Weight]:
    return [Weight(f"{layer}/kernel", (inputs, outputs)), Weight(f"{layer}/bias", (outputs,))]


def _lstm(layer: str, inputs: int, units: int) -> list[Weight]:
    cell = f"{layer}/lstm_cell"
    return [
        Weight(f"{cell}/kernel", (inputs, 4 * units)),
        Weight(f"{cell}/recurrent_kernel", (units, 4 * units)),
        Weight(f"{cell}/bias", (4 * units,)),
    ]


def _linear(layer: str, shape: tuple[int, ...], bias: tuple[int, ...]) -> list[Weight]:
    # the map is the initial one plus the learned change, multiplied by its unit
    return [
        Weight(f"{layer}/change", shape),
        Weight(f"{layer}/bias", bias),
        Weight(f"{layer}/start", shape, is_trained=False),
        Weight(f"{layer}/unit", (), is_trained=False),
    ]


def linear_map(weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    """Return the weights of a linear path: the initial ones plus the learned change."""
    start, unit, change = (weights[f"{layer}/{part}"] for part in ("start", "unit", "change"))
    return start + unit * change


def lstm_weights(weights: Mapping[str, np.ndarray], layer: str) -> packed.LstmWeights:
    """Return the weights of an LSTM layer."""
    kernel, recurrent_kernel, bias = (
        weights[f"{layer}/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
    )
    return packed.LstmWeights(kernel, recurrent_kernel, bias)
