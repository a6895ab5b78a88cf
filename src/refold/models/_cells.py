"""Table of recurrent cells: the Keras layer and the initial state of each.

To add a cell, add a function for its initial state and an entry to `CELLS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from refold.errors import ParameterError
from refold.layers import LSTM, Constant, ForgetBias, GlorotUniform, Orthogonal


class Cell(NamedTuple):
    """A recurrent layer of the default model.

    Attributes
    ----------
    layer : type
        Class of a Keras layer that is a ``keras.layers.RNN``.
    options : dict
        Arguments of the layer for its initial bias.
    state_size : int
        Size of the cell's state, in multiples of ``units``.
    initial_state : callable
        Function of a linear projection of the code, of shape (batch, state_size * units), and
        ``units``.  Returns the list of initial states of the layer.
    """

    layer: type[keras.layers.RNN]
    options: dict[str, Any]
    state_size: int
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


def _lstm_state(projected: Any, units: int) -> list[Any]:
    return [projected[:, :units], ops.tanh(projected[:, units:])]


def _gru_state(projected: Any, units: int) -> list[Any]:
    del units
    return [ops.tanh(projected)]


CELLS = {
    "lstm": Cell(
        LSTM, {"bias_initializer": ForgetBias(), "unit_forget_bias": False}, 2, _lstm_state
    ),
    "gru": Cell(keras.layers.GRU, {"bias_initializer": Constant()}, 1, _gru_state),
}
"""Recurrent cells by the value of ``cell``."""


def find_cell(name: Any) -> Cell:
    """Return the cell with a name.

    Raises
    ------
    ParameterError
        If there is no such cell.

    Examples
    --------
    >>> find_cell("gru").layer.__name__
    'GRU'
    """
    if not isinstance(name, str) or name not in CELLS:
        raise ParameterError(f"cell must be {' or '.join(map(repr, CELLS))}. Got {name!r}.")
    return CELLS[name]


def cell_of(layer: Any) -> Cell:
    """Return the cell of a recurrent layer, also of a layer of a loaded Keras model."""
    return next(cell for cell in CELLS.values() if isinstance(layer, cell.layer))
