"""Atomic writes: a file is written completely or not at all."""

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from refold.errors import FileAccessError, RefoldError
from refold.sequences.files._file_access import access_error, local_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is complete."""
    given, target = local_path(path), Path(os.path.realpath(path))  # the file behind a link
    if given.is_dir():
        raise FileAccessError(f"{path} is a folder. Expected the name of a file to write.")
    # A device or pipe cannot be replaced, so it is written directly.
    special = given.exists() and not given.is_file()  # not target: /dev/fd has no real path
    try:
        file = given.open("wb") if special else _new_part(target)
    except OSError as error:
        raise access_error(path, error, writing=True) from error
    temporary = Path(file.name)
    try:
        with file:
            yield file
            if not special:
                file.flush()
                os.fsync(file.fileno())
                if fcntl is not None:  # while the file is locked
                    _replace(temporary, target)
        if not special and fcntl is None:  # Windows does not rename an open file
            _replace(temporary, target)
    except BaseException as error:
        if not special:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, RefoldError):
            raise access_error(path, error, writing=True) from error
        raise


def _new_part(target: Path) -> BinaryIO:
    """Open and lock a temporary file beside ``target``, and remove those of killed writers."""
    _remove_leftovers(target)
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        file = part.open("xb")
        if fcntl is None:
            return file
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return file
        file.close()  # another writer took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of killed writers; a live writer holds the lock of its file."""
    if fcntl is None:
        return
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 16}.part"):
        with contextlib.suppress(OSError), leftover.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


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
