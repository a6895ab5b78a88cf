"""The LSTM and other operations on packed rows: the steps of all sequences, one after another.

Sequence ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of an array.  There is no padding, and
nothing is compiled at run time.  The functions run in the compiled library.  Without it, NumPy
computes the same, more slowly.

The rows of a sequence have the same bits whatever other sequences are there, in whatever order,
and whatever the number of threads.
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
    """Run an LSTM over packed rows, with Keras's default activations.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, features)
        Input, which may have 0 features.
    offsets : array of int64 of shape (n_sequences + 1,)
    weights : LstmWeights
    h, c : arrays of float32 of shape (n_sequences, units)
        Initial output and cell state.
    by_sequence, by_step : arrays of float32 of shape (at least n, 4 * units), optional
        Input products that every step of a sequence shares, with the bias of ``weights``, which is
        then not added; and those that each step shares with the same step of all sequences, in the
        order of computation. So the sums of the gates are ``by_sequence[i] + by_step[t] + x @
        kernel + h @ recurrent_kernel``. Both are given, or neither.
    go_backwards : bool
        Read the steps of each sequence from the last to the first.
    outputs : array of float32 of shape (n_rows, units), optional
        Array to write the outputs to. Its rows may be parts of longer rows.
    keep : bool
        Whether to return what `lstm_gradient` needs.
    reuse : Trace, optional
        A trace that is no longer needed. The new one takes its memory, because fresh memory costs a
        tenth of the time of a large call.
    threads : int, optional
        Number of threads; by default one for each core.

    Returns
    -------
    outputs : array of shape (n_rows, units)
        The output of each step, at the row of the step.
    h, c : arrays of shape (n_sequences, units)
        Last output and cell state of each sequence.
    trace : Trace or None

    Examples
    --------
    >>> x, offsets, h = np.ones((5, 3), np.float32), np.array([0, 2, 5]), np.zeros((2, 4))
    >>> weights = LstmWeights(*(np.ones(shape, np.float32) for shape in ((3, 16), (4, 16), 16)))
    >>> lstm(x, offsets, weights, h, h)[0].shape
    (5, 4)
    """
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
    """Compute the gradient with respect to the input and the initial state of an LSTM.

    Parameters
    ----------
    trace : Trace
        From `lstm`. It can be used once.
    d_outputs : array of float32 of shape (n_rows, units)
        Gradient with respect to the outputs.
    threads : int, optional

    Returns
    -------
    d_input : array of shape (n_rows, features) or (n_sequences, 4 * units)
        With respect to ``x``; or only to ``by_sequence``, if it was given.
    d_h, d_c : arrays of shape (n_sequences, units)

    Examples
    --------
    >>> x, offsets, h = np.ones((5, 3), np.float32), np.array([0, 2, 5]), np.zeros((2, 4))
    >>> weights = LstmWeights(*(np.ones(shape, np.float32) for shape in ((3, 16), (4, 16), 16)))
    >>> outputs, _, _, trace = lstm(x, offsets, weights, h, h, keep=True)
    >>> [d.shape for d in lstm_gradient(trace, np.ones_like(outputs))]
    [(5, 3), (2, 4), (2, 4)]
    """
    return operations().lstm_gradient(trace, d_outputs, threads=threads or num_threads())


def product(
    x: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None, threads: int | None = None
) -> np.ndarray:
    """Compute ``start + x @ weights``; each row has the same bits in any company.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, depth)
    weights : array of float32 of shape (depth, width)
    start : array of float32 of shape (width,) or (n_rows, width), optional
        By default zeros.
    threads : int, optional

    Returns
    -------
    array of float32 of shape (n_rows, width)

    Examples
    --------
    >>> product(np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)).tolist()
    [[3.0], [3.0]]
    """
    return operations().product(x, weights, start, threads or num_threads())


def ragged_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Compute a weighted sum of all values of each sequence; each step has its own weights.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, channels)
    offsets : array of int64 of shape (n_sequences + 1,)
    weights : array of float32 of shape (max_steps, channels, width)
        Steps after the first ``max_steps`` have no weights.
    start : array of float32 of shape (width,), optional
    threads : int, optional

    Returns
    -------
    array of float32 of shape (n_sequences, width)

    Examples
    --------
    >>> x, offsets = np.ones((5, 1), np.float32), np.array([0, 2, 5])
    >>> ragged_product(x, offsets, np.ones((4, 1, 1), np.float32)).ravel().tolist()
    [2.0, 3.0]
    """
    return operations().ragged_product(x, offsets, weights, start, threads or num_threads())


def step_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    threads: int | None = None,
) -> np.ndarray:
    """Multiply the vector of each sequence by the weights of each of its steps.

    Parameters
    ----------
    x : array of float32 of shape (n_sequences, depth)
    offsets : array of int64 of shape (n_sequences + 1,)
    weights : array of float32 of shape (depth, max_steps, width)
    start : array of float32 of shape (at least the longest length, width)
        Added to each step. Steps after the first ``max_steps`` have nothing else.
    threads : int, optional

    Returns
    -------
    array of float32 of shape (n_rows, width)

    Examples
    --------
    >>> x, offsets, start = np.float32([[1], [2]]), np.array([0, 2, 5]), np.zeros((3, 1))
    >>> step_product(x, offsets, np.ones((1, 2, 1), np.float32), start).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0, 0.0]
    """
    return operations().step_product(x, offsets, weights, start, threads or num_threads())


def segment_sum(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum the rows of each sequence, in their order; 0 for an empty sequence.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, width)
    offsets : array of int64 of shape (n_sequences + 1,)

    Returns
    -------
    array of float32 of shape (n_sequences, width)

    Examples
    --------
    >>> segment_sum(np.ones((3, 1), np.float32), np.array([0, 2, 2, 3])).ravel().tolist()
    [2.0, 0.0, 1.0]
    """
    return operations().segment_sum(x, offsets)


def segment_max(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the maximum over the rows of each sequence; 0 for an empty sequence.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, width)
    offsets : array of int64 of shape (n_sequences + 1,)

    Returns
    -------
    array of float32 of shape (n_sequences, width)

    Examples
    --------
    >>> x = np.array([[-1.0], [-2.0], [3.0]], np.float32)
    >>> segment_max(x, np.array([0, 2, 2, 3])).ravel().tolist()
    [-1.0, 0.0, 3.0]
    """
    return operations().segment_max(x, offsets)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function of each value.

    Examples
    --------
    >>> sigmoid(np.zeros(1, np.float32)).tolist()
    [0.5]
    """
    return operations().sigmoid(x)


def tanh(x: np.ndarray) -> np.ndarray:
    """Compute the hyperbolic tangent of each value.

    Examples
    --------
    >>> tanh(np.zeros(1, np.float32)).tolist()
    [0.0]
    """
    return operations().tanh(x)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Compute the distribution function of the standard normal distribution at each value.

    Examples
    --------
    >>> normal_cdf(np.zeros(1, np.float32)).tolist()
    [0.5]
    """
    return operations().normal_cdf(x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row.

    Parameters
    ----------
    x : array of float32 of shape (n_rows, width)

    Returns
    -------
    array of float32 of shape (n_rows, width)

    Examples
    --------
    >>> softmax(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    powers = operations().exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
