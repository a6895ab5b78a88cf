"""Figure of a sequence with its anomalous steps shaded."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_array
from refold.errors import DataError
from refold.model import SequencesLike
from refold.plots._reconstructions import most_varied
from refold.plots._style import (
    ACCENT,
    CONTRAST,
    PALETTE,
    legend_above,
    new_axes,
    tidy,
    whole_numbers,
)
from refold.sequences import as_sequences


def anomalies(
    series: SequencesLike, p_values: ArrayLike, ax: Axes | None = None, *, alpha: float = 0.01
) -> Axes:
    """Draw a sequence, and shade the steps whose p-value is at most ``alpha``.

    Of more than four numeric columns, the four with the largest variance are drawn. If no column is
    numeric, the first four are drawn, categories by their index.

    Parameters
    ----------
    series : Sequences, list or array
        One sequence, as ``[x]`` or `Sequences` of length 1.
    p_values : array of shape (n_steps,)
        One per step, from ``detect`` or `Windows.merge`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    alpha : float, default=0.01
        Largest p-value of a shaded step.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not exactly one sequence, with one p-value per step.

    Examples
    --------
    >>> ax = anomalies([np.sin(np.arange(50.0))], np.where(np.arange(50) // 5 == 4, 0.001, 0.5))
    >>> len(ax.patches)
    1
    """
    sequences = as_sequences(series)
    p_values = check_array("p_values", p_values, ("n_steps",))
    if len(sequences) != 1 or p_values.shape != (len(sequences.values),):
        raise DataError(
            f"Expected one sequence and a p-value for each of its steps. Got {len(sequences)} "
            f"sequences of {len(sequences.values)} steps, and p-values of shape {p_values.shape}."
        )
    ax = new_axes(ax, size=(9.0, 3.2))
    shown = most_varied(sequences) or list(range(min(4, sequences.schema.num_columns)))
    for order, column in enumerate(shown):
        ax.plot(
            sequences.values[:, column],
            color=PALETTE[order % len(PALETTE)] if len(shown) > 1 else ACCENT,
            linewidth=1.1,
            label=sequences.schema.names[column],
        )
    anomalous = np.concatenate([[False], p_values <= alpha, [False]])
    changes = np.flatnonzero(anomalous[1:] != anomalous[:-1])
    for first, last in zip(changes[::2], changes[1::2], strict=True):
        ax.axvspan(first - 0.5, last - 0.5, color=CONTRAST, alpha=0.3, linewidth=0)
    ax.set_xlim(-0.5, max(len(p_values), 1) - 0.5)
    ax.set_xlabel("step")
    ax.set_title(f"{sequences.ids[0]}  ·  p at most {alpha:g} shaded", fontsize="small", loc="left")
    if len(shown) > 1:
        legend_above(ax)
    whole_numbers(ax)
    tidy(ax)
    return ax
