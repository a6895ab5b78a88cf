"""Functions that return a `Chart`, which is data, and helpers that choose columns and texts.

`refold.plots` draws charts with matplotlib, and `refold.report` draws them with Plotly.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.messages import format_rounded
from refold._support.rules import check_has_attribute, check_not_empty
from refold.diagnosis import LatentDimensions
from refold.errors import ParameterError
from refold.evaluation import ErrorCurve, GroupErrors
from refold.sequences import Column, Schema, Sequences

PALETTE = (
    "#3f7ee8",
    "#e8833a",
    "#2a9d8f",
    "#d1578f",
    "#8a63d2",
    "#c9a227",
    "#d64545",
    "#46b3d6",
    "#7a9a3a",
    "#a5714e",
)
"""Colors of groups, most distinct first; readable on white and on near-black backgrounds."""

# Color of what a chart is about, such as the error of Refold.
ACCENT_COLOR = PALETTE[0]
# Color of what stands out next to it, such as the best epoch.
CONTRAST_COLOR = PALETTE[1]
# Colors of other marks, such as the initial weights and a refit.
GREEN, VIOLET = PALETTE[2], PALETTE[4]
# Color of wrong values, which no category has.
WRONG_COLOR = PALETTE[6]
# Color of what is only for comparison, such as the error of PCA.
MUTED_COLOR = "#8d95a3"
RAMP = ("#3f5fd8", "#8a63d2", "#d1578f", "#e8833a", "#e2b53c")
"""Colors of a scale from low to high values."""

# The columns that a chart shows: the numeric ones, or all others.
NumericOrCategorical = Literal["numeric", "categorical"]
# Titles of the axis of errors, by the type of the columns.
ERROR_AXIS_TITLES = {
    "numeric": "squared error (1: the variance)",
    "categorical": "share of wrong values",
}
# Colors of methods in their order: Refold, PCA and any others.
METHOD_COLORS = (ACCENT_COLOR, MUTED_COLOR, *PALETTE[1:])
# If sequences have more different lengths than this, they are counted in bins, because more bars
# would be too thin.
MAX_LENGTH_BARS = 40
# Points in the plane have at most this many colors, because eyes cannot tell more of them apart.
MAX_COLORED_GROUPS = len(PALETTE)
# Largest number of latent dimensions with a bar: those with the largest effects. More bars would
# be too thin.
MAX_DIMENSION_BARS = 40
# Largest number of columns that the hover text of a latent dimension lists. These are
# the columns that the dimension changes most.
MAX_AFFECTED_COLUMNS = 5
# Largest number of panels for columns of different scales, one below the other, which must fit on
# a screen.
MAX_PANELS = 4
# Largest number of lines in a panel, because more of them cover each other.
MAX_LINES_PER_PANEL = 4
# The range of a column is at least this share of its axis. Otherwise the column gets another axis.
MIN_COLUMN_SHARE_OF_AXIS = 0.2
# Names of the values of a binary column.
BINARY_VALUE_NAMES = ("0", "1")
# Category index of a step that is missing in a reconstruction, which is shorter than the original.
ABSENT_STEP_CATEGORY = -1.0


@dataclass(frozen=True)
class Marks:
    """Lines, points, bars or runs that share a name, a color and a style."""

    mark_type: Literal["lines", "points", "bars", "runs"]
    # of points and lines, coordinates (n_points,); of bars, positions, even if bars are horizontal;
    # of runs, both ends (n_runs, 2)
    x: Any
    y: Any  # of points and lines, coordinates; of bars, lengths; of runs, indices of the rows
    name: str = ""  # entry in the legend
    color: Any = ACCENT_COLOR  # a color, or numbers on a color scale, (n_points,)
    # a key of the options by style in plots/_matplotlib.py and in report/_page.py
    style: str = ""
    thickness: float = 0.8  # width of bars, or height of runs, in units of the axis
    # The fields below are only for the report, which is interactive.
    hover_texts: Sequence[str] = ()  # one for each point, with line breaks
    value_label: str = ""  # of a line: the text before the value of a point
    legend_group: str = ""  # a click in the legend shows or hides all marks of a group
    is_hidden: bool = False  # whether the marks are hidden until a click


@dataclass(frozen=True)
class Axis:
    """Title and scale of an axis."""

    title: str = ""
    tick_names: Sequence[str] = ()  # names of the positions 0, 1, ...
    has_integer_ticks: bool = False
    starts_at_zero: bool = False
    is_log: bool = False


@dataclass(frozen=True)
class Chart:
    """Marks between two axes."""

    marks: Sequence[Marks]
    x_axis: Axis
    y_axis: Axis
    title: str = ""
    subtitle: str = ""
    is_horizontal: bool = False  # bars begin at the y axis
    grid_axis: Literal["x", "y"] | None = "y"  # axis whose ticks have grid lines
    legend_title: str = ""  # also of a color bar

    @property
    def has_legend(self) -> bool:
        """Whether marks have at least two names."""
        return len({marks.name for marks in self.marks} - {""}) > 1


# Data and training


def length_histogram(lengths: ArrayLike) -> Chart:
    """Return bars with the number of sequences by length, in bins if there are many lengths."""
    lengths = check_array("lengths", lengths, ("n_sequences",)).astype(int)
    check_not_empty(lengths.size, "sequence", "to draw lengths of")
    low, high = int(lengths.min()), int(lengths.max())
    bin_width = -(-(high - low + 1) // MAX_LENGTH_BARS)  # -(-a // b) is a / b, rounded up
    first = np.arange(low, high + 1, bin_width)  # shortest length in each bin
    last = first + bin_width - 1  # longest length in each bin
    counts = np.bincount((lengths - low) // bin_width, minlength=len(first))
    hover = [
        f"{count:,} of {_format_range(*ends)} steps"
        for count, *ends in zip(counts.tolist(), first.tolist(), last.tolist(), strict=True)
    ]
    bars = Marks("bars", (first + last) / 2, counts, thickness=0.9 * bin_width, hover_texts=hover)
    x = Axis("steps", has_integer_ticks=True)
    return Chart([bars], x, Axis("sequences", starts_at_zero=True))


def loss_chart(history: Mapping[str, Sequence[Any]], initial_loss: float | None = None) -> Chart:
    """Return lines of losses by epoch, with marks at the initialization and the best epoch."""
    check_has_attribute(
        "history", history, "a mapping, such as history_ of an estimator", attribute="get"
    )
    # None, which some epochs have, becomes NaN
    losses, validation = (np.array(history.get(key, ()), float) for key in ("loss", "val_loss"))
    num_epochs = max(len(losses), len(validation))
    if num_epochs == 0:
        raise ParameterError(
            f"history must have the losses under 'loss'. Got the keys {sorted(history)}."
        )
    epochs = np.asarray(history.get("epoch", np.arange(1, num_epochs + 1)))
    is_refit = np.array(history.get("phase", ["validated"] * num_epochs)) == "refit"
    marks = []
    for curve, is_in_curve, name, color, style in (
        (losses, ~is_refit, "training", MUTED_COLOR, ""),
        (losses, is_refit, "refit on all data", VIOLET, "dot"),
        (validation, ~is_refit, "validation", ACCENT_COLOR, ""),
    ):
        rows = np.flatnonzero(is_in_curve[: len(curve)])
        if np.isfinite(curve[rows]).any():
            marks.append(Marks("lines", epochs[rows], curve[rows], name, color, style))
    if initial_loss is not None:
        name = f"initial weights: {format_rounded(initial_loss)}"
        marks.append(Marks("points", [0], [initial_loss], name, GREEN, "diamond"))
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        best_epoch, value = epochs[best], validation[best]
        if initial_loss is not None and initial_loss <= value:
            best_epoch, value = 0, initial_loss  # epoch 0: before training
        name = f"best: {format_rounded(value)}"
        marks.append(Marks("points", [best_epoch], [value], name, CONTRAST_COLOR, "ring"))
    all_losses = np.concatenate([losses, validation, np.array([initial_loss], float)])
    is_log = _needs_log_axis(all_losses[np.isfinite(all_losses)], min_ratio=3)
    x = Axis("epoch", has_integer_ticks=True, starts_at_zero=True)
    return Chart(marks, x, Axis("loss", is_log=is_log))


# Errors


def feature_error_bars(
    errors_by_method: Mapping[str, Any], feature_names: Sequence[str], column_type: str
) -> Chart:
    """Return horizontal bars of the error of each feature, with methods side by side."""
    positions = np.arange(len(feature_names))
    marks = _make_error_bars_or_lines("bars", errors_by_method, positions, feature_names)
    x = Axis(ERROR_AXIS_TITLES[column_type], starts_at_zero=True)
    y = Axis(tick_names=[str(name) for name in feature_names])
    return Chart(marks, x, y, is_horizontal=True, grid_axis="x")


def error_by_length_bars(errors_by_method: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Return bars of the error of sequences of similar length."""
    groups = next(iter(errors_by_method.values()))  # the groups of all methods are the same
    notes = [
        f"{name} steps, {count:,} sequences"
        for name, count in zip(groups.names, groups.num_sequences, strict=True)
    ]
    errors = {method: getattr(group, column_type) for method, group in errors_by_method.items()}
    marks = _make_error_bars_or_lines("bars", errors, np.arange(len(notes)), notes)
    x = Axis("steps in the sequence", tick_names=groups.names)
    return Chart(marks, x, Axis(ERROR_AXIS_TITLES[column_type], starts_at_zero=True))


def position_error_lines(errors_by_method: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Return lines of the error along the sequence."""
    groups = next(iter(errors_by_method.values()))  # the groups of all methods are the same
    notes = [
        f"{'step' if first == last else 'steps'} {_format_range(first, last)}, {count:,} sequences"
        for first, last, count in zip(groups.first, groups.last, groups.num_sequences, strict=True)
    ]
    errors = {method: getattr(group, column_type) for method, group in errors_by_method.items()}
    marks = _make_error_bars_or_lines("lines", errors, (groups.first + groups.last) / 2, notes)
    y = Axis(ERROR_AXIS_TITLES[column_type], starts_at_zero=True)
    return Chart(marks, Axis("step", has_integer_ticks=True), y)


def _make_error_bars_or_lines(
    mark_type: Literal["bars", "lines"],
    errors_by_method: Mapping[str, Any],
    axis_coordinates: np.ndarray,
    hover_notes: Sequence[str],
) -> list[Marks]:
    """Return the marks of each method, with bars side by side, and notes in their hover text."""
    # the bars of a position fill 0.8 of the distance to the next position, with gaps between them
    width = 0.8 / len(errors_by_method)
    marks = []
    for i, (method, values) in enumerate(errors_by_method.items()):
        # the bars of a position are centered on it; lines are not shifted
        shift = (i - (len(errors_by_method) - 1) / 2) * width if mark_type == "bars" else 0
        texts = ["never observed" if np.isnan(value) else format_rounded(value) for value in values]
        hover = [f"{method}: {text}\n{note}" for text, note in zip(texts, hover_notes, strict=True)]
        color = METHOD_COLORS[i % len(METHOD_COLORS)]
        options: dict[str, Any] = {"thickness": 0.92 * width, "hover_texts": hover}
        marks.append(Marks(mark_type, axis_coordinates + shift, values, method, color, **options))
    return marks


def code_size_chart(curve: ErrorCurve) -> Chart:
    """Return lines of the held-out error of PCA and of Refold by code size."""
    marks = [
        Marks("lines", curve.sizes, curve.pca, "PCA, given the lengths", MUTED_COLOR, "markers"),
        Marks("lines", curve.sizes, curve.errors, "Refold", ACCENT_COLOR, "markers"),
    ]
    is_log = _needs_log_axis(np.concatenate([curve.pca, curve.errors]), min_ratio=10)
    y = Axis(f"held-out error ({curve.measure})", starts_at_zero=not is_log, is_log=is_log)
    return Chart(marks, Axis("latent dimensions"), y)


# Codes


def latent_effect_bars(
    dimensions: LatentDimensions,
    column_names: Sequence[str] = (),
    *,
    latent_dim: int = 0,
    rocket_dim: int = 0,
    length_dim: int = 0,
    is_inactive: np.ndarray | None = None,  # (num_dimensions,): which ones to draw in gray
) -> Chart:
    """Return bars of the effect of each latent dimension, largest first, with a color by type."""
    order = dimensions.order_by_effect[:MAX_DIMENSION_BARS]
    # a code has learned dimensions, then the length, then ROCKET features
    first_rocket = latent_dim - rocket_dim
    is_rocket = (order >= first_rocket) & (order < latent_dim)
    is_length = (order >= first_rocket - length_dim) & (order < first_rocket)
    is_gray = np.zeros(len(order), bool) if is_inactive is None else is_inactive[order]
    marks = []
    for mask, type_name, color in (
        (~is_rocket & ~is_length & ~is_gray, "learned", ACCENT_COLOR),
        (is_rocket & ~is_gray, "ROCKET features", CONTRAST_COLOR),
        (is_length & ~is_gray, "length", GREEN),
        (is_gray, "inactive", MUTED_COLOR),
    ):
        texts = []
        for i in order[mask].tolist():
            lines = [
                describe_dimension(dimensions, i),
                f"change {format_rounded(float(dimensions.mean_effect[i]))}",
                f"variance {format_rounded(float(dimensions.deviation[i]) ** 2)}",
            ]
            effects = dimensions.effect[i]  # (num_columns,)
            most_affected = np.argsort(-effects, kind="stable")[:MAX_AFFECTED_COLUMNS].tolist()
            for column in most_affected if len(column_names) > 1 else ():
                effect_text = format_rounded(float(effects[column]))
                lines.append(f"change of {column_names[column]} {effect_text}")
            texts.append("\n".join(lines))
        if texts:
            positions, heights = np.flatnonzero(mask), dimensions.mean_effect[order[mask]]
            marks.append(Marks("bars", positions, heights, type_name, color, hover_texts=texts))
    ticks = [dimensions.names[i] for i in order]
    y = Axis("change per standard deviation", starts_at_zero=True)
    return Chart(marks, Axis("latent dimension", tick_names=ticks), y)


def describe_dimension(dimensions: LatentDimensions, dimension: int) -> str:
    """Return "dimension 3" for a dimension with the name "3", or another name as it is."""
    name = dimensions.names[dimension]
    return f"dimension {name}" if name.isdigit() else name


def sweep_lines(decoded: Sequences, column: int, standard_deviations: Sequence[float]) -> Chart:
    """Return lines from blue to yellow: the values of one column in the sequences of a sweep."""
    low, high = min(standard_deviations), max(standard_deviations)
    # The color of a line is interpolated between the colors of the scale, separately for red, green
    # and blue (each from 0 to 255). A color is "#rrggbb", with two hexadecimal digits for each.
    ramp_channels = [[int(color[c : c + 2], 16) for color in RAMP] for c in (1, 3, 5)]
    ramp_shares = np.linspace(0, 1, len(RAMP))
    marks = []
    for i, num_stds in enumerate(standard_deviations):
        values = decoded[[i]].values[:, column]
        share = 0.5 if high == low else (num_stds - low) / (high - low)
        rgb = [round(np.interp(share, ramp_shares, channel)) for channel in ramp_channels]
        color = "#" + "".join(f"{channel:02x}" for channel in rgb)
        name = format_signed_number(num_stds)
        line = Marks("lines", np.arange(len(values)), values, name, color)
        label = f"{name} standard deviations"
        marks.append(replace(line, value_label=label, legend_group=name))
    x, y = Axis("step", has_integer_ticks=True), Axis(decoded.schema.names[column])
    return Chart(marks, x, y, grid_axis=None, legend_title="std. dev.")


def code_scatter_chart(
    points: np.ndarray,
    axis_names: tuple[str, str],
    labels: ArrayLike | None = None,
    *,
    label_name: str = "",
    label_order: Sequence[str] = (),
    hover_texts: Sequence[str] = (),
) -> Chart:
    """Return points (n, 2), colored by label (at most ten colors) or by number on a scale."""
    labels = np.full(len(points), "") if labels is None else np.asarray(labels)
    groups = _group_points_by_label(labels, label_order)
    if groups is None:
        colors = labels.astype(float)
        marks = [Marks("points", points[:, 0], points[:, 1], color=colors, hover_texts=hover_texts)]
    else:
        marks = [
            Marks(
                "points",
                *points[rows].T,
                name=name,
                color=color,
                hover_texts=[hover_texts[int(i)] for i in rows if hover_texts],
            )
            for name, rows, color in groups
        ]
    x, y = map(Axis, axis_names)
    return Chart(marks, x, y, grid_axis=None, legend_title=label_name)


def _group_points_by_label(
    labels: np.ndarray, label_order: Sequence[str]
) -> list[tuple[str, np.ndarray, str]] | None:
    """Return name, rows and color of each label or of the rare ones; None for many numbers."""
    names, indices = np.unique([str(label) for label in labels], return_inverse=True)
    if len(names) > MAX_COLORED_GROUPS and _are_numbers(labels):
        return None
    frequent = _color_frequent_names(indices, list(map(str, names)), PALETTE, label_order)
    groups = [(name, np.flatnonzero(indices == i), color) for i, name, color in frequent]
    if len(frequent) < len(names):
        rare_rows = np.flatnonzero(~np.isin(indices, [i for i, _, _ in frequent]))
        groups.append((f"{len(names) - len(frequent)} others", rare_rows, MUTED_COLOR))
    return groups


def _color_frequent_names(
    name_indices: np.ndarray, names: Sequence[str], colors: Sequence[str], name_order: Sequence[str]
) -> list[tuple[int, str, str]]:
    """Return index, name and color of the most frequent names, sorted by `name_order` and name."""
    counts = np.bincount(name_indices, minlength=len(names))
    ranks = {name: rank for rank, name in enumerate(name_order)}
    sort_keys = {
        i: (ranks.get(names[i], len(ranks)), _make_natural_sort_key(names[i]))
        for i in range(len(names))
        if counts[i]
    }
    # if there are too many names, one color less, because the group of the others has a color, too
    num_colored = len(colors) if len(sort_keys) <= len(colors) else len(colors) - 1
    # of equally frequent names, the first ones are chosen
    by_count = sorted(sort_keys, key=lambda i: (-counts[i], sort_keys[i]))
    frequent = sorted(by_count[:num_colored], key=sort_keys.__getitem__)
    # not strict, because there may be more colors than names
    return [(i, names[i], color) for i, color in zip(frequent, colors, strict=False)]


def get_pandas_categories(labels: Any) -> list[str]:
    """Return the categories of a Categorical of pandas, in their order; [] for other labels."""
    categories = getattr(getattr(labels, "dtype", None), "categories", None)
    return [] if categories is None else [str(name) for name in categories]


def _make_natural_sort_key(name: str) -> tuple[Any, ...]:
    """Return a key that sorts by numbers, also inside of names, so "item 9" is before "item 10"."""
    try:
        value = float(name)
    except ValueError:
        value = np.nan
    if np.isfinite(value):
        return 0, value
    pieces = re.split(r"(\d+)", name)  # text and digits in turn
    return 1, [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


# Reconstructions


def reconstruction_lines(
    original: Sequences,
    reconstructions: Mapping[str, Sequences],
    columns: Sequence[int],
    visible_columns: Sequence[int],
    column_colors: Mapping[int, str],
) -> Chart:
    """Return a line for each column of a sequence and its reconstructions, Refold's first."""
    # Two kinds of lines are hidden until a click: those of columns that are not in
    # `visible_columns`, and those of all reconstructions but the first.
    names = original.schema.names
    first_method, *other_methods = reconstructions
    marks = []
    for column in columns:
        options: dict[str, Any] = {"color": column_colors[column], "legend_group": str(column)}
        options["is_hidden"] = column not in visible_columns
        before = _make_column_line(original, column, "original", style="original", **options)
        options["style"] = "reconstruction"
        after = _make_column_line(reconstructions[first_method], column, first_method, **options)
        marks += [before, replace(after, name=names[column])]
    for method in other_methods:
        for column in sorted(visible_columns):
            # the legend has one entry for all columns
            name = method if column == min(visible_columns) else ""
            color = column_colors[column] if len(visible_columns) > 1 else MUTED_COLOR
            options = {"name": name, "color": color, "legend_group": method, "is_hidden": True}
            options["style"] = "thin dots"
            marks.append(_make_column_line(reconstructions[method], column, method, **options))
    return Chart(marks, Axis("step", has_integer_ticks=True), Axis(), grid_axis=None)


def _make_column_line(sequence: Sequences, column_index: int, method: str, **options: Any) -> Marks:
    """Return the line of one column of a single sequence."""
    values = sequence.values[:, column_index]
    label = f"{sequence.schema.names[column_index]}, {method}"
    return Marks("lines", np.arange(len(values)), values, value_label=label, **options)


def sort_columns_by_variance(schema: Schema, values: np.ndarray) -> list[int]:
    """Return the numeric columns of values (n_steps, n_columns), largest variance first."""
    numeric = np.flatnonzero(schema.numeric)
    if not len(values):
        return numeric.tolist()
    observed = np.ma.masked_invalid(values[:, numeric])
    spread = observed.std(axis=0).filled(0.0)  # 0 for a column that is never observed
    return numeric[np.argsort(-spread, kind="stable")].tolist()


def choose_column_colors(groups: Sequence[Sequence[int]]) -> dict[int, str]:
    """Return a color by column, for the columns of all groups."""
    columns = [column for group in groups for column in group]
    return {column: PALETTE[i % len(PALETTE)] for i, column in enumerate(columns)}


def group_columns_by_range(
    schema: Schema, minima: np.ndarray, maxima: np.ndarray
) -> list[list[int]]:
    """Return at most four groups of numeric columns that fit on one axis, by their ranges."""
    # The ranges are arrays (num_columns,). Each column of a group fills at least the share
    # `MIN_COLUMN_SHARE_OF_AXIS` of the axis. Columns that need a fifth axis are left out. So are
    # constant columns, unless all columns are constant.
    groups: list[list[int]] = []
    numeric = np.flatnonzero(schema.numeric).tolist()
    for column in (column for column in numeric if maxima[column] > minima[column]):
        for group in groups:
            members = [*group, column]
            axis_range = maxima[members].max() - minima[members].min()
            if (maxima[members] - minima[members]).min() >= MIN_COLUMN_SHARE_OF_AXIS * axis_range:
                group.append(column)
                break
        else:  # the column fits on no axis
            groups += [[column]] if len(groups) < MAX_PANELS else []
    return groups or [[column] for column in numeric[:MAX_PANELS]]


def group_columns_by_panel(schema: Schema, values: np.ndarray) -> list[list[int]]:
    """Return the columns of at most four panels, given values (n_steps, n_columns)."""
    if schema.numeric.any():  # then other columns are not drawn
        values = values.astype(float)
        low = np.fmin.reduce(values, axis=0, initial=np.inf)  # ignores NaN
        high = np.fmax.reduce(values, axis=0, initial=-np.inf)
        ranked = sort_columns_by_variance(schema, values)
        groups = group_columns_by_range(schema, low, high)
        return [sorted([c for c in ranked if c in group][:MAX_LINES_PER_PANEL]) for group in groups]
    # all binary columns share a panel, and each categorical column has its own
    has_categories = [column.column_type.has_categories for column in schema.columns]
    binary = [i for i, is_categorical in enumerate(has_categories) if not is_categorical]
    separate = [[i] for i, is_categorical in enumerate(has_categories) if is_categorical]
    # the panel of the binary columns is one of `MAX_PANELS`
    return ([binary] if binary else []) + separate[: MAX_PANELS - bool(binary)]


def is_drawn_as_strip(column: Column, schema: Schema) -> bool:
    """Return whether a column is drawn as runs: it has categories, but not words or characters."""
    return schema.layout != "words" and any(len(str(name)) > 1 for name in column.categories)


def category_strips(
    named_rows: Sequence[tuple[str, np.ndarray]],
    categories: Sequence[Any],
    indices_for_colors: np.ndarray,
    wrong_masks: Sequence[np.ndarray] = (),
) -> Chart:
    """Return runs of categories, with a row of the chart for each (name, category indices)."""
    # `wrong_masks` has a mask of steps for each row but the first, which is the original.
    # `indices_for_colors` are the category indices of all data, so that the most frequent
    # categories have the same colors on all charts.
    names = [*map(str, categories), "unknown"]
    # categories that are not sorted have an order of their own, as in a Categorical of pandas
    order = () if names[:-1] == sorted(names[:-1]) else names
    indices = indices_for_colors[indices_for_colors >= 0].astype(int)
    colors = [color for color in PALETTE if color != WRONG_COLOR]
    frequent = _color_frequent_names(indices, names, colors, order)
    rare = {*range(len(names))} - {i for i, _, _ in frequent}
    # missing values are in no run
    rows = [np.nan_to_num(values, nan=ABSENT_STEP_CATEGORY).astype(int) for _, values in named_rows]
    marks = [_make_run_marks(rows, {i}, names, name, color) for i, name, color in frequent]
    marks.append(_make_run_marks(rows, rare, names, "others", MUTED_COLOR))
    if len(wrong_masks):
        mask_rows = [np.zeros(0), *wrong_masks]
        line = _make_run_marks(mask_rows, {True}, ["", "wrong"], "wrong", WRONG_COLOR)
        # a thin line at the lower edge of the runs, because y grows downward
        marks.append(replace(line, y=line.y + 0.46, thickness=0.12))
    y = Axis(tick_names=[name for name, _ in named_rows])
    return Chart(marks, Axis("step", has_integer_ticks=True), y, is_horizontal=True, grid_axis=None)


def _make_run_marks(
    chart_rows: Sequence[np.ndarray],  # category indices or a mask, (n_steps,) each
    values_to_draw: set[int],
    value_names: Sequence[str],
    legend_name: str,
    color: str,
) -> Marks:
    """Return the runs of `values_to_draw` in all rows, as marks of one color."""
    ends, row_indices, texts = [], [], []
    for row, values in enumerate(chart_rows):
        # first step of each run, and the end of the last one; no value is -2
        edges = np.flatnonzero(np.diff(values.astype(int), prepend=-2, append=-2)).tolist()
        for first, end in pairwise(edges):
            if values[first] in values_to_draw:
                ends.append((first - 0.5, end - 0.5))
                row_indices.append(row)
                steps = f"{'step' if end == first + 1 else 'steps'} {_format_range(first, end - 1)}"
                texts.append(f"{value_names[int(values[first])]}\n{steps}")
    ends, y = np.reshape(ends, (-1, 2)), np.array(row_indices, dtype=float)
    return Marks("runs", ends, y, legend_name, color, hover_texts=texts, legend_group=legend_name)


def pad_reconstruction_and_find_wrong(
    original: np.ndarray, reconstructed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a reconstructed column, with -1 for missing last steps, and a mask of wrong steps."""
    padding = np.full(max(0, len(original) - len(reconstructed)), ABSENT_STEP_CATEGORY)
    is_wrong = np.append(compute_wrong_mask(original, reconstructed), np.ones(len(padding), bool))
    return np.append(reconstructed, padding), is_wrong


def get_category_texts(step_values: np.ndarray, column: Column) -> list[str]:
    """Return the name of the value at each step: "·" if it is missing, "–" if there is no step."""
    names = [str(name) for name in column.categories] or list(BINARY_VALUE_NAMES)
    texts = []
    for value in step_values.tolist():
        if np.isnan(value):
            texts.append("·")
        elif value == ABSENT_STEP_CATEGORY:
            texts.append("–")
        else:
            # an unknown category has an index beyond the names
            texts.append(names[round(value)] if round(value) < len(names) else "?")
    return texts


def compute_wrong_mask(original: np.ndarray, reconstructed: np.ndarray) -> np.ndarray:
    """Return a mask of wrong values; all values beyond the end of the original are wrong."""
    num_common = min(len(original), len(reconstructed))
    is_wrong = np.ones(reconstructed.shape, bool)
    before, after = original[:num_common], np.round(reconstructed[:num_common])
    # if the original value is missing, no value is wrong
    is_wrong[:num_common] = (np.round(before) != after) & ~np.isnan(before)
    return is_wrong


def make_heatmap_rows(sequence: Sequences, columns: Sequence[int]) -> np.ndarray:
    """Return a row of shades from 0 to 1 for each column or category (n_rows, n_steps)."""
    rows: list[np.ndarray] = []
    for i in columns:
        column, values = sequence.schema.columns[i], sequence.values[:, i]
        if column.column_type.has_categories:
            one_hot = values == np.arange(len(column.categories))[:, None]
            rows += [*np.where(np.isnan(values), np.nan, one_hot)]
        else:
            rows.append(values.astype(float))
    return np.array(rows)


# Text and numbers


def format_signed_number(value: float) -> str:
    """Format a number of standard deviations with its sign, such as "+1.3"; 0 has none."""
    return f"{value:+.1f}" if value else "0"


def _format_range(low: int, high: int) -> str:
    """Return a range of integers, such as "3 to 5", or "3"."""
    return str(low) if low == high else f"{low} to {high}"


def _needs_log_axis(values: np.ndarray, min_ratio: float) -> bool:
    """Return whether all values are positive, with a ratio of the extremes above ``min_ratio``."""
    return bool(values.size and values.min() > 0 and values.max() > min_ratio * values.min())


def _are_numbers(labels: np.ndarray) -> bool:
    """Return whether all labels are missing or numbers, which may be text such as "3"."""
    try:
        values = labels.astype(float)
    except (TypeError, ValueError):
        return False
    return not np.isinf(values).any() and not np.isnan(values).all()
