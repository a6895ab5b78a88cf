"""Figures of sequences: reconstructions, hits of a search, anomalies and forecasts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_array, check_kind, check_one_each, check_some
from refold.errors import DataError
from refold.model import Forecast, SequencesLike
from refold.plots import charts
from refold.plots._matplotlib import (
    LINE_STYLES,
    draw,
    legend_above,
    new_axes,
    new_figure,
    tidy,
    whole_numbers,
)
from refold.plots.charts import ACCENT, CONTRAST, MUTED, PALETTE
from refold.sequences import ColumnTypes, Sequences, as_sequences

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
    titles = [f"{name}  ·  {charts.in_steps(steps)}" for name, steps in numbers]
    return _pairs(original, reconstructed, axes, titles, ("original", "reconstruction"))


def search_hits(
    query: SequencesLike,
    hits: SequencesLike,
    titles: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
    *,
    column_types: ColumnTypes = None,
) -> list[Axes]:
    """Draw a sequence under each of the sequences that a search for it found.

    Numeric columns are lines, with the hit dashed, and others are strips, as in `reconstruction`.

    Parameters
    ----------
    query : Sequences or list of shape (1,)
        The sequence that was searched for.
    hits : Sequences or list of shape (n_hits,)
        The sequences that were found.
    titles : sequence of str of shape (n_hits,), optional
        Titles, such as ids and distances; by default the ids.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each hit; by default a grid on a new figure.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the query.

    Returns
    -------
    list of matplotlib.axes.Axes

    Examples
    --------
    >>> x = [np.sin(np.arange(20.0)), np.cos(np.arange(20.0))]
    >>> axes = search_hits(x[:1], x, ["first", "second"])
    >>> [ax.get_title(loc="left") for ax in axes]
    ['first', 'second']
    """
    if not isinstance(query, Sequences):
        query = as_sequences(query, column_types=column_types)
    if not isinstance(hits, Sequences):
        hits = as_sequences(hits, schema=query.schema)
    if len(query) != 1 or not len(hits):
        raise DataError(
            f"Got {len(query)} queries and {len(hits)} hits. Pass one query and at least one hit."
        )
    titles = [str(name) for name in hits.ids] if titles is None else list(titles)
    check_one_each(len(titles), "titles", len(hits), "hits")
    repeated = query[np.zeros(len(hits), int)]
    return _pairs(repeated, hits, axes, titles, ("query", "hit"))


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
    columns = _most_varied(sequences) or list(range(min(MAX_LINES, sequences.schema.num_columns)))
    for column, color in zip(columns, PALETTE, strict=False):
        name = sequences.schema.names[column]
        ax.plot(sequences.values[:, column], color=color, linewidth=1.1, label=name)
    anomalous = np.concatenate([[False], p_values <= alpha, [False]])
    changes = np.flatnonzero(anomalous[1:] != anomalous[:-1])
    for first, last in zip(changes[::2], changes[1::2], strict=True):
        ax.axvspan(first - 0.5, last - 0.5, color=CONTRAST, alpha=0.3, linewidth=0)
    return _series(ax, f"{sequences.ids[0]}  ·  p at most {alpha:g} shaded", len(p_values))


def forecast(
    series: SequencesLike,
    ahead: Forecast,
    ax: Axes | None = None,
    *,
    truth: SequencesLike | None = None,
    index: int = 0,
) -> Axes:
    """Draw a sequence and its forecast, with the bounds as a band.

    Of more than four numeric columns, the four with the largest variance are drawn.

    Parameters
    ----------
    series : Sequences, list or array
        Sequences that were passed to ``forecast``.
    ahead : Forecast
        Output of ``SequenceAutoencoder.forecast``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    truth : Sequences, list or array, optional
        True values of the forecast steps, if they are known: one sequence for each of ``series``.
    index : int, default=0
        Index of the sequence to draw.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     latent_dim=4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> len(forecast(sines, ae.forecast(sines), index=2).get_lines())
    3
    """
    check_kind("ahead", ahead, "a Forecast, the output of forecast", "sequences")
    schema = ahead.sequences.schema
    sequences = as_sequences(series).align(schema)
    after = None if truth is None else as_sequences(truth).align(schema)
    counts = {len(part) for part in (sequences, ahead.sequences, after) if part is not None}
    if counts != {len(sequences)} or not -len(sequences) <= index < len(sequences):
        raise DataError(
            f"Expected a forecast for each of {len(sequences)} sequences, and the index of one of "
            f"them. Got {len(ahead.sequences)} forecasts, and index {index}."
        )
    if not schema.numeric.any():
        raise DataError(
            "A forecast without numeric columns cannot be drawn. Print `Forecast.values` instead."
        )
    index = range(len(sequences))[index]
    before, next_ = sequences[[index]], ahead.sequences[[index]]
    columns = _most_varied(before) or list(np.flatnonzero(schema.numeric)[:MAX_LINES])
    ax = new_axes(ax, size=(9.0, 3.2))
    num_past, num_next = len(before.values), len(next_.values)
    for column, color in zip(columns, PALETTE, strict=False):
        pale: dict[str, Any] = {"color": color, "linewidth": 1.1, "alpha": 0.55}
        ax.plot(before.values[:, column], **pale)
        if after is not None:
            actual = after[[index]].values[:num_next, column]
            ax.plot(num_past + np.arange(len(actual)), actual, **pale)
        # the forecast begins at the last known step, if there is one, to leave no gap
        last = before.values[-1:, column]
        steps = np.arange(num_past - len(last), num_past + num_next)
        values = np.concatenate([last, next_.values[:, column]])
        ax.plot(steps, values, color=color, linewidth=1.8, label=schema.names[column])
        if ahead.lower is not None and ahead.upper is not None:
            bounds = (ahead.lower[index, :, column], ahead.upper[index, :, column])
            low, high = (np.concatenate([last, bound]) for bound in bounds)
            ax.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
    ax.axvline(num_past - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
    bounds = "" if ahead.alpha is None else f"  ·  bounds of {100 * (1 - ahead.alpha):g} %"
    return _series(ax, f"{ahead.ids[index]}{bounds}", num_past + num_next)


def _pairs(
    originals: Sequences,
    others: Sequences,
    axes: Sequence[Axes] | None,
    titles: Sequence[str],
    names: tuple[str, str],
) -> list[Axes]:
    """Draw pairs of sequences, one on each axes, with the names of both in a legend."""
    axes = _grid(len(originals)) if axes is None else list(axes)
    check_one_each(len(axes), "axes", len(originals), "sequences")
    schema, columns = originals.schema, _most_varied(originals)
    longest = int(max(originals.lengths.max(), others.lengths.max()))
    for i, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        before, after = originals[[i]], others[[i]]
        if columns:
            chart = charts.reconstruction_lines(before, {names[1]: after}, columns, columns)
        else:
            chart = charts.reconstruction_cells(before, after, longest)
        label = ax.get_ylabel()
        draw(replace(chart, title=title), ax, legend=False).set_xlabel("")
        if 0 < len(columns) < schema.num_columns:
            label = label or f"{len(columns)} of {schema.num_columns} columns"
        ax.set_ylabel(label, fontsize="x-small")
        ax.tick_params(labelsize="small")
    handles: list[Any] = [Patch(color=ACCENT), Patch(color=CONTRAST)]
    if columns:
        styles = (LINE_STYLES["original"], LINE_STYLES["reconstruction"])
        handles = [Line2D([], [], color="gray", **style) for style in styles]
    legend_above(axes[0], handles, list(names))
    return axes


def _grid(num: int) -> list[Axes]:
    columns = min(num, 3)
    rows = -(-num // columns)
    figure = new_figure((3.4 * columns, 2.3 * rows))
    return [figure.add_subplot(rows, columns, i + 1) for i in range(num)]


def _most_varied(original: Sequences) -> list[int]:
    """Return the numeric columns to draw, in the order of the columns."""
    return sorted(charts.by_variance(original)[:MAX_LINES])


def _series(ax: Axes, title: str, num_steps: int) -> Axes:
    """Give axes with lines of a sequence their title, range and legend."""
    ax.set_xlim(-0.5, max(num_steps, 1) - 0.5)
    ax.set_xlabel("step")
    ax.set_title(title, fontsize="small", loc="left")
    handles, names = ax.get_legend_handles_labels()
    if len(names) > 1:
        legend_above(ax, handles, names)
    whole_numbers(ax)
    tidy(ax)
    return ax
