"""Standard output that writes every byte or raises."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from refold._support.streams import write_all


class _CompleteStream(io.RawIOBase):
    """A raw stream whose ``write`` is complete or raises; closing it does not close the file."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: bytes | memoryview) -> int:
        try:
            write_all(self._raw, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(
                f"Standard output cannot be written: {error.strerror}. The output is incomplete."
            ) from error
        return len(data)


@contextmanager
def complete_output() -> Iterator[None]:
    """Replace ``sys.stdout`` inside the block by a stream that loses no bytes."""
    # With PYTHONUNBUFFERED, Python ignores an incomplete write to a full disk. Characters that the
    # locale lacks are escaped.
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper):  # closed, or replaced by another object
        yield
        return
    before.reconfigure(errors="backslashreplace")
    before.flush()
    raw = getattr(before.buffer, "raw", before.buffer)
    if not isinstance(raw, io.FileIO):
        yield
        return
    complete = io.TextIOWrapper(
        _CompleteStream(raw),  # pyright: ignore[reportArgumentType]
        encoding=before.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    sys.stdout = complete
    try:
        yield
    finally:
        if sys.stdout is complete:
            sys.stdout = before
