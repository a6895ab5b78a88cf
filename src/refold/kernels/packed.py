"""The LSTM and other operations on packed rows: the steps of all sequences, one after another.

Sequence ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of an array, and ``offsets`` has the shape
(n_sequences + 1,).  The rows of a sequence have the same bits whatever other sequences are there,
in whatever order, and whatever the number of threads.
"""

import numpy as np

from refold.kernels._lstm_weights import LstmWeights, Trace
from refold.kernels._packed_operations import operations
from refold.kernels._packed_pooling import pooled_convolutions, pooled_runs
from refold.kernels._threads import limited_threads, num_threads

__all__ = [
    "LstmWeights",
    "Trace",
    "limited_threads",
    "lstm",
    "lstm_gradient",
    "normal_cdf",
    "num_threads",
    "pooled_convolutions",
    "pooled_runs",
    "product",
    "ragged_product",
    "segment_max",
    "segment_sum",
    "sigmoid",
    "softmax",
    "step_product",
    "tanh",
]


def lstm(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: LstmWeights,
    h: np.ndarray,
    c: np.ndarray,
    *,
    by_sequence: np.ndarray | None = None,
    by_step: np.ndarray | None = None,
    go_backwards: bool = False,
    outputs: np.ndarray | None = None,
    keep: bool = False,
    reuse: Trace | None = None,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Trace | None]:
    """Run an LSTM over x (n_rows, features); return outputs (n_rows, units), h, c and the trace."""
    # by_sequence and by_step (at least n, 4 * units) are products of inputs that all steps of a
    # sequence share, bias included, and that the same step of all sequences shares, in the order of
    # computation. Both are given, or neither. The sums of the gates are then
    # by_sequence[i] + by_step[t] + x @ kernel + h @ recurrent_kernel.
    # The rows of ``outputs`` may be parts of longer rows. The new trace takes the memory of
    # ``reuse``, because fresh memory costs a tenth of the time of a large call.
    if outputs is None:
        outputs = np.empty((len(x), weights.units), np.float32)
    last_h, last_c, saved = operations().lstm(
        x,
        offsets,
        weights,
        h,
        c,
        outputs,
        by_sequence=by_sequence,
        by_step=by_step,
        go_backwards=go_backwards,
        keep=keep,
        reuse=None if reuse is None else reuse.saved,
        threads=threads or num_threads(),
    )
    if not keep:
        return outputs, last_h, last_c, None
    trace = Trace(offsets, weights, c, go_backwards, by_sequence is not None, saved)
    return outputs, last_h, last_c, trace


def lstm_gradient(
    trace: Trace, d_outputs: np.ndarray, *, threads: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (or of by_sequence, if given), h and c of an `lstm`."""
    # the library overwrites the trace, so it can be used once
    return operations().lstm_gradient(trace, d_outputs, threads=threads or num_threads())


def product(
    x: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None, threads: int | None = None
) -> np.ndarray:
    """Compute ``start + x @ weights``, (n_rows, width); start is (width,) or (n_rows, width)."""
    return operations().product(x, weights, start, threads or num_threads())


def ragged_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Sum x (n_rows, channels) with weights (max_steps, channels, width) of each step."""
    # steps after the first ``max_steps`` have no weights
    return operations().ragged_product(x, offsets, weights, start, threads or num_threads())


def step_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    threads: int | None = None,
) -> np.ndarray:
    """Multiply x (n_sequences, depth) by weights (depth, max_steps, width), for each step."""
    # ``start`` (at least the longest length, width) is added to each step. Steps after the first
    # ``max_steps`` have nothing else.
    return operations().step_product(x, offsets, weights, start, threads or num_threads())


def segment_sum(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum the rows (n_rows, width) of each sequence, in their order; 0 for an empty sequence."""
    return operations().segment_sum(x, offsets)


def segment_max(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the maximum over the rows (n_rows, width) of each sequence; 0 for an empty one."""
    return operations().segment_max(x, offsets)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function of each value."""
    return operations().sigmoid(x)


def tanh(x: np.ndarray) -> np.ndarray:
    """Compute the hyperbolic tangent of each value."""
    return operations().tanh(x)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Compute the distribution function of the standard normal distribution at each value."""
    return operations().normal_cdf(x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row of x (n_rows, width)."""
    powers = operations().exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
