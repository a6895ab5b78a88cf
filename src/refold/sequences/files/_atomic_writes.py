"""Atomic writes: a file is written completely or not at all."""

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


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is complete.

    The bytes go to a temporary file in the same folder. At the end they are flushed to disk, and
    the file replaces ``path`` in one step. If the block raises, ``path`` does not change. A device
    or pipe cannot be replaced, so it is written directly.

    Parameters
    ----------
    path : str or PathLike
        The file to write. If it is a symbolic link, the file it points to is replaced.

    Yields
    ------
    BinaryIO
        The open file.

    Raises
    ------
    FileAccessError
        If the folder does not exist, or the file cannot be written.

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
            _replace(temporary, target)
    except BaseException as error:
        if not special:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, RefoldError):
            raise access_error(path, error, writing=True) from error
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of killed writers; call it only if no writer can be active.

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


def _replace(temporary: Path, target: Path) -> None:
    """Replace ``target`` with ``temporary`` and keep the permissions of ``target``."""
    if target.exists():
        with contextlib.suppress(OSError):
            shutil.copymode(target, temporary)
    temporary.replace(target)
    # Flush the folder, so that the new name is on disk, too. Not every system can.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
