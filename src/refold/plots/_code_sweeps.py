"""Figures of the effect of each latent dimension, and of a sweep along one."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_kind, check_one_each, check_some
from refold.diagnosis import DEVIATIONS, LatentDimensions
from refold.errors import DataError, ParameterError
from refold.plots._draw import draw
from refold.plots._reconstructions import one_hot
from refold.plots._style import ACCENT, heat, new_axes, tidy
from refold.plots.charts import latent_bars, signed, sweep_lines
from refold.sequences import Schema, Sequences, as_sequences

MOST_BARS = 40


def latent_dimensions(
    found: LatentDimensions,
    ax: Axes | None = None,
    *,
    rocket_dim: int = 0,
    length_dim: int = 0,
    latent_dim: int = 0,
) -> Axes:
    """Draw the effect of each latent dimension on the decoded sequence, largest first.

    At most 40 dimensions are drawn.

    Parameters
    ----------
    found : LatentDimensions
        Output of `refold.diagnosis.latent_dimensions`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    rocket_dim, length_dim, latent_dim : int
        ``rocket_dim_``, ``length_dim_`` and ``latent_dim_`` of the estimator. The last
        ``rocket_dim`` of the ``latent_dim`` dimensions have their own color, and so has the one
        before them if it holds the length.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from refold.diagnosis import LatentDimensions
    >>> found = LatentDimensions(("0", "1"), np.ones(2), np.array([[0.1], [0.4]]))
    >>> [text.get_text() for text in latent_dimensions(found).get_xticklabels()]
    ['1', '0']
    """
    check_kind("found", found, "the output of refold.diagnosis.latent_dimensions", "total")
    title = "change per standard deviation"
    chart = latent_bars(
        found,
        found.total,
        title,
        num_bars=MOST_BARS,
        latent_dim=latent_dim,
        rocket_dim=rocket_dim,
        length_dim=length_dim,
    )
    return draw(chart, ax, size=(7.0, 3.0))


def sweep(
    decoded: Sequences,
    ax: Axes | None = None,
    *,
    deviations: Sequence[float] = DEVIATIONS,
    column: int | None = None,
) -> Axes:
    """Draw the decoded sequence while one latent dimension goes from low to high.

    A numeric column is drawn as lines from blue to yellow, others as strips side by side.

    Parameters
    ----------
    decoded : Sequences of shape (n_values,)
        Output of `refold.diagnosis.sweep`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    deviations : sequence of float
        Values of the dimension, in standard deviations from its mean.
    column : int, optional
        Column to draw; by default the numeric column that changes most, or all columns if none is
        numeric.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not one sequence per value.
    ParameterError
        If there is no such column.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> decoded = Sequences.from_list([a * np.sin(np.arange(9.0)) for a in (0.5, 1.0, 1.5)])
    >>> len(sweep(decoded, deviations=(-1, 0, 1)).lines)
    3
    """
    decoded = as_sequences(decoded)
    check_some(len(decoded), "sequence", "to draw")
    check_one_each(len(decoded), "sequences", len(deviations), "values of the dimension")
    if column is not None and not 0 <= column < decoded.schema.num_columns:
        raise ParameterError(
            f"There is no column {column}. There are {decoded.schema.num_columns} columns."
        )
    if column is None:
        column = _most_moved(decoded)
    if column is not None and decoded.schema.numeric[column]:
        return draw(sweep_lines(decoded, column, deviations), ax, size=(6.0, 3.0))
    if column is not None:
        schema = Schema((decoded.schema.columns[column],))
        decoded = Sequences(decoded.values[:, [column]], decoded.offsets, schema=schema)
    ax = new_axes(ax, size=(6.0, 3.0))
    strips, starts = strips_of(decoded)
    ax.imshow(
        np.ma.masked_invalid(strips), cmap=heat(ACCENT), vmin=0, vmax=1, aspect="auto",
        interpolation="none",
    )  # fmt: skip
    ax.set_xticks(starts, [signed(value) for value in deviations])
    ax.set_yticks([])
    ax.set_xlabel("standard deviations from the mean")
    tidy(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax


def _most_moved(decoded: Sequences) -> int | None:
    """Return the numeric column that differs most between sequences, relative to its spread."""
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
    """Lay sequences side by side as strips (n_rows, n_places), and return where each starts."""
    sequences = as_sequences(sequences)
    if not len(sequences) or sequences.schema.numeric.all():
        raise DataError("Strips need at least one sequence with binary or categorical columns.")
    # A row for each binary column or category: 1 or 0, NaN where nothing was observed and in the
    # gap between two sequences. An empty sequence takes one place.
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
