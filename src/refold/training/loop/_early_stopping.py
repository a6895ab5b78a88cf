"""When to stop waiting for a better validation loss."""

from collections.abc import Sequence

import numpy as np

__all__ = ["out_of_patience", "pick_patience"]

# Shares of the schedule, and the fewest epochs, that are waited; and up to how many epochs a
# quarter of a short schedule is waited, because there a loss may stay for long before it falls.
_SHORT, _LONG, _FEWEST, _PLATEAU = 10, 4, 20, 50


def pick_patience(max_epochs: int, *, variational: bool) -> int | None:
    """Pick the epochs to wait for a better one; None leaves that to `out_of_patience`.

    The validation loss of a variational model may rise until the divergence has its full weight,
    after a quarter of the schedule. So training waits as long.

    Examples
    --------
    >>> pick_patience(1000, variational=False), pick_patience(1000, variational=True)
    (None, 250)
    """
    return _longest(max_epochs) if variational else None


def out_of_patience(
    losses: Sequence[float], best_epoch: int, *, max_epochs: int, patience: int | None = None
) -> bool:
    """Whether too many epochs have come since the best one.

    By default training waits a tenth of the schedule, but at least 50 epochs or a quarter of the
    schedule, whichever is less, and never less than 20 epochs. Then it goes on as
    long as the loss falls, as it may after the learning rate was high: while the median of the
    last twentieth of the schedule is below the median of the twentieth before. After a quarter of
    the schedule it stops.

    Parameters
    ----------
    losses : sequence of float
        Validation loss of each epoch.
    best_epoch : int
        That of the smallest loss, from 1; 0 if the initialization had a smaller one.
    max_epochs : int
        Length of the schedule.
    patience : int, optional
        Wait exactly so many epochs instead.

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
