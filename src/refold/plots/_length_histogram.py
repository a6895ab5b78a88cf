"""Histogram of sequence lengths."""

from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from refold.plots._draw import draw
from refold.plots.charts import length_chart


def lengths(lengths: ArrayLike, ax: Axes | None = None) -> Axes:
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
    return draw(length_chart(lengths), ax, size=(6.0, 3.0))
