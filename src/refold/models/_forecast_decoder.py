"""The other decoder of a code: what comes after the sequence that it stands for."""

from collections.abc import Sequence
from typing import Any

import keras

from refold.layers import LSTM, ColumnHead, LinearDecoding, RepeatCode
from refold.models._default import most_linear_steps

__all__ = ["forecaster"]


def forecaster(
    kinds: Sequence[str],
    *,
    latent_dim: int,
    num_steps: int,
    num_labels: Sequence[int] | None = None,
    units: int = 96,
    depth: int = 1,
    dropout: float = 0.0,
) -> keras.Model:
    """Build the decoder that continues, beside the one that reconstructs [1]_.

    It writes all steps at once, each from the code and its distance from the sequence's end: a
    stack of LSTMs, and beside it, where a column is numeric, a linear map of the code to each step.

    Parameters
    ----------
    kinds : sequence of {"numeric", "binary", "categorical"}
        Kind of each column.
    latent_dim : int
        Width of the code.
    num_steps : int
        Steps that it writes.
    num_labels : sequence of int, optional
        Number of labels of each column, 0 for columns that are not categorical.
    units : int
        Units of each LSTM.
    depth : int
        Number of LSTMs.
    dropout : float
        Share of the states dropped in training.

    Returns
    -------
    keras.Model
        From codes (batch, latent_dim) to (batch, num_steps, outputs).

    References
    ----------
    .. [1] N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised Learning of Video
       Representations using LSTMs", ICML 2015: the composite model, unconditional.

    Examples
    --------
    >>> forecaster(["numeric", "binary"], latent_dim=4, num_steps=3, units=8).output_shape
    (None, 3, 2)
    """
    code = keras.Input((latent_dim,), name="code")
    hidden: Any = RepeatCode(num_steps, name="repeat_ahead")(code)
    for i in range(depth):
        state: Any = keras.layers.Dense(2 * units, name=f"start_ahead_{i + 1}")(code)
        hidden = LSTM(units, return_sequences=True, name=f"ahead_{i + 1}")(
            hidden, initial_state=[state[:, :units], keras.ops.tanh(state[:, units:])]
        )
    if dropout:
        hidden = keras.layers.Dropout(dropout, name="dropout_ahead")(hidden)
    head = ColumnHead(kinds, num_labels, name="head_ahead")
    beside = None
    if "numeric" in kinds:
        width = sum(head.widths)
        linear_steps = min(num_steps, most_linear_steps(width, latent_dim))
        linear = LinearDecoding(width, linear_steps, num_steps, name="linear_ahead")
        beside = linear(code)
    return keras.Model(code, head(hidden, beside=beside), name="forecaster")
