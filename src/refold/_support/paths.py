"""Files by their paths: errors of the system, writing as a whole, and locks across processes."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from refold.errors import FileAccessError, MissingFileError, ParameterError, RefoldError

# Parts of files that were not written for so long are of writers that were killed.
_MAX_PART_SECONDS = 24 * 3600.0


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


# Writing


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is complete."""
    named, target = local_path(path), Path(os.path.realpath(path))  # the file behind a link
    # A file is written completely or not at all: to a temporary file next to its destination, which
    # is then renamed. A device or pipe cannot be replaced, so it is written directly. Opening a
    # folder is an error.
    special = named.exists() and not named.is_file()  # not target: /dev/fd has no real path
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        if special:
            with named.open("wb") as file:
                yield file
            return
        _remove_old_parts(target)
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there may be no file yet
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and not isinstance(error, RefoldError):
            raise access_error(path, error, writing=True) from error
        raise


def _remove_old_parts(target: Path) -> None:
    """Remove what killed writers of a file left."""
    for part in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 16}.part"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if part.stat().st_mtime < time.time() - _MAX_PART_SECONDS:
                part.unlink()


# Locks: one training run per checkpoint, one writer per file or folder


@contextmanager
def sole_training(checkpoint: str | os.PathLike[str] | None) -> Iterator[None]:
    """Lock a checkpoint for one training run, or raise a ParameterError; None locks nothing."""
    if checkpoint is None:
        yield
        return
    message = (
        f"Another training run is using the checkpoint {str(checkpoint)!r}. Wait until it ends, "
        "or choose another file."
    )
    with sole_use(checkpoint, message):
        yield


@contextmanager
def sole_use(path: str | os.PathLike[str], message: str | None) -> Iterator[None]:
    """Lock a file or folder for one process, or raise a ParameterError; without a message, wait."""
    # not at the top, because most programs lock nothing
    from filelock import FileLock, Timeout

    # A hidden file next to it is locked, which the operating system unlocks if the process dies.
    # Nothing is locked if the file system has no locks or is not writable.
    place, lock = Path(os.path.realpath(path)), None
    lock_file = place.with_name(f".{place.name}.lock")
    while lock is None and place.parent.is_dir():  # FileLock would create the folder
        lock = FileLock(lock_file, timeout=-1 if message is None else 0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ParameterError(str(message)) from error
        except (OSError, NotImplementedError):
            lock = None
            break
        if not lock_file.exists():  # a process that just ended has deleted it
            lock.release()
            lock = None
    try:
        yield
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):  # Windows cannot delete an open file
                lock_file.unlink()
            lock.release()
