"""The progress bar of a training: epochs, losses, time left."""

from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from refold._bars import progress_bar

__all__ = ["Progress"]


class Progress:
    """Show the epochs of a training.

    Parameters
    ----------
    max_epochs : int
    verbose : int
        0 shows nothing.

    Examples
    --------
    >>> with Progress(3, verbose=0) as progress:
    ...     progress.epoch(1, loss=0.5, val_loss=0.6)
    """

    def __init__(self, max_epochs: int, *, verbose: int) -> None:
        self._bar = progress_bar(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self._task = self._bar.add_task("epoch", total=max_epochs, losses="compiling")

    def refit(self, epochs: int) -> None:
        """Begin the refit, of so many epochs."""
        self._bar.reset(self._task, description="refit on all: epoch", total=epochs, losses="")

    def epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Note the losses of an epoch of a phase, counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        self._bar.update(self._task, completed=epoch, losses=losses)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
