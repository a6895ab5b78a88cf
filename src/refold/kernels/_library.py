"""The compiled library: how it is loaded and called, and the variant that it runs."""

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")
PATH = Path(__file__).with_name(f"librefold_kernels{_SUFFIX}")

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


@functools.cache
def _opened() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library and None, or None and the reason why there is no kernel."""
    wanted = os.environ.get("REFOLD_KERNEL", "")
    if wanted == "none":
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
            f"REFOLD_KERNEL={wanted!r} is not a variant that this machine runs "
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

    Returns
    -------
    str or None
        The reason in one line; None if there is a kernel.

    Examples
    --------
    >>> (why_not() is None) == (variant() is not None)
    True
    """
    return _opened()[1]


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
    library, _ = _opened()
    if getattr(library, f"refold_{name}")(*addresses):
        raise MemoryError(f"There is not enough memory for {name.replace('_', ' ')}.")
