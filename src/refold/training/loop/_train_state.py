"""What a step changes, what it sums up, and what Python sees of both."""

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["EpochMetrics", "LossNormalizers", "StepMetrics", "TrainState"]


class StepMetrics(NamedTuple):
    """Sums over the sequences seen, on the device or off it.

    Attributes
    ----------
    error : sum of the errors over observed targets
    num_observed : number of observed targets
    length_error : sum of the length model's losses, in nats
    num_sequences : number of sequences
    divergence : sum of a variational network's divergences, in nats
    future_error, num_future : the same as the first two, of what comes after the sequences
    """

    error: Any
    num_observed: Any
    length_error: Any
    num_sequences: Any
    kl_divergence: Any
    future_error: Any
    num_future: Any

    @staticmethod
    @functools.cache
    def zero() -> "StepMetrics":
        """Nothing seen yet, on the device; made once."""
        return StepMetrics(*(jnp.zeros((), jnp.float32) for _ in StepMetrics._fields))

    def plus(self, other: "StepMetrics") -> "StepMetrics":
        """Return the sums of both."""
        return StepMetrics(*(a + b for a, b in zip(self, other, strict=True)))


class TrainState(NamedTuple):
    """All that a step changes; the trainable weights as `Weights` joins them."""

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]
    totals: StepMetrics


class EpochMetrics(NamedTuple):
    """What steps have led to, as Python looks at it.

    Attributes
    ----------
    totals : Totals
        Of the epoch so far.
    rate : float
        Learning rate of the latest step.
    finite : bool
        Whether every weight is a finite number.
    """

    totals: StepMetrics
    rate: float
    finite: bool

    @classmethod
    def each(cls, numbers: Any, num_epochs: int = 1) -> "list[EpochMetrics]":
        """Wait for what `Engine.train` has counted and fetch it, all epochs at once."""
        rows = np.asarray(numbers)[:num_epochs].tolist()
        return [cls(StepMetrics(*totals), rate, bool(finite)) for *totals, rate, finite in rows]

    @property
    def sound(self) -> bool:
        """Whether neither the error nor a weight is infinite or NaN."""
        return self.finite and math.isfinite(self.totals.error)


class LossNormalizers(NamedTuple):
    """What a batch's sums are divided by: those of an average batch.

    A batch's own number of steps is none of it, so that long and short sequences weigh alike.

    Attributes
    ----------
    num_observed, num_sequences : float
    """

    num_observed: Any
    num_sequences: Any
