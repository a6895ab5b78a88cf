"""Load the compiled library, and call its operations on packed rows.

Packed rows are the steps of all sequences one after another, as `refold.kernels.packed` describes.
Each operation prepares its arrays, and calls its C function by `call_library`.
`_packed_numpy` has the same operations in NumPy, and says in more detail what they compute.
"""

import contextlib
import ctypes
import functools
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

# Names of all variants. Each variant uses another set of CPU instructions, and a machine runs only
# some of the variants. "plain" uses no special instructions.
_VARIANT_NAMES = ("avx512", "avx2", "x86-64", "neon", "plain")
# Shared libraries have another suffix on each system.
_LIBRARY_PATH = Path(__file__).with_name(
    "librefold_kernels" + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
)

# Signature of each C function: the type of the result, a space, and the types of the arguments. The
# letters stand for the types of `_C_TYPES_BY_LETTER`. `cpp/interface.cpp` declares the arguments in
# this order. `call_library` adds the argument `t`, which is always the last one.
_C_SIGNATURES = {
    "exp": "v ppi",
    "sigmoid": "v ppi",
    "tanh": "v ppi",
    "normal_cdf": "v ppi",
    "pack_lstm": "b iipppp",
    "pack_lstm_gradient": "b iippp",
    "lstm_forward": "b iiippipppppbpippppt",
    "lstm_backward": "b iiipppbpppipppipppt",
    "product": "b iiipipipipit",
    "linear_encode": "b iiiippppipt",
    "linear_decode": "b iiiipppppt",
    "segment_sum": "v iippip",
    "segment_max": "v iippip",
    "pooled_convolutions": "b iippippiiifppt",
    "pooled_runs": "b iippippiifpppt",
}
_C_TYPES_BY_LETTER = {
    "p": ctypes.c_void_p,  # address of an array
    "i": ctypes.c_int64,
    "t": ctypes.c_int64,  # number of threads
    "b": ctypes.c_int,  # a boolean; as a result, 1 if there was not enough memory
    "f": ctypes.c_float,
    "v": None,  # no result
}


# Number of threads that an operation may start if the current thread calls it; None for all cores.
_thread_limit: ContextVar[int | None] = ContextVar("max_threads", default=None)


@functools.cache
def _open_library() -> tuple[ctypes.CDLL | None, str | None]:
    """Open the library; return it and None, or None and the reason why there is no kernel."""
    variant_name = os.environ.get("REFOLD_KERNEL", "")
    if variant_name == "none":
        return None, "REFOLD_KERNEL=none switches the LSTM kernel off"
    if not _LIBRARY_PATH.exists():
        return None, (
            "the LSTM kernel was not built when Refold was installed; install a C++ compiler "
            "(Debian: g++) and install Refold again, with pip's option --no-binary refold"
        )
    try:
        library = ctypes.CDLL(str(_LIBRARY_PATH))
    except OSError as error:
        return None, f"the LSTM kernel cannot be loaded: {error}"
    library.refold_variant.restype = ctypes.c_char_p
    if library.refold_variant() is None:  # no variant, because REFOLD_KERNEL names a wrong one
        supported = [name for name in _VARIANT_NAMES if library.refold_supported(name.encode())]
        return None, (
            f"REFOLD_KERNEL={variant_name!r} is not a variant that this machine runs "
            f"({', '.join(supported)}); set it to one of these or to none, or unset it"
        )
    for name, signature in _C_SIGNATURES.items():
        result_letter, argument_letters = signature.split()
        function = getattr(library, f"refold_{name}")
        function.restype = _C_TYPES_BY_LETTER[result_letter]
        function.argtypes = [_C_TYPES_BY_LETTER[letter] for letter in argument_letters]
    return library, None


def require_library() -> ctypes.CDLL:
    """Return the library, or raise a RuntimeError if there is none."""
    library, reason = _open_library()
    if library is None:
        raise RuntimeError(reason)
    return library


def variant() -> str | None:
    """Name the variant of the LSTM kernel that runs on this machine.

    Returns
    -------
    str or None
        ``"avx512"``, ``"avx2"``, ``"x86-64"``, ``"neon"`` or ``"plain"``; None if there is no
        kernel, see `why_not`.

    Examples
    --------
    >>> variant() is None or isinstance(variant(), str)
    True
    """
    library, _ = _open_library()
    return None if library is None else library.refold_variant().decode()


def why_not() -> str | None:
    """Return the reason why there is no LSTM kernel.

    Examples
    --------
    >>> (why_not() is None) == (variant() is not None)
    True
    """
    return _open_library()[1]


@functools.cache
def log_slow_fallback(message: str, reason: str) -> None:
    """Log once a message that an operation runs without the kernel, and the reason."""
    # a user who turned the kernel off needs no warning
    level = logging.INFO if os.environ.get("REFOLD_KERNEL") == "none" else logging.WARNING
    logging.getLogger("refold").log(level, "%s: %s", message, reason)


class LstmArrayLengths(NamedTuple):
    """Numbers of floats in arrays whose order only the library knows."""

    num_gate_floats: int  # of one step of one sequence, with padding
    num_cell_floats: int  # of the cell state after one step of one sequence, with padding
    num_forward_weights: int  # of all weights, packed for the forward pass
    num_gradient_weights: int  # of all weights, packed for the gradient


@functools.cache
def lstm_array_lengths(num_units: int, num_features: int = 0) -> LstmArrayLengths:
    """Return the lengths of the arrays of an LSTM; only the weights depend on the features."""
    lengths = (ctypes.c_int64 * 4)()  # the library writes the four fields of `LstmArrayLengths`
    sizes = ctypes.c_int64(num_features), ctypes.c_int64(num_units)
    require_library().refold_lstm_layout(*sizes, lengths)
    return LstmArrayLengths(*lengths)


def call_library(function_name: str, *arguments: Any) -> None:
    """Call a function of the library; arguments are arrays, numbers, or None for a null pointer."""
    c_arguments = []  # addresses of the arrays, and numbers as they are
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            try:
                # this takes a third of the time of ``argument.ctypes.data``
                argument = ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, argument)))
            except (TypeError, ValueError):
                # a buffer cannot be made of an array that is read-only, not contiguous or empty
                argument = argument.ctypes.data
        c_arguments.append(argument)
    if _C_SIGNATURES[function_name].endswith("t"):
        c_arguments.append(_thread_limit.get() or _count_cores())
    library, _ = _open_library()
    # the result is None, or 1 if there was not enough memory
    if getattr(library, f"refold_{function_name}")(*c_arguments):
        raise MemoryError(f"There is not enough memory for {function_name.replace('_', ' ')}.")


def get_num_threads() -> int:
    """Return the number of threads of an operation: the limit, or else the number of cores."""
    return _thread_limit.get() or _count_cores()


@functools.cache
def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def limited_threads(max_threads: int) -> Iterator[None]:
    """Limit the number of threads of the operations that the current thread calls."""
    token = _thread_limit.set(max_threads)
    try:
        yield
    finally:
        _thread_limit.reset(token)


# Packing copies the weights into the order in which the library reads them. This takes longer than
# the pass over a short sequence, so a model packs its weights once. Calls from JAX pack them each
# time, because JAX may pass other weights.
class LstmWeights:
    """Weights of an LSTM. They are packed once, so nobody may change the arrays."""

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
        # ``kernel`` is Keras's word for the weights of the inputs. The arrays have the shapes
        # (features, 4 * units), (units, 4 * units) and (4 * units,), all float32. The gates are in
        # Keras's order: input, forget, cell, output.
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.units = len(recurrent_kernel)

    @functools.cached_property
    def packed_for_forward_pass(self) -> np.ndarray:
        """Weights (num_forward_weights,) in the order in which the forward pass reads them."""
        num_floats = lstm_array_lengths(self.units, len(self.kernel)).num_forward_weights
        return self._pack("pack_lstm", num_floats, self.kernel, self.recurrent_kernel, self.bias)

    @functools.cached_property
    def packed_for_gradient(self) -> np.ndarray:
        """Weights (num_gradient_weights,) in the order in which the gradient reads them."""
        num_floats = lstm_array_lengths(self.units, len(self.kernel)).num_gradient_weights
        return self._pack("pack_lstm_gradient", num_floats, self.kernel, self.recurrent_kernel)

    def _pack(self, function_name: str, num_packed_floats: int, *weights: np.ndarray) -> np.ndarray:
        """Return arrays of weights as a C function packs them, (num_packed_floats,)."""
        # The packed weights must start at a cache line of 64 bytes, which are 16 floats of 4 bytes.
        # NumPy aligns less. So 16 more floats are allocated, and those before the first cache line
        # are skipped: (-address / 4) mod 16 of them.
        buffer = np.empty(num_packed_floats + 16, np.float32)
        begin = -buffer.ctypes.data // 4 % 16
        packed = buffer[begin : begin + num_packed_floats]
        arguments = len(self.kernel), self.units, *map(_as_float32, weights), packed
        call_library(function_name, *arguments)
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle leaves out the packed weights, because their order depends on the variant, and
        # another machine may run another variant.
        return LstmWeights, (self.kernel, self.recurrent_kernel, self.bias)


class LstmTrace(NamedTuple):
    """What a forward pass keeps for `lstm_input_gradient`."""

    offsets: np.ndarray  # (n_sequences + 1,)
    weights: LstmWeights
    initial_c: np.ndarray  # cell states before the first step (n_sequences, units)
    go_backwards: bool
    # whether `lstm` got ``sequence_gate_inputs``; then `lstm_input_gradient` returns their
    # gradient, and otherwise that of ``packed_x``
    has_gate_inputs: bool
    # values of the gates and cell states of all steps; in the library a list of two arrays (n_rows,
    # num_gate_floats) and (n_rows, num_cell_floats), in NumPy one array (5, n_rows, units)
    gates_and_cells: Any


# Operations on packed rows


# The library reads contiguous arrays of these types only.
_as_float32 = partial(np.ascontiguousarray, dtype=np.float32)
_as_int64 = partial(np.ascontiguousarray, dtype=np.int64)


def _with_row_stride(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a float32 matrix with contiguous rows, and the distance between its rows in floats."""
    # A matrix may consist of some columns of a larger matrix. The library reads it without a copy,
    # if it gets the distance between two rows. It is called ``ld`` (leading dimension), as in
    # BLAS.
    row_bytes, column_bytes = array.strides  # from a row or column to the next; a float has 4 bytes
    if array.dtype != np.float32 or column_bytes != 4 or row_bytes % 4:
        array = _as_float32(array)
        row_bytes = array.strides[0]
    return array, row_bytes // 4


def _require_shape(name: str, array: np.ndarray, min_rows: int, width: int) -> None:
    """Raise a ValueError if an array has too few rows, or rows of another width."""
    # C does not check bounds, so the library would read memory beyond the array
    if len(array) < min_rows or array.shape[1] != width:
        raise ValueError(f"{name} has shape {array.shape} instead of {(int(min_rows), width)}")


def _apply_elementwise(function_name: str, x: np.ndarray) -> np.ndarray:
    """Apply a C function to each value of x, of any shape."""
    x = _as_float32(x)
    y = np.empty_like(x)
    call_library(function_name, x, y, x.size)
    return y


exp = partial(_apply_elementwise, "exp")
sigmoid = partial(_apply_elementwise, "sigmoid")
tanh = partial(_apply_elementwise, "tanh")
normal_cdf = partial(_apply_elementwise, "normal_cdf")


def product(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Compute ``bias + x @ weights``, (n_rows, width); bias is (width,) or (n_rows, width)."""
    x, ld_x = _with_row_stride(x)
    weights, ld_weights = _with_row_stride(weights)
    bias = None if bias is None else _as_float32(bias)
    # with the distance 0, all rows have the same bias
    ld_bias = 0 if bias is None or bias.ndim == 1 else bias.shape[1]
    depth, width = weights.shape
    y = np.empty((len(x), width), np.float32)
    arrays = x, ld_x, weights, ld_weights, bias, ld_bias, y, width
    call_library("product", len(x), depth, width, *arrays)
    return y


def linear_encode(
    packed_x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Map the steps (n_rows, channels) of each sequence to one row, (n_sequences, width)."""
    x, weights, offsets = _as_float32(packed_x), _as_float32(weights), _as_int64(offsets)
    bias = None if bias is None else _as_float32(bias)
    max_steps, channels, width = weights.shape
    y = np.empty((len(offsets) - 1, width), np.float32)
    ld_bias = 0  # all sequences have the same bias
    arrays = offsets, x, weights, bias, ld_bias, y
    call_library("linear_encode", len(y), channels, width, max_steps, *arrays)
    return y


def linear_decode(
    x: np.ndarray, offsets: np.ndarray, weights: np.ndarray, biases: np.ndarray
) -> np.ndarray:
    """Map one row (n_sequences, depth) of each sequence to its steps, (n_rows, width)."""
    x, weights, biases = _as_float32(x), _as_float32(weights), _as_float32(biases)
    offsets = _as_int64(offsets)
    depth, max_steps, width = weights.shape
    _require_shape("biases", biases, np.diff(offsets).max(initial=0), width)
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
    # both results are (n_sequences, kernels): soft shares of positive convolutions, and maxima
    signals, ld_signals = _with_row_stride(kernel_inputs)
    taps, bias, offsets = _as_float32(weights_by_tap), _as_float32(bias), _as_int64(offsets)
    shares, maxima = np.empty((2, len(offsets) - 1, len(bias)), np.float32)
    inputs = offsets, signals, ld_signals, taps, bias
    options = len(taps), dilation, stride, steepness
    call_library("pooled_convolutions", len(shares), len(bias), *inputs, *options, shares, maxima)
    return shares, maxima


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
    signals, ld_signals = _with_row_stride(kernel_inputs)
    taps, bias, offsets = _as_float32(weights_by_tap), _as_float32(bias), _as_int64(offsets)
    results = np.empty((3, len(offsets) - 1, len(bias)), np.float32)
    inputs = offsets, signals, ld_signals, taps, bias
    options = len(taps), dilation, rounding_margin
    call_library("pooled_runs", results.shape[1], len(bias), *inputs, *options, *results)
    return results[0], results[1], results[2]  # shares, mean indices and longest runs


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
    # ``packed_x`` is (n_rows, features), and ``h`` and ``c`` are (n_sequences, units). The gate
    # inputs are parts of the gates that are the same at all steps of a sequence, or in all
    # sequences. Callers pass both or none of them.
    x, ld_x = _with_row_stride(packed_x)
    num_sequences, units = len(offsets) - 1, weights.units
    _require_shape("packed_x", x, offsets[-1], len(weights.kernel))
    _require_shape("h", h, num_sequences, units)
    _require_shape("c", c, num_sequences, units)
    if sequence_gate_inputs is not None and step_gate_inputs is not None:
        sequence_gate_inputs = _as_float32(sequence_gate_inputs)
        step_gate_inputs = _as_float32(step_gate_inputs)
        max_length = np.diff(offsets).max(initial=0)
        _require_shape("sequence_gate_inputs", sequence_gate_inputs, num_sequences, 4 * units)
        _require_shape("step_gate_inputs", step_gate_inputs, max_length, 4 * units)
    last_h, last_c = np.empty((2, num_sequences, units), np.float32)
    gates = cells = None
    if keep_trace:
        # of the gates, and of the cells
        shapes = [(len(x), num_floats) for num_floats in lstm_array_lengths(units)[:2]]
        trace_arrays = None if trace_to_overwrite is None else trace_to_overwrite.gates_and_cells
        if trace_arrays is None or [array.shape for array in trace_arrays] != shapes:
            trace_arrays = [np.empty(shape, np.float32) for shape in shapes]
        gates, cells = trace_arrays
    if out is None:
        out = np.empty((len(x), units), np.float32)
    # if the library cannot write to `out`, it writes to a new array, which is copied to `out` below
    library_out, ld_out = _with_row_stride(out)
    gate_inputs = sequence_gate_inputs, step_gate_inputs, weights.packed_for_forward_pass
    inputs = _as_int64(offsets), x, ld_x, *gate_inputs, _as_float32(h), _as_float32(c), go_backwards
    results = library_out, ld_out, last_h, last_c, gates, cells
    call_library("lstm_forward", num_sequences, x.shape[1], units, *inputs, *results)
    if library_out is not out:
        out[:] = library_out
    trace = None
    if keep_trace:
        has_gate_inputs = sequence_gate_inputs is not None
        trace = LstmTrace(offsets, weights, c, go_backwards, has_gate_inputs, (gates, cells))
    return out, last_h, last_c, trace


def lstm_input_gradient(
    trace: LstmTrace, d_outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of ``packed_x`` (or ``sequence_gate_inputs``), h and c."""
    d_outputs, ld_outputs = _with_row_stride(d_outputs)
    (num_sequences, units), features = trace.initial_c.shape, len(trace.weights.kernel)
    d_h, d_c = np.empty((2, num_sequences, units), np.float32)
    shape = (num_sequences, 4 * units) if trace.has_gate_inputs else (len(d_outputs), features)
    d_input = np.empty(shape, np.float32)
    d_x, d_gate_inputs = (None, d_input) if trace.has_gate_inputs else (d_input, None)
    weights, initial_c = trace.weights.packed_for_gradient, _as_float32(trace.initial_c)
    inputs = _as_int64(trace.offsets), weights, initial_c, trace.go_backwards
    # the two null pointers say that the last h and c have no gradient
    gradients = d_outputs, ld_outputs, None, None, d_x, features, d_gate_inputs, d_h, d_c
    sizes = num_sequences, features, units
    call_library("lstm_backward", *sizes, *inputs, *trace.gates_and_cells, *gradients)
    return d_input, d_h, d_c
