"""Operations on packed rows in the compiled library; `_packed_numpy` says what they compute."""

from functools import partial

import numpy as np

from refold.kernels._library import LstmWeights, Trace, call, layout

_FLOAT = np.dtype(np.float32)


def _dense(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, _FLOAT)


def _int64(offsets: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(offsets, np.int64)


def _rows(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a matrix whose rows are dense, and the distance between two rows in floats."""
    row, column = array.strides
    if array.dtype != _FLOAT or column != 4 or row % 4:
        array = np.ascontiguousarray(array, _FLOAT)
        row = array.strides[0]
    return array, row // 4


def _require_shape(name: str, array: np.ndarray, rows: int, width: int) -> None:
    """Raise a ValueError if the library would read memory beyond an array."""
    if len(array) < rows or array.shape[1] != width:
        raise ValueError(f"{name} has shape {array.shape} instead of {(int(rows), width)}")


def _elementwise(name: str, x: np.ndarray) -> np.ndarray:
    x = _dense(x)
    y = np.empty_like(x)
    call(name, x, y, x.size)
    return y


exp = partial(_elementwise, "exp")
sigmoid = partial(_elementwise, "sigmoid")
tanh = partial(_elementwise, "tanh")
normal_cdf = partial(_elementwise, "normal_cdf")


def product(x: np.ndarray, weights: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Compute ``start + x @ weights``, (n_rows, width); start is (width,) or (n_rows, width)."""
    x, ld_x = _rows(x)
    weights, ld_weights = _rows(weights)
    start = None if start is None else _dense(start)
    ld_start = 0 if start is None or start.ndim == 1 else start.shape[1]
    depth, width = weights.shape
    y = np.empty((len(x), width), np.float32)
    call("product", len(x), depth, width, x, ld_x, weights, ld_weights, start, ld_start, y, width)
    return y


def ragged_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Sum x (n_rows, channels) with weights (max_steps, channels, width) of each step."""
    x, weights, offsets = _dense(x), _dense(weights), _int64(offsets)
    start = None if start is None else _dense(start)
    max_steps, channels, width = weights.shape
    y = np.empty((len(offsets) - 1, width), np.float32)
    call("ragged_product", len(y), channels, width, max_steps, offsets, x, weights, start, 0, y)
    return y


def step_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Multiply x (n_sequences, depth) by weights (depth, max_steps, width), for each step."""
    x, weights, start, offsets = _dense(x), _dense(weights), _dense(start), _int64(offsets)
    depth, max_steps, width = weights.shape
    steps = int((offsets[1:] - offsets[:-1]).max(initial=0))
    _require_shape("start", start, steps, width)
    y = np.empty((offsets[-1], width), np.float32)
    call("step_product", len(x), depth, width, max_steps, offsets, x, weights, start, y)
    return y


def _segments(name: str, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    x, ld_x = _rows(x)
    y = np.empty((len(offsets) - 1, x.shape[1]), np.float32)
    call(name, len(y), x.shape[1], _int64(offsets), x, ld_x, y)
    return y


segment_sum = partial(_segments, "segment_sum")
segment_max = partial(_segments, "segment_max")


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
    mixed, ld = _rows(mixed)
    taps, bias, offsets = _dense(taps), _dense(bias), _int64(offsets)
    positive, highest = np.empty((2, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(positive), len(bias)
    kernels = taps, bias, len(taps), dilation, stride, steepness
    call("pooled_convolutions", *sizes, offsets, mixed, ld, *kernels, positive, highest)
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
    mixed, ld = _rows(mixed)
    taps, bias, offsets = _dense(taps), _dense(bias), _int64(offsets)
    share, place, longest = np.empty((3, len(offsets) - 1, len(bias)), np.float32)
    sizes = len(share), len(bias)
    kernels = taps, bias, len(taps), dilation, margin
    call("pooled_runs", *sizes, offsets, mixed, ld, *kernels, share, place, longest)
    return share, place, longest


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
    x, ld_x = _rows(x)
    units = weights.units
    num_sequences = len(offsets) - 1
    _require_shape("x", x, offsets[-1], len(weights.kernel))
    _require_shape("h", h, num_sequences, units)
    _require_shape("c", c, num_sequences, units)
    if by_sequence is not None and by_step is not None:
        by_sequence, by_step = _dense(by_sequence), _dense(by_step)
        steps = (offsets[1:] - offsets[:-1]).max(initial=0)
        _require_shape("by_sequence", by_sequence, num_sequences, 4 * units)
        _require_shape("by_step", by_step, steps, 4 * units)
    last_h, last_c = np.empty((2, num_sequences, units), np.float32)
    gates = cells = None
    if keep:
        shapes = [(len(x), length) for length in layout(units)[:2]]
        saved = None if reuse is None else reuse.saved
        if saved is None or [array.shape for array in saved] != shapes:
            saved = [np.empty(shape, np.float32) for shape in shapes]
        gates, cells = saved
    if outputs is None:
        outputs = np.empty((len(x), units), np.float32)
    written, ld_outputs = _rows(outputs)
    sizes = len(last_h), x.shape[1], units
    inputs = x, ld_x, by_sequence, by_step, weights.packed, _dense(h), _dense(c), go_backwards
    results = written, ld_outputs, last_h, last_c, gates, cells
    call("lstm_forward", *sizes, _int64(offsets), *inputs, *results)
    if written is not outputs:
        outputs[:] = written
    trace = None
    if keep:
        trace = Trace(offsets, weights, c, go_backwards, by_sequence is not None, (gates, cells))
    return outputs, last_h, last_c, trace


def lstm_gradient(trace: Trace, d_outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of x (or of by_sequence, if given), h and c of an `lstm`."""
    d_outputs, ld_outputs = _rows(d_outputs)
    gates, cells = trace.saved
    num_sequences, units = trace.c.shape
    features = len(trace.weights.kernel)
    d_h, d_c = np.empty((2, num_sequences, units), np.float32)
    shape = (num_sequences, 4 * units) if trace.by_sequence else (len(d_outputs), features)
    d_input = np.empty(shape, np.float32)
    sizes = num_sequences, features, units
    kept = trace.weights.packed_gradient, _dense(trace.c), trace.go_backwards, gates, cells
    d_x, d_sequence = (None, d_input) if trace.by_sequence else (d_input, None)
    # the last state has no gradient of its own
    results = None, None, d_x, features, d_sequence, d_h, d_c
    call("lstm_backward", *sizes, _int64(trace.offsets), *kept, d_outputs, ld_outputs, *results)
    return d_input, d_h, d_c
