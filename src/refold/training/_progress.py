"""Progress bar of a training: initialization steps, epochs, losses and time left."""

import contextvars

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from refold._support.progress_bars import progress_bar

_SHOWN: contextvars.ContextVar["Progress | None"] = contextvars.ContextVar("shown", default=None)


def doing(what: str) -> None:
    """Show a step of the initialization, from wherever it is, if progress is shown."""
    if (progress := _SHOWN.get()) is not None:
        progress.step(what)


class Progress:
    """Progress bar of the initialization and the epochs; `verbose=0` shows nothing."""

    def __init__(self, max_epochs: int, *, verbose: int) -> None:
        self._bar = progress_bar(
            TextColumn("{task.description}"),
            _Count(),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            _Left(),
            disable=not verbose,
        )
        self._max_epochs = max_epochs
        self._prefix = ""
        self._task = self._bar.add_task("initialize", total=None, losses="")

    @property
    def description(self) -> str:
        """The current step."""
        return self._bar.tasks[0].description

    def step(self, what: str) -> None:
        """Show a step of the initialization."""
        self._bar.update(self._task, description=f"{self._prefix}initialize: {what}", refresh=True)

    def train(self) -> None:
        """Start the epochs; until the first one ends, most of the time is compilation."""
        self._begin("epoch", self._max_epochs, "compiling")

    def initialize_again(self) -> None:
        """Start the initialization of the refit."""
        self._prefix = "refit on all: "
        self._begin(f"{self._prefix}initialize")

    def refit(self, epochs: int) -> None:
        """Start a refit of ``epochs`` epochs."""
        self._begin("refit on all: epoch", epochs)

    def _begin(self, description: str, total: int | None = None, losses: str = "") -> None:
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(description, total=total, losses=losses)

    def epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Show the losses of an epoch of a phase, counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        self._bar.update(self._task, completed=epoch, losses=losses)

    def __enter__(self) -> "Progress":
        self._bar.start()
        self._token = _SHOWN.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _SHOWN.reset(self._token)
        self._bar.stop()


class _Count(MofNCompleteColumn):
    """Number of epochs done and in total; empty without a total."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _Left(TimeRemainingColumn):
    """Time left; empty without a total."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else Text("left ") + super().render(task)
