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
    # Columns of a larger matrix need no copy. The distance is called ``ld`` (leading dimension), as
    # in BLAS.
    row, column = array.strides  # in bytes, of which a float has 4
    if array.dtype != _FLOAT or column != 4 or row % 4:
        array = np.ascontiguousarray(array, _FLOAT)
        row = array.strides[0]
    return array, row // 4


def _require_shape(argument: str, array: np.ndarray, num_rows: int, width: int) -> None:
    """Raise a ValueError if an array has too few rows, or rows of another width."""
    # the library would read memory beyond the array
    if len(array) < num_rows or array.shape[1] != width:
        raise ValueError(f"{argument} has shape {array.shape} instead of {(int(num_rows), width)}")


def _elementwise(function_name: str, x: np.ndarray) -> np.ndarray:
    """Apply a C function to each value."""
    x = _as_float32(x)
    y = np.empty_like(x)
    call_library(function_name, x, y, x.size)
    return y


exp = partial(_elementwise, "exp")
sigmoid = partial(_elementwise, "sigmoid")
tanh = partial(_elementwise, "tanh")
normal_cdf = partial(_elementwise, "normal_cdf")


def product(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Compute ``bias + x @ weights``, (n_rows, width); bias is (width,) or (n_rows, width)."""
    x, ld_x = _with_row_stride(x)
    weights, ld_weights = _with_row_stride(weights)
    bias = None if bias is None else _as_float32(bias)
    ld_bias = 0 if bias is None or bias.ndim == 1 else bias.shape[1]
    depth, width = weights.shape
    y = np.empty((len(x), width), np.float32)
    sizes = len(x), depth, width
    call_library("product", *sizes, x, ld_x, weights, ld_weights, bias, ld_bias, y, width)
    return y


def linear_encode(
    x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Map the steps (n_rows, channels) of each sequence to one row, (n_sequences, width)."""
    x, weights, offsets = _as_float32(x), _as_float32(weights), _as_int64(offsets)
    bias = None if bias is None else _as_float32(bias)
    max_steps, channels, width = weights.shape
    y = np.empty((len(offsets) - 1, width), np.float32)
    sizes = len(y), channels, width, max_steps
    call_library("linear_encode", *sizes, offsets, x, weights, bias, 0, y)
    return y


def linear_decode(
    x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, biases: np.ndarray
) -> np.ndarray:
    """Map one row (n_sequences, depth) of each sequence to its steps, (n_rows, width)."""
    x, weights, biases = _as_float32(x), _as_float32(weights), _as_float32(biases)
    offsets = _as_int64(offsets)
    depth, max_steps, width = weights.shape
    steps = int((offsets[1:] - offsets[:-1]).max(initial=0))
    _require_shape("biases", biases, steps, width)
    y = np.empty((offsets[-1], width), np.float32)
    call_library("linear_decode", len(x), depth, width, max_steps, offsets, x, weights, biases, y)
    return y


def _reduce_segments(function_name: str, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Reduce the rows (n_rows, width) of each sequence to (n_sequences, width)."""
    x, ld_x = _with_row_stride(x)
    y = np.empty((len(offsets) - 1, x.shape[1]), np.float32)
    call_library(function_name, len(y), x.shape[1], _as_int64(offsets), x, ld_x, y)
    return y


segment_sum = partial(_reduce_segments, "segment_sum")
segment_max = partial(_reduce_segments, "segment_max")


def pooled_convolutions(
    signals: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    stride: int,
    steepness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve each column of signals (n_rows, kernels) with its taps (9, kernels), and pool."""
    signals, ld = _with_row_stride(signals)
    taps, bias, offsets = _as_float32(taps), _as_float32(bias), _as_int64(offsets)
    shares, maxima = np.empty((2, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(shares), len(bias)
    kernels = taps, bias, len(taps), dilation, stride, steepness
    call_library("pooled_convolutions", *sizes, offsets, signals, ld, *kernels, shares, maxima)
    return shares, maxima


def pooled_runs(
    signals: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    rounding_margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve as `pooled_convolutions` does, and pool the steps with a positive convolution."""
    signals, ld = _with_row_stride(signals)
    taps, bias, offsets = _as_float32(taps), _as_float32(bias), _as_int64(offsets)
    share, mean_index, longest = np.empty((3, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(share), len(bias)
    kernels = taps, bias, len(taps), dilation, rounding_margin
    call_library("pooled_runs", *sizes, offsets, signals, ld, *kernels, share, mean_index, longest)
    return share, mean_index, longest


def lstm(
    x: np.ndarray,
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
    """Run an LSTM over x (n_rows, features); return outputs (n_rows, units), h, c and the trace."""
    x, ld_x = _with_row_stride(x)
    units = weights.units
    num_sequences = len(offsets) - 1
    _require_shape("x", x, offsets[-1], len(weights.kernel))
    _require_shape("h", h, num_sequences, units)
    _require_shape("c", c, num_sequences, units)
    if sequence_gate_inputs is not None and step_gate_inputs is not None:
        sequence_gate_inputs = _as_float32(sequence_gate_inputs)
        step_gate_inputs = _as_float32(step_gate_inputs)
        steps = (offsets[1:] - offsets[:-1]).max(initial=0)
        _require_shape("sequence_gate_inputs", sequence_gate_inputs, num_sequences, 4 * units)
        _require_shape("step_gate_inputs", step_gate_inputs, steps, 4 * units)
    last_h, last_c = np.empty((2, num_sequences, units), np.float32)
    gates = cells = None
    if keep_trace:
        shapes = [(len(x), length) for length in lstm_array_lengths(units)[:2]]
        saved = None if trace_to_overwrite is None else trace_to_overwrite.saved
        if saved is None or [array.shape for array in saved] != shapes:
            saved = [np.empty(shape, np.float32) for shape in shapes]
        gates, cells = saved
    if out is None:
        out = np.empty((len(x), units), np.float32)
    # the library cannot write to some arrays, which then get a copy of what it wrote
    library_out, ld_out = _with_row_stride(out)
    sizes = len(last_h), x.shape[1], units
    states = _as_float32(h), _as_float32(c)
    inputs = x, ld_x, sequence_gate_inputs, step_gate_inputs, weights.packed, *states, go_backwards
    results = library_out, ld_out, last_h, last_c, gates, cells
    call_library("lstm_forward", *sizes, _as_int64(offsets), *inputs, *results)
    if library_out is not out:
        out[:] = library_out
    trace = None
    if keep_trace:
        has_sums, saved = sequence_gate_inputs is not None, (gates, cells)
        trace = LstmTrace(offsets, weights, c, go_backwards, has_sums, saved)
    return out, last_h, last_c, trace


def lstm_gradient(
    trace: LstmTrace, d_outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (or of ``sequence_gate_inputs``), h and c."""
    d_outputs, ld_outputs = _with_row_stride(d_outputs)
    gates, cells = trace.saved
    num_sequences, units = trace.c.shape
    features = len(trace.weights.kernel)
    d_h, d_c = np.empty((2, num_sequences, units), np.float32)
    shape = (num_sequences, 4 * units) if trace.has_gate_inputs else (len(d_outputs), features)
    d_input = np.empty(shape, np.float32)
    sizes = num_sequences, features, units
    saved = trace.weights.packed_gradient, _as_float32(trace.c), trace.go_backwards, gates, cells
    d_x, d_sequence = (None, d_input) if trace.has_gate_inputs else (d_input, None)
    # two null pointers: the caller gives no gradient of the last h and c
    results = None, None, d_x, features, d_sequence, d_h, d_c
    call_library(
        "lstm_backward", *sizes, _as_int64(trace.offsets), *saved, d_outputs, ld_outputs, *results
    )
    return d_input, d_h, d_c
