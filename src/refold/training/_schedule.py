"""How long to train, and at which rate."""

import math
from typing import Any

import keras
from keras import ops

__all__ = ["WarmupCosine", "pick_max_epochs"]

_FEWEST_STEPS = 4000
_FEWEST_EPOCHS = 30


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


@keras.saving.register_keras_serializable(package="refold")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises in a line, then falls along half a cosine to a hundredth.

    Parameters
    ----------
    peak : float
        Highest rate.
    num_steps : int
        Number of steps of the whole training.
    num_warmup_steps : int
        Number of steps of the rise.

    Examples
    --------
    >>> rate = WarmupCosine(1e-3, num_steps=100, num_warmup_steps=10)
    >>> [round(float(rate(step)), 6) for step in (0, 9, 99)]
    [0.0001, 0.001, 1e-05]
    """

    def __init__(self, peak: float, num_steps: int, num_warmup_steps: int) -> None:
        super().__init__()
        self.peak = float(peak)
        self.num_steps = int(num_steps)
        self.num_warmup_steps = int(num_warmup_steps)

    def __call__(self, step: Any) -> Any:
        """Rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        rise = (step + 1.0) / max(1, self.num_warmup_steps)
        done = (step - self.num_warmup_steps) / max(1, self.num_steps - self.num_warmup_steps)
        share: Any = ops.clip(done, 0.0, 1.0)
        wave: Any = ops.cos(math.pi * share)
        rate: Any = ops.minimum(rise, 0.01 + 0.99 * 0.5 * (1.0 + wave))
        return self.peak * rate

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this schedule again."""
        return {
            "peak": self.peak,
            "num_steps": self.num_steps,
            "num_warmup_steps": self.num_warmup_steps,
        }
