"""The LSTM and other operations on packed rows: the steps of all sequences, one after another.

Sequence ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of an array, and ``offsets`` has the shape
(n_sequences + 1,).  The rows of a sequence have the same bits whatever other sequences are there,
in whatever order, and whatever the number of threads.
"""

import functools
from typing import NamedTuple

import numpy as np

from refold.kernels._library import LstmWeights as LstmWeights
from refold.kernels._library import Trace as Trace
from refold.kernels._library import limited_threads as limited_threads
from refold.kernels._library import num_threads as num_threads
from refold.kernels._library import variant

if variant() is not None:
    from refold.kernels import _packed_library as _operations
else:
    from refold.kernels import _packed_numpy as _operations

DILATIONS = (1, 2, 4, 8)
"""Dilations of the kernels, in steps."""
STEEPNESS = 4.0
"""Steepness of the sigmoid that softens the test whether a convolution is positive."""

# Number of taps of a kernel.
_TAPS = 9
# Maximum number of channels that a kernel reads.
_MOST_CHANNELS = 3

# `_packed_numpy` says what each operation computes, with the shapes. The compiled library has the
# same signatures.

# of each value
exp = _operations.exp
sigmoid = _operations.sigmoid
tanh = _operations.tanh
normal_cdf = _operations.normal_cdf
# products of rows with weights: the same for all rows, or those of their step
product = _operations.product
ragged_product = _operations.ragged_product
step_product = _operations.step_product
# over the rows of each sequence
segment_sum = _operations.segment_sum
segment_max = _operations.segment_max
pooled_convolutions = _operations.pooled_convolutions
pooled_runs = _operations.pooled_runs
# An LSTM gives the same bits here and through JAX, because both run the same code.
lstm = _operations.lstm
lstm_gradient = _operations.lstm_gradient


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row of x (n_rows, width)."""
    powers = exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)


class RandomConvolutions(NamedTuple):
    """Weights of random convolutions; the kernels of one dilation follow those of another."""

    channels: np.ndarray  # (channels, kernels) float32: mix the channels of a step
    taps: np.ndarray  # (9, kernels) float32: weights of the steps
    bias: np.ndarray  # (kernels,) float32

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return self._asdict()


@functools.lru_cache(maxsize=64)
def random_convolutions(num_channels: int, num_kernels: int = 16) -> RandomConvolutions:
    """Draw kernels for each dilation that each read up to three channels, with nine taps."""
    # RandomState draws the same numbers in all versions; files do not always hold the kernels
    rng = np.random.RandomState(0)
    num = len(DILATIONS) * num_kernels
    weights = rng.standard_normal((num_channels, num))
    # the weights of channels that a kernel does not read are zero
    read = rng.randint(1, _MOST_CHANNELS + 1, num)
    weights *= rng.random_sample((num_channels, num)).argsort(axis=0) < read
    taps = rng.standard_normal((_TAPS, num))
    drawn = (
        weights / np.sqrt((weights**2).sum(axis=0)),
        taps - taps.mean(axis=0),
        rng.uniform(-1, 1, num),
    )
    parts = [part.astype(np.float32) for part in drawn]
    # calls share the arrays
    for part in parts:
        part.flags.writeable = False
    return RandomConvolutions(*parts)
