"""How many sequences have how many steps."""

from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import DataError
from refold.plots._style import ACCENT, new_axes, tidy, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["length_bins", "lengths"]

MOST_BARS = 40


def length_bins(lengths: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count sequences by length, neighbouring lengths together where there are many.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        At least one.

    Returns
    -------
    first, last : arrays of int of shape (n_bins,)
        Lengths that a bin is of; both are in it.
    counts : array of int of shape (n_bins,)

    Raises
    ------
    DataError
        If there is no length.

    Examples
    --------
    >>> first, last, counts = length_bins([3, 5, 5])
    >>> first.tolist(), last.tolist(), counts.tolist()
    ([3, 4, 5], [3, 4, 5], [1, 0, 2])
    """
    lengths = np.asarray(lengths, int)
    if not lengths.size:
        raise DataError("There is no sequence, so no length. Pass at least one.")
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // MOST_BARS)
    first = np.arange(low, high + 1, width)
    return first, first + width - 1, np.bincount((lengths - low) // width, minlength=len(first))


def lengths(lengths: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw how many sequences have how many steps.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        Such as those of `Sequences`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is no length.

    Examples
    --------
    >>> ax = lengths([3, 5, 5])
    >>> [int(bar.get_height()) for bar in ax.patches]
    [1, 0, 2]
    """
    first, last, counts = length_bins(lengths)
    ax = new_axes(ax, size=(6.0, 3.0))
    width = last[0] - first[0] + 1
    ax.bar((first + last) / 2, counts, width=0.9 * width, color=ACCENT)
    ax.set_xlabel("steps")
    ax.set_ylabel("sequences")
    whole_numbers(ax)
    tidy(ax, grid="y")
    return ax
