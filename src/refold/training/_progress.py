"""Progress bar of a training: epochs, losses and time left."""

from typing import Self

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refold._support.progress_bars import progress_bar


class Progress:
    """Progress bar of the initialization and the epochs; `verbose=0` shows nothing."""

    def __init__(self, *, verbose: int) -> None:
        self._bar = progress_bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self._part, self._total = "initialize", 0
        self._task = self._bar.add_task("initialize", total=None, losses="")

    def begin(self, part: str, total: int = 0, losses: str = "") -> None:
        """Show the next part of the training, with its number of epochs if it has any."""
        self._part, self._total = part, total
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(part, total=total or None, losses=losses)

    def epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Show the losses of an epoch of a phase, counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        count = f"{self._part} {epoch}/{self._total}"
        self._bar.update(self._task, description=count, completed=epoch, losses=losses)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
