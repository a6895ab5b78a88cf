"""Standard output that takes every byte or fails, whatever Python made of it."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refold._support.streams import write_all

__all__ = ["complete_output"]


class _Complete(io.RawIOBase):
    """A raw stream whose ``write`` writes everything or raises, and which closes nothing."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any) -> int:
        try:
            write_all(self._raw, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(
                f"Standard output cannot be written: {error.strerror}. What it has so far is not "
                "complete."
            ) from error
        return len(data)


@contextmanager
def complete_output() -> Iterator[None]:
    """Replace ``sys.stdout`` within the block by one that loses no bytes.

    With PYTHONUNBUFFERED, Python's own ignores that a full disk took only a part. Where the locale
    lacks a character it is written as an escape.
    """
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper):  # closed, or replaced by a program
        yield
        return
    before.reconfigure(errors="backslashreplace")
    before.flush()
    raw = getattr(before.buffer, "raw", before.buffer)
    if not isinstance(raw, io.FileIO):
        yield
        return
    whole = io.TextIOWrapper(
        _Complete(raw),  # pyright: ignore[reportArgumentType]
        encoding=before.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    sys.stdout = whole
    try:
        yield
    finally:
        if sys.stdout is whole:
            sys.stdout = before
