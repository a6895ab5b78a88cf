"""Learning rate schedule and the default number of epochs."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

_FEWEST_STEPS = 4000
_FEWEST_EPOCHS = 30
_LONGEST_WARMUP = 100


def pick_max_epochs(num_batches: int) -> int:
    """Pick the number of epochs of this many steps: at least 30, and at least 4000 steps."""
    return max(_FEWEST_EPOCHS, math.ceil(_FEWEST_STEPS / max(1, num_batches)))


class Schedule(NamedTuple):
    """Learning rate with a linear warm-up and a cosine decay to a hundredth of its peak."""

    peak: Any  # largest learning rate
    num_steps: Any  # length of the schedule

    def rate(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        step = jnp.asarray(step, jnp.float32)
        warmup = jnp.clip(jnp.asarray(self.num_steps) // 10, 1, _LONGEST_WARMUP)
        rise = (step + 1.0) / warmup
        done = jnp.clip((step - warmup) / jnp.maximum(1, self.num_steps - warmup), 0.0, 1.0)
        wave = 0.5 * (1.0 + jnp.cos(math.pi * done))
        return self.peak * jnp.minimum(rise, 0.01 + 0.99 * wave)
