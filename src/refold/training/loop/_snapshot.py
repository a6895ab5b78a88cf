"""Where a training stands, in memory and as plain values and arrays for a file."""

import math
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from refold.training.loop._train_state import StepMetrics, TrainState

__all__ = ["COLUMNS", "Snapshot", "TrainingProgress"]

COLUMNS = ("epoch", "phase", "loss", "val_loss", "learning_rate", "seconds")


@dataclass
class TrainingProgress:
    """All that a training has come to; what it goes on from.

    Attributes
    ----------
    phase : str
        ``"validated"``: trained on a part, chosen by the rest; then perhaps ``"refit"``, on all.
    epoch, page, run, batch : int
        The epoch, from 1; how many of its pages are done, how many runs of the next page, and how
        many batches of the next run.
    state : State
    peak : float
        Highest rate of the schedule; callbacks can change it.
    num_steps : int
        Number of steps that the schedule is made for.
    best : list of arrays, optional
        Weights, as the state holds them, of the epoch with the lowest validation loss, or the
        latest one without validation.
    best_loss : float
    best_epoch, best_steps : int
        That epoch, and the steps that led to it.
    initial_loss : float, optional
        Validation loss of the start, where there is one worth keeping.
    refit_steps : int
        Steps of the refit, once it has begun.
    history : dict of lists
    seconds : float
        Time trained, earlier runs of a resumed training included.
    preparation : float
        Time before the first step.
    """

    state: TrainState
    peak: float
    num_steps: int
    phase: str = "validated"
    epoch: int = 1
    page: int = 0
    run: int = 0
    batch: int = 0
    best: list[Any] | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    best_steps: int = 0
    initial_loss: float | None = None
    refit_steps: int = 0
    history: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    seconds: float = 0.0
    preparation: float = 0.0

    @property
    def within_epoch(self) -> bool:
        """Whether some of the epoch is done, and some is not."""
        return bool(self.page or self.run or self.batch)

    def keep(self, loss: float, epoch: int, num_steps: int) -> None:
        """Keep the weights as they are as the best: those of an epoch, after so many steps."""
        self.best = [*self.state.trainable, *self.state.non_trainable]
        self.best_loss, self.best_epoch, self.best_steps = loss, epoch, num_steps

    def record(self, loss: float, val_loss: float | None, rate: float, seconds: float) -> None:
        """Write the epoch into the history."""
        row = (self.epoch, self.phase, loss, val_loss, rate, seconds)
        for name, value in zip(COLUMNS, row, strict=True):
            self.history[name].append(value)


@dataclass(frozen=True)
class Snapshot:
    """A standing as plain JSON values and arrays.

    Attributes
    ----------
    values : dict
    arrays : dict of arrays
    """

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(cls, standing: TrainingProgress) -> "Snapshot":
        """Take a snapshot."""
        values = {
            name: value
            for name, value in vars(standing).items()
            if name not in {"state", "best", "best_loss"}
        }
        values["best_loss"] = standing.best_loss if math.isfinite(standing.best_loss) else None
        arrays = {}
        for group, leaves in standing.state._asdict().items():
            arrays |= {f"{group}/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        if standing.best is not None:
            arrays |= {f"best/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(standing.best)}
        return cls(values, arrays)

    def standing(self) -> TrainingProgress:
        """Return what the snapshot was taken of.

        Raises
        ------
        KeyError, TypeError
            If it holds something else.
        """
        values = dict(self.values)
        best_loss = values.pop("best_loss")
        groups = {
            name: [
                jnp.asarray(self.arrays[key])
                for key in sorted(self.arrays)
                if key.startswith(f"{name}/")
            ]
            for name in (*TrainState._fields, "best")
        }
        best = groups.pop("best") or None
        state = TrainState(**{**groups, "totals": StepMetrics(*groups["totals"])})
        return TrainingProgress(
            state=state,
            best=best,
            best_loss=math.inf if best_loss is None else best_loss,
            **values,
        )
