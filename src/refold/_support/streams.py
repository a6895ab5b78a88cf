"""Bytes to a stream: all of them, or an error."""

import errno
import io
import os
import select
from typing import Any

__all__ = ["write_all"]


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a stream, or raise.

    An unbuffered stream may take fewer bytes than it was given, and says so only by what ``write``
    returns. One that does not block takes none while its reader is slow; then this waits.

    Parameters
    ----------
    stream : binary stream
    data : bytes or memoryview

    Raises
    ------
    OSError
        If the stream does not take all of them.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> write_all(stream, b"hello")
    >>> stream.getvalue()
    b'hello'
    """
    left = data
    while len(left):
        count = stream.write(left)
        if count is None and not isinstance(stream, io.RawIOBase):
            return  # not a stream of Python's io, and its write returns nothing
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if count is None:
            select.select([], [stream], [])
        else:
            left = memoryview(left)[count:]
