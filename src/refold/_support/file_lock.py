"""One training at a time for each checkpoint, whichever process it is in."""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from refold.errors import ParameterError

__all__ = ["sole_training"]

_held: set[tuple[Path, int]] = set()


@contextmanager
def sole_training(checkpoint: str | os.PathLike[str] | None) -> Iterator[None]:
    """Refuse to train where another training that is running keeps its state in the same file.

    A hidden file beside the checkpoint is locked within the block. The system releases the lock if
    the process dies. The same thread may enter again. On a file system that has no locks, or takes
    no files, nothing is checked.

    Parameters
    ----------
    checkpoint : path or None
        None where the training keeps no state, so that no other can be in its way.

    Raises
    ------
    ParameterError
        If another training is running.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with sole_training(folder / "model.checkpoint"):
    ...     [path.name for path in folder.iterdir()]
    ['.model.checkpoint.lock']
    >>> list(folder.iterdir())
    []
    """
    if checkpoint is None:
        yield
        return
    place = Path(os.path.realpath(checkpoint))
    holder = place, threading.get_ident()
    lock = None if holder in _held else _locked(place, checkpoint)
    if lock is None:
        yield
        return
    _held.add(holder)
    try:
        yield
    finally:
        _held.discard(holder)
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            Path(lock.lock_file).unlink()
        lock.release()


def _locked(place: Path, named: str | os.PathLike[str]) -> FileLock | None:
    """Lock the file beside ``place``; None where there are no locks."""
    if not place.parent.is_dir():
        return None  # FileLock would make the folder
    path = place.with_name(f".{place.name}.lock")
    while True:
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ParameterError(
                f"Another training is running, and it keeps its state in {str(named)!r}. Wait "
                "until it ends, or name another file."
            ) from error
        except (OSError, NotImplementedError):
            return None
        if path.exists():
            return lock
        lock.release()  # the training that ended just now has removed this file
