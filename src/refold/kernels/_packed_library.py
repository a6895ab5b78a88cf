"""`refold.kernels.packed` in the compiled library."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from refold.kernels._library import layout, load

# Types of the result and of the arguments of each C function.
_SIGNATURES = {
    "exp": "v ppi",
    "sigmoid": "v ppi",
    "tanh": "v ppi",
    "normal_cdf": "v ppi",
    "pack_lstm": "b iipppp",
    "pack_lstm_gradient": "b iippp",
    "lstm_forward": "b iiippipppppbpippppi",
    "lstm_backward": "b iiipppbpppipppipppi",
    "product": "b iiipipipipii",
    "ragged_product": "b iiiippppipi",
    "step_product": "b iiiipppppi",
    "segment_sum": "v iippip",
    "segment_max": "v iippip",
    "pooled_convolutions": "b iippippiiifppi",
    "pooled_runs": "b iippippiifpppi",
}
_TYPES = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "b": ctypes.c_int,
    "f": ctypes.c_float,
    "v": None,
}
_FLOAT = np.dtype(np.float32)


@functools.cache
def _function(name: str) -> Callable[..., int | None]:
    """Return a function of the library that takes addresses for its pointers."""
    function = load()[f"refold_{name}"]
    result, arguments = _SIGNATURES[name].split()
    function.restype = _TYPES[result]
    function.argtypes = [_TYPES[letter] for letter in arguments]
    return function


def _call(name: str, *arguments: Any) -> None:
    addresses = [_address(a) if isinstance(a, np.ndarray) else a for a in arguments]
    if _function(name)(*addresses):
        raise MemoryError(f"There is not enough memory for {name.replace('_', ' ')}.")


def _address(array: np.ndarray) -> int:
    try:
        # takes a third of the time of the attribute
        return ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, array)))
    except (TypeError, ValueError):  # read-only, not dense or empty
        return array.ctypes.data


def _dense(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, _FLOAT)


def _int64(offsets: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(offsets, np.int64)


def _rows(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a matrix whose rows are dense, and the distance between two rows in floats."""
    row, column = array.strides
    if array.dtype != _FLOAT or column != 4 or row % 4:
        array = _dense(array)
        row = array.strides[0]
    return array, row // 4


def _map(name: str, x: np.ndarray) -> np.ndarray:
    x = _dense(x)
    y = np.empty_like(x)
    _call(name, x, y, x.size)
    return y


def exp(x: np.ndarray) -> np.ndarray:
    """Compute the exponential of each value."""
    return _map("exp", x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function; see `refold.kernels.packed.sigmoid`."""
    return _map("sigmoid", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """Compute the hyperbolic tangent; see `refold.kernels.packed.tanh`."""
    return _map("tanh", x)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Compute a distribution function; see `refold.kernels.packed.normal_cdf`."""
    return _map("normal_cdf", x)


def product(
    x: np.ndarray, weights: np.ndarray, start: np.ndarray | None, threads: int = 1
) -> np.ndarray:
    """Multiply by a matrix; see `refold.kernels.packed.product`."""
    x, ld_x = _rows(x)
    weights, ld_weights = _rows(weights)
    start = None if start is None else _dense(start)
    ld_start = 0 if start is None or start.ndim == 1 else start.shape[1]
    depth, width = weights.shape
    y = np.empty((len(x), width), np.float32)
    _call(
        "product",
        len(x),
        depth,
        width,
        x,
        ld_x,
        weights,
        ld_weights,
        start,
        ld_start,
        y,
        width,
        threads,
    )
    return y


def ragged_product(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray | None,
    threads: int = 1,
) -> np.ndarray:
    """Sum with weights; see `refold.kernels.packed.ragged_product`."""
    x, weights, offsets = _dense(x), _dense(weights), _int64(offsets)
    start = None if start is None else _dense(start)
    max_steps, channels, width = weights.shape
    y = np.empty((len(offsets) - 1, width), np.float32)
    _call(
        "ragged_product",
        len(y),
        channels,
        width,
        max_steps,
        offsets,
        x,
        weights,
        start,
        0,
        y,
        threads,
    )
    return y


def step_product(
    x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, start: np.ndarray, threads: int = 1
) -> np.ndarray:
    """Compute steps; see `refold.kernels.packed.step_product`."""
    x, weights, start, offsets = _dense(x), _dense(weights), _dense(start), _int64(offsets)
    depth, max_steps, width = weights.shape
    steps = int((offsets[1:] - offsets[:-1]).max(initial=0))
    if len(start) < steps or start.shape[1] != width:  # the library would read other memory
        raise ValueError(f"start has shape {start.shape} instead of {(steps, width)}")
    y = np.empty((offsets[-1], width), np.float32)
    _call("step_product", len(x), depth, width, max_steps, offsets, x, weights, start, y, threads)
    return y


def segment_sum(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum rows; see `refold.kernels.packed.segment_sum`."""
    return _segments("segment_sum", x, offsets)


def segment_max(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return maxima; see `refold.kernels.packed.segment_max`."""
    return _segments("segment_max", x, offsets)


def _segments(name: str, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    x, ld_x = _rows(x)
    offsets = _int64(offsets)
    y = np.empty((len(offsets) - 1, x.shape[1]), np.float32)
    _call(name, len(y), x.shape[1], offsets, x, ld_x, y)
    return y


def pooled_convolutions(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    dilation: int,
    stride: int,
    steepness: float,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve and pool; see `refold.kernels.packed.pooled_convolutions`."""
    mixed, ld = _rows(mixed)
    taps, bias, offsets = _dense(taps), _dense(bias), _int64(offsets)
    positive, highest = np.empty((2, len(offsets) - 1, len(bias)), np.float32)
    _call(
        "pooled_convolutions",
        len(positive),
        len(bias),
        offsets,
        mixed,
        ld,
        taps,
        bias,
        len(taps),
        dilation,
        stride,
        steepness,
        positive,
        highest,
        threads,
    )
    return positive, highest


def pooled_runs(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    dilation: int,
    margin: float,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve and pool; see `refold.kernels.packed.pooled_runs`."""
    mixed, ld = _rows(mixed)
    taps, bias, offsets = _dense(taps), _dense(bias), _int64(offsets)
    share, place, longest = np.empty((3, len(offsets) - 1, len(bias)), np.float32)
    given = len(share), len(bias), offsets, mixed, ld, taps, bias, len(taps), dilation, margin
    _call("pooled_runs", *given, share, place, longest, threads)
    return share, place, longest


def pack_lstm(kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Pack weights for the forward pass; see `refold.kernels.packed.LstmWeights`."""
    features, units = len(kernel), len(recurrent_kernel)
    packed = _aligned(layout(units, features).forward_weights)
    arrays = (_dense(array) for array in (kernel, recurrent_kernel, bias))
    _call("pack_lstm", features, units, *arrays, packed)
    return packed


def pack_lstm_gradient(kernel: np.ndarray, recurrent_kernel: np.ndarray) -> np.ndarray:
    """Pack weights for the gradient; see `refold.kernels.packed.LstmWeights`."""
    features, units = len(kernel), len(recurrent_kernel)
    packed = _aligned(layout(units, features).backward_weights)
    arrays = (_dense(array) for array in (kernel, recurrent_kernel))
    _call("pack_lstm_gradient", features, units, *arrays, packed)
    return packed


def _aligned(count: int) -> np.ndarray:
    """Return an array of floats that starts at a cache line."""
    floats = np.empty(count + 16, np.float32)
    begin = -floats.ctypes.data // 4 % 16
    return floats[begin : begin + count]


def lstm(
    x: np.ndarray,
    offsets: np.ndarray,
    weights: Any,
    h: np.ndarray,
    c: np.ndarray,
    outputs: np.ndarray,
    *,
    by_sequence: np.ndarray | None = None,
    by_step: np.ndarray | None = None,
    go_backwards: bool,
    keep: bool,
    reuse: Any = None,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Run an LSTM; see `refold.kernels.packed.lstm`. Returns h, c and what the gradient needs."""
    x, ld_x = _rows(x)
    units = weights.units
    for name, array, width in (("x", x, len(weights.kernel)), ("h", h, units), ("c", c, units)):
        if array.shape[1] != width:  # the library would read other memory
            raise ValueError(f"{name} has {array.shape[1]} columns instead of {width}")
    if by_sequence is not None and by_step is not None:
        by_sequence, by_step = _dense(by_sequence), _dense(by_step)
        steps = (offsets[1:] - offsets[:-1]).max(initial=0)
        for name, array, rows in ("by_sequence", by_sequence, len(c)), ("by_step", by_step, steps):
            if len(array) < rows or array.shape[1] != 4 * units:
                raise ValueError(f"{name} has shape {array.shape} instead of {(rows, 4 * units)}")
    last_h, last_c = np.empty((2, len(offsets) - 1, units), np.float32)
    gates = cells = None
    if keep:
        shapes = [(len(x), length) for length in layout(units)[:2]]
        if reuse is None or [array.shape for array in reuse] != shapes:
            reuse = [np.empty(shape, np.float32) for shape in shapes]
        gates, cells = reuse
    written, ld_outputs = _rows(outputs)
    _call(
        "lstm_forward",
        len(last_h),
        x.shape[1],
        units,
        _int64(offsets),
        x,
        ld_x,
        by_sequence,
        by_step,
        weights.packed,
        _dense(h),
        _dense(c),
        go_backwards,
        written,
        ld_outputs,
        last_h,
        last_c,
        gates,
        cells,
        threads,
    )
    if written is not outputs:
        outputs[:] = written
    return last_h, last_c, (gates, cells)


def lstm_gradient(
    trace: Any, d_outputs: np.ndarray, *, threads: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differentiate an LSTM; see `refold.kernels.packed.lstm_gradient`."""
    d_outputs, ld_outputs = _rows(d_outputs)
    gates, cells = trace.saved
    num_sequences, units = trace.c.shape
    features = len(trace.weights.kernel)
    d_h, d_c = np.empty((2, num_sequences, units), np.float32)
    shape = (num_sequences, 4 * units) if trace.by_sequence else (len(d_outputs), features)
    d_input = np.empty(shape, np.float32)
    _call(
        "lstm_backward",
        num_sequences,
        features,
        units,
        _int64(trace.offsets),
        trace.weights.packed_gradient,
        _dense(trace.c),
        trace.go_backwards,
        gates,
        cells,
        d_outputs,
        ld_outputs,
        None,
        None,
        None if trace.by_sequence else d_input,
        features,
        d_input if trace.by_sequence else None,
        d_h,
        d_c,
        threads,
    )
    return d_input, d_h, d_c
