"""Weights of an LSTM on packed rows, and what its gradient needs of a forward pass."""

import functools
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import _packed_library


class LstmWeights:
    """Weights of an LSTM, which the library packs once, at the first call that needs it.

    The weights must not be changed.

    Parameters
    ----------
    kernel : array of float32 of shape (features, 4 * units)
        Input weights. The gates are in Keras's order: input, forget, cell, output.
    recurrent_kernel : array of float32 of shape (units, 4 * units)
    bias : array of float32 of shape (4 * units,)

    Attributes
    ----------
    units : int

    Examples
    --------
    >>> LstmWeights(*(np.zeros(shape, np.float32) for shape in ((3, 16), (4, 16), 16))).units
    4
    """

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.units = len(recurrent_kernel)

    @functools.cached_property
    def packed(self) -> np.ndarray:
        """Weights in the order in which the library's forward pass reads them."""
        return _packed_library.pack_lstm(self.kernel, self.recurrent_kernel, self.bias)

    @functools.cached_property
    def packed_gradient(self) -> np.ndarray:
        """Weights in the order in which the library's gradient reads them."""
        return _packed_library.pack_lstm_gradient(self.kernel, self.recurrent_kernel)

    def __reduce__(self) -> tuple[Any, ...]:
        # without the packed weights, whose order another machine may not share
        return LstmWeights, (self.kernel, self.recurrent_kernel, self.bias)


class Trace(NamedTuple):
    """What `lstm_gradient` needs of a forward pass.

    Attributes
    ----------
    offsets : array of int64 of shape (n_sequences + 1,)
    weights : LstmWeights
    c : array of shape (n_sequences, units)
        Initial cell state.
    go_backwards : bool
    by_sequence : bool
        Whether the input had sums by sequence, whose gradient is then computed.
    saved : any
        Gates and cells of every row, in the layout of the library or of NumPy.
    """

    offsets: np.ndarray
    weights: LstmWeights
    c: np.ndarray
    go_backwards: bool
    by_sequence: bool
    saved: Any
