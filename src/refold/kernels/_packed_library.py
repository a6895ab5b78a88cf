"""Operations on packed rows in the compiled library.

Each function prepares its arrays and calls the C function of the same name. `_packed_numpy` has the
same functions in NumPy, and says in more detail what they compute.
"""

from functools import partial

import numpy as np

from refold.kernels._library import LstmTrace, LstmWeights, call_library, lstm_array_lengths

_FLOAT = np.dtype(np.float32)


# The library reads contiguous arrays of these types only.
_as_float32 = partial(np.ascontiguousarray, dtype=np.float32)
_as_int64 = partial(np.ascontiguousarray, dtype=np.int64)


def _with_row_stride(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a float32 matrix with contiguous rows, and the distance of two rows in floats."""
    # columns of a larger matrix need no copy
    row, column = array.strides  # in bytes, of which a float has 4
    if array.dtype != _FLOAT or column != 4 or row % 4:
        array = np.ascontiguousarray(array, _FLOAT)
        row = array.strides[0]
    return array, row // 4


def _require_shape(name: str, array: np.ndarray, rows: int, width: int) -> None:
    """Raise a ValueError if an array has too few rows, or rows of another width."""
    # the library would read memory beyond the array
    if len(array) < rows or array.shape[1] != width:
        raise ValueError(f"{name} has shape {array.shape} instead of {(int(rows), width)}")


def _elementwise(name: str, x: np.ndarray) -> np.ndarray:
    """Apply a C function to each value."""
    x = _as_float32(x)
    y = np.empty_like(x)
    call_library(name, x, y, x.size)
    return y


exp = partial(_elementwise, "exp")
sigmoid = partial(_elementwise, "sigmoid")
tanh = partial(_elementwise, "tanh")
normal_cdf = partial(_elementwise, "normal_cdf")


def product(x: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Compute ``start + x @ weights``, (n_rows, width); start is (width,) or (n_rows, width)."""
    x, ld_x = _with_row_stride(x)
    weights, ld_weights = _with_row_stride(weights)
    start = None if start is None else _as_float32(start)
    ld_start = 0 if start is None or start.ndim == 1 else start.shape[1]
    depth, width = weights.shape
    y = np.empty((len(x), width), np.float32)
    sizes = len(x), depth, width
    call_library("product", *sizes, x, ld_x, weights, ld_weights, start, ld_start, y, width)
    return y


def linear_encode(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Map the steps (n_rows, channels) of each sequence to one row, (n_sequences, width)."""
    x, weights, offsets = _as_float32(x), _as_float32(weights), _as_int64(offsets)
    start = None if start is None else _as_float32(start)
    max_steps, channels, width = weights.shape
    y = np.empty((len(offsets) - 1, width), np.float32)
    sizes = len(y), channels, width, max_steps
    call_library("linear_encode", *sizes, offsets, x, weights, start, 0, y)
    return y


def linear_decode(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Map one row (n_sequences, depth) of each sequence to its steps, (n_rows, width)."""
    x, weights, start = _as_float32(x), _as_float32(weights), _as_float32(start)
    offsets = _as_int64(offsets)
    depth, max_steps, width = weights.shape
    steps = int((offsets[1:] - offsets[:-1]).max(initial=0))
    _require_shape("start", start, steps, width)
    y = np.empty((offsets[-1], width), np.float32)
    call_library("linear_decode", len(x), depth, width, max_steps, offsets, x, weights, start, y)
    return y


def _reduce_segments(name: str, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Reduce the rows (n_rows, width) of each sequence to (n_sequences, width)."""
    x, ld_x = _with_row_stride(x)
    y = np.empty((len(offsets) - 1, x.shape[1]), np.float32)
    call_library(name, len(y), x.shape[1], _as_int64(offsets), x, ld_x, y)
    return y


segment_sum = partial(_reduce_segments, "segment_sum")
segment_max = partial(_reduce_segments, "segment_max")


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
    """Convolve each column of mixed (n_rows, kernels) with its taps (9, kernels), and pool."""
    mixed, ld = _with_row_stride(mixed)
    taps, bias, offsets = _as_float32(taps), _as_float32(bias), _as_int64(offsets)
    positive, highest = np.empty((2, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(positive), len(bias)
    kernels = taps, bias, len(taps), dilation, stride, steepness
    call_library("pooled_convolutions", *sizes, offsets, mixed, ld, *kernels, positive, highest)
    return positive, highest


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
    mixed, ld = _with_row_stride(mixed)
    taps, bias, offsets = _as_float32(taps), _as_float32(bias), _as_int64(offsets)
    share, mean_position, longest = np.empty((3, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(share), len(bias)
    kernels = taps, bias, len(taps), dilation, margin
    call_library("pooled_runs", *sizes, offsets, mixed, ld, *kernels, share, mean_position, longest)
    return share, mean_position, longest


def lstm(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: LstmWeights,
    h: np.ndarray,
    c: np.ndarray,
    *,
    sequence_sums: np.ndarray | None = None,
    step_sums: np.ndarray | None = None,
    go_backwards: bool = False,
    outputs: np.ndarray | None = None,
    keep_trace: bool = False,
    reused_trace: LstmTrace | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, LstmTrace | None]:
    """Run an LSTM over x (n_rows, features); return outputs (n_rows, units), h, c and the trace."""
    x, ld_x = _with_row_stride(x)
    units = weights.units
    num_sequences = len(offsets) - 1
    _require_shape("x", x, offsets[-1], len(weights.kernel))
    _require_shape("h", h, num_sequences, units)
    _require_shape("c", c, num_sequences, units)
    if sequence_sums is not None and step_sums is not None:
        sequence_sums, step_sums = _as_float32(sequence_sums), _as_float32(step_sums)
        steps = (offsets[1:] - offsets[:-1]).max(initial=0)
        _require_shape("sequence_sums", sequence_sums, num_sequences, 4 * units)
        _require_shape("step_sums", step_sums, steps, 4 * units)
    last_h, last_c = np.empty((2, num_sequences, units), np.float32)
    gates = cells = None
    if keep_trace:
        shapes = [(len(x), length) for length in lstm_array_lengths(units)[:2]]
        saved = None if reused_trace is None else reused_trace.saved
        if saved is None or [array.shape for array in saved] != shapes:
            saved = [np.empty(shape, np.float32) for shape in shapes]
        gates, cells = saved
    if outputs is None:
        outputs = np.empty((len(x), units), np.float32)
    # the library cannot write to some arrays, which then get a copy of what it wrote
    library_outputs, ld_outputs = _with_row_stride(outputs)
    sizes = len(last_h), x.shape[1], units
    states = _as_float32(h), _as_float32(c)
    inputs = x, ld_x, sequence_sums, step_sums, weights.packed, *states, go_backwards
    results = library_outputs, ld_outputs, last_h, last_c, gates, cells
    call_library("lstm_forward", *sizes, _as_int64(offsets), *inputs, *results)
    if library_outputs is not outputs:
        outputs[:] = library_outputs
    trace = None
    if keep_trace:
        has_sums, saved = sequence_sums is not None, (gates, cells)
        trace = LstmTrace(offsets, weights, c, go_backwards, has_sums, saved)
    return outputs, last_h, last_c, trace


def lstm_gradient(
    trace: LstmTrace, d_outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (of ``sequence_sums`` if they were given), h and c."""
    d_outputs, ld_outputs = _with_row_stride(d_outputs)
    gates, cells = trace.saved
    num_sequences, units = trace.c.shape
    features = len(trace.weights.kernel)
    d_h, d_c = np.empty((2, num_sequences, units), np.float32)
    shape = (num_sequences, 4 * units) if trace.has_sequence_sums else (len(d_outputs), features)
    d_input = np.empty(shape, np.float32)
    sizes = num_sequences, features, units
    saved = trace.weights.packed_gradient, _as_float32(trace.c), trace.go_backwards, gates, cells
    d_x, d_sequence = (None, d_input) if trace.has_sequence_sums else (d_input, None)
    # two null pointers: the caller gives no gradient of the last h and c
    results = None, None, d_x, features, d_sequence, d_h, d_c
    call_library(
        "lstm_backward", *sizes, _as_int64(trace.offsets), *saved, d_outputs, ld_outputs, *results
    )
    return d_input, d_h, d_c
