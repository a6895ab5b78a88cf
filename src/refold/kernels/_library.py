"""The compiled library: its variant, threads, calls, and the weights in its order."""

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

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")
PATH = Path(__file__).with_name(f"librefold_kernels{_SUFFIX}")

# Types of the result and of the arguments of each C function. `call` adds the number of threads.
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
    "ragged_product": "b iiiippppipt",
    "step_product": "b iiiipppppt",
    "segment_sum": "v iippip",
    "segment_max": "v iippip",
    "pooled_convolutions": "b iippippiiifppt",
    "pooled_runs": "b iippippiifpppt",
}
_TYPES = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "t": ctypes.c_int64,  # number of threads
    "b": ctypes.c_int,
    "f": ctypes.c_float,
    "v": None,
}


class _Limits(threading.local):
    """The number of threads of an operation, for each thread that calls it; None for all cores."""

    threads: int | None = None


_LIMITS = _Limits()


@functools.cache
def _opened() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library and None, or None and the reason why there is no kernel."""
    request = os.environ.get("REFOLD_KERNEL", "")
    if request == "none":
        return None, "REFOLD_KERNEL=none switches the LSTM kernel off"
    if not PATH.exists():
        return None, (
            "the LSTM kernel was not built when Refold was installed; install a C++ compiler "
            "(Debian: g++) and install Refold again, with pip's option --no-binary refold"
        )
    try:
        library = ctypes.CDLL(str(PATH))
    except OSError as error:
        return None, f"the LSTM kernel cannot be loaded: {error}"
    library.refold_variant.restype = ctypes.c_char_p
    if library.refold_variant() is None:
        runs = [name for name in _VARIANTS if library.refold_supported(name.encode())]
        return None, (
            f"REFOLD_KERNEL={request!r} is not a variant that this machine runs "
            f"({', '.join(runs)}); set it to one of these or to none, or unset it"
        )
    for name, signature in _SIGNATURES.items():
        result, arguments = signature.split()
        function = getattr(library, f"refold_{name}")
        function.restype = _TYPES[result]
        function.argtypes = [_TYPES[letter] for letter in arguments]
    return library, None


def load() -> ctypes.CDLL:
    """Return the library; call it only if `variant` is not None."""
    library, reason = _opened()
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
    library, _ = _opened()
    return None if library is None else library.refold_variant().decode()


def why_not() -> str | None:
    """Return the reason why there is no LSTM kernel.

    Examples
    --------
    >>> (why_not() is None) == (variant() is not None)
    True
    """
    return _opened()[1]


@functools.cache
def log_slow(what: str, reason: str) -> None:
    """Log once what runs without a kernel, and why."""
    # no warning for a user who turned the kernel off
    off = os.environ.get("REFOLD_KERNEL") == "none"
    level = logging.INFO if off else logging.WARNING
    logging.getLogger("refold").log(level, "%s: %s", what, reason)


class LstmLayout(NamedTuple):
    """Lengths of arrays that the library writes and reads, in floats."""

    gates: int  # of a ranked row, like cells
    cells: int
    forward_weights: int  # packed weights of the forward pass
    backward_weights: int  # packed weights of the gradient


@functools.cache
def layout(units: int, features: int = 0) -> LstmLayout:
    """Return the lengths of the arrays of an LSTM."""
    lengths = (ctypes.c_int64 * 4)()
    load().refold_lstm_layout(ctypes.c_int64(features), ctypes.c_int64(units), lengths)
    return LstmLayout(*lengths)


def call(name: str, *arguments: Any) -> None:
    """Call a function of the library with arrays, numbers, and None for a null pointer."""
    addresses = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            try:
                # takes a third of the time of the attribute
                argument = ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, argument)))
            except (TypeError, ValueError):  # read-only, not dense or empty
                argument = argument.ctypes.data
        addresses.append(argument)
    if _SIGNATURES[name].endswith("t"):
        addresses.append(_LIMITS.threads or _num_cores())
    library, _ = _opened()
    if getattr(library, f"refold_{name}")(*addresses):
        raise MemoryError(f"There is not enough memory for {name.replace('_', ' ')}.")


def num_threads() -> int:
    """Return the number of threads of an operation: one for each core that this process may use."""
    return _LIMITS.threads or _num_cores()


@functools.cache
def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def limited_threads(limit: int) -> Iterator[None]:
    """Let operations that the current thread calls have this number of threads."""
    before, _LIMITS.threads = _LIMITS.threads, limit
    try:
        yield
    finally:
        _LIMITS.threads = before


# Packing takes longer than the pass over a short sequence, so a model packs its weights once. Calls
# of JAX pack them each time.
class LstmWeights:
    """Weights of an LSTM, which must not be changed; the library packs them at the first call."""

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
        # (features, 4 * units), (units, 4 * units) and (4 * units,), all float32. The gates are in
        # Keras's order: input, forget, cell, output.
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.units = len(recurrent_kernel)

    @functools.cached_property
    def packed(self) -> np.ndarray:
        """Weights in the order in which the library's forward pass reads them."""
        length = layout(self.units, len(self.kernel)).forward_weights
        return self._packed_by("pack_lstm", length, self.kernel, self.recurrent_kernel, self.bias)

    @functools.cached_property
    def packed_gradient(self) -> np.ndarray:
        """Weights in the order in which the library's gradient reads them."""
        length = layout(self.units, len(self.kernel)).backward_weights
        return self._packed_by("pack_lstm_gradient", length, self.kernel, self.recurrent_kernel)

    def _packed_by(self, name: str, length: int, *arrays: np.ndarray) -> np.ndarray:
        floats = np.empty(length + 16, np.float32)
        begin = -floats.ctypes.data // 4 % 16  # the weights start at a cache line
        packed = floats[begin : begin + length]
        dense = (np.ascontiguousarray(array, np.float32) for array in arrays)
        call(name, len(self.kernel), self.units, *dense, packed)
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        # without the packed weights, whose order another machine may not share
        return LstmWeights, (self.kernel, self.recurrent_kernel, self.bias)


class Trace(NamedTuple):
    """What `lstm_gradient` needs of a forward pass."""

    offsets: np.ndarray  # (n_sequences + 1,)
    weights: LstmWeights
    c: np.ndarray  # initial cell state (n_sequences, units)
    go_backwards: bool
    by_sequence: bool  # whether the input had sums by sequence, whose gradient is then computed
    saved: Any  # gates and cells of every row, in the layout of the library or of NumPy
