"""The state of a training: of a compiled step, and of all epochs, which a checkpoint holds."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

# Fields of `TrainState`, and starts of the names of their arrays in a checkpoint.
_GROUPS = ("trainable", "non_trainable", "optimizer", "totals")
COLUMNS = ("epoch", "phase", "loss", "val_loss", "learning_rate", "seconds")
_MAX_WARMUP = 100  # steps


class StepMetrics(NamedTuple):
    """Sums over the sequences of an epoch so far, scalars on the device or the host."""

    error: Any  # over observed targets
    num_observed: Any  # targets
    length_error: Any  # losses of the length model, in nats
    num_sequences: Any
    kl_divergence: Any  # of a variational network, in nats

    @classmethod
    @functools.cache
    def zero(cls) -> "StepMetrics":
        """Return zero sums on the device, created once."""
        return cls(*(jnp.zeros((), jnp.float32) for _ in cls._fields))

    @classmethod
    def none(cls) -> "StepMetrics":
        """Return zero sums on the host."""
        return cls(*[0.0] * len(cls._fields))

    def plus(self, other: "StepMetrics") -> "StepMetrics":
        """Return the sums of both."""
        return StepMetrics(*(a + b for a, b in zip(self, other, strict=True)))


class TrainState(NamedTuple):
    """Everything that a step changes; `Weights` joins the trainable weights."""

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]
    totals: StepMetrics

    def with_totals(self, totals: StepMetrics) -> "TrainState":
        """Return the state with other sums."""
        return self._replace(totals=totals)

    def with_weights(self, weights: list[Any]) -> "TrainState":
        """Return the state with other weights, the trainable ones first."""
        count = len(self.trainable)
        return self._replace(trainable=weights[:count], non_trainable=weights[count:])


class EpochMetrics(NamedTuple):
    """Metrics of an epoch on the host."""

    totals: StepMetrics
    rate: float  # learning rate of the latest step
    finite: bool  # whether all weights are finite

    @classmethod
    def each(cls, metrics: Any, num_epochs: int) -> "list[EpochMetrics]":
        """Fetch the metrics (n, 7) of all epochs from `Engine.train`; waits for the device."""
        rows = np.asarray(metrics)[:num_epochs].tolist()
        return [cls(StepMetrics(*totals), rate, bool(finite)) for *totals, rate, finite in rows]


class LossNormalizers(NamedTuple):
    """Divisors of a batch's sums: the targets and sequences of an average batch."""

    # not those of each batch, so that each value has the same weight in long and short sequences
    num_observed: Any
    num_sequences: Any


class Schedule(NamedTuple):
    """Learning rate with a linear warm-up and a cosine decay to a hundredth of its peak."""

    peak: Any  # largest learning rate
    num_steps: Any  # length of the schedule

    def rate(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        step = jnp.asarray(step, jnp.float32)
        warmup = jnp.clip(jnp.asarray(self.num_steps) // 10, 1, _MAX_WARMUP)
        rise = (step + 1.0) / warmup
        done = jnp.clip((step - warmup) / jnp.maximum(1, self.num_steps - warmup), 0.0, 1.0)
        wave = 0.5 * (1.0 + jnp.cos(math.pi * done))
        return self.peak * jnp.minimum(rise, 0.01 + 0.99 * wave)


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

    def saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values, and arrays of the weights and of the optimizer."""
        values = {name: x for name, x in vars(self).items() if name not in {"state", "best"}}
        values["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        groups = {name: getattr(self.state, name) for name in _GROUPS} | {"best": self.best or []}
        arrays = {
            f"{name}/{i:04d}": np.asarray(leaf)
            for name, leaves in groups.items()
            for i, leaf in enumerate(leaves)
        }
        return values, arrays

    @classmethod
    def are_values(cls, values: dict[str, Any]) -> bool:
        """Return whether this version of Refold saved these values, or one with the same ones."""
        return {attribute.name for attribute in fields(cls)} == {"state", "best", *values}

    @classmethod
    def restored(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Return the progress that was saved."""
        groups = {
            name: [
                jnp.asarray(arrays[key], arrays[key].dtype)
                for key in sorted(arrays)
                if key.startswith(f"{name}/")
            ]
            for name in (*_GROUPS, "best")
        }
        best = groups.pop("best") or None
        state = TrainState(**{**groups, "totals": StepMetrics(*groups["totals"])})
        best_loss = math.inf if values["best_loss"] is None else values["best_loss"]
        return cls(**{**values, "state": state, "best": best, "best_loss": best_loss})


class Checkpoints(NamedTuple):
    """Schedule and writer of checkpoints."""

    write: Callable[[dict[str, Any], dict[str, np.ndarray]], None]  # what `saved` returns
    seconds: float  # after which the end of an epoch writes a checkpoint
    epochs: int | None  # after which it does so in any case
