"""What a program says: warnings at the user's line, lines on standard error, complete writes."""

import errno
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from refold.errors import Message

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
# scikit-learn's module between a user's line and ``transform``
_WRAPPER = "sklearn.utils._set_output"


def warn(message: str | None) -> None:
    """Issue a ``UserWarning`` at the first line outside of the package, if there is a message."""
    if message is None:
        return
    level, frame = 1, sys._getframe()
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_globals.get("__name__") == _WRAPPER
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(Message(message), UserWarning, stacklevel=level)


def log(line: str) -> None:
    """Write a line to standard error."""
    # not at the top, because it takes time to import rich
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)


def describe_epochs(best_epoch: int | None, epochs: int) -> str:
    """Describe which epoch was kept: 0 is the initialization, None the last without validation."""
    if best_epoch is None:
        return f"{epochs}, the last one kept"
    if best_epoch == 0:
        return f"initialization kept; no epoch of {epochs} was better"
    return f"epoch {best_epoch} of {epochs} kept"


def log_kept_epoch(best_epoch: int | None, epochs: int) -> None:
    """Write to standard error which epoch was kept; takes the arguments of `describe_epochs`."""
    log(f"{describe_epochs(best_epoch, epochs).capitalize()}.")


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a binary stream, or raise an OSError."""
    left = data
    while len(left):
        # an unbuffered stream may accept only some of the bytes, which only this number shows
        count = stream.write(left)
        if count is None and not isinstance(stream, io.RawIOBase):
            return  # not a stream of Python's io; its write returns None
        if not count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left = memoryview(left)[count:]
