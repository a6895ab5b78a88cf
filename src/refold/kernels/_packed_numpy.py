"""Operations on packed rows in NumPy: what they compute, and what runs without the library."""

import math
from typing import Any

import numpy as np

from refold.kernels._library import LstmWeights, Trace

exp, tanh = np.exp, np.tanh


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function of each value."""
    return np.float32(0.5) * tanh(np.float32(0.5) * x) + np.float32(0.5)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Compute the distribution function of the standard normal distribution at each value."""
    return np.float32(0.5) * _erfc(-x.astype(float) / math.sqrt(2)).astype(np.float32)


# NumPy has no error function
_erfc = np.vectorize(math.erfc, otypes=[float])


def product(x: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Compute ``start + x @ weights``, (n_rows, width); start is (width,) or (n_rows, width)."""
    y = np.zeros((len(x), weights.shape[1]), np.float32)
    # not ``x @ weights``, whose rounding depends on the number of rows
    if start is not None:
        y += start
    for k in range(weights.shape[0]):
        y += x[:, k, None] * weights[k]
    return y


def ragged_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Sum x (n_rows, channels) with weights (max_steps, channels, width) of each step."""
    # steps after the first ``max_steps`` have no weights
    lengths = np.diff(offsets)
    y = np.zeros((len(lengths), weights.shape[2]), np.float32)
    if start is not None:
        y += start
    for step in range(min(len(weights), int(lengths.max(initial=0)))):
        there = np.flatnonzero(lengths > step)
        y[there] = y[there] + product(x[offsets[there] + step], weights[step], None)
    return y


def step_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Multiply x (n_sequences, depth) by weights (depth, max_steps, width), for each step."""
    # ``start`` (at least the longest length, width) is added to each step. Steps after the first
    # ``max_steps`` have nothing else.
    y = np.empty((offsets[-1], weights.shape[2]), np.float32)
    for step, (there, rows) in enumerate(_steps(offsets)):
        y[rows] = start[step]
        if step < weights.shape[1]:
            y[rows] = product(x[there], weights[:, step], start[step])
    return y


def segment_sum(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum the rows (n_rows, width) of each sequence, in their order; 0 for an empty sequence."""
    return _segments(np.add, x, offsets)


def segment_max(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the maximum over the rows (n_rows, width) of each sequence; 0 for an empty one."""
    return _segments(np.maximum, x, offsets)


def _segments(combine: Any, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    there = np.flatnonzero(np.diff(offsets))
    y = np.zeros((len(offsets) - 1, x.shape[1]), np.float32)
    if len(there):
        y[there] = combine.reduceat(x, offsets[there], axis=0)
    return y


def pooled_convolutions(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    stride: int,
    steepness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve each channel of mixed (n_rows, kernels) with its taps (9, kernels), and pool."""
    # The middle tap is for the step itself, and steps outside of the sequence count as zero. The
    # first value is that of the first step, and the next ones follow in strides. Returns the mean
    # of sigmoid(steepness * convolution) and the maximum, (n_sequences, kernels), both 0 for an
    # empty sequence.
    counts = -(-np.diff(offsets) // stride)
    starts = np.concatenate([[0], np.cumsum(counts)])
    convolved = _convolved(mixed, offsets, taps, bias, dilation, stride)
    positive = _segments(np.add, sigmoid(np.float32(steepness) * convolved), starts)
    count = np.maximum(counts, 1).astype(np.float32)[:, None]
    return positive / count, segment_max(convolved, starts)


def pooled_runs(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve as `pooled_convolutions` does, and pool the steps with a positive convolution."""
    # A convolution above the margin is positive. The margin is larger than rounding errors, so that
    # they do not decide where a convolution is constant. Returns, all (n_sequences, kernels) and
    # relative to the length: the share of positive steps, where steps from -margin to margin count
    # half; their mean index, 0 if there is none; and the longest run of them.
    convolved, lengths = _convolved(mixed, offsets, taps, bias, dilation, 1), np.diff(offsets)
    above, near = np.zeros((2, len(lengths), int(lengths.max(initial=0)), len(bias)), bool)
    steps = np.arange(above.shape[1])
    above[steps < lengths[:, None]] = convolved > np.float32(margin)
    near[steps < lengths[:, None]] = convolved >= -np.float32(margin)
    count, share = above.sum(axis=1, dtype=np.float32), near.sum(axis=1, dtype=np.float32)
    places = (above * steps[:, None].astype(np.float32)).sum(axis=1)
    run = longest = np.zeros_like(count)
    for step in above.transpose(1, 0, 2):
        run = np.where(step, run + 1, 0)
        longest = np.maximum(longest, run)
    number = np.maximum(lengths, 1).astype(np.float32)[:, None]
    place = places / np.maximum(count, 1) / number
    share = (count + share) / (2 * number)
    return share, place.astype(np.float32), (longest / number).astype(np.float32)


def _convolved(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    dilation: int,
    stride: int,
) -> np.ndarray:
    """Return the convolutions at every stride-th step of each sequence."""
    lengths, half = np.diff(offsets), len(taps) // 2
    counts = -(-lengths // stride)
    starts = np.concatenate([[0], np.cumsum(counts)])
    steps = stride * (np.arange(starts[-1]) - np.repeat(starts[:-1], counts))
    first, length = np.repeat(offsets[:-1], counts), np.repeat(lengths, counts)
    convolved = np.broadcast_to(bias, (len(steps), len(bias))).astype(np.float32)
    for tap, weights in enumerate(taps):
        at = steps + (tap - half) * dilation
        inside = (at >= 0) & (at < length)
        convolved[inside] += mixed[(first + at)[inside]] * weights
    return convolved


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Trace | None]:
    """Run an LSTM over x (n_rows, features); return outputs (n_rows, units), h, c and the trace."""
    # by_sequence and by_step (at least n, 4 * units) are products of inputs that all steps of a
    # sequence share, bias included, and that the same step of all sequences shares, in the order of
    # computation. Both are given, or neither. The sums of the gates are then
    # by_sequence[i] + by_step[t] + x @ kernel + h @ recurrent_kernel.
    # The rows of ``outputs`` may be parts of longer rows. The new trace takes the memory of
    # ``reuse``, because fresh memory costs a tenth of the time of a large call.
    del reuse
    units = weights.units
    if outputs is None:
        outputs = np.empty((len(x), units), np.float32)
    sums = product(x, weights.kernel, weights.bias if by_sequence is None else None)
    initial_c, h, c = c, h.copy(), c.copy()
    saved = np.empty((5, len(x), units), np.float32) if keep else None
    for step, (there, rows) in enumerate(_steps(offsets, go_backwards)):
        gates = product(h[there], weights.recurrent_kernel, None) + sums[rows]
        if by_sequence is not None and by_step is not None:
            gates += by_sequence[there] + by_step[step]
        i, f, o = (sigmoid(gates[:, k * units : (k + 1) * units]) for k in (0, 1, 3))
        g = tanh(gates[:, 2 * units : 3 * units])
        state = f * c[there] + i * g
        if saved is not None:
            for part, values in zip(saved, (i, f, g, o, state), strict=True):
                part[rows] = values
        c[there] = state
        h[there] = outputs[rows] = o * tanh(state)
    trace = None
    if keep:
        trace = Trace(offsets, weights, initial_c, go_backwards, by_sequence is not None, saved)
    return outputs, h, c, trace


def lstm_gradient(trace: Trace, d_outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (or of by_sequence, if given), h and c of an `lstm`."""
    # the library overwrites the trace, so it can be used once
    i, f, g, o, cells = trace.saved
    d_sums = np.empty((len(d_outputs), 4 * cells.shape[1]), np.float32)
    dh, dc = np.zeros_like(trace.c), np.zeros_like(trace.c)
    weights = trace.weights
    transposed = np.ascontiguousarray(weights.recurrent_kernel.T)
    kernel = np.ascontiguousarray(weights.kernel.T)
    back = 1 if trace.go_backwards else -1
    steps = list(_steps(trace.offsets, trace.go_backwards))
    for number, (there, rows) in reversed(list(enumerate(steps))):
        before = cells[rows + back] if number else trace.c[there]
        squashed = tanh(cells[rows])
        d_out = dh[there] + d_outputs[rows]
        d_cell = dc[there] + d_out * o[rows] * (1 - squashed**2)
        d_sums[rows] = np.concatenate(
            [
                d_cell * g[rows] * i[rows] * (1 - i[rows]),
                d_cell * before * f[rows] * (1 - f[rows]),
                d_cell * i[rows] * (1 - g[rows] ** 2),
                d_out * squashed * o[rows] * (1 - o[rows]),
            ],
            axis=1,
        )
        dc[there] = d_cell * f[rows]
        dh[there] = product(d_sums[rows], transposed, None)
    if trace.by_sequence:
        return segment_sum(d_sums, trace.offsets), dh, dc
    return product(d_sums, kernel, None), dh, dc


def _steps(offsets: np.ndarray, go_backwards: bool = False) -> Any:  # noqa: FBT001, FBT002
    """Iterate over the steps: the sequences that have the step, and its row in each."""
    lengths = np.diff(offsets)
    for step in range(int(lengths.max(initial=0))):
        there = np.flatnonzero(lengths > step)
        yield there, (offsets[1:][there] - 1 - step if go_backwards else offsets[there] + step)
