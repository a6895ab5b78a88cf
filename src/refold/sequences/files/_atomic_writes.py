"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from refold.errors import FileAccessError, RefoldError
from refold.sequences.files._file_access import access_error

__all__ = ["atomic_writer", "remove_leftovers"]


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is complete.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and replace
    ``path`` in one step at the end. If the block raises, ``path`` is as it was before. A device
    or pipe, which cannot be replaced, is written directly.

    Parameters
    ----------
    path : str or PathLike
        The file to write. A symbolic link keeps pointing where it points.

    Yields
    ------
    BinaryIO
        The open file.

    Raises
    ------
    FileAccessError
        If the folder is not there, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greeting"
    >>> with atomic_writer(path) as file:
    ...     _ = file.write(b"hello")
    >>> path.read_bytes()
    b'hello'
    """
    given, target = Path(path), Path(os.path.realpath(path))
    if given.is_dir():
        raise FileAccessError(f"{path} is a folder. Expected the name of a file to write.")
    special = given.exists() and not given.is_file()  # a pipe of /dev/fd has no real path
    temporary = (
        given if special else target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    )
    try:
        file = temporary.open("wb" if special else "xb")
    except OSError as error:
        raise access_error(path, error, writing=True) from error
    try:
        with file:
            yield file
            if not special:
                file.flush()
                os.fsync(file.fileno())
        if not special:
            _take_name(temporary, target)
    except BaseException as error:
        if not special:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, RefoldError):
            raise access_error(path, error, writing=True) from error
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what writers of a file left that were killed; call it where none can be at work.

    Parameters
    ----------
    path : str or PathLike
        The file that was being written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / ".greeting.0123456789abcdef.part").touch()
    >>> remove_leftovers(folder / "greeting")
    >>> list(folder.iterdir())
    []
    """
    target = Path(os.path.realpath(path))
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 16}.part"):
        leftover.unlink(missing_ok=True)


def _take_name(temporary: Path, target: Path) -> None:
    """Replace ``target`` by ``temporary``, with the permissions it had."""
    if target.exists():
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
    temporary.replace(target)
    # The new name itself has to reach the disk; not every system can flush a folder.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
