"""The compiled library: its path, how it is loaded, and the variant that it runs."""

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import NamedTuple

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")
PATH = Path(__file__).with_name(f"librefold_kernels{_SUFFIX}")


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


class Layout(NamedTuple):
    """Lengths of arrays that the library writes and reads, in floats."""

    gates: int  # of a ranked row, like cells
    cells: int
    forward_weights: int  # packed weights of the forward pass
    backward_weights: int  # packed weights of the gradient


@functools.cache
def layout(units: int, features: int = 0) -> Layout:
    """Return the lengths of the arrays of an LSTM."""
    lengths = (ctypes.c_int64 * 4)()
    load().refold_lstm_layout(ctypes.c_int64(features), ctypes.c_int64(units), lengths)
    return Layout(*lengths)
