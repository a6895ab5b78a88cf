"""Weights of an LSTM on packed rows, and what its gradient needs of a forward pass."""

import functools
from typing import Any, NamedTuple

import numpy as np

from refold.kernels._library import call, layout


class LstmWeights:
    """Weights of an LSTM, which must not be changed; the library packs them at the first call."""

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
        # (features, 4 * units), (units, 4 * units) and (4 * units,), all float32. The gates are in
        # Keras's order: input, forget, cell, output.
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.units = len(recurrent_kernel)

    @functools.cached_property
    def packed(self) -> np.ndarray:
        """Weights in the order in which the library's forward pass reads them."""
        length = layout(self.units, len(self.kernel)).forward_weights
        return self._packed_by("pack_lstm", length, self.kernel, self.recurrent_kernel, self.bias)

    @functools.cached_property
    def packed_gradient(self) -> np.ndarray:
        """Weights in the order in which the library's gradient reads them."""
        length = layout(self.units, len(self.kernel)).backward_weights
        return self._packed_by("pack_lstm_gradient", length, self.kernel, self.recurrent_kernel)

    def _packed_by(self, name: str, length: int, *arrays: np.ndarray) -> np.ndarray:
        floats = np.empty(length + 16, np.float32)
        begin = -floats.ctypes.data // 4 % 16  # the weights start at a cache line
        packed = floats[begin : begin + length]
        dense = (np.ascontiguousarray(array, np.float32) for array in arrays)
        call(name, len(self.kernel), self.units, *dense, packed)
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        # without the packed weights, whose order another machine may not share
        return LstmWeights, (self.kernel, self.recurrent_kernel, self.bias)


class Trace(NamedTuple):
    """What `lstm_gradient` needs of a forward pass."""

    offsets: np.ndarray  # (n_sequences + 1,)
    weights: LstmWeights
    c: np.ndarray  # initial cell state (n_sequences, units)
    go_backwards: bool
    by_sequence: bool  # whether the input had sums by sequence, whose gradient is then computed
    saved: Any  # gates and cells of every row, in the layout of the library or of NumPy
