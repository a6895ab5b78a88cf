"""How long to train, and at which rate."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

__all__ = ["Schedule", "pick_max_epochs"]

_FEWEST_STEPS = 4000
_FEWEST_EPOCHS = 30
_LONGEST_WARMUP = 100


def pick_max_epochs(num_batches: int) -> int:
    """Pick the number of epochs by the steps in one: at least 30, and at least 4000 steps.

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
    """Learning rate that rises in a line, then falls along half a cosine to a hundredth.

    Attributes
    ----------
    peak : float
        Highest rate.
    num_steps : int
        Number of steps of the whole training.

    Examples
    --------
    >>> schedule = Schedule(1e-3, num_steps=100)
    >>> [round(float(schedule.rate(step)), 6) for step in (0, 9, 99)]
    [0.0001, 0.001, 1e-05]
    """

    peak: Any
    num_steps: Any

    def rate(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        step = jnp.asarray(step, jnp.float32)
        kl_warmup = jnp.clip(jnp.asarray(self.num_steps) // 10, 1, _LONGEST_WARMUP)
        rise = (step + 1.0) / kl_warmup
        done = jnp.clip((step - kl_warmup) / jnp.maximum(1, self.num_steps - kl_warmup), 0.0, 1.0)
        wave = 0.5 * (1.0 + jnp.cos(math.pi * done))
        return self.peak * jnp.minimum(rise, 0.01 + 0.99 * wave)
