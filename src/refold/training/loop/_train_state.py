"""State of a training step, its metrics, and the normalizers of its losses."""

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class StepMetrics(NamedTuple):
    """Sums over the sequences of an epoch so far, on the device or the host.

    Attributes
    ----------
    error : sum of the errors over observed targets
    num_observed : number of observed targets
    length_error : sum of the length model's losses, in nats
    num_sequences : number of sequences
    kl_divergence : sum of a variational network's KL divergences, in nats
    """

    error: Any
    num_observed: Any
    length_error: Any
    num_sequences: Any
    kl_divergence: Any

    @staticmethod
    @functools.cache
    def zero() -> "StepMetrics":
        """Return zero sums on the device, created once."""
        return StepMetrics(*(jnp.zeros((), jnp.float32) for _ in StepMetrics._fields))

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


class EpochMetrics(NamedTuple):
    """Metrics of an epoch on the host.

    Attributes
    ----------
    totals : StepMetrics
        Sums of the epoch so far.
    rate : float
        Learning rate of the latest step.
    finite : bool
        Whether all weights are finite.
    """

    totals: StepMetrics
    rate: float
    finite: bool

    @classmethod
    def each(cls, metrics: Any, num_epochs: int = 1) -> "list[EpochMetrics]":
        """Fetch the metrics from `Engine.train` for all epochs at once; waits for the device."""
        rows = np.asarray(metrics)[:num_epochs].tolist()
        return [cls(StepMetrics(*totals), rate, bool(finite)) for *totals, rate, finite in rows]

    @property
    def sound(self) -> bool:
        """Whether the error and all weights are finite."""
        return self.finite and math.isfinite(self.totals.error)


class LossNormalizers(NamedTuple):
    """Divisors of a batch's sums: those of an average batch.

    They do not depend on the steps in a batch, so each value has the same weight in long and short
    sequences.

    Attributes
    ----------
    num_observed, num_sequences : float
    """

    num_observed: Any
    num_sequences: Any
