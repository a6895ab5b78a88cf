"""State of a training step, its metrics, and the normalizers of its losses."""

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


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
    def each(cls, metrics: Any, num_epochs: int = 1) -> "list[EpochMetrics]":
        """Fetch the metrics (n, 7) of all epochs from `Engine.train`; waits for the device."""
        rows = np.asarray(metrics)[:num_epochs].tolist()
        return [cls(StepMetrics(*totals), rate, bool(finite)) for *totals, rate, finite in rows]

    @property
    def sound(self) -> bool:
        """Whether the error and all weights are finite."""
        return self.finite and math.isfinite(self.totals.error)


class LossNormalizers(NamedTuple):
    """Divisors of a batch's sums: the targets and sequences of an average batch."""

    # not those of each batch, so that each value has the same weight in long and short sequences
    num_observed: Any
    num_sequences: Any
