"""Early stopping: when to stop waiting for a lower validation loss."""

from collections.abc import Sequence

import numpy as np

# Shortest and longest patience, as divisors of the schedule.
_SHORT, _LONG = 10, 4
# Smallest patience in epochs.
_FEWEST = 20
# A short schedule waits at least this many epochs or a quarter of it, because a loss may stay on a
# plateau for long before it falls.
_PLATEAU = 50


def pick_patience(max_epochs: int, *, variational: bool) -> int | None:
    """Pick the patience in epochs; None leaves it to `out_of_patience`."""
    # The validation loss of a variational model may rise until the KL divergence has its full
    # weight, after a quarter of the schedule.
    return _longest(max_epochs) if variational else None


def out_of_patience(
    losses: Sequence[float], best_epoch: int, *, max_epochs: int, patience: int | None = None
) -> bool:
    """Return whether too many epochs have passed since the best one (from 1; 0 is the start)."""
    waited = len(losses) - best_epoch
    if patience is not None:
        return waited >= patience
    short = max(max_epochs // _SHORT, min(_PLATEAU, _longest(max_epochs)))
    if waited < short:
        return False
    # A loss can fall again after a phase of high learning rates: training goes on while the median
    # of the last twentieth of the schedule is below that of the twentieth before.
    half = short // 2
    before, after = np.median(losses[-2 * half : -half]), np.median(losses[-half:])
    return bool(after >= before) or waited >= _longest(max_epochs)


def _longest(max_epochs: int) -> int:
    return max(_FEWEST, max_epochs // _LONG)
