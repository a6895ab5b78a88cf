"""Safe access to files: errors that say what to do, atomic writes, and locks across processes."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from refold.errors import FileAccessError, MissingFileError, ParameterError, RefoldError

# A day: no process takes this long to write a file. If a temporary file did not change for this
# long, the process that wrote it was killed, and the file can be removed.
_MAX_TEMPORARY_FILE_SECONDS = 24 * 3600.0


def require_local_path(path: str | os.PathLike[str]) -> Path:
    """Return a `Path`, or raise ``FileAccessError`` for an address such as s3://bucket/file."""
    # otherwise, `Path` would drop a slash, and a later error would name s3:/bucket/file
    if isinstance(path, str) and re.match(r"[A-Za-z][\w+.-]+://", path):
        raise FileAccessError(f"{path} is an address. Name a file of this machine.")
    return Path(path)


def make_access_error(
    path: str | os.PathLike[str], error: OSError, *, writing: bool
) -> FileAccessError:
    """Return a ``FileAccessError`` that explains an error of the operating system."""
    path = Path(path)
    if writing and not path.parent.exists():
        return MissingFileError(
            f"{path} cannot be written: there is no folder {path.parent}. Create it."
        )
    if path.is_dir():
        return FileAccessError(f"{path} is a folder. Expected a file.")
    if not writing and error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return MissingFileError(f"There is no file {path}.")
    verb = "written" if writing else "read"
    return FileAccessError(f"{path} cannot be {verb}: {error.strerror or error}.")


# Atomic writes


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write completely or not at all: an error leaves the old file unchanged."""
    path = require_local_path(path)
    # The bytes go to a temporary file in the same folder. At the end, the temporary file replaces
    # the target. If the path is a link, the target is the file that the link points to, so the link
    # stays.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    # A device or a pipe cannot be replaced, so it is opened and written directly. A folder cannot
    # be replaced, either: `open` raises an error. The line below looks at `path` and not at the
    # target, because a pipe in /dev/fd has no real path.
    is_replaceable = path.is_file() or not path.exists()
    try:
        if not is_replaceable:
            with path.open("wb") as file:
                yield file
            return
        # Remove temporary files of processes that were killed while they wrote the same target. The
        # 16 characters are the 8 bytes of the random part of the name.
        for part_file in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 16}.part"):
            with contextlib.suppress(OSError):  # another process may have removed it
                if part_file.stat().st_mtime < time.time() - _MAX_TEMPORARY_FILE_SECONDS:
                    part_file.unlink()
        with temporary.open("xb") as file:
            yield file
            # all bytes must be on the disk before the name changes: then a power failure leaves
            # either the old file or the new one
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there may be no old file whose mode can be copied
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, RefoldError):
            raise make_access_error(path, error, writing=True) from error
        raise


# Locks


def lock_checkpoint(checkpoint_path: str | os.PathLike[str] | None) -> AbstractContextManager[None]:
    """Lock a checkpoint for one training run, or raise a ParameterError if another run uses it."""
    if checkpoint_path is None:  # the run writes no checkpoint
        return contextlib.nullcontext()
    message = (
        f"Another training run is using the checkpoint {str(checkpoint_path)!r}. Wait until it "
        "ends, or choose another file."
    )
    return hold_path_lock(checkpoint_path, message)


@contextmanager
def hold_path_lock(path: str | os.PathLike[str], locked_message: str | None) -> Iterator[None]:
    """Lock a file or folder for one process.

    If another process has the lock, raise a ParameterError with the message. If the message is
    None, wait instead until the other process releases the lock.
    """
    # not at the top, because most programs lock nothing
    from filelock import FileLock, Timeout

    # The lock is on a hidden file next to the locked one. If the process dies, the operating system
    # releases the lock.
    target, file_lock = Path(os.path.realpath(path)), None
    lock_file = target.with_name(f".{target.name}.lock")
    # without a folder, nothing is locked, because FileLock would create the folder
    while file_lock is None and target.parent.is_dir():
        # a timeout of -1 waits, and 0 raises an error at once
        file_lock = FileLock(lock_file, timeout=-1 if locked_message is None else 0)
        try:
            file_lock.acquire()
        except Timeout as error:
            raise ParameterError(str(locked_message)) from error
        # the file system has no locks, or the folder is read-only: go on without a lock
        except (OSError, NotImplementedError):
            file_lock = None
            break
        # The previous owner may have deleted the lock file after this process opened it. A lock on
        # a deleted file keeps no other process out, so try again with a new file.
        if not lock_file.exists():
            file_lock.release()
            file_lock = None
    try:
        yield
    finally:
        if file_lock is not None:
            with contextlib.suppress(OSError):  # Windows cannot delete an open file
                lock_file.unlink()
            file_lock.release()
