"""Complete writes to a binary stream."""

import errno
import io
import os
import select
from typing import Any

__all__ = ["write_all"]


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a stream, or raise.

    An unbuffered stream may accept only some of the bytes, which only the return value of
    ``write`` shows. A non-blocking stream accepts none while its reader is slow; this function
    then waits.

    Parameters
    ----------
    stream : binary stream
    data : bytes or memoryview

    Raises
    ------
    OSError
        If the stream does not accept all of them.

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
            return  # not a stream of Python's io; its write returns None
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if count is None:
            select.select([], [stream], [])
        else:
            left = memoryview(left)[count:]
