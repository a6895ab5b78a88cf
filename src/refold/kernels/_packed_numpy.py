"""Operations on packed rows in NumPy, for machines without the compiled library.

Packed rows are the steps of all sequences one after another, as `refold.kernels.packed` describes.
The comments say exactly what each operation computes, also in the library.
"""

# The operations add the numbers of a row in an order that does not depend on other rows. So the
# rounding of a row does not depend on other rows, either.

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from refold.kernels._library import LstmTrace, LstmWeights

exp, tanh = np.exp, np.tanh


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function of each value."""
    return np.float32(0.5) * tanh(np.float32(0.5) * x) + np.float32(0.5)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Compute the distribution function of the standard normal distribution at each value."""
    erfc = np.vectorize(math.erfc, otypes=[float])  # NumPy has no error function
    return np.float32(0.5) * erfc(-x.astype(float) / math.sqrt(2)).astype(np.float32)


def product(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Compute ``bias + x @ weights``, (n_rows, width); bias is (width,) or (n_rows, width)."""
    y = np.zeros((len(x), weights.shape[1]), np.float32)
    # not ``x @ weights``, whose rounding depends on the number of rows
    if bias is not None:
        y += bias
    for k in range(weights.shape[0]):
        y += x[:, k, None] * weights[k]
    return y


def linear_encode(
    packed_x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Map the steps (n_rows, channels) of each sequence to one row, (n_sequences, width)."""
    # The row is ``bias`` plus the sum over the steps t of ``packed_x[t] @ weights[t]``, with
    # weights of the shape (max_steps, channels, width). Steps beyond ``max_steps`` add nothing.
    lengths = np.diff(offsets)
    y = np.zeros((len(lengths), weights.shape[2]), np.float32)
    if bias is not None:
        y += bias
    for step in range(min(len(weights), int(lengths.max(initial=0)))):
        active = np.flatnonzero(lengths > step)
        y[active] = y[active] + product(packed_x[offsets[active] + step], weights[step])
    return y


def linear_decode(
    x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, biases: np.ndarray
) -> np.ndarray:
    """Map one row (n_sequences, depth) of each sequence to its steps, (n_rows, width)."""
    # Step t is ``biases[t] + x @ weights[:, t]``, with weights of the shape (depth, max_steps,
    # width). Steps beyond ``max_steps`` have no weights and are ``biases[t]`` alone.
    y = np.empty((offsets[-1], weights.shape[2]), np.float32)
    for step, (active, rows) in enumerate(_iterate_steps(offsets, go_backwards=False)):
        y[rows] = biases[step]
        if step < weights.shape[1]:
            y[rows] = product(x[active], weights[:, step], biases[step])
    return y


def _reduce_segments(ufunc: Any, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Reduce the rows (n_rows, width) of each sequence to (n_sequences, width)."""
    # ``reduceat`` combines the rows in their order. For an empty sequence, it would return a row of
    # the next sequence. So it gets no empty sequence, whose result here is 0.
    nonempty = np.flatnonzero(np.diff(offsets))
    y = np.zeros((len(offsets) - 1, x.shape[1]), np.float32)
    if len(nonempty):
        y[nonempty] = ufunc.reduceat(x, offsets[nonempty], axis=0)
    return y


segment_sum = partial(_reduce_segments, np.add)
segment_max = partial(_reduce_segments, np.maximum)


def pooled_convolutions(
    kernel_inputs: np.ndarray,
    offsets: np.ndarray,
    weights_by_tap: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    stride: int,
    steepness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve each column (n_rows, kernels) with its tap weights (9, kernels), and pool."""
    # A kernel here is a kernel of ROCKET: a convolution with random weights. Column k of
    # ``kernel_inputs`` is the weighted sum of channels that kernel k reads. The middle tap is the
    # weight of the step itself, and steps outside of the sequence count as zero. The convolution is
    # computed at the first step and at every stride-th step after it. Two results (n_sequences,
    # kernels) pool it over a sequence: the mean of sigmoid(steepness * convolution), and the
    # maximum of the convolution. Both are 0 for an empty sequence.
    convolved, starts = _convolve(kernel_inputs, offsets, weights_by_tap, bias, dilation, stride)
    sums = segment_sum(sigmoid(np.float32(steepness) * convolved), starts)
    # numbers of convolved steps, but 1 for an empty sequence
    divisors = np.maximum(np.diff(starts), 1).astype(np.float32)[:, None]
    return sums / divisors, segment_max(convolved, starts)


def pool_positive_steps(
    kernel_inputs: np.ndarray,
    offsets: np.ndarray,
    weights_by_tap: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    rounding_margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve as `pooled_convolutions` does, and pool the steps with a positive convolution."""
    # A convolution above the margin is positive. The margin is larger than rounding errors. Without
    # a margin, rounding errors would decide the sign where a series is constant. There are three
    # results (n_sequences, kernels), each divided by the length of the sequence: the number of
    # positive steps, where steps from -margin to margin count half; the mean index of positive
    # steps, 0 if there is none; and the length of the longest run of positive steps.
    convolved, _ = _convolve(kernel_inputs, offsets, weights_by_tap, bias, dilation, stride=1)
    lengths = np.diff(offsets)
    # masks (n_sequences, max_length, kernels), which are False after the end of a sequence
    is_positive, is_not_negative = np.zeros(
        (2, len(lengths), int(lengths.max(initial=0)), len(bias)), bool
    )
    steps = np.arange(is_positive.shape[1])
    is_positive[steps < lengths[:, None]] = convolved > np.float32(rounding_margin)
    is_not_negative[steps < lengths[:, None]] = convolved >= -np.float32(rounding_margin)
    num_positive = is_positive.sum(axis=1, dtype=np.float32)
    num_not_negative = is_not_negative.sum(axis=1, dtype=np.float32)
    index_sums = (is_positive * steps[:, None].astype(np.float32)).sum(axis=1)
    # length of the run of positive steps that ends at the current step, and of the longest so far
    run_length = longest = np.zeros_like(num_positive)
    for is_positive_at_step in is_positive.transpose(1, 0, 2):
        run_length = np.where(is_positive_at_step, run_length + 1, 0)
        longest = np.maximum(longest, run_length)
    num_steps = np.maximum(lengths, 1).astype(np.float32)[:, None]
    mean_index = index_sums / np.maximum(num_positive, 1) / num_steps
    # a positive step is in both masks, and a step from -margin to margin only in the second mask
    share = (num_positive + num_not_negative) / (2 * num_steps)
    return share, mean_index.astype(np.float32), (longest / num_steps).astype(np.float32)


def _convolve(
    kernel_inputs: np.ndarray,
    offsets: np.ndarray,
    weights_by_tap: np.ndarray,
    bias: np.ndarray,
    dilation: int,
    stride: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the convolutions (n_convolved_steps, kernels) of every stride-th step, and offsets."""
    lengths = np.diff(offsets)
    counts = -(-lengths // stride)  # number of convolved steps of each sequence
    starts = np.concatenate([[0], np.cumsum(counts)])  # offsets of the convolved steps
    # for each convolved step: its index in its sequence, the first row of this sequence, and the
    # length of this sequence
    steps = stride * (np.arange(starts[-1]) - np.repeat(starts[:-1], counts))
    first_rows, sequence_lengths = np.repeat(offsets[:-1], counts), np.repeat(lengths, counts)
    convolved = np.broadcast_to(bias, (len(steps), len(bias))).astype(np.float32)
    for tap, weights in enumerate(weights_by_tap):
        tap_steps = steps + (tap - len(weights_by_tap) // 2) * dilation
        is_inside = (tap_steps >= 0) & (tap_steps < sequence_lengths)
        convolved[is_inside] += kernel_inputs[(first_rows + tap_steps)[is_inside]] * weights
    return convolved, starts


def lstm(
    packed_x: np.ndarray,
    offsets: np.ndarray,
    weights: LstmWeights,
    h: np.ndarray,
    c: np.ndarray,
    *,
    sequence_gate_inputs: np.ndarray | None = None,
    step_gate_inputs: np.ndarray | None = None,
    go_backwards: bool = False,
    out: np.ndarray | None = None,
    keep_trace: bool = False,
    trace_to_overwrite: LstmTrace | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, LstmTrace | None]:
    """Run an LSTM over rows of features; return outputs (n_rows, units), h, c and the trace."""
    # Some inputs, such as a code, are the same at all steps of a sequence. Other inputs, such as a
    # position, are the same in all sequences. The caller multiplies such inputs with their weights
    # once, and passes the products: ``sequence_gate_inputs`` (n_sequences, 4 * units), which
    # include the bias, and ``step_gate_inputs`` (at least the longest length, 4 * units), in the
    # order of computation. Callers pass both or none. The gates of sequence i at step t are then
    # activations of sequence_gate_inputs[i] + step_gate_inputs[t] + packed_x @ kernel + h @
    # recurrent_kernel. The outputs are written to ``out``, which may be some columns of a larger
    # array. ``h`` and ``c`` (n_sequences, units) are the states before the first step. Only the
    # library uses the memory of ``trace_to_overwrite`` for the new trace. Fresh memory would cost
    # it a tenth of the time of a large call.
    del trace_to_overwrite  # not used in NumPy
    units = weights.units
    if out is None:
        out = np.empty((len(packed_x), units), np.float32)
    has_gate_inputs = sequence_gate_inputs is not None
    gate_inputs = product(packed_x, weights.kernel, None if has_gate_inputs else weights.bias)
    initial_c, h, c = c, h.copy(), c.copy()
    gates_and_cells = np.empty((5, len(packed_x), units), np.float32) if keep_trace else None
    for step, (active, rows) in enumerate(_iterate_steps(offsets, go_backwards=go_backwards)):
        gates = product(h[active], weights.recurrent_kernel) + gate_inputs[rows]
        if sequence_gate_inputs is not None and step_gate_inputs is not None:
            gates += sequence_gate_inputs[active] + step_gate_inputs[step]
        i, f, o = (sigmoid(gates[:, k * units : (k + 1) * units]) for k in (0, 1, 3))
        g = tanh(gates[:, 2 * units : 3 * units])
        cell = f * c[active] + i * g
        if gates_and_cells is not None:
            gates_and_cells[:, rows] = i, f, g, o, cell
        c[active] = cell
        h[active] = out[rows] = o * tanh(cell)
    trace = None
    if keep_trace:
        trace = LstmTrace(
            offsets, weights, initial_c, go_backwards, has_gate_inputs, gates_and_cells
        )
    return out, h, c, trace


def lstm_input_gradient(
    trace: LstmTrace, d_outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of ``packed_x`` (or ``sequence_gate_inputs``), h and c."""
    # The method is backpropagation through time. The name of a gradient is ``d_`` and the name of
    # the array, so ``d_outputs`` (n_rows, units) is the gradient of the outputs. The library
    # overwrites the trace, so callers use a trace only once, also with NumPy.
    i, f, g, o, cells = trace.gates_and_cells
    # gradient (n_rows, 4 * units) of the gates before their activation, in Keras's order: input,
    # forget, cell, output
    d_gate_inputs = np.empty((len(d_outputs), 4 * cells.shape[1]), np.float32)
    d_h, d_c = np.zeros_like(trace.initial_c), np.zeros_like(trace.initial_c)
    recurrent_kernel_transposed = np.ascontiguousarray(trace.weights.recurrent_kernel.T)
    to_previous = 1 if trace.go_backwards else -1  # from a row to the row computed before it
    steps = list(_iterate_steps(trace.offsets, go_backwards=trace.go_backwards))
    for step, (active, rows) in reversed(list(enumerate(steps))):
        c_before = cells[rows + to_previous] if step else trace.initial_c[active]
        tanh_c = tanh(cells[rows])
        d_out = d_h[active] + d_outputs[rows]
        d_cell = d_c[active] + d_out * o[rows] * (1 - tanh_c**2)
        # the derivative of a sigmoid s is s * (1 - s), and that of a tanh t is 1 - t**2
        d_gate_inputs[rows] = np.concatenate(
            [
                d_cell * g[rows] * i[rows] * (1 - i[rows]),
                d_cell * c_before * f[rows] * (1 - f[rows]),
                d_cell * i[rows] * (1 - g[rows] ** 2),
                d_out * tanh_c * o[rows] * (1 - o[rows]),
            ],
            axis=1,
        )
        d_c[active] = d_cell * f[rows]
        d_h[active] = product(d_gate_inputs[rows], recurrent_kernel_transposed)
    if trace.has_gate_inputs:
        return segment_sum(d_gate_inputs, trace.offsets), d_h, d_c
    return product(d_gate_inputs, np.ascontiguousarray(trace.weights.kernel.T)), d_h, d_c


def _iterate_steps(
    offsets: np.ndarray, *, go_backwards: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for each step, the indices of the sequences that have it, and its row in each."""
    # steps are in the order of computation: going backwards, step 0 is the last step of a sequence
    lengths = np.diff(offsets)
    for step in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > step)
        yield active, (offsets[1:][active] - 1 - step if go_backwards else offsets[active] + step)
