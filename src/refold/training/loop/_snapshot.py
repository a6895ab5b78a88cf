"""Progress of a training, in memory and as plain values and arrays for a checkpoint."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from refold.training.loop._train_state import StepMetrics, TrainState

# Fields of `TrainState`, and starts of the names of their arrays.
_GROUPS = ("trainable", "non_trainable", "optimizer", "totals")
COLUMNS = ("epoch", "phase", "loss", "val_loss", "learning_rate", "seconds")


@dataclass
class TrainingProgress:
    """Current state of a training, from which it can resume."""

    state: TrainState
    peak: float  # peak learning rate of the schedule, which callbacks can change
    num_steps: int  # of the schedule
    phase: str = "validated"  # then "refit", on all sequences
    epoch: int = 1  # current epoch of the phase
    # weights, as the state holds them, of the epoch with the lowest validation loss or, without
    # validation, of the latest epoch; that epoch, and the number of steps up to its end
    best: list[Any] | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    best_steps: int = 0
    initial_loss: float | None = None  # validation loss of the initialization, if worth keeping
    refit_steps: int = 0  # number of steps of the refit, once it has begun
    history: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    seconds: float = 0.0  # trained, including earlier runs of a resumed training
    preparation: float = 0.0  # seconds before the first step

    def keep(self, loss: float, epoch: int, num_steps: int) -> None:
        """Keep the current weights as the best ones, of an epoch that ends at ``num_steps``."""
        self.best = [*self.state.trainable, *self.state.non_trainable]
        self.best_loss, self.best_epoch, self.best_steps = loss, epoch, num_steps

    def record(self, loss: float, val_loss: float | None, rate: float, seconds: float) -> None:
        """Append the epoch to the history."""
        row = (self.epoch, self.phase, loss, val_loss, rate, seconds)
        for name, value in zip(COLUMNS, row, strict=True):
            self.history[name].append(value)


@dataclass(frozen=True)
class Snapshot:
    """A `TrainingProgress` as plain JSON values and arrays."""

    values: dict[str, Any]  # counters, losses and the history
    arrays: dict[str, np.ndarray]  # weights and the state of the optimizer

    @classmethod
    def of(cls, progress: TrainingProgress) -> "Snapshot":
        """Take a snapshot of a training's progress."""
        values = {
            name: value
            for name, value in vars(progress).items()
            if name not in {"state", "best", "best_loss"}
        }
        values["best_loss"] = progress.best_loss if math.isfinite(progress.best_loss) else None
        arrays = {}
        for group in _GROUPS:
            leaves = getattr(progress.state, group)
            arrays |= {f"{group}/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        if progress.best is not None:
            arrays |= {f"best/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(progress.best)}
        return cls(values, arrays)

    @property
    def is_current(self) -> bool:
        """Whether this version of Refold took the snapshot, or one with the same values."""
        names = {attribute.name for attribute in fields(TrainingProgress)}
        return set(self.values) == names - {"state", "best"}

    def standing(self) -> TrainingProgress:
        """Return the `TrainingProgress` of the snapshot."""
        values = dict(self.values)
        best_loss = values.pop("best_loss")
        groups = {
            name: [
                jnp.asarray(self.arrays[key], self.arrays[key].dtype)
                for key in sorted(self.arrays)
                if key.startswith(f"{name}/")
            ]
            for name in (*_GROUPS, "best")
        }
        best = groups.pop("best") or None
        state = TrainState(**{**groups, "totals": StepMetrics(*groups["totals"])})
        return TrainingProgress(
            state=state,
            best=best,
            best_loss=math.inf if best_loss is None else best_loss,
            **values,
        )


class Checkpoints(NamedTuple):
    """Schedule and writer of checkpoints."""

    write: Callable[[Snapshot], None]
    seconds: float = 60.0  # after which the end of an epoch writes a checkpoint
    epochs: int | None = None  # after which it does so in any case
