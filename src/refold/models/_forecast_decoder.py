"""The forecast decoder: it writes the steps after the sequence of a code."""

from collections.abc import Sequence
from typing import Any

import keras

from refold.inference import most_linear_steps
from refold.models.decoders import ParallelDecoder, Settings
from refold.sequences.types import number_mask


def forecaster(
    column_types: Sequence[str],
    *,
    latent_dim: int,
    num_steps: int,
    recent_dim: int = 0,
    num_categories: Sequence[int] | None = None,
    units: int = 96,
    depth: int = 1,
    cell: str = "lstm",
    dropout: float = 0.0,
) -> keras.Model:
    """Build the decoder of the steps after a sequence, (batch, num_steps, outputs)."""
    # It is the future predictor of N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised
    # Learning of Video Representations using LSTMs", ICML 2015, and also reads the last values
    # (`refold.inference.recent_values`).
    linear_steps = None
    if recent_dim or number_mask(column_types).any():
        width = sum(n or 1 for n in num_categories or [0] * len(column_types))
        linear_steps = min(num_steps, most_linear_steps(width, latent_dim + recent_dim))
    settings = Settings(
        column_types,
        num_categories,
        num_steps,
        units,
        depth,
        dropout,
        cell,
        linear_steps=linear_steps,
        scale_by_step=recent_dim > 0,
        suffix="_ahead",
    )
    code: Any = keras.Input((latent_dim,), name="code")
    inputs, read = [code], code
    if recent_dim:
        inputs.append(keras.Input((recent_dim,), name="recent"))
        read = keras.ops.concatenate(inputs, axis=-1)
    return keras.Model(inputs, ParallelDecoder(settings)(read), name="forecaster")
