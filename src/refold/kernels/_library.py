"""The compiled library: how it is loaded and called, its threads, and the order of its weights.

`variant` and `why_not` say which library runs, if any. `call_library` calls a function of it.
"""

import contextlib
import ctypes
import functools
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

# Suffix of shared libraries on this system.
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
# Names of all variants, each for a set of CPU instructions; a machine runs only some of them.
_VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")
_LIBRARY_PATH = Path(__file__).with_name(f"librefold_kernels{_SUFFIX}")

# The type of the result of each C function, and the types of its arguments, as letters of `_TYPES`.
# `cpp/interface.cpp` declares the arguments in this order. `call_library` adds the last argument
# `t`, the number of threads.
_SIGNATURES = {
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
_TYPES = {
    "p": ctypes.c_void_p,  # an array
    "i": ctypes.c_int64,
    "t": ctypes.c_int64,  # number of threads
    "b": ctypes.c_int,  # as a result, 1 if there was not enough memory
    "f": ctypes.c_float,
    "v": None,
}


class _ThreadLimit(threading.local):
    """Number of threads that an operation of the current thread may use; None for all cores."""

    threads: int | None = None


_THREAD_LIMIT = _ThreadLimit()


@functools.cache
def _open_library() -> tuple[ctypes.CDLL | None, str | None]:
    """Open the library; return it and None, or None and the reason why there is no kernel."""
    request = os.environ.get("REFOLD_KERNEL", "")
    if request == "none":
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
    if library.refold_variant() is None:
        supported = [name for name in _VARIANTS if library.refold_supported(name.encode())]
        return None, (
            f"REFOLD_KERNEL={request!r} is not a variant that this machine runs "
            f"({', '.join(supported)}); set it to one of these or to none, or unset it"
        )
    for name, signature in _SIGNATURES.items():
        result, arguments = signature.split()
        function = getattr(library, f"refold_{name}")
        function.restype = _TYPES[result]
        function.argtypes = [_TYPES[letter] for letter in arguments]
    return library, None


def load_library() -> ctypes.CDLL:
    """Return the library; a RuntimeError if `variant` is None."""
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
    off = os.environ.get("REFOLD_KERNEL") == "none"
    level = logging.INFO if off else logging.WARNING
    logging.getLogger("refold").log(level, "%s: %s", message, reason)


class LstmArrayLengths(NamedTuple):
    """Number of floats in the arrays that the library writes and reads."""

    gates: int  # the gates of one step of one sequence, padded
    cells: int  # the cell state of one step of one sequence, padded
    forward_weights: int  # all packed weights of the forward pass
    backward_weights: int  # all packed weights of the gradient


@functools.cache
def lstm_array_lengths(units: int, num_features: int = 0) -> LstmArrayLengths:
    """Return the lengths of the arrays of an LSTM with these units and input features."""
    lengths = (ctypes.c_int64 * 4)()
    load_library().refold_lstm_layout(ctypes.c_int64(num_features), ctypes.c_int64(units), lengths)
    return LstmArrayLengths(*lengths)


def call_library(function_name: str, *arguments: Any) -> None:
    """Call a function of the library; arguments are arrays, numbers, or None for a null pointer."""
    addresses = []  # also numbers, which stay as they are
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            try:
                # this takes a third of the time of ``argument.ctypes.data``
                argument = ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, argument)))
            except (TypeError, ValueError):  # the array is read-only, not contiguous or empty
                argument = argument.ctypes.data
        addresses.append(argument)
    if _SIGNATURES[function_name].endswith("t"):
        # as `num_threads` does; this function calls no other one, because small arrays are frequent
        addresses.append(_THREAD_LIMIT.threads or _num_cores())
    library, _ = _open_library()
    if getattr(library, f"refold_{function_name}")(*addresses):
        raise MemoryError(f"There is not enough memory for {function_name.replace('_', ' ')}.")


def num_threads() -> int:
    """Return the number of threads of an operation: the limit, or else the number of cores."""
    return _THREAD_LIMIT.threads or _num_cores()


@functools.cache
def _num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def limited_threads(max_threads: int) -> Iterator[None]:
    """Limit the number of threads of the operations that the current thread calls."""
    previous, _THREAD_LIMIT.threads = _THREAD_LIMIT.threads, max_threads
    try:
        yield
    finally:
        _THREAD_LIMIT.threads = previous


# Packing copies the weights into the order in which the library reads them. This takes longer than
# the pass over a short sequence, so a model packs its weights once. Calls from JAX pack them each
# time, because JAX may pass other weights.
class LstmWeights:
    """Weights of an LSTM, packed at the first use; the arrays must not be changed."""

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
        # ``kernel`` is Keras's word for the weights of the inputs. The arrays have the shapes
        # (features, 4 * units), (units, 4 * units) and (4 * units,), all float32. The gates are in
        # Keras's order: input, forget, cell, output.
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.units = len(recurrent_kernel)

    @functools.cached_property
    def packed(self) -> np.ndarray:
        """Weights in the order in which the library's forward pass reads them."""
        length = lstm_array_lengths(self.units, len(self.kernel)).forward_weights
        return self._pack("pack_lstm", length, self.kernel, self.recurrent_kernel, self.bias)

    @functools.cached_property
    def packed_gradient(self) -> np.ndarray:
        """Weights in the order in which the library's gradient reads them."""
        length = lstm_array_lengths(self.units, len(self.kernel)).backward_weights
        return self._pack("pack_lstm_gradient", length, self.kernel, self.recurrent_kernel)

    def _pack(self, function_name: str, num_floats: int, *arrays: np.ndarray) -> np.ndarray:
        """Return the arrays as a C function packs them, (length,)."""
        # The packed weights must start at a cache line, which has 16 floats of 4 bytes. So up to 15
        # floats between the address of the array and the next multiple of 64 bytes are skipped.
        floats = np.empty(num_floats + 16, np.float32)
        begin = -floats.ctypes.data // 4 % 16
        packed = floats[begin : begin + num_floats]
        contiguous = (np.ascontiguousarray(array, np.float32) for array in arrays)
        call_library(function_name, len(self.kernel), self.units, *contiguous, packed)
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        # a pickle leaves out the packed weights, because another machine may need another order
        return LstmWeights, (self.kernel, self.recurrent_kernel, self.bias)


class LstmTrace(NamedTuple):
    """Arrays of a forward pass that `lstm_gradient` reads."""

    offsets: np.ndarray  # (n_sequences + 1,)
    weights: LstmWeights
    c: np.ndarray  # initial cell state (n_sequences, units)
    go_backwards: bool
    has_gate_inputs: bool  # if so, the gradient is that of ``sequence_gate_inputs``, else of x
    saved: Any  # gates and cells of every row, in the order of the library or of NumPy
