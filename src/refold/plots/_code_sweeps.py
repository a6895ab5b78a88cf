"""What the numbers of a code do: how far each moves what is decoded, and a sweep along one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import DataError, ParameterError
from refold.evaluation import DEVIATIONS
from refold.plots._reconstructions import one_hot
from refold.plots._style import ACCENT, CONTRAST, heat, new_axes, ramp, tidy, whole_numbers
from refold.sequences import Schema, Sequences

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from refold.evaluation import LatentDimensions

__all__ = ["latent_dimensions", "most_moved", "strips_of", "sweep"]

MOST_BARS = 40


def latent_dimensions(
    found: "LatentDimensions", ax: "Axes | None" = None, *, rocket_dim: int = 0, latent_dim: int = 0
) -> "Axes":
    """Draw how far each number of a code moves what is decoded, the farthest first.

    Of more than 40 numbers the first 40 are drawn.

    Parameters
    ----------
    found : LatentDimensions
        As `refold.evaluation.latent_dimensions` gives it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    rocket_dim, latent_dim : int
        ``rocket_dim_`` and ``latent_dim_`` of the estimator: so many numbers, the last of so
        many, have a colour of their own.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from refold.evaluation import LatentDimensions
    >>> found = LatentDimensions(("0", "1"), np.ones(2), np.array([[0.1], [0.4]]))
    >>> [text.get_text() for text in latent_dimensions(found).get_xticklabels()]
    ['1', '0']
    """
    order = found.order[:MOST_BARS]
    ax = new_axes(ax, size=(7.0, 3.0))
    special = (order < latent_dim) & (order >= latent_dim - rocket_dim)
    place = np.arange(len(order))
    for rows, colour, label in (
        (~special, ACCENT, "for reconstructing"),
        (special, CONTRAST, "for telling apart"),
    ):
        if rows.any():
            ax.bar(place[rows], found.total[order[rows]], color=colour, width=0.8, label=label)
    if special.any():
        ax.legend(frameon=False, fontsize="small")
    long = max(len(name) for name in found.names) > 3
    ax.set_xticks(place, [found.names[i] for i in order], rotation=90 if long else 0)
    ax.tick_params(axis="x", labelsize="small")
    ax.set_xlabel("number of the code")
    ax.set_ylabel("change by one deviation")
    tidy(ax, grid="y")
    return ax


def sweep(
    decoded: Sequences,
    ax: "Axes | None" = None,
    *,
    deviations: Any = DEVIATIONS,
    column: int | None = None,
) -> "Axes":
    """Draw what is decoded while one number of a code goes from low to high.

    A numeric column is lines from blue to yellow; others are strips side by side.

    Parameters
    ----------
    decoded : Sequences of shape (n_values,)
        As `refold.evaluation.sweep` gives them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    deviations : sequence of float
        Values of the number, in deviations from its mean.
    column : int, optional
        The column to draw; by default the numeric one that moves most, of data without one all.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not one sequence a value.
    ParameterError
        If there is no such column.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> decoded = Sequences.from_list([a * np.sin(np.arange(9.0)) for a in (0.5, 1.0, 1.5)])
    >>> len(sweep(decoded, deviations=(-1, 0, 1)).lines)
    3
    """
    if len(decoded) != len(deviations) or not len(decoded):
        raise DataError(
            f"Got {len(decoded)} sequences for {len(deviations)} values of the number. Pass one "
            "each, and at least one."
        )
    if column is not None and not 0 <= column < decoded.schema.num_columns:
        raise ParameterError(f"There is no column {column}; {decoded.schema.num_columns} are.")
    ax = new_axes(ax, size=(6.0, 3.0))
    if column is None:
        column = most_moved(decoded)
    if column is not None and decoded.schema.numeric[column]:
        colours = ramp()
        low, high = min(deviations), max(deviations)
        for i, value in enumerate(deviations):
            steps = decoded.values[decoded.offsets[i] : decoded.offsets[i + 1], column]
            share = 0.5 if high == low else (value - low) / (high - low)
            ax.plot(steps, color=colours(share), linewidth=1.5, label=f"{value:+.1f}")
        ax.legend(frameon=False, fontsize="x-small", title="deviations", title_fontsize="x-small")
        ax.set_xlabel("step")
        ax.set_ylabel(decoded.schema.names[column])
        whole_numbers(ax)
        tidy(ax)
        return ax
    if column is not None:
        one = Schema((decoded.schema.columns[column],))
        decoded = Sequences(decoded.values[:, [column]], decoded.offsets, schema=one)
    strips, starts = strips_of(decoded)
    ax.imshow(
        np.ma.masked_invalid(strips), cmap=heat(ACCENT), vmin=0, vmax=1, aspect="auto",
        interpolation="none",
    )  # fmt: skip
    ax.set_xticks(starts, [f"{value:+.1f}" for value in deviations])
    ax.set_yticks([])
    ax.set_xlabel("deviations of the number")
    tidy(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax


def most_moved(decoded: Sequences) -> int | None:
    """Return the numeric column that differs most between sequences, in its own deviations."""
    numeric = np.flatnonzero(decoded.schema.numeric)
    if not len(numeric):
        return None
    common = int(decoded.lengths.min())
    if common == 0:
        return int(numeric[0])
    steps = decoded.offsets[:-1, None] + np.arange(common)
    values = decoded.values[steps][:, :, numeric].astype(float)
    between = values.std(axis=0).mean(axis=0)
    return int(numeric[np.argmax(between / np.maximum(values.std(axis=(0, 1)), 1e-12))])


def strips_of(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Lay sequences side by side as strips: one row a binary column or label.

    Numeric columns are left out.

    Parameters
    ----------
    sequences : Sequences of shape (n_sequences,)
        At least one.

    Returns
    -------
    strips : array of shape (n_rows, n_places)
        Ones and zeros; NaN where nothing was observed, and for a place between two sequences.
    starts : array of int of shape (n_sequences,)
        Place of the first step of each; an empty one takes one place.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> strips, starts = strips_of(Sequences.from_list(["ab", "b"]))
    >>> strips.tolist(), starts.tolist()
    ([[1.0, 0.0, nan, 0.0], [0.0, 1.0, nan, 1.0]], [0, 3])
    """
    rows, starts, at = [], [], 0
    for i in range(len(sequences)):
        values = sequences.values[sequences.offsets[i] : sequences.offsets[i + 1]]
        block = one_hot(values, sequences.schema, numeric=False)
        if not len(block):
            block = np.full((1, block.shape[1]), np.nan)
        starts.append(at)
        rows += [block, np.full((1, block.shape[1]), np.nan)]
        at += len(block) + 1
    return np.concatenate(rows[:-1]).T, np.array(starts)
