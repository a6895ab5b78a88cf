"""What the figures show, as data that both matplotlib and the report's Plotly figures draw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_array, check_kind, check_some
from refold._support.number_text import short_number
from refold.diagnosis import LatentDimensions
from refold.errors import ParameterError
from refold.evaluation import GroupErrors
from refold.plots._label_colours import colour_groups
from refold.plots._style import ACCENT, CONTRAST, GREEN, MUTED, PALETTE, RAMP, VIOLET
from refold.plots._style import WRONG as WRONG
from refold.sequences import Sequences

ColumnGroup = Literal["numeric", "categorical"]
UNITS = {
    "numeric": "squared error (1: the variance)",
    "categorical": "share of wrong values",
}
MAX_LENGTH_BARS = 40
METHOD_COLOURS = (ACCENT, MUTED, *PALETTE[1:])


@dataclass(frozen=True)
class Marks:
    """Points that are drawn in the same way."""

    kind: Literal["lines", "points", "bars"]
    x: Any  # (n_points,), or the places of bars, of horizontal ones, too
    y: Any  # (n_points,), or the lengths of bars
    name: str = ""  # entry in the legend
    colour: Any = ACCENT  # a color, or numbers on a color scale, (n_points,)
    style: str = ""  # "dot" for lines; "diamond" or "ring" for points
    size: float = 0.8  # width of bars
    hover: Sequence[str] = ()  # lines of text for each point, which only the report shows


@dataclass(frozen=True)
class Axis:
    """Title and scale of an axis."""

    title: str = ""
    ticks: Sequence[str] = ()  # names of the places 0, 1, 2 and so on
    whole: bool = False
    from_zero: bool = False
    log: bool = False


@dataclass(frozen=True)
class Chart:
    """Marks between two axes."""

    marks: Sequence[Marks]
    x: Axis
    y: Axis
    horizontal: bool = False  # bars go from their places on the y axis to the right
    grid: Literal["x", "y"] | None = "y"  # the axis whose ticks have lines
    legend: str = ""  # title of the legend or of the color bar

    @property
    def has_legend(self) -> bool:
        """Whether several marks have names."""
        return len({one.name for one in self.marks} - {""}) > 1


def length_bins(lengths: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count lengths in bins: the first and last length and the count of each, (n_bins,)."""
    lengths = check_array("lengths", lengths, ("n_sequences",)).astype(int)
    check_some(lengths.size, "sequence", "to draw lengths of")
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // MAX_LENGTH_BARS)
    first = np.arange(low, high + 1, width)
    return first, first + width - 1, np.bincount((lengths - low) // width, minlength=len(first))


def length_chart(lengths: ArrayLike) -> Chart:
    """Count sequences by length."""
    first, last, counts = length_bins(lengths)
    hover = [
        f"{n:,} of {f}{'' if f == e else f' to {e}'} steps"
        for n, f, e in zip(counts.tolist(), first.tolist(), last.tolist(), strict=True)
    ]
    width = 0.9 * float(last[0] - first[0] + 1)
    bars = Marks("bars", (first + last) / 2, counts, size=width, hover=hover)
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
    for curve, rows, name, colour, style in (
        (losses, ~refit, "training", MUTED, ""),
        (losses, refit, "refit on all data", VIOLET, "dot"),
        (validation, ~refit, "validation", ACCENT, ""),
    ):
        chosen = np.flatnonzero(rows[: len(curve)])
        if np.isfinite(curve[chosen]).any():
            marks.append(Marks("lines", epochs[chosen], curve[chosen], name, colour, style))
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
    return Chart(
        marks, Axis("epoch", whole=True, from_zero=True), Axis("loss", log=_is_wide(drawn))
    )


def error_bars(
    errors: Mapping[str, Any],
    names: Sequence[str],
    column_type: str,
    *,
    title: str = "",
    horizontal: bool = False,
    notes: Sequence[str] = (),
) -> Chart:
    """Draw errors as bars, with methods side by side; ``notes`` are hover text, or the names."""
    place, thick = np.arange(len(names)), 0.8 / len(errors)
    marks = []
    for i, (method, values) in enumerate(errors.items()):
        shift = (i - (len(errors) - 1) / 2) * thick
        look = _error_marks(i, method, values, notes or names)
        marks.append(Marks("bars", place + shift, values, size=0.92 * thick, **look))
    x, y = (
        Axis(title, ticks=[str(name) for name in names]),
        Axis(UNITS[column_type], from_zero=True),
    )
    if horizontal:
        return Chart(marks, y, x, horizontal=True, grid="x")
    return Chart(marks, x, y)


def length_error_bars(groups: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Draw the error of sequences of similar length as bars."""
    first = next(iter(groups.values()))
    notes = [
        f"{steps} steps, {num:,} sequences"
        for steps, num in zip(first.names, first.num_sequences.tolist(), strict=True)
    ]
    errors = {method: getattr(found, column_type) for method, found in groups.items()}
    return error_bars(errors, first.names, column_type, title="steps in the sequence", notes=notes)


def position_error_lines(groups: Mapping[str, GroupErrors], column_type: str) -> Chart:
    """Draw the error along the sequence as lines."""
    first = next(iter(groups.values()))
    notes = [
        f"{'step' if low == high else f'steps {low} to'} {high}, {num:,} sequences"
        for low, high, num in zip(first.first, first.last, first.num_sequences, strict=True)
    ]
    middle = (first.first + first.last) / 2
    marks = []
    for i, (method, found) in enumerate(groups.items()):
        values = getattr(found, column_type)
        marks.append(Marks("lines", middle, values, **_error_marks(i, method, values, notes)))
    return Chart(marks, Axis("step", whole=True), Axis(UNITS[column_type], from_zero=True))


def _error_marks(
    i: int, method: str, values: Iterable[float], notes: Sequence[str]
) -> dict[str, Any]:
    texts = ["never observed" if np.isnan(value) else short_number(value) for value in values]
    return {
        "name": method,
        "colour": METHOD_COLOURS[i % len(METHOD_COLOURS)],
        "hover": [f"{method}: {text}\n{note}" for text, note in zip(texts, notes, strict=True)],
    }


def latent_bars(
    found: LatentDimensions,
    values: np.ndarray,
    title: str,
    *,
    num_bars: int,
    latent_dim: int = 0,
    rocket_dim: int = 0,
    length_dim: int = 0,
    inactive: np.ndarray | None = None,
) -> Chart:
    """Draw one value of each latent dimension, in the order of their effect."""
    order = found.order[:num_bars]
    idle = np.zeros(len(order), bool) if inactive is None else inactive[order]
    first_rocket = latent_dim - rocket_dim
    rocket = (order < latent_dim) & (order >= first_rocket)
    length = (order < first_rocket) & (order >= first_rocket - length_dim)
    marks = []
    for rows, name, colour in (
        (~rocket & ~length & ~idle, "learned", ACCENT),
        (rocket & ~idle, "ROCKET features", CONTRAST),
        (length & ~idle, "length", GREEN),
        (idle, "inactive", MUTED),
    ):
        hover = [
            f"{latent_name(found, i)}\nchange {short_number(float(found.total[i]))}"
            f"\nvariance {short_number(float(found.deviation[i]) ** 2)}"
            for i in order[rows]
        ]
        if rows.any():
            place = np.flatnonzero(rows)
            marks.append(Marks("bars", place, values[order[rows]], name, colour, hover=hover))
    ticks = [found.names[i] for i in order]
    return Chart(marks, Axis("latent dimension", ticks=ticks), Axis(title, from_zero=True))


def latent_name(found: LatentDimensions, i: int) -> str:
    """Return "dimension 3" for the name "3"."""
    return f"dimension {found.names[i]}" if found.names[i].isdigit() else found.names[i]


def sweep_lines(decoded: Sequences, column: int, deviations: Sequence[float]) -> Chart:
    """Draw a numeric column of decoded sequences as lines from blue to yellow."""
    low, high = min(deviations), max(deviations)
    marks = []
    for i, value in enumerate(deviations):
        steps = decoded.values[decoded.offsets[i] : decoded.offsets[i + 1], column]
        colour = ramp_colour(0.5 if high == low else (value - low) / (high - low))
        marks.append(Marks("lines", np.arange(len(steps)), steps, signed(value), colour))
    name = decoded.schema.names[column]
    return Chart(marks, Axis("step", whole=True), Axis(name), grid=None, legend="std. dev.")


def code_points(
    points: np.ndarray,
    names: tuple[str, str],
    labels: ArrayLike | None = None,
    *,
    label_name: str = "",
    hover: Sequence[str] = (),
) -> Chart:
    """Draw codes in the plane, in the colors of their labels."""
    labels = np.full(len(points), "") if labels is None else np.asarray(labels)
    values, groups, num_others = colour_groups(labels)
    marks = []
    if groups is None:
        marks = [Marks("points", points[:, 0], points[:, 1], colour=values, hover=hover)]
    for i, group in enumerate(groups or ()):
        rows = np.flatnonzero(values == i)
        other = num_others > 0 and i == len(groups or ()) - 1
        colour = MUTED if other else PALETTE[i % len(PALETTE)]
        texts = np.array(hover)[rows].tolist() if hover else ()
        marks.append(Marks("points", points[rows, 0], points[rows, 1], group, colour, hover=texts))
    return Chart(marks, Axis(names[0]), Axis(names[1]), grid=None, legend=label_name)


def by_variance(sequences: Sequences) -> list[int]:
    """Return the numeric columns, largest variance first."""
    numeric = np.flatnonzero(sequences.schema.numeric)
    if not len(sequences.values):
        return numeric.tolist()
    observed = np.ma.masked_invalid(sequences.values[:, numeric])
    spread = observed.std(axis=0).filled(0.0)  # a column that is never observed has none
    return numeric[np.argsort(-spread, kind="stable")].tolist()


def ramp_colour(share: float) -> str:
    """Return a color between blue and yellow, for a share from 0 to 1."""
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(place), len(RAMP) - 2)
    low, high = (
        np.array([int(RAMP[k][c : c + 2], 16) for c in (1, 3, 5)], float) for k in (i, i + 1)
    )
    return "#" + "".join(f"{round(c):02x}" for c in low + (high - low) * (place - i))


def in_steps(num: int, name: str = "step") -> str:
    """Return a number of steps in words, such as "1 step"."""
    return f"{num} {name}{'' if num == 1 else 's'}"


def signed(value: float) -> str:
    """Format a number of standard deviations with its sign, such as "+1.3"; 0 has none."""
    return f"{value:+.1f}" if value else "0"


def wrong_values(original: np.ndarray, reconstructed: np.ndarray) -> np.ndarray:
    """Mark the wrong values of a reconstruction, and all beyond the end of the original."""
    common = min(len(original), len(reconstructed))
    wrong = np.ones(reconstructed.shape, bool)
    before, after = original[:common], np.round(reconstructed[:common])
    wrong[:common] = (np.round(before) != after) & ~np.isnan(before)  # missing ones do not count
    return wrong


def _is_wide(values: np.ndarray) -> bool:
    """Return whether values need a logarithmic axis."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() > 3 * finite.min())


def _floats(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
