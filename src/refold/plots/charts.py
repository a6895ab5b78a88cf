"""What the figures show, as data: matplotlib draws it for `refold.plots`, Plotly for the report."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.output import short_number
from refold._support.rules import check_kind, check_some
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

ACCENT, CONTRAST, GREEN, VIOLET, WRONG = (PALETTE[i] for i in (0, 1, 2, 4, 6))
MUTED = "#8d95a3"
RAMP = ("#3f5fd8", "#8a63d2", "#d1578f", "#e8833a", "#e2b53c")
"""Colors of a scale from low to high values."""

ColumnGroup = Literal["numeric", "categorical"]
ERROR_UNITS = {
    "numeric": "squared error (1: the variance)",
    "categorical": "share of wrong values",
}
METHOD_COLORS = (ACCENT, MUTED, *PALETTE[1:])
MAX_LENGTH_BARS = 40
MAX_GROUPS = 10  # of points with their own color
MAX_BARS = 40  # latent dimensions
MAX_AFFECTED = 5  # columns that a latent dimension changes most
MAX_PANELS, MAX_LINES = 4, 4  # of columns, and columns in each
MIN_SHARE = 0.2  # of an axis that a column fills at least, or else it has another axis
BINARY_NAMES = ("0", "1")
MISSING_STEP = -1.0


@dataclass(frozen=True)
class Marks:
    """Points that are drawn in the same way."""

    kind: Literal["lines", "points", "bars", "runs"]
    x: Any  # (n_points,), or the places of bars, of horizontal ones, too, or ends of runs (n, 2)
    y: Any  # (n_points,), or the lengths of bars, or the rows of runs
    name: str = ""  # entry in the legend
    color: Any = ACCENT  # a color, or numbers on a color scale, (n_points,)
    style: str = ""  # a key of `LINE_STYLES` or `POINT_STYLES` of both renderers
    size: float = 0.8  # width of bars, or height of runs
    # The rest is for the report, where the reader can point and click.
    hover: Sequence[str] = ()  # lines of text for each point
    quantity: str = ""  # of a line: the text before the value of a point
    group: str = ""  # marks that a click in the legend shows and hides together
    hidden: bool = False  # until then


@dataclass(frozen=True)
class Axis:
    """Title and scale of an axis."""

    title: str = ""
    ticks: Sequence[str] = ()
    whole: bool = False  # ticks at whole numbers only
    from_zero: bool = False
    log: bool = False


@dataclass(frozen=True)
class Chart:
    """Marks between two axes."""

    marks: Sequence[Marks]
    x: Axis
    y: Axis
    title: str = ""
    subtitle: str = ""
    horizontal: bool = False  # bars go from their places on the y axis to the right
    grid: Literal["x", "y"] | None = "y"  # the axis whose ticks have lines
    legend: str = ""  # title of the legend or of the color bar

    @property
    def has_legend(self) -> bool:
        """Whether several marks have names."""
        return len({marks.name for marks in self.marks} - {""}) > 1


# Data and training


def length_chart(lengths: ArrayLike) -> Chart:
    """Count sequences by length, in bins if there are many lengths."""
    lengths = check_array("lengths", lengths, ("n_sequences",)).astype(int)
    check_some(lengths.size, "sequence", "to draw lengths of")
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // MAX_LENGTH_BARS)
    first = np.arange(low, high + 1, width)
    last = first + width - 1
    counts = np.bincount((lengths - low) // width, minlength=len(first))
    hover = [
        f"{count:,} of {_range_text(*ends)} steps"
        for count, *ends in zip(counts.tolist(), first.tolist(), last.tolist(), strict=True)
    ]
    bars = Marks("bars", (first + last) / 2, counts, size=0.9 * width, hover=hover)
    return Chart([bars], Axis("steps", whole=True), Axis("sequences", from_zero=True))


def loss_chart(history: Mapping[str, Sequence[Any]], initial_loss: float | None = None) -> Chart:
    """Draw losses by epoch, and mark the initialization and the best epoch."""
    check_kind("history", history, "a mapping, such as history_ of an estimator", "get")
    losses, validation = (_floats(history.get(name, ())) for name in ("loss", "val_loss"))
    num_epochs = max(len(losses), len(validation))
    if num_epochs == 0:
        raise ParameterError(
            f"history must have the losses under 'loss'. Got the keys {sorted(history)}."
        )
    epochs = np.asarray(history.get("epoch", np.arange(1, num_epochs + 1)))
    refit = np.array(history.get("phase", ["validated"] * num_epochs)) == "refit"
    marks = []
    for curve, phase, name, color, style in (
        (losses, ~refit, "training", MUTED, ""),
        (losses, refit, "refit on all data", VIOLET, "dot"),
        (validation, ~refit, "validation", ACCENT, ""),
    ):
        rows = np.flatnonzero(phase[: len(curve)])
        if np.isfinite(curve[rows]).any():
            marks.append(Marks("lines", epochs[rows], curve[rows], name, color, style))
    if initial_loss is not None:
        name = f"initial weights: {short_number(initial_loss)}"
        marks.append(Marks("points", [0], [initial_loss], name, GREEN, "diamond"))
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        place, value = epochs[best], validation[best]
        if initial_loss is not None and initial_loss <= value:
            place, value = 0, initial_loss
        name = f"best: {short_number(value)}"
        marks.append(Marks("points", [place], [value], name, CONTRAST, "ring"))
    drawn = np.concatenate([losses, validation, _floats([initial_loss])])
    log = _needs_log(drawn[np.isfinite(drawn)], 3)
    return Chart(marks, Axis("epoch", whole=True, from_zero=True), Axis("loss", log=log))


# Errors


def feature_error_bars(errors: Mapping[str, Any], names: Sequence[str], column_type: str) -> Chart:
    """Draw the error of each feature as horizontal bars, with methods side by side."""
    marks = _error_marks("bars", errors, np.arange(len(names)), names)
    x, y = Axis(ERROR_UNITS[column_type], from_zero=True), Axis(ticks=[str(name) for name in names])
    return Chart(marks, x, y, horizontal=True, grid="x")


def length_error_bars(groups: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Draw the error of sequences of similar length as bars."""
    lengths = next(iter(groups.values()))
    notes = [
        f"{steps} steps, {num:,} sequences"
        for steps, num in zip(lengths.names, lengths.num_sequences, strict=True)
    ]
    errors = {method: getattr(group, column_type) for method, group in groups.items()}
    marks = _error_marks("bars", errors, np.arange(len(notes)), notes)
    x = Axis("steps in the sequence", ticks=lengths.names)
    return Chart(marks, x, Axis(ERROR_UNITS[column_type], from_zero=True))


def position_error_lines(groups: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Draw the error along the sequence as lines."""
    steps = next(iter(groups.values()))
    notes = [
        f"{'step' if low == high else 'steps'} {_range_text(low, high)}, {num:,} sequences"
        for low, high, num in zip(steps.first, steps.last, steps.num_sequences, strict=True)
    ]
    errors = {method: getattr(group, column_type) for method, group in groups.items()}
    marks = _error_marks("lines", errors, (steps.first + steps.last) / 2, notes)
    return Chart(marks, Axis("step", whole=True), Axis(ERROR_UNITS[column_type], from_zero=True))


def _error_marks(
    kind: Literal["bars", "lines"],
    errors: Mapping[str, Any],
    places: np.ndarray,
    notes: Sequence[str],
) -> list[Marks]:
    """Return marks for each method; bars stand side by side. ``notes`` are hover text."""
    width = 0.8 / len(errors)
    marks = []
    for i, (method, values) in enumerate(errors.items()):
        shift = (i - (len(errors) - 1) / 2) * width if kind == "bars" else 0
        texts = ["never observed" if np.isnan(value) else short_number(value) for value in values]
        hover = [f"{method}: {text}\n{note}" for text, note in zip(texts, notes, strict=True)]
        color = METHOD_COLORS[i % len(METHOD_COLORS)]
        line = Marks(kind, places + shift, values, method, color, size=0.92 * width, hover=hover)
        marks.append(line)
    return marks


def size_chart(curve: ErrorCurve) -> Chart:
    """Draw the held-out error of PCA and of Refold by code size."""
    marks = [
        Marks("lines", curve.sizes, curve.pca, "PCA, given the lengths", MUTED, "markers"),
        Marks("lines", curve.sizes, curve.errors, "Refold", ACCENT, "markers"),
    ]
    log = _needs_log(np.concatenate([curve.pca, curve.errors]), 10)
    error = Axis(f"held-out error ({curve.measure})", from_zero=not log, log=log)
    return Chart(marks, Axis("latent dimensions"), error)


# Codes


def latent_bars(
    dimensions: LatentDimensions,
    names: Sequence[str] = (),
    *,
    latent_dim: int = 0,
    rocket_dim: int = 0,
    length_dim: int = 0,
    inactive: np.ndarray | None = None,
) -> Chart:
    """Draw the effect of each latent dimension, largest first; ``names`` are those of columns."""
    order = dimensions.order[:MAX_BARS]
    idle = np.zeros(len(order), bool) if inactive is None else inactive[order]
    first_rocket = latent_dim - rocket_dim
    rocket = (order < latent_dim) & (order >= first_rocket)
    length = (order < first_rocket) & (order >= first_rocket - length_dim)
    marks = []
    for rows, name, color in (
        (~rocket & ~length & ~idle, "learned", ACCENT),
        (rocket & ~idle, "ROCKET features", CONTRAST),
        (length & ~idle, "length", GREEN),
        (idle, "inactive", MUTED),
    ):
        if rows.any():
            hover = [_described_dimension(dimensions, int(i), names) for i in order[rows]]
            places, values = np.flatnonzero(rows), dimensions.total[order[rows]]
            marks.append(Marks("bars", places, values, name, color, hover=hover))
    ticks = [dimensions.names[i] for i in order]
    effect = Axis("change per standard deviation", from_zero=True)
    return Chart(marks, Axis("latent dimension", ticks=ticks), effect)


def _described_dimension(dimensions: LatentDimensions, i: int, names: Sequence[str]) -> str:
    """Return name, effect, variance and most affected columns as lines."""
    lines = [
        latent_name(dimensions, i),
        f"change {short_number(float(dimensions.total[i]))}",
        f"variance {short_number(float(dimensions.deviation[i]) ** 2)}",
    ]
    if len(names) > 1:
        effect = dimensions.effect[i]
        for column in np.argsort(-effect, kind="stable")[:MAX_AFFECTED].tolist():
            lines.append(f"change of {names[column]} {short_number(float(effect[column]))}")
    return "\n".join(lines)


def latent_name(dimensions: LatentDimensions, i: int) -> str:
    """Return "dimension 3" for the name "3"."""
    name = dimensions.names[i]
    return f"dimension {name}" if name.isdigit() else name


def sweep_lines(decoded: Sequences, column: int, deviations: Sequence[float]) -> Chart:
    """Draw a numeric column of decoded sequences as lines from blue to yellow."""
    low, high = min(deviations), max(deviations)
    marks = []
    for i, deviation in enumerate(deviations):
        values = decoded[[i]].values[:, column]
        color = _ramp_color(0.5 if high == low else (deviation - low) / (high - low))
        name = signed(deviation)
        line = Marks("lines", np.arange(len(values)), values, name, color)
        marks.append(replace(line, quantity=f"{name} standard deviations", group=name))
    title = decoded.schema.names[column]
    return Chart(marks, Axis("step", whole=True), Axis(title), grid=None, legend="std. dev.")


def code_points(
    points: np.ndarray,
    names: tuple[str, str],
    labels: ArrayLike | None = None,
    *,
    label_name: str = "",
    label_order: Sequence[str] = (),
    hover: Sequence[str] = (),
) -> Chart:
    """Draw codes in the plane, in the colors of their labels: at most ten, or a color scale."""
    labels = np.full(len(points), "") if labels is None else np.asarray(labels)
    groups = _label_groups(labels, label_order)
    if groups is None:
        colors = labels.astype(float)
        marks = [Marks("points", points[:, 0], points[:, 1], color=colors, hover=hover)]
    else:
        marks = [
            Marks(
                "points",
                *points[rows].T,
                name=name,
                color=color,
                hover=[hover[int(i)] for i in rows if hover],
            )
            for name, rows, color in groups
        ]
    return Chart(marks, Axis(names[0]), Axis(names[1]), grid=None, legend=label_name)


def _label_groups(
    labels: np.ndarray, order: Sequence[str]
) -> list[tuple[str, np.ndarray, str]] | None:
    """Return name, rows and color of at most ten groups; None if labels are many numbers."""
    distinct, index = np.unique([str(label) for label in labels], return_inverse=True)
    if len(distinct) > MAX_GROUPS and _are_numbers(labels):
        return None
    groups = _common(index, list(map(str, distinct)), PALETTE, order)
    rows = [(name, np.flatnonzero(index == i), color) for i, name, color in groups]
    if len(groups) < len(distinct):
        rare = np.flatnonzero(~np.isin(index, [i for i, _, _ in groups]))
        rows.append((f"{len(distinct) - len(groups)} others", rare, MUTED))
    return rows


def _common(
    index: np.ndarray, names: Sequence[str], colors: Sequence[str], order: Sequence[str]
) -> list[tuple[int, str, str]]:
    """Return the most frequent names with a color each, in an order or that of `_sort_key`."""
    present, counts = np.unique(index, return_counts=True)
    num = len(colors) if len(present) <= len(colors) else len(colors) - 1
    places = {name: place for place, name in enumerate(order)}
    keys = {i: (places.get(names[i], len(places)), _sort_key(names[i])) for i in map(int, present)}
    common = sorted(zip(-counts, keys, strict=True), key=lambda c: (c[0], keys[c[1]]))
    shown = sorted((i for _, i in common[:num]), key=keys.__getitem__)
    return [(i, names[i], color) for i, color in zip(shown, colors, strict=False)]


def category_order(labels: Any) -> list[str]:
    """Return the order of the categories of a Categorical; other labels have none."""
    categories = getattr(getattr(labels, "dtype", None), "categories", None)
    return [] if categories is None else [str(name) for name in categories]


def _sort_key(name: str) -> tuple[Any, ...]:
    """Return a key that sorts numbers, also those inside of names, by their values."""
    try:
        number = float(name)
    except ValueError:
        number = np.nan
    if np.isfinite(number):
        return 0, number
    parts = re.split(r"(\d+)", name)
    return 1, [int(part) if i % 2 else part for i, part in enumerate(parts)]


# Reconstructions


def reconstruction_lines(
    original: Sequences,
    reconstructed: Mapping[str, Sequences],
    columns: Sequence[int],
    shown: Sequence[int],
    colors: Mapping[int, str],
) -> Chart:
    """Draw columns of a sequence and of its reconstruction, and of a linear one if there is one."""
    # The report hides the columns that are not in ``shown``, and the linear reconstruction.
    names = original.schema.names
    main, *linear = reconstructed
    marks = []
    for column in columns:
        look = {"color": colors[column], "group": str(column), "hidden": column not in shown}
        before = _line(original, column, "original", style="original", **look)
        after = _line(reconstructed[main], column, main, style="reconstruction", **look)
        marks += [before, replace(after, name=names[column])]
    for method in linear:
        for column in sorted(shown):
            name = method if column == min(shown) else ""  # one entry in the legend for all columns
            color = colors[column] if len(shown) > 1 else MUTED
            look = {"name": name, "color": color, "group": method, "hidden": True}
            marks.append(_line(reconstructed[method], column, method, style="thin dots", **look))
    return Chart(marks, Axis("step", whole=True), Axis(), grid=None)


def _line(sequence: Sequences, column: int, method: str, **look: Any) -> Marks:
    values, quantity = sequence.values[:, column], f"{sequence.schema.names[column]}, {method}"
    return Marks("lines", np.arange(len(values)), values, quantity=quantity, **look)


def by_variance(schema: Schema, values: np.ndarray) -> list[int]:
    """Return the numeric columns, largest variance first."""
    numeric = np.flatnonzero(schema.numeric)
    if not len(values):
        return numeric.tolist()
    observed = np.ma.masked_invalid(values[:, numeric])
    spread = observed.std(axis=0).filled(0.0)  # a column that is never observed has none
    return numeric[np.argsort(-spread, kind="stable")].tolist()


def column_colors(groups: Sequence[Sequence[int]]) -> dict[int, str]:
    """Return a color for each column."""
    columns = [column for group in groups for column in group]
    return {column: PALETTE[i % len(PALETTE)] for i, column in enumerate(columns)}


def column_groups(schema: Schema, low: np.ndarray, high: np.ndarray) -> list[list[int]]:
    """Group the numeric columns that fit on one axis, given their ranges (n_columns,).

    Each column of a group fills a good part of the axis. There are at most four groups: columns of
    further ones are left out, and so are constant columns if others are not.
    """
    groups: list[list[int]] = []
    numeric = np.flatnonzero(schema.numeric).tolist()
    for column in (column for column in numeric if high[column] > low[column]):
        for group in groups:
            members = [*group, column]
            whole = high[members].max() - low[members].min()
            if (high[members] - low[members]).min() >= MIN_SHARE * whole:
                group.append(column)
                break
        else:
            groups += [[column]] if len(groups) < MAX_PANELS else []
    return groups or [[column] for column in numeric[:MAX_PANELS]]


def line_panels(schema: Schema, values: np.ndarray) -> list[list[int]]:
    """Return the numeric columns (n_steps, n_columns) to draw on each axis, in their order."""
    values = values.astype(float)
    low = np.fmin.reduce(values, axis=0, initial=np.inf)  # ignores NaN
    high = np.fmax.reduce(values, axis=0, initial=-np.inf)
    ranked = by_variance(schema, values)
    groups = column_groups(schema, low, high)
    return [sorted([c for c in ranked if c in group][:MAX_LINES]) for group in groups]


def token_panels(schema: Schema) -> list[list[int]]:
    """Return the columns of each panel: binary ones together, others alone; at most four panels."""
    tokens = np.flatnonzero(~schema.numeric).tolist()
    alone = [[i] for i in tokens if schema.columns[i].column_type.has_categories]
    binary = [i for i in tokens if [i] not in alone]
    return ([binary] if binary else []) + alone[: MAX_PANELS - bool(binary)]


def is_strip(column: Column, schema: Schema) -> bool:
    """Return whether runs of a column are drawn in colors; characters and sentences are text."""
    return schema.layout != "words" and any(len(str(name)) > 1 for name in column.categories)


def strip_chart(
    rows: Sequence[tuple[str, np.ndarray]],
    categories: Sequence[Any],
    wrong: Sequence[np.ndarray] = (),
    *,
    observed: np.ndarray,
) -> Chart:
    """Draw runs of categories as colored strips, one row for each (name, indices).

    ``wrong`` marks steps of all rows but the first. The most frequent of the ``observed``
    indices have colors, which are the same on all charts of the same data.
    """
    names = [*map(str, categories), "unknown"]
    order = () if names[:-1] == sorted(names[:-1]) else names  # that of a Categorical
    index = observed[observed >= 0].astype(int)
    groups = _common(index, names, [color for color in PALETTE if color != WRONG], order)
    rare = [i for i in range(len(names)) if i not in {i for i, _, _ in groups}]
    looks = [*(([i], name, color) for i, name, color in groups), (rare, "others", MUTED)]
    filled = [np.nan_to_num(values, nan=MISSING_STEP).astype(int) for _, values in rows]
    marks = [_strips(filled, members, names, name, color) for members, name, color in looks]
    if len(wrong):
        line = _strips([np.zeros(0), *wrong], [True], ["", "wrong"], "wrong", WRONG)
        marks.append(replace(line, y=line.y + 0.46, size=0.12))
    y = Axis(ticks=[name for name, _ in rows])
    return Chart(marks, Axis("step", whole=True), y, horizontal=True, grid=None)


def _strips(
    rows: Sequence[np.ndarray],
    members: Sequence[int],
    names: Sequence[str],
    name: str,
    color: str,
) -> Marks:
    """Return the runs of some indices in rows."""
    ends, places, hover = [], [], []
    for row, values in enumerate(rows):
        edges = np.flatnonzero(np.diff(values.astype(int), prepend=-2, append=-2)).tolist()
        for first, end in pairwise(edges):
            if values[first] in members:
                ends.append((first - 0.5, end - 0.5))
                places.append(row)
                steps = f"{'step' if end == first + 1 else 'steps'} {_range_text(first, end - 1)}"
                hover.append(f"{names[int(values[first])]}\n{steps}")
    ends, places = np.reshape(ends, (-1, 2)), np.array(places, dtype=float)
    return Marks("runs", ends, places, name, color, hover=hover, group=name)


def compared(original: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a reconstructed column, with -1 for steps that it lacks, and which are wrong."""
    lacking = np.full(max(0, len(original) - len(back)), MISSING_STEP)
    return np.append(back, lacking), np.append(wrong_values(original, back), lacking < 0)


def letters(values: np.ndarray, column: Column) -> list[str]:
    """Return the name of each step, a dot if it is missing, and a dash if it is lacking."""
    names = [str(name) for name in column.categories] or list(BINARY_NAMES)
    texts = []
    for value in values.tolist():
        if np.isnan(value):
            texts.append("·")
        elif value == MISSING_STEP:
            texts.append("–")
        else:
            texts.append(names[round(value)] if round(value) < len(names) else "?")
    return texts


def wrong_values(original: np.ndarray, reconstructed: np.ndarray) -> np.ndarray:
    """Mark the wrong values of a reconstruction, and all beyond the end of the original."""
    common = min(len(original), len(reconstructed))
    wrong = np.ones(reconstructed.shape, bool)
    before, after = original[:common], np.round(reconstructed[:common])
    wrong[:common] = (np.round(before) != after) & ~np.isnan(before)  # missing ones do not count
    return wrong


def strips(sequence: Sequences, columns: Sequence[int]) -> np.ndarray:
    """Return a row from 0 to 1 for each column or category, (n_rows, n_steps)."""
    rows: list[np.ndarray] = []
    for i in columns:
        column, values = sequence.schema.columns[i], sequence.values[:, i]
        if column.column_type.has_categories:
            ones = values == np.arange(len(column.categories))[:, None]
            rows += [*np.where(np.isnan(values), np.nan, ones)]
        else:
            rows.append(values.astype(float))
    return np.array(rows)


# Text and numbers


def in_steps(num: int, name: str = "step") -> str:
    """Return a number of steps in words, such as "1 step"."""
    return f"{num} {name}{'' if num == 1 else 's'}"


def signed(value: float) -> str:
    """Format a number of standard deviations with its sign, such as "+1.3"; 0 has none."""
    return f"{value:+.1f}" if value else "0"


def _range_text(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _ramp_color(share: float) -> str:
    """Return a color between blue and yellow, for a share from 0 to 1."""
    places = np.linspace(0, 1, len(RAMP))
    channels = [[int(color[c : c + 2], 16) for color in RAMP] for c in (1, 3, 5)]
    return "#" + "".join(f"{round(np.interp(share, places, values)):02x}" for values in channels)


def _needs_log(values: np.ndarray, ratio: float) -> bool:
    """Return whether positive values differ by more than a ratio."""
    return bool(values.size and values.min() > 0 and values.max() > ratio * values.min())


def _floats(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _are_numbers(labels: np.ndarray) -> bool:
    try:
        values = labels.astype(float)
    except (TypeError, ValueError):
        return False
    return not np.isinf(values).any() and not np.isnan(values).all()
