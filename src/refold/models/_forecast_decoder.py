"""The forecast decoder: it writes the steps after the sequence of a code."""

from collections.abc import Sequence
from typing import Any

import keras

from refold.inference import most_linear_steps
from refold.models.decoders import ParallelDecoder, Settings


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
    """Build the decoder that forecasts the steps after a sequence [1]_.

    It is a parallel decoder, which writes each step from the code, the last values and the distance
    from the end of the sequence.

    Parameters
    ----------
    column_types : sequence of {"numeric", "binary", "categorical"}
        Type of each column.
    latent_dim : int
        Number of latent dimensions.
    num_steps : int
        Number of steps to forecast.
    recent_dim : int
        Number of values that it reads beside the code; see `refold.inference.recent_values`. If it
        is 0, there is a linear path only if a column is numeric.
    num_categories : sequence of int, optional
        Number of categories of each column, 0 for columns that are not categorical.
    units : int
        Units of each recurrent layer.
    depth : int
        Number of recurrent layers.
    cell : {"lstm", "gru"}
        Type of the recurrent layers.
    dropout : float
        Dropout rate of the states in training.

    Returns
    -------
    keras.Model
        From codes (batch, latent_dim), and recent values (batch, recent_dim) if it reads any, to
        (batch, num_steps, outputs).

    References
    ----------
    .. [1] N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised Learning of Video
       Representations using LSTMs", ICML 2015: the composite model.

    Examples
    --------
    >>> forecaster(["numeric", "binary"], latent_dim=4, num_steps=3, units=8).output_shape
    (None, 3, 2)
    """
    linear_steps = None
    if recent_dim or "numeric" in column_types:
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
