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
    from refold.kernels._packed_library import (
        exp as exp,
    )
    from refold.kernels._packed_library import (
        lstm as lstm,
    )
    from refold.kernels._packed_library import (
        lstm_gradient as lstm_gradient,
    )
    from refold.kernels._packed_library import (
        normal_cdf as normal_cdf,
    )
    from refold.kernels._packed_library import (
        pooled_convolutions as pooled_convolutions,
    )
    from refold.kernels._packed_library import (
        pooled_runs as pooled_runs,
    )
    from refold.kernels._packed_library import (
        product as product,
    )
    from refold.kernels._packed_library import (
        ragged_product as ragged_product,
    )
    from refold.kernels._packed_library import (
        segment_max as segment_max,
    )
    from refold.kernels._packed_library import (
        segment_sum as segment_sum,
    )
    from refold.kernels._packed_library import (
        sigmoid as sigmoid,
    )
    from refold.kernels._packed_library import (
        step_product as step_product,
    )
    from refold.kernels._packed_library import (
        tanh as tanh,
    )
else:
    from refold.kernels._packed_numpy import (
        exp as exp,
    )
    from refold.kernels._packed_numpy import (
        lstm as lstm,
    )
    from refold.kernels._packed_numpy import (
        lstm_gradient as lstm_gradient,
    )
    from refold.kernels._packed_numpy import (
        normal_cdf as normal_cdf,
    )
    from refold.kernels._packed_numpy import (
        pooled_convolutions as pooled_convolutions,
    )
    from refold.kernels._packed_numpy import (
        pooled_runs as pooled_runs,
    )
    from refold.kernels._packed_numpy import (
        product as product,
    )
    from refold.kernels._packed_numpy import (
        ragged_product as ragged_product,
    )
    from refold.kernels._packed_numpy import (
        segment_max as segment_max,
    )
    from refold.kernels._packed_numpy import (
        segment_sum as segment_sum,
    )
    from refold.kernels._packed_numpy import (
        sigmoid as sigmoid,
    )
    from refold.kernels._packed_numpy import (
        step_product as step_product,
    )
    from refold.kernels._packed_numpy import (
        tanh as tanh,
    )


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
