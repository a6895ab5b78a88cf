"""Figures of reconstructions over their originals: lines for numeric columns, else strips."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each, check_some
from refold.model import SequencesLike
from refold.plots._style import (
    ACCENT,
    CONTRAST,
    PALETTE,
    WRONG,
    heat,
    new_figure,
    tidy,
    whole_numbers,
)
from refold.plots.charts import by_variance, in_steps, wrong_values
from refold.sequences import ColumnTypes, Schema, Sequences, as_sequences

MAX_LINES = 4


def reconstruction(
    original: ArrayLike,
    reconstructed: ArrayLike,
    ax: Axes | None = None,
    *,
    column_types: ColumnTypes = None,
) -> Axes:
    """Draw one sequence and its reconstruction.

    Numeric columns are lines, with the reconstruction dashed; of more than four, the four with the
    largest variance are drawn, and other columns are not. If no column is numeric, the sequences
    are strips, with the original above and the wrong entries of the reconstruction framed.

    Parameters
    ----------
    original, reconstructed : array of shape (n_steps, n_features) or (n_steps,), list or str
        One sequence, in a form that the estimator accepts. The lengths may differ.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the original.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> x = np.sin(np.arange(20.0))[:, None]
    >>> ax = reconstruction(x, 0.9 * x)
    >>> len(ax.lines)
    2
    """
    return reconstructions(
        [original], [reconstructed], None if ax is None else [ax], column_types=column_types
    )[0]


def reconstructions(
    original: SequencesLike,
    reconstructed: SequencesLike,
    axes: Sequence[Axes] | None = None,
    *,
    column_types: ColumnTypes = None,
) -> list[Axes]:
    """Draw sequences and their reconstructions, one pair on each axes.

    Parameters
    ----------
    original, reconstructed : Sequences or list of shape (n_sequences,)
        In the same order; see `reconstruction`.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each sequence; by default a grid on a new figure.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the originals.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there are no sequences, or not as many reconstructions as originals.

    Examples
    --------
    >>> import numpy as np
    >>> x = [np.sin(np.arange(20.0)), np.cos(np.arange(12.0))]
    >>> axes = reconstructions(x, x)
    >>> len(axes)
    2
    """
    if not isinstance(original, Sequences):
        original = as_sequences(original, column_types=column_types)
    if not isinstance(reconstructed, Sequences):
        reconstructed = as_sequences(reconstructed, schema=original.schema)
    check_some(len(original), "sequence", "to draw")
    check_one_each(len(reconstructed), "reconstructions", len(original), "originals")
    numbers = zip(original.ids, original.lengths, strict=True)
    titles = [f"{one}  ·  {in_steps(steps)}" for one, steps in numbers]
    return draw_pairs(original, reconstructed, axes, titles, ("original", "reconstruction"))


def draw_pairs(
    originals: Sequences,
    others: Sequences,
    axes: Sequence[Axes] | None,
    titles: Sequence[str],
    names: tuple[str, str],
) -> list[Axes]:
    """Draw pairs of sequences, one on each axes, with the names of both in a legend."""
    axes = _grid(len(originals)) if axes is None else list(axes)
    check_one_each(len(axes), "axes", len(originals), "sequences")
    schema = originals.schema
    shown = most_varied(originals)
    longest = int(max(originals.lengths.max(), others.lengths.max()))
    for i, ax in enumerate(axes):
        pair = (_values(originals, i), _values(others, i))
        if shown:
            _lines(ax, pair, schema, shown)
        else:
            _strips(ax, pair, schema, num_steps=longest)
        ax.set_title(titles[i], fontsize="small", loc="left")
        ax.tick_params(labelsize="small")
    _legend(axes[0], names, lines=bool(shown))
    return axes


def _grid(num: int) -> list[Axes]:
    columns = min(num, 3)
    rows = -(-num // columns)
    figure = new_figure((3.4 * columns, 2.3 * rows))
    return [figure.add_subplot(rows, columns, i + 1) for i in range(num)]


def _values(sequences: Sequences, i: int) -> np.ndarray:
    return sequences.values[sequences.offsets[i] : sequences.offsets[i + 1]]


def most_varied(original: Sequences) -> list[int]:
    """Return the numeric columns to draw, in the order of the columns."""
    return sorted(by_variance(original)[:MAX_LINES])


def _lines(ax: Axes, pair: tuple[np.ndarray, np.ndarray], schema: Schema, shown: list[int]) -> None:
    for order, column in enumerate(shown):
        colour = PALETTE[order % len(PALETTE)]
        before, after = (values[:, column] for values in pair)
        ax.plot(before, color=colour, linewidth=2.6, alpha=0.35, solid_capstyle="round")
        ax.plot(after, color=colour, linewidth=1.4, linestyle=(0, (4, 1.6)))
    whole_numbers(ax)
    tidy(ax)
    if len(shown) < schema.num_columns and ax.get_ylabel() == "":
        ax.set_ylabel(f"{len(shown)} of {schema.num_columns} columns", fontsize="x-small")


def _strips(
    ax: Axes, pair: tuple[np.ndarray, np.ndarray], schema: Schema, *, num_steps: int
) -> None:
    blocks = [one_hot(values, schema) for values in pair]
    num_rows = blocks[0].shape[1]
    gap = 1.0
    for block, colour, top in zip(blocks, (ACCENT, CONTRAST), (0.0, num_rows + gap), strict=True):
        if len(block):
            ax.imshow(
                np.ma.masked_invalid(block.T),
                cmap=heat(colour),
                vmin=0,
                vmax=1,
                interpolation="none",
                aspect="auto",
                extent=(-0.5, len(block) - 0.5, top + num_rows - 0.5, top - 0.5),
            )
        else:
            ax.text(-0.5, top + num_rows / 2 - 0.5, "empty", va="center", fontsize="small")
    _frame_errors(ax, blocks, offset=num_rows + gap)
    ax.set_xlim(-0.6, max(num_steps, 1) - 0.4)
    ax.set_ylim(2 * num_rows + gap - 0.4, -0.6)
    ax.set_yticks([])
    whole_numbers(ax)
    tidy(ax)
    ax.spines[["left", "bottom"]].set_visible(False)


def one_hot(values: np.ndarray, schema: Schema, *, numeric: bool = True) -> np.ndarray:
    """Return the rows of a strip, one per column or category; NaN where missing."""
    parts = []
    for i, column in enumerate(schema.columns):
        if column.column_type.has_categories:
            ones = values[:, [i]] == np.arange(len(column.categories))
            parts.append(np.where(np.isnan(values[:, [i]]), np.nan, ones))
        elif numeric or not column.column_type.is_number:
            parts.append(values[:, [i]].astype(float))
    return np.concatenate(parts, axis=1)


def _frame_errors(ax: Axes, blocks: list[np.ndarray], *, offset: float) -> None:
    """Frame wrong entries of the reconstruction, and those beyond the end of the original."""
    for step, row in np.argwhere(wrong_values(*blocks)):
        ax.plot(
            step + np.array([-0.5, 0.5, 0.5, -0.5, -0.5]),
            offset + row + np.array([-0.5, -0.5, 0.5, 0.5, -0.5]),
            color=WRONG,
            linewidth=1.2,
        )


def _legend(ax: Axes, names: tuple[str, str], *, lines: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if lines:
        handles: list[Any] = [
            Line2D([], [], color="gray", linewidth=2.6, alpha=0.5),
            Line2D([], [], color="gray", linewidth=1.4, linestyle=(0, (4, 1.6))),
        ]
    else:
        handles = [Patch(color=ACCENT), Patch(color=CONTRAST)]
    ax.legend(
        handles,
        list(names),
        frameon=False,
        fontsize="x-small",
        loc="lower right",
        bbox_to_anchor=(1.02, 0.97),
        ncols=2,
        handlelength=1.4,
        columnspacing=0.8,
        borderaxespad=0,
    )
