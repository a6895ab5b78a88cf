"""File locks across processes: one training run per checkpoint, one writer per file or folder."""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from refold.errors import ParameterError

_held: set[tuple[Path, int]] = set()


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
def sole_use(path: str | os.PathLike[str], message: str) -> Iterator[None]:
    """Lock a file or folder for one process, or raise a ParameterError with this message."""
    # A hidden file next to it is locked, which the operating system unlocks if the process dies.
    # Nothing is locked if the file system has no locks or is not writable.
    place = Path(os.path.realpath(path))
    holder = place, threading.get_ident()
    # the same thread may enter again
    lock = None if holder in _held else _locked(place, message)
    if lock is None:
        yield
        return
    _held.add(holder)
    try:
        yield
    finally:
        _held.discard(holder)
        with contextlib.suppress(OSError):  # Windows cannot delete an open file
            Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def waiting_for(path: str | os.PathLike[str]) -> Iterator[None]:
    """Lock what is written to a path, and wait as long as another process has it."""
    path = Path(path)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire()
    except (OSError, NotImplementedError):  # the file system has no locks
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _locked(place: Path, message: str) -> FileLock | None:
    """Lock a file next to ``place``; return None if that is not possible."""
    if not place.parent.is_dir():
        return None  # FileLock would create the folder
    path = place.with_name(f".{place.name}.lock")
    while True:
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ParameterError(message) from error
        except (OSError, NotImplementedError):
            return None
        if path.exists():
            return lock
        lock.release()  # a training run that just ended has deleted this file
