"""Paths: errors of the system in one line, and files that are written as a whole or not at all."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from refold.errors import FileAccessError, MissingFileError, RefoldError

try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a path, and raise ``FileAccessError`` for an address such as s3://bucket/file."""
    # `Path` would drop one of the slashes of an address, and report a file that nobody named.
    if isinstance(path, str) and re.match(r"[A-Za-z][\w+.-]+://", path):
        raise FileAccessError(f"{path} is an address. Name a file of this machine.")
    return Path(path)


def access_error(path: str | os.PathLike[str], error: OSError, *, writing: bool) -> FileAccessError:
    """Return the error of this package for an error of the system."""
    path = Path(path)
    folder = path.parent
    if writing and folder.exists() and not folder.is_dir():
        return FileAccessError(f"{path} cannot be written: {folder} is a file, not a folder.")
    if writing and not folder.exists():
        return MissingFileError(
            f"{path} cannot be written: there is no folder {folder}. Create it."
        )
    if path.is_dir():
        return FileAccessError(f"{path} is a folder. Expected a file.")
    if not writing and error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return MissingFileError(f"There is no file {path}.")
    verb = "written" if writing else "read"
    return FileAccessError(f"{path} cannot be {verb}: {error.strerror or error}.")


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is complete."""
    named, target = local_path(path), Path(os.path.realpath(path))  # the file behind a link
    # A device or pipe cannot be replaced, so it is written directly. Opening a folder is an error.
    special = named.exists() and not named.is_file()  # not target: /dev/fd has no real path
    try:
        file = named.open("wb") if special else _new_part(target)
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
    if fcntl is not None:
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 16}.part"):
            # a live writer holds the lock of its file
            with contextlib.suppress(OSError), leftover.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
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
