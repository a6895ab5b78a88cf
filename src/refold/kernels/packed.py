"""The LSTM and other operations on packed rows: the steps of all sequences, one after another.

The compiled library computes the operations, or NumPy if there is no library.

Sequence ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of an array, and ``offsets`` has the shape
(n_sequences + 1,). The results of a sequence depend neither on the other sequences in the array nor
on their order or the number of threads: all bits are the same.
"""

import functools
from typing import NamedTuple

import numpy as np

from refold.kernels import _library, _packed_numpy
from refold.kernels._library import LstmTrace as LstmTrace
from refold.kernels._library import LstmWeights as LstmWeights
from refold.kernels._library import get_num_threads as get_num_threads
from refold.kernels._library import limited_threads as limited_threads

_compiled_or_numpy = _packed_numpy if _library.variant() is None else _library

DILATIONS = (1, 2, 4, 8)
"""Dilations of the random convolutions, in steps."""
POSITIVITY_STEEPNESS = 4.0
"""Steepness of the sigmoid that softens the test whether a convolution is positive."""

# `_packed_numpy` says what each operation computes, and the shapes of its arrays. `_library` has
# the same signatures.

# These compute a function of each value of an array.
exp = _compiled_or_numpy.exp
sigmoid = _compiled_or_numpy.sigmoid
tanh = _compiled_or_numpy.tanh
normal_cdf = _compiled_or_numpy.normal_cdf
# These multiply rows with weights. In `linear_encode`, which sums the steps of a sequence, and in
# `linear_decode`, which returns steps, each step has its own weights.
product = _compiled_or_numpy.product
linear_encode = _compiled_or_numpy.linear_encode
linear_decode = _compiled_or_numpy.linear_decode
# These pool the rows of each sequence to one row.
segment_sum = _compiled_or_numpy.segment_sum
segment_max = _compiled_or_numpy.segment_max
pooled_convolutions = _compiled_or_numpy.pooled_convolutions
pool_positive_steps = _compiled_or_numpy.pool_positive_steps
# An LSTM gives the same bits here and in `fused`, because both run the same code.
lstm = _compiled_or_numpy.lstm
lstm_input_gradient = _compiled_or_numpy.lstm_input_gradient


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row of x (n_rows, width)."""
    exponentials = exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class RandomConvolutions(NamedTuple):
    """Weights of random convolutions, float32, with the kernels in the order of their dilation.

    ROCKET calls a convolution a kernel. A kernel reads a weighted sum of the channels, at nine
    steps.
    """

    channels: np.ndarray  # (channels, kernels): weights of the channels
    taps: np.ndarray  # (9, kernels): weights of the steps
    bias: np.ndarray  # (kernels,)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return self._asdict()


@functools.lru_cache(maxsize=64)
def draw_convolutions(num_channels: int, num_per_dilation: int = 16) -> RandomConvolutions:
    """Draw convolutions for each dilation, which read one to three channels."""
    # Some model files do not hold the convolutions, so a loaded model must draw the same numbers
    # again. Only RandomState draws the same numbers in all versions of NumPy.
    rng = np.random.RandomState(0)
    num_kernels = len(DILATIONS) * num_per_dilation
    weights = rng.standard_normal((num_channels, num_kernels))
    # the weights of channels that a kernel does not read are zero
    num_channels_read = rng.randint(1, 3 + 1, num_kernels)  # 1 to 3
    random_ranks = rng.random_sample((num_channels, num_kernels)).argsort(axis=0)
    weights *= random_ranks < num_channels_read
    taps = rng.standard_normal((9, num_kernels))  # nine, as in ROCKET
    # the weights of the channels get the length 1, and those of the steps the sum 0
    arrays = (
        weights / np.sqrt((weights**2).sum(axis=0)),
        taps - taps.mean(axis=0),
        rng.uniform(-1, 1, num_kernels),
    )
    convolutions = RandomConvolutions(*(array.astype(np.float32) for array in arrays))
    # later calls return the same arrays from the cache, so nobody may change them
    for array in convolutions:
        array.flags.writeable = False
    return convolutions
