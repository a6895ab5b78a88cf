"""The figures: what each draws, from arguments that it checks."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.rules import (
    check,
    check_kind,
    check_one_each,
    check_some,
    one_of,
)
from refold._support.umap_layout import umap_layout
from refold.diagnosis import DEVIATIONS, LatentDimensions
from refold.errors import DataError, ParameterError
from refold.evaluation import ErrorCurve, GroupErrors
from refold.model import Forecast, SequencesLike
from refold.plots import charts
from refold.plots._matplotlib import (
    LINE_STYLES,
    draw,
    draw_strips,
    legend_above,
    new_axes,
    new_figure,
    tidy,
    whole_numbers,
)
from refold.plots.charts import ACCENT, CONTRAST, MUTED, PALETTE, ColumnGroup
from refold.sequences import ColumnTypes, Sequences, as_sequences

MAX_LINES = 4


# Training


def loss_curves(
    history: Mapping[str, Sequence[Any]],
    ax: Axes | None = None,
    *,
    initial_loss: float | None = None,
) -> Axes:
    """Draw the training and the validation loss by epoch, and mark the best epoch.

    A refit, which trains the network again on all data, has its own dotted curve, from epoch 1 on.

    Parameters
    ----------
    history : mapping of str to list of float
        ``history_`` of an estimator, or ``history.history`` of Keras: ``loss``, and ``val_loss``,
        ``epoch`` and ``phase`` if present.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    initial_loss : float, optional
        Validation loss of the initialization: ``initial_loss_`` of an estimator. It is marked at
        epoch 0, and can be the best.

    Examples
    --------
    >>> loss_curves({"loss": [1.0, 0.5, 0.4], "val_loss": [1.1, 0.6, 0.7]}).get_ylabel()
    'loss'
    """
    return draw(charts.loss_chart(history, initial_loss), ax)


# Errors


def error_by_feature(
    errors: Mapping[str, np.ndarray],
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    column_type: ColumnGroup = "numeric",
) -> Axes:
    """Draw the error of each feature as bars, with methods side by side.

    Parameters
    ----------
    errors : mapping of str to array of shape (n_features,)
        Errors by method, such as ``{"Refold": errors_by_feature(...), "PCA": ...}``.
    names : sequence of str
        Names of the features.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    column_type : {"numeric", "categorical"}, default="numeric"
        Type of the errors: squared errors, or shares of wrong values.

    Examples
    --------
    >>> ax = error_by_feature({"Refold": [0.1, 0.2], "PCA": [0.2, 0.3]}, ["height", "speed"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['height', 'speed']
    """
    check_kind("errors", errors, "a mapping of methods to errors", "items")
    check_kind("names", names, "a list of names of features", "__len__")
    check_some(len(errors) * len(names), "error", "to draw")
    for method, values in errors.items():
        number = len(check_array("errors", values, ("n_features",)))
        check_one_each(number, f"errors of {method}", len(names), "features")
    chart = charts.feature_error_bars(errors, names, column_type)
    return draw(chart, ax, size=(6.0, max(2.2, 0.8 + 0.3 * len(names))))


def error_by_position(
    groups: Mapping[str, GroupErrors],
    ax: Axes | None = None,
    *,
    column_type: ColumnGroup = "numeric",
) -> Axes:
    """Draw the error along the sequence, one line per method.

    Parameters
    ----------
    groups : mapping of str to GroupErrors
        Output of `refold.evaluation.errors_by_position` by method, for the same sequences.
    ax, column_type
        As in `error_by_feature`.

    Examples
    --------
    >>> from refold.evaluation import errors_by_position
    >>> errors = errors_by_position(Sequences.from_list(["abba", "cab"]), ["abbb", "cab"])
    >>> error_by_position({"Refold": errors}, column_type="categorical").get_xlabel()
    'step'
    """
    check_kind("groups", groups, "a mapping of methods to GroupErrors", "items")
    check_some(len(groups), "method", "to draw errors of")
    for group in groups.values():
        check_kind("groups", group, "a mapping of methods to GroupErrors", "first")
    first = next(iter(groups.values())).first.tolist()
    for method, group in groups.items():
        if group.first.tolist() != first:
            raise DataError(f"The groups of {method} differ. Pass errors of the same sequences.")
    return draw(charts.position_error_lines(groups, column_type), ax)


def error_by_size(curve: ErrorCurve, ax: Axes | None = None) -> Axes:
    """Draw the held-out error of Refold and of PCA by code size.

    Parameters
    ----------
    curve : ErrorCurve
        Output of `refold.error_curve`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.

    Examples
    --------
    >>> curve = ErrorCurve((2, 4, 8), (0.4, 0.2, 0.1), (0.5, 0.3, 0.12), "NMSE", 100, 10)
    >>> error_by_size(curve).get_ylabel()
    'held-out error (NMSE)'
    """
    check_kind("curve", curve, "the output of refold.error_curve", "sizes")
    check_some(len(curve.sizes), "size", "to draw")
    ax = draw(charts.size_chart(curve), ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    ax.set_xticks([], minor=True)
    return ax


# Codes


def code_plane(
    codes: np.ndarray, method: Literal["pca", "umap"] = "pca", *, seed: int = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Return two coordinates per code, and the names of the axes.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    method : {"pca", "umap"}, default="pca"
        Two principal components, which preserve distances as well as a linear projection can, or
        UMAP [1]_ of the standardized codes, which preserves neighborhoods; its distances between
        groups have no meaning. UMAP needs the extra ``umap``. Codes with one or two dimensions are
        returned as they are.
    seed : int, default=0
        Seed of UMAP.

    Returns
    -------
    points : array of shape (n_sequences, 2)
    names : (str, str)
        Names of principal components include their share of the variance.

    References
    ----------
    .. [1] L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and
       Projection for Dimension Reduction", 2018.

    Examples
    --------
    >>> points, names = code_plane(np.eye(4)[:, :3] * [3, 1, 1])
    >>> points.shape, names
    ((4, 2), ('component 1 (84%)', 'component 2 (12%)'))
    """
    codes = check_array("codes", codes, ("n_sequences", "latent_dim")).astype(float)
    check_some(codes.size, "code", "to draw")
    if not np.isfinite(codes).all():
        row = int(np.flatnonzero(~np.isfinite(codes).all(axis=1))[0])
        raise ParameterError(f"codes must be finite. Row {row} is not.")
    check("method", method, one_of("pca", "umap"))
    if codes.shape[1] == 1:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))]), ("code", "")
    if codes.shape[1] == 2:
        return codes, ("code 0", "code 1")
    centered = codes - codes.mean(axis=0)
    if method == "umap":
        spread = codes.std(axis=0)
        scaled = centered / np.where(spread > 0, spread, 1.0)
        return umap_layout(scaled, seed=seed), ("UMAP 1", "UMAP 2")
    _, deviations, directions = np.linalg.svd(centered, full_matrices=False)
    share = deviations**2 / max(float((deviations**2).sum()), np.finfo(float).tiny)
    directions, share = directions[:2], [*share, 0.0][:2]
    if len(directions) < 2:  # a single code
        directions = np.vstack([directions, np.zeros_like(directions)])
    signs = np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])
    points = centered @ (directions * signs[:, None]).T
    first, second = (f"component {i} ({part:.0%})" for i, part in enumerate(share, start=1))
    return points, (first, second)


def code_map(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    annotations: Sequence[Any] | Mapping[int, Any] | None = None,
    ax: Axes | None = None,
    *,
    label_name: str | None = None,
    method: Literal["pca", "umap"] = "pca",
) -> Axes:
    """Draw codes as points in the plane, by PCA if they have more than two dimensions.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    labels : sequence of shape (n_sequences,), optional
        Colors of the points: with a legend, or with a color bar for more than ten distinct
        numbers. Of more than ten other labels, the rarest are gray.
    annotations : sequence of shape (n_sequences,) or mapping of int to str, optional
        Text beside the points, one per point or by index.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    label_name : str, optional
        Title of the legend or color bar.
    method : {"pca", "umap"}, default="pca"
        See `code_plane`; UMAP needs the extra ``umap``.

    Examples
    --------
    >>> codes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> ax = code_map(codes, labels=["a", "b", "b"], annotations={0: "first"})
    >>> [text.get_text() for text in ax.texts]
    ['first']
    """
    points, names = code_plane(codes, method)
    if labels is not None:
        check_one_each(len(labels), "labels", len(points), "codes")
    if annotations is None:
        annotations = {}
    elif not isinstance(annotations, Mapping):
        check_one_each(len(annotations), "annotations", len(points), "codes")
        annotations = {i: text for i, text in enumerate(annotations) if text is not None}
    for i in annotations:
        if not -len(points) <= i < len(points):
            raise ParameterError(
                f"There is no code {i} to annotate. There are {len(points)} codes."
            )
    chart = charts.code_points(points, names, labels, label_name=label_name or "")
    ax = draw(chart, ax, size=(6.0, 4.6))
    circle = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.2}
    beside: dict[str, Any] = {"xytext": (6, 5), "textcoords": "offset points"}
    for i, text in annotations.items():
        x, y = points[i]
        ax.plot(x, y, "o", color=MUTED, **circle)
        ax.annotate(str(text), (x, y), fontsize="small", weight="bold", **beside)
    ax.margins(0.08)
    return ax


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

    Examples
    --------
    >>> found = LatentDimensions(("0", "1"), np.ones(2), np.array([[0.1], [0.4]]))
    >>> [text.get_text() for text in latent_dimensions(found).get_xticklabels()]
    ['1', '0']
    """
    check_kind("found", found, "the output of refold.diagnosis.latent_dimensions", "total")
    chart = charts.latent_bars(
        found, latent_dim=latent_dim, rocket_dim=rocket_dim, length_dim=length_dim
    )
    return draw(chart, ax, size=(7.0, 3.0))


def sweep(
    decoded: Sequences, ax: Axes | None = None, *, deviations: Sequence[float] = DEVIATIONS
) -> Axes:
    """Draw the decoded sequence while one latent dimension goes from low to high.

    The numeric column that changes most is drawn, as lines from blue to yellow.

    Parameters
    ----------
    decoded : Sequences of shape (n_values,)
        Output of `refold.diagnosis.sweep`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    deviations : sequence of float
        Values of the dimension, in standard deviations from its mean.

    Examples
    --------
    >>> decoded = Sequences.from_list([a * np.sin(np.arange(9.0)) for a in (0.5, 1.0, 1.5)])
    >>> len(sweep(decoded, deviations=(-1, 0, 1)).lines)
    3
    """
    decoded = as_sequences(decoded)
    check_some(len(decoded), "sequence", "to draw")
    check_one_each(len(decoded), "sequences", len(deviations), "values of the dimension")
    if not decoded.schema.numeric.any():
        raise DataError("A sweep without numeric columns cannot be drawn. Print it instead.")
    column = _most_moved(decoded)
    return draw(charts.sweep_lines(decoded, column, deviations), ax, size=(6.0, 3.0))


def _most_moved(decoded: Sequences) -> int:
    """Return the numeric column that differs most between sequences, relative to its spread."""
    numeric = np.flatnonzero(decoded.schema.numeric)
    common = int(decoded.lengths.min())
    if common == 0:
        return int(numeric[0])
    steps = decoded.offsets[:-1, None] + np.arange(common)
    values = decoded.values[steps][:, :, numeric].astype(float)
    between = values.std(axis=0).mean(axis=0)
    return int(numeric[np.argmax(between / np.maximum(values.std(axis=(0, 1)), 1e-12))])


# Sequences


def reconstructions(
    original: SequencesLike,
    reconstructed: SequencesLike,
    axes: Sequence[Axes] | None = None,
    *,
    column_types: ColumnTypes = None,
    titles: Sequence[str] | None = None,
    names: tuple[str, str] = ("original", "reconstruction"),
) -> list[Axes]:
    """Draw sequences and their reconstructions, one pair on each axes.

    Numeric columns are lines, with the reconstruction dashed; of more than four, the four with the
    largest variance are drawn, and other columns are not. If no column is numeric, the sequences
    are strips, with the original above and the wrong entries of the reconstruction framed.

    Parameters
    ----------
    original, reconstructed : Sequences or list of shape (n_sequences,)
        In the same order. The lengths may differ.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each sequence; by default a grid on a new figure.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the originals.
    titles : sequence of str of shape (n_sequences,), optional
        Titles of the axes; by default ids and lengths.
    names : (str, str)
        What the legend calls the two, if they are not a sequence and its reconstruction.

    Examples
    --------
    >>> x = [np.sin(np.arange(20.0)), np.cos(np.arange(12.0))]
    >>> len(reconstructions(x, x))
    2
    """
    if not isinstance(original, Sequences):
        original = as_sequences(original, column_types=column_types)
    if not isinstance(reconstructed, Sequences):
        reconstructed = as_sequences(reconstructed, schema=original.schema)
    check_some(len(original), "sequence", "to draw")
    check_one_each(len(reconstructed), "reconstructions", len(original), "originals")
    if titles is None:
        steps = map(charts.in_steps, original.lengths)
        titles = [f"{name}  ·  {text}" for name, text in zip(original.ids, steps, strict=True)]
    check_one_each(len(titles), "titles", len(original), "sequences")
    if axes is None:
        across = min(len(original), 3)
        down = -(-len(original) // across)
        figure = new_figure((3.4 * across, 2.3 * down))
        axes = [figure.add_subplot(down, across, i + 1) for i in range(len(original))]
    check_one_each(len(axes), "axes", len(original), "sequences")
    schema, columns = original.schema, _most_varied(original)
    longest = int(max(original.lengths.max(), reconstructed.lengths.max()))
    for i, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        before, after = original[[i]], reconstructed[[i]]
        if columns:
            chart = charts.reconstruction_lines(before, {names[1]: after}, columns, columns)
            draw(chart, ax, legend=False).set_xlabel("")
        else:
            draw_strips(ax, charts.strips(before), charts.strips(after), longest)
        ax.set_title(title, fontsize="small", loc="left")
        if 0 < len(columns) < schema.num_columns:
            label = f"{len(columns)} of {schema.num_columns} columns"
            ax.set_ylabel(label, fontsize="x-small")
        ax.tick_params(labelsize="small")
    handles: list[Any] = [Patch(color=ACCENT), Patch(color=CONTRAST)]
    if columns:
        styles = (LINE_STYLES["original"], LINE_STYLES["reconstruction"])
        handles = [Line2D([], [], color="gray", **style) for style in styles]
    legend_above(axes[0], handles, list(names))
    return list(axes)


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

    Examples
    --------
    >>> p_values = np.where(np.arange(50) // 5 == 4, 0.001, 0.5)
    >>> len(anomalies([np.sin(np.arange(50.0))], p_values).patches)
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

    Examples
    --------
    >>> waves = [np.sin(np.arange(20.0)), np.cos(np.arange(20.0))]
    >>> ahead = Forecast(as_sequences([wave[:5] for wave in waves]))
    >>> len(forecast(waves, ahead, index=1).get_lines())
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
    columns = _most_varied(before)
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
