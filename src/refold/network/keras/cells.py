"""Table of recurrent cells: the Keras layer and the initial state of each.

To add a cell, add a function for its initial state and an entry to `CELLS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from refold.errors import ParameterError
from refold.network.keras.initializers import Constant, ForgetBias, GlorotUniform, Orthogonal
from refold.network.keras.lstm import LSTM
from refold.network.keras.tensors import Tensor


class Cell(NamedTuple):
    """A recurrent layer of the default model."""

    layer: type[keras.layers.RNN]  # class of a Keras layer
    options: dict[str, Any]  # arguments for its initial bias
    state_size: int  # in multiples of units
    # from a projection (batch, state_size * units) of the code, and units
    initial_state: Callable[[Any, int], list[Any]]

    def make(self, units: int, *, name: str) -> keras.layers.RNN:
        """Return a new layer that returns all steps."""
        make: Any = self.layer
        return make(
            units,
            return_sequences=True,
            kernel_initializer=GlorotUniform(),
            recurrent_initializer=Orthogonal(),
            name=name,
            **self.options,
        )


def _lstm_state(projected: Tensor, units: int) -> list[Any]:
    return [projected[:, :units], ops.tanh(projected[:, units:])]


def _gru_state(projected: Tensor, units: int) -> list[Any]:
    del units
    return [ops.tanh(projected)]


CELLS = {
    "lstm": Cell(
        LSTM, {"bias_initializer": ForgetBias(), "unit_forget_bias": False}, 2, _lstm_state
    ),
    "gru": Cell(keras.layers.GRU, {"bias_initializer": Constant()}, 1, _gru_state),
}
"""Recurrent cells by the value of ``cell``."""


def find_cell(name: object) -> Cell:
    """Return the cell with a name; a ParameterError if there is none."""
    if not isinstance(name, str) or name not in CELLS:
        raise ParameterError(f"cell must be {' or '.join(map(repr, CELLS))}. Got {name!r}.")
    return CELLS[name]


def cell_of(layer: Any) -> Cell:
    """Return the cell of a recurrent layer, also of a layer of a loaded Keras model."""
    return next(cell for cell in CELLS.values() if isinstance(layer, cell.layer))
