"""Histogram of sequence lengths."""

from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import DataError
from refold.plots._style import ACCENT, new_axes, tidy, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["length_bins", "lengths"]

MAX_BARS = 40


def length_bins(lengths: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count sequences by length; if there are many lengths, neighboring ones share a bin.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        At least one.

    Returns
    -------
    first, last : arrays of int of shape (n_bins,)
        First and last length of each bin, both inclusive.
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
        raise DataError("There is no sequence to draw lengths of. Pass at least one.")
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // MAX_BARS)
    first = np.arange(low, high + 1, width)
    return first, first + width - 1, np.bincount((lengths - low) // width, minlength=len(first))


def lengths(lengths: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw a histogram of sequence lengths.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        Such as `Sequences.lengths`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.

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
