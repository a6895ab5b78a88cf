"""The checkpoint of `refold fit`: whose it is, and what becomes of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refold.cli._error_messages import Stopped
from refold.errors import ParameterError

__all__ = ["sole_checkpoint"]


@contextmanager
def sole_checkpoint(checkpoint: Path | None, *, resume: bool) -> Iterator[None]:
    """Keep a checkpoint for one training: no other runs on it, and none that stopped is lost.

    Raises
    ------
    ParameterError
        If a training is running that writes the same file, or one was stopped that has it, and
        this one is not to go on with it.
    Stopped
        In place of KeyboardInterrupt, if there is a checkpoint to go on from.
    """
    if checkpoint is None:
        yield
        return
    from refold._support.file_lock import sole_training

    with sole_training(checkpoint):
        if checkpoint.exists() and not resume:
            raise ParameterError(
                f"There is a training that was stopped, {str(checkpoint)!r}, and it would be lost. "
                "Go on with it by --resume, or remove that file to start anew."
            )
        try:
            yield
        except KeyboardInterrupt as stop:
            if not checkpoint.exists():
                raise
            going_on = f"Stopped by Ctrl-C. --resume goes on from {str(checkpoint)!r}."
            raise Stopped(str(stop) or going_on) from stop
