"""Exclusive use of the checkpoint of `refold fit`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refold.cli._error_messages import Stopped, as_options
from refold.errors import ParameterError


@contextmanager
def locked_checkpoint(
    checkpoint: Path | None, *, resume: bool, lock: bool = True
) -> Iterator[None]:
    """Lock a checkpoint for one training run, and never overwrite that of an interrupted run."""
    if checkpoint is None:
        yield
        return
    from refold._support.file_lock import sole_training

    # without `lock`, another process trains, and locks the checkpoint
    with sole_training(checkpoint if lock else None):
        if checkpoint.exists() and not resume:
            raise ParameterError(
                f"The checkpoint {str(checkpoint)!r} of an interrupted training run would be "
                "overwritten. Continue that run with --resume, or delete the file to start over."
            )
        try:
            yield
        except KeyboardInterrupt as stop:
            if not checkpoint.exists():
                raise
            hint = f"Stopped by Ctrl-C. --resume continues from {str(checkpoint)!r}."
            raise Stopped(as_options(stop.args[0] if stop.args else hint)) from stop
