"""File locks across processes: one training run per checkpoint, one writer per file or folder."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from refold.errors import ParameterError


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
