"""The LSTM and other operations on packed rows: the steps of all sequences, one after another.

Sequence ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of an array, and ``offsets`` has the shape
(n_sequences + 1,).  The rows of a sequence have the same bits whatever other sequences are there,
in whatever order, and whatever the number of threads.
"""

import functools
import logging
import os

import numpy as np

from refold.kernels._library import variant, why_not
from refold.kernels._lstm_weights import LstmWeights as LstmWeights
from refold.kernels._lstm_weights import Trace as Trace
from refold.kernels._threads import limited_threads as limited_threads
from refold.kernels._threads import num_threads as num_threads

if variant() is not None:
    from refold.kernels import _packed_library as _operations
else:
    from refold.kernels import _packed_numpy as _operations

exp = _operations.exp
lstm = _operations.lstm
lstm_gradient = _operations.lstm_gradient
normal_cdf = _operations.normal_cdf
pooled_convolutions = _operations.pooled_convolutions
pooled_runs = _operations.pooled_runs
product = _operations.product
ragged_product = _operations.ragged_product
segment_max = _operations.segment_max
segment_sum = _operations.segment_sum
sigmoid = _operations.sigmoid
step_product = _operations.step_product
tanh = _operations.tanh


@functools.cache
def log_why_slow() -> None:
    """Log once why there is no compiled library, if there is none."""
    if variant() is None:
        # no warning for a user who turned the kernel off
        off = os.environ.get("REFOLD_KERNEL") == "none"
        logging.getLogger("refold").log(
            logging.INFO if off else logging.WARNING,
            "Encoding and decoding run on NumPy, which is slower than the compiled kernel: %s",
            why_not(),
        )


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row of x (n_rows, width)."""
    powers = exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
