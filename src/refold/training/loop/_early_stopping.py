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
    """Pick the patience in epochs; None leaves it to `out_of_patience`.

    The validation loss of a variational model may rise until the KL divergence has its full weight,
    after a quarter of the schedule, so training waits that long.

    Examples
    --------
    >>> pick_patience(1000, variational=False), pick_patience(1000, variational=True)
    (None, 250)
    """
    return _longest(max_epochs) if variational else None


def out_of_patience(
    losses: Sequence[float], best_epoch: int, *, max_epochs: int, patience: int | None = None
) -> bool:
    """Return whether too many epochs have passed since the best one.

    By default, training waits a tenth of the schedule, but at least 50 epochs or a quarter of the
    schedule, whichever is less, and never less than 20 epochs. Then it goes on while the loss
    falls, as it may after a phase of high learning rates: while the median loss over the last
    twentieth of the schedule is below that of the twentieth before. After a quarter of the schedule
    it stops.

    Parameters
    ----------
    losses : sequence of float
        Validation loss of each epoch.
    best_epoch : int
        Epoch with the lowest loss, from 1; 0 if the initialization had a lower one.
    max_epochs : int
        Length of the schedule.
    patience : int, optional
        Wait exactly this many epochs instead.

    Examples
    --------
    >>> rising = [1.0 + epoch / 100 for epoch in range(60)]
    >>> out_of_patience(rising[:49], 0, max_epochs=400), out_of_patience(rising, 0, max_epochs=400)
    (False, True)
    >>> out_of_patience(rising[::-1], 0, max_epochs=400)
    False
    """
    waited = len(losses) - best_epoch
    if patience is not None:
        return waited >= patience
    short = max(max_epochs // _SHORT, min(_PLATEAU, _longest(max_epochs)))
    if waited < short:
        return False
    half = short // 2
    before, after = np.median(losses[-2 * half : -half]), np.median(losses[-half:])
    return bool(after >= before) or waited >= _longest(max_epochs)


def _longest(max_epochs: int) -> int:
    return max(_FEWEST, max_epochs // _LONG)
