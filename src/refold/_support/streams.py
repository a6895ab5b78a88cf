"""Complete writes to a binary stream."""

import errno
import io
import os
import select
from typing import Any

__all__ = ["write_all"]


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a stream, or raise an OSError."""
    left = data
    while len(left):
        # an unbuffered stream may accept only some of the bytes, which only this number shows
        count = stream.write(left)
        if count is None and not isinstance(stream, io.RawIOBase):
            return  # not a stream of Python's io; its write returns None
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if count is None:  # a non-blocking stream whose reader is slow
            select.select([], [stream], [])
        else:
            left = memoryview(left)[count:]
