"""The figures of `refold.plots`. Each function checks its arguments, and draws on axes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from refold._support.arrays import check_array, umap_layout
from refold._support.messages import pluralize
from refold._support.rules import (
    check,
    check_counts_match,
    check_has_attribute,
    check_not_empty,
    one_of,
)
from refold.diagnosis import DEVIATIONS, LatentDimensions
from refold.errors import DataError, ParameterError
from refold.evaluation import ErrorCurve, GroupErrors
from refold.model import Forecast, SequencesLike
from refold.plots import charts
from refold.plots._matplotlib import (
    LINE_OPTIONS_BY_STYLE,
    add_legend_beside,
    add_titles_and_legend,
    draw_chart,
    draw_heatmap_pair,
    get_or_make_axes,
    place_labels,
    shorten_name,
    split_axes_into_panels,
    tidy_axes,
    use_integer_ticks,
    wrap_y_title,
)
from refold.plots.charts import ACCENT_COLOR, CONTRAST_COLOR, MUTED_COLOR, NumericOrCategorical
from refold.sequences import Column, ColumnTypes, Schema, Sequences, as_sequences

# Largest number of sequences side by side in a new figure. More sequences need another row.
MAX_GRID_COLUMNS = 3
# Number of steps that are drawn before a forecast, for each step of the forecast.
HISTORY_STEPS_PER_FORECAST_STEP = 5
# Smallest number of steps that are drawn before a forecast, if the sequence has as many.
MIN_HISTORY_STEPS = 50


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
        epoch 0, which can be the best epoch.

    Examples
    --------
    >>> loss_curves({"loss": [1.0, 0.5, 0.4], "val_loss": [1.1, 0.6, 0.7]}).get_ylabel()
    'loss'
    """
    return draw_chart(charts.loss_chart(history, initial_loss), ax)


# Errors


def error_by_feature(
    errors: Mapping[str, np.ndarray],
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    column_type: NumericOrCategorical = "numeric",
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
        ``"numeric"``: squared errors. ``"categorical"``: shares of wrong values.

    Examples
    --------
    >>> ax = error_by_feature({"Refold": [0.1, 0.2], "PCA": [0.2, 0.3]}, ["height", "speed"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['height', 'speed']
    """
    check_has_attribute("errors", errors, "a mapping of methods to errors", attribute="items")
    check_has_attribute("names", names, "a list of names of features", attribute="__len__")
    # number of errors: one for each method and feature
    check_not_empty(len(errors) * len(names), "error", "to draw")
    for method, values in errors.items():
        num_errors = len(check_array("errors", values, ("n_features",)))
        check_counts_match(num_errors, f"errors of {method}", len(names), "features")
    chart = charts.feature_error_bars(errors, names, column_type)
    return draw_chart(chart, ax, figsize=(6.0, max(2.2, 0.8 + 0.3 * len(names))))


def error_by_position(
    errors_by_method: Mapping[str, GroupErrors],
    ax: Axes | None = None,
    *,
    column_type: NumericOrCategorical = "numeric",
) -> Axes:
    """Draw the error along the sequence, one line per method.

    Parameters
    ----------
    errors_by_method : mapping of str to GroupErrors
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
    expected = "a mapping of methods to GroupErrors"
    check_has_attribute("errors_by_method", errors_by_method, expected, attribute="items")
    check_not_empty(len(errors_by_method), "method", "to draw errors of")
    for errors in errors_by_method.values():
        check_has_attribute("errors_by_method", errors, expected, attribute="first")
    first_steps = next(iter(errors_by_method.values())).first.tolist()
    for method, errors in errors_by_method.items():
        if errors.first.tolist() != first_steps:
            raise DataError(f"The groups of {method} differ. Pass errors of the same sequences.")
    return draw_chart(charts.position_error_lines(errors_by_method, column_type), ax)


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
    check_has_attribute("curve", curve, "the output of refold.error_curve", attribute="sizes")
    check_not_empty(len(curve.sizes), "size", "to draw")
    ax = draw_chart(charts.code_size_chart(curve), ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    ax.set_xticks([], minor=True)
    return ax


# Codes


def project_codes_to_plane(
    codes: np.ndarray, method: Literal["pca", "umap"] = "pca", *, seed: int = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Return two coordinates per code, and the names of the axes.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    method : {"pca", "umap"}, default="pca"
        ``"pca"``: two principal components, which preserve distances as well as a linear projection
        can. ``"umap"``: UMAP [1]_ of the standardized codes, which preserves neighborhoods. Its
        distances between groups have no meaning, and it needs the extra ``umap``. Codes with one or
        two dimensions are returned as they are.
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
    >>> points, names = project_codes_to_plane(np.eye(4)[:, :3] * [3, 1, 1])
    >>> points.shape, names
    ((4, 2), ('component 1 (84%)', 'component 2 (12%)'))
    """
    codes = check_array("codes", codes, ("n_sequences", "latent_dim")).astype(float)
    check_not_empty(codes.size, "code", "to draw")
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
        std = codes.std(axis=0)
        scaled = centered / np.where(std > 0, std, 1.0)
        return umap_layout(scaled, seed=seed), ("UMAP 1", "UMAP 2")
    # principal components, largest variance first
    _, singular_values, directions = np.linalg.svd(centered, full_matrices=False)
    variances = singular_values**2
    shares = variances / max(float(variances.sum()), np.finfo(float).tiny)
    # a single code has a single direction, so a share of 0 and a direction of zeros are added
    directions, shares = directions[:2], [*shares, 0.0][:2]
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])
    # the sign of a direction is arbitrary: its largest entry becomes positive
    signs = np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])
    points = centered @ (directions * signs[:, None]).T
    first, second = (f"component {i} ({share:.0%})" for i, share in enumerate(shares, start=1))
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
        Label of each code, which gives its point a color. There is a legend or, for more than
        ten distinct numbers, a color bar. If there are more than ten labels and some are not
        numbers, the rarest are gray. A pandas Categorical decides the order of the legend. Other
        labels are sorted: numbers first, then names.
    annotations : sequence of shape (n_sequences,) or mapping of int to str, optional
        Texts beside the points: one per point, or by the index of the point. Texts do not cover
        each other. A text is left out if there is no room for it.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    label_name : str, optional
        Title of the legend or color bar.
    method : {"pca", "umap"}, default="pca"
        See `project_codes_to_plane`; UMAP needs the extra ``umap``.

    Examples
    --------
    >>> codes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> ax = code_map(codes, labels=["a", "b", "b"], annotations={0: "first"})
    >>> [text.get_text() for text in ax.texts]
    ['first']
    """
    points, axis_names = project_codes_to_plane(codes, method)
    if labels is not None:
        check_counts_match(len(labels), "labels", len(points), "codes")
    if annotations is None:
        annotations = {}
    elif not isinstance(annotations, Mapping):
        check_counts_match(len(annotations), "annotations", len(points), "codes")
        annotations = {i: text for i, text in enumerate(annotations) if text is not None}
    for i in annotations:
        if not -len(points) <= i < len(points):
            raise ParameterError(
                f"There is no code {i} to annotate. There are {len(points)} codes."
            )
    options = {"label_name": label_name or "", "label_order": charts.get_pandas_categories(labels)}
    chart = charts.code_scatter_chart(points, axis_names, labels, **options)
    ax = draw_chart(chart, ax, figsize=(6.0, 4.6))
    # a circle marks each annotated point
    circle = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.2}
    for i in annotations:
        ax.plot(*points[i], "o", color=MUTED_COLOR, **circle)
    ax.margins(0.08)
    if annotations:
        place_labels(ax, [(str(text), tuple(points[i])) for i, text in annotations.items()])
    return ax


def latent_dimensions(
    dimension_effects: LatentDimensions,
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
    dimension_effects : LatentDimensions
        Output of `refold.diagnosis.measure_latent_effects`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    rocket_dim, length_dim, latent_dim : int
        ``rocket_dim_``, ``length_dim_`` and ``latent_dim_`` of the estimator. The last
        ``rocket_dim`` of the ``latent_dim`` dimensions have a color of their own. So have the
        ``length_dim`` dimensions before them, which hold the length.

    Examples
    --------
    >>> dimension_effects = LatentDimensions(("0", "1"), np.ones(2), np.array([[0.1], [0.4]]))
    >>> [text.get_text() for text in latent_dimensions(dimension_effects).get_xticklabels()]
    ['1', '0']
    """
    expected = "the output of refold.diagnosis.measure_latent_effects"
    check_has_attribute("dimension_effects", dimension_effects, expected, attribute="mean_effect")
    chart = charts.latent_effect_bars(
        dimension_effects, latent_dim=latent_dim, rocket_dim=rocket_dim, length_dim=length_dim
    )
    return draw_chart(chart, ax, figsize=(7.0, 3.0))


def sweep(
    decoded: Sequences, ax: Axes | None = None, *, standard_deviations: Sequence[float] = DEVIATIONS
) -> Axes:
    """Draw the decoded sequence while one latent dimension goes from low to high.

    The numeric column that changes most is drawn, as lines from blue to yellow.

    Parameters
    ----------
    decoded : Sequences of shape (n_values,)
        Output of `refold.diagnosis.decode_sweep`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    standard_deviations : sequence of float
        Values of the dimension, in standard deviations from its mean.

    Examples
    --------
    >>> decoded = Sequences.from_list([a * np.sin(np.arange(9.0)) for a in (0.5, 1.0, 1.5)])
    >>> len(sweep(decoded, standard_deviations=(-1, 0, 1)).lines)
    3
    """
    decoded = as_sequences(decoded)
    check_not_empty(len(decoded), "sequence", "to draw")
    num_values = len(standard_deviations)
    check_counts_match(len(decoded), "sequences", num_values, "values of the dimension")
    if not decoded.schema.numeric.any():
        raise DataError("A sweep without numeric columns cannot be drawn. Print it instead.")
    # the column whose values at the same step differ most, relative to the std. dev. of all values
    numeric = np.flatnonzero(decoded.schema.numeric)
    num_common_steps = int(decoded.lengths.min())
    column = int(numeric[0])
    if num_common_steps > 0:
        rows = decoded.offsets[:-1, None] + np.arange(num_common_steps)
        # (n_values, n_common_steps, n_numeric_columns)
        values = decoded.values[rows][:, :, numeric].astype(float)
        std_at_step = values.std(axis=0).mean(axis=0)
        std_of_all = np.maximum(values.std(axis=(0, 1)), 1e-12)  # not 0, to be a divisor
        column = int(numeric[np.argmax(std_at_step / std_of_all)])
    chart = charts.sweep_lines(decoded, column, standard_deviations)
    return draw_chart(chart, ax, figsize=(6.0, 3.0))


# Sequences


def reconstructions(
    original: SequencesLike,
    reconstructed: SequencesLike,
    axes: Sequence[Axes] | None = None,
    *,
    column_types: ColumnTypes = None,
    titles: Sequence[str] | None = None,
    legend_names: tuple[str, str] = ("original", "reconstruction"),
) -> list[Axes]:
    """Draw each sequence and its reconstruction on axes of their own.

    Numeric columns are lines, with the reconstruction dashed. Columns of different scales are in
    different panels. There are at most four panels. Each panel has at most four columns, those of
    largest variance; other columns are not drawn. If no column is numeric, runs of categories are
    colored strips, with wrong steps underlined. Binary columns and characters are shades, with the
    original above, and with frames around the wrong entries of the reconstruction.

    Parameters
    ----------
    original, reconstructed : Sequences or list of shape (n_sequences,)
        In the same order. The lengths may differ.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each sequence; by default a grid on a new figure. Several panels of a sequence
        divide its axes.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the originals.
    titles : sequence of str of shape (n_sequences,), optional
        Titles of the axes; by default ids and lengths.
    legend_names : (str, str)
        Names in the legend, if the sequences are not originals and reconstructions.

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
    check_not_empty(len(original), "sequence", "to draw")
    check_counts_match(len(reconstructed), "reconstructions", len(original), "originals")
    if titles is None:
        counts = (pluralize(length, "step") for length in original.lengths.tolist())
        titles = [f"{id_}  ·  {count}" for id_, count in zip(original.ids, counts, strict=True)]
    check_counts_match(len(titles), "titles", len(original), "sequences")
    schema = original.schema
    groups = charts.group_columns_by_panel(schema, original.values)
    if axes is None:
        num_across = min(len(original), MAX_GRID_COLUMNS)
        num_down = -(-len(original) // num_across)  # rounded up
        height = 2.3 if len(groups) == 1 else 0.5 + 1.2 * len(groups)
        figure = Figure(figsize=(3.4 * num_across, height * num_down), layout="constrained")
        axes = [figure.add_subplot(num_down, num_across, i + 1) for i in range(len(original))]
    check_counts_match(len(axes), "axes", len(original), "sequences")
    figure: Any = axes[-1].figure
    # A legend of the figure keeps all axes equally wide. On a figure with other axes, it would be
    # too far from the axes that it belongs to.
    has_layout = isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)
    legend_target = figure if has_layout and {*figure.axes} == {*axes} else axes[-1]
    legend: dict[str, Any] = {}  # handles by name, of all axes
    for i, ax in enumerate(axes):
        pair = [(legend_names[0], original[[i]]), (legend_names[1], reconstructed[[i]])]
        for panel, columns in zip(split_axes_into_panels(ax, len(groups)), groups, strict=True):
            legend |= _draw_pair(panel, pair, columns, original, groups)
            panel.tick_params(labelsize="small")
        # below the last panel of the sequence
        panel.set_xlabel(_describe_drawn_columns(groups, schema), fontsize="x-small")
    if "wrong" in legend:
        legend["wrong"] = legend.pop("wrong")  # last, because all columns have it
    if legend:
        add_legend_beside(legend_target, legend)
    # A second legend, beside the titles, tells originals from reconstructions.
    handles: list[Any] = [Patch(color=ACCENT_COLOR), Patch(color=CONTRAST_COLOR)]
    if schema.numeric.any():
        styles = (LINE_OPTIONS_BY_STYLE["original"], LINE_OPTIONS_BY_STYLE["reconstruction"])
        handles = [Line2D([], [], color="gray", **style) for style in styles]
    elif all(charts.is_drawn_as_strip(schema.columns[columns[0]], schema) for columns in groups):
        handles = []  # rows of strips have names at the axis
    # not strict, because there may be no handles
    add_titles_and_legend(axes, titles, dict(zip(legend_names, handles, strict=False)))
    return list(axes)


def _draw_pair(
    ax: Axes,
    pair: Sequence[tuple[str, Sequences]],  # name and sequence of the original and reconstruction
    columns: Sequence[int],
    all_originals: Sequences,  # whose categories decide the colors
    column_groups: Sequence[Sequence[int]],  # the columns of each panel
) -> dict[str, Any]:
    """Draw columns of a sequence and of its reconstruction; return legend handles by name."""
    (original_label, original), (label, decoded) = pair
    schema, column = all_originals.schema, all_originals.schema.columns[columns[0]]
    if column.column_type.is_number:
        colors = charts.choose_column_colors(column_groups)
        # the second `columns` are the visible ones: all of them
        chart = charts.reconstruction_lines(original, {label: decoded}, columns, columns, colors)
        draw_chart(chart, ax, shows_legend=False).set_xlabel("")
        return _label_axis_or_make_legend(ax, schema, columns, colors)
    legend: dict[str, Any] = {}
    if charts.is_drawn_as_strip(column, schema):
        values, decoded_values = (x.values[:, columns[0]] for _, x in pair)
        decoded_values, is_wrong = charts.pad_reconstruction_and_find_wrong(values, decoded_values)
        observed = all_originals.values[:, columns[0]]
        rows = [(original_label, values), (label, decoded_values)]
        legend = _draw_runs(ax, rows, column, observed, wrong_masks=[is_wrong])
    else:
        num_steps = int(max(all_originals.lengths.max(), len(decoded.values)))
        heatmap, decoded_heatmap = (charts.make_heatmap_rows(x, columns) for _, x in pair)
        draw_heatmap_pair(ax, heatmap, decoded_heatmap, num_steps)
    if schema.num_columns == 1:
        return legend
    title = column.name if len(columns) == 1 else f"{len(columns)} binary columns"
    ax.set_ylabel(wrap_y_title(shorten_name(title), ax), fontsize="x-small")
    return {n if n == "wrong" else f"{column.name}: {n}": patch for n, patch in legend.items()}


def _label_axis_or_make_legend(
    ax: Axes, schema: Schema, columns: Sequence[int], column_colors: Mapping[int, str]
) -> dict[str, Any]:
    """Write the name of a single line at the axis, or return the legend of several lines."""
    if len(columns) > 1:
        return {schema.names[i]: Line2D([], [], color=column_colors[i]) for i in columns}
    if schema.num_columns > 1:
        ax.set_ylabel(wrap_y_title(shorten_name(schema.names[columns[0]]), ax), fontsize="x-small")
    return {}


def _draw_runs(
    ax: Axes,
    named_rows: Sequence[tuple[str, np.ndarray]],  # the category indices of each row
    column: Column,
    indices_for_colors: np.ndarray,  # of all sequences; they decide the colors
    wrong_masks: Sequence[np.ndarray] = (),  # steps to underline, for each row but the first
) -> dict[str, Any]:
    """Draw rows of colored runs, and return the handles of their legend by name."""
    categories = column.categories or charts.BINARY_VALUE_NAMES
    chart = charts.category_strips(named_rows, categories, indices_for_colors, wrong_masks)
    draw_chart(chart, ax, shows_legend=False).set_xlabel("")
    ax.tick_params(axis="y", length=0, labelsize="small")
    ax.spines[["left", "bottom"]].set_visible(False)
    # All categories are in the legend, so that it is the same for all sequences. The entries
    # "others" and "wrong", which are no categories, are there only if they are drawn.
    legend_marks = [m for m in chart.marks if len(m.x) or m.name not in {"others", "wrong"}]
    return {marks.name: Patch(color=marks.color) for marks in legend_marks}


def _describe_drawn_columns(
    column_groups: Sequence[Sequence[int]], schema: Schema, prefix: str = ""
) -> str:
    """Return the prefix and a text such as "4 of 9 columns"; empty if all are drawn."""
    num_drawn = sum(map(len, column_groups))
    if num_drawn == schema.num_columns:
        return ""
    return f"{prefix}{num_drawn} of {schema.num_columns} columns"


def anomalous_steps(
    series: SequencesLike, step_p_values: ArrayLike, ax: Axes | None = None, *, alpha: float = 0.01
) -> Axes:
    """Draw a sequence, and shade the steps whose p-value is at most ``alpha``.

    Numeric columns of different scales are in different panels. There are at most four panels, each
    with at most four columns, those of largest variance. If no column is numeric, runs of
    categories are strips.

    Parameters
    ----------
    series : Sequences, list or array
        One sequence, as ``[x]`` or `Sequences` of length 1.
    step_p_values : array of shape (n_steps,)
        One p-value per step, from ``detect`` or `Windows.merge`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure. Several panels divide the axes, from the top.
    alpha : float, default=0.01
        Largest p-value of a shaded step.

    Examples
    --------
    >>> step_p_values = np.where(np.arange(50) // 5 == 4, 0.001, 0.5)
    >>> len(anomalous_steps([np.sin(np.arange(50.0))], step_p_values).patches)
    1
    """
    sequences = as_sequences(series)
    step_p_values = check_array("step_p_values", step_p_values, ("n_steps",))
    if len(sequences) != 1 or step_p_values.shape != (len(sequences.values),):
        raise DataError(
            f"Expected one sequence and a p-value for each of its steps. Got {len(sequences)} "
            f"sequences of {len(sequences.values)} steps, p-values of shape {step_p_values.shape}."
        )
    schema = sequences.schema
    groups = charts.group_columns_by_panel(schema, sequences.values)
    colors, panels = charts.choose_column_colors(groups), _make_panels(ax, len(groups))
    # the first step and the end of each run of anomalous steps, in turn
    run_bounds = np.flatnonzero(np.diff(step_p_values <= alpha, prepend=False, append=False))
    # the shade is behind strips, so that it does not change their colors
    shade: dict[str, Any] = {"color": CONTRAST_COLOR, "alpha": 0.3, "linewidth": 0, "zorder": 0}
    for panel, columns in zip(panels, groups, strict=True):
        if schema.numeric.any():  # then the groups have numeric columns only
            for i in columns:
                panel.plot(sequences.values[:, i], color=colors[i], linewidth=1.1)
            legend = _label_axis_or_make_legend(panel, schema, columns, colors)
        else:
            rows = [(schema.names[i], sequences.values[:, i]) for i in columns]
            observed = sequences.values[:, columns].ravel()
            legend = _draw_runs(panel, rows, schema.columns[columns[0]], observed)
            panel.margins(y=0.15)
        if legend:
            add_legend_beside(panel, legend)
        for first, end in zip(run_bounds[::2], run_bounds[1::2], strict=True):
            panel.axvspan(first - 0.5, end - 0.5, **shade)
    title = f"{sequences.ids[0]}  ·  p at most {alpha:g} shaded"
    title += _describe_drawn_columns(groups, schema, prefix="  ·  ")
    return _finish_panels(panels, title, first_step=0, end_step=len(step_p_values))


def forecast(
    series: SequencesLike,
    forecasts: Forecast,
    ax: Axes | None = None,
    *,
    truth: SequencesLike | None = None,
    index: int = 0,
) -> Axes:
    """Draw a sequence and its forecast, with the bounds as a band.

    The last part of the sequence is drawn: five times as many steps as the forecast has, and at
    least 50. Columns of different scales are in different panels. There are at most four panels,
    each with at most four columns, those of largest variance.

    Parameters
    ----------
    series : Sequences, list or array
        Sequences that were passed to ``forecast``.
    forecasts : Forecast
        Output of ``SequenceAutoencoder.forecast``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure. Several panels divide the axes, from the top.
    truth : Sequences, list or array, optional
        True values of the forecast steps, if they are known: one sequence for each of ``series``.
    index : int, default=0
        Index of the sequence to draw.

    Examples
    --------
    >>> waves = [np.sin(np.arange(20.0)), np.cos(np.arange(20.0))]
    >>> forecasts = Forecast(as_sequences([wave[:5] for wave in waves]))
    >>> len(forecast(waves, forecasts, index=1).get_lines())
    3
    """
    check_has_attribute("forecasts", forecasts, "the output of forecast", attribute="sequences")
    schema = forecasts.sequences.schema
    sequences = as_sequences(series).convert_to_schema(schema)
    true_future = None if truth is None else as_sequences(truth).convert_to_schema(schema)
    counts = {len(x) for x in (sequences, forecasts.sequences, true_future) if x is not None}
    if counts != {len(sequences)} or not -len(sequences) <= index < len(sequences):
        raise DataError(
            f"Expected a forecast for each of {len(sequences)} sequences, and the index of one of "
            f"them. Got {len(forecasts.sequences)} forecasts, and index {index}."
        )
    if not schema.numeric.any():
        raise DataError(
            "A forecast without numeric columns cannot be drawn. Print `Forecast.values` instead."
        )
    index = range(len(sequences))[index]  # -1 is the last one
    past, future = sequences[[index]], forecasts.sequences[[index]]
    num_past, num_future = len(past.values), len(future.values)
    num_history = max(HISTORY_STEPS_PER_FORECAST_STEP * num_future, MIN_HISTORY_STEPS)
    first_drawn = max(0, num_past - num_history)
    history = past.values[first_drawn:]
    groups = charts.group_columns_by_panel(schema, history)
    colors, panels = charts.choose_column_colors(groups), _make_panels(ax, len(groups))
    for panel, columns in zip(panels, groups, strict=True):
        for column in columns:
            color = colors[column]
            pale: dict[str, Any] = {"color": color, "linewidth": 1.1, "alpha": 0.55}
            panel.plot(np.arange(first_drawn, num_past), history[:, column], **pale)
            if true_future is not None:
                true_values = true_future[[index]].values[:num_future, column]
                panel.plot(num_past + np.arange(len(true_values)), true_values, **pale)
            # the line of the forecast begins at the last step of the sequence, to leave no gap
            last_value = history[-1:, column]  # empty if the sequence is empty
            steps = np.arange(num_past - len(last_value), num_past + num_future)
            values = np.concatenate([last_value, future.values[:, column]])
            panel.plot(steps, values, color=color, linewidth=1.8)
            if forecasts.lower is not None and forecasts.upper is not None:
                bounds = (forecasts.lower[index, :, column], forecasts.upper[index, :, column])
                low, high = (np.concatenate([last_value, bound]) for bound in bounds)
                panel.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
        panel.axvline(num_past - 0.5, color=MUTED_COLOR, linewidth=0.8, linestyle=":")
        if legend := _label_axis_or_make_legend(panel, schema, columns, colors):
            add_legend_beside(panel, legend)
    note = "" if forecasts.alpha is None else f"  ·  bounds of {100 * (1 - forecasts.alpha):g} %"
    title = f"{forecasts.ids[index]}{note}" + _describe_drawn_columns(groups, schema, "  ·  ")
    return _finish_panels(panels, title, first_step=first_drawn, end_step=num_past + num_future)


def _make_panels(ax: Axes | None, num_panels: int) -> list[Axes]:
    """Return panels one below the other, in place of `ax` or on a new figure."""
    height = 3.2 if num_panels == 1 else 0.8 + 1.3 * num_panels
    return split_axes_into_panels(get_or_make_axes(ax, figsize=(9.0, height)), num_panels)


def _finish_panels(panels: Sequence[Axes], title: str, first_step: int, end_step: int) -> Axes:
    """Set the title, the range of steps and the ticks of panels; return the first panel."""
    # the range has at least one step, even if the sequence is empty; all panels share it
    panels[0].set_xlim(first_step - 0.5, max(end_step, first_step + 1) - 0.5)
    panels[-1].set_xlabel("step")
    panels[0].set_title(title, fontsize="small", loc="left")
    for panel in panels:
        use_integer_ticks(panel)
        tidy_axes(panel)
    return panels[0]
