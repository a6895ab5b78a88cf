"""Learning rate schedule and the default number of epochs."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

_FEWEST_STEPS = 4000
_FEWEST_EPOCHS = 30
_LONGEST_WARMUP = 100


def pick_max_epochs(num_batches: int) -> int:
    """Pick the number of epochs: at least 30 epochs and at least 4000 steps.

    Parameters
    ----------
    num_batches : int
        Number of steps in an epoch.

    Returns
    -------
    int

    Examples
    --------
    >>> pick_max_epochs(8), pick_max_epochs(1000)
    (500, 30)
    """
    return max(_FEWEST_EPOCHS, math.ceil(_FEWEST_STEPS / max(1, num_batches)))


class Schedule(NamedTuple):
    """Learning rate with a linear warm-up and a cosine decay to a hundredth of its peak.

    Attributes
    ----------
    peak : float
        Peak learning rate.
    num_steps : int
        Number of steps of the schedule.

    Examples
    --------
    >>> schedule = Schedule(1e-3, num_steps=100)
    >>> [round(float(schedule.rate(step)), 6) for step in (0, 9, 99)]
    [0.0001, 0.001, 1e-05]
    """

    peak: Any
    num_steps: Any

    def rate(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        step = jnp.asarray(step, jnp.float32)
        warmup = jnp.clip(jnp.asarray(self.num_steps) // 10, 1, _LONGEST_WARMUP)
        rise = (step + 1.0) / warmup
        done = jnp.clip((step - warmup) / jnp.maximum(1, self.num_steps - warmup), 0.0, 1.0)
        wave = 0.5 * (1.0 + jnp.cos(math.pi * done))
        return self.peak * jnp.minimum(rise, 0.01 + 0.99 * wave)
