"""Binary and categorical sequences on the page, as rows of text or as strips."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.plots import strips_of
from refold.plots.charts import ACCENT, WRONG, signed, wrong_values
from refold.report._page import Plot
from refold.report._plotly_style import TITLED, grid, heat, layout, numbers, panel_axes, plain
from refold.sequences import Schema, Sequences, split_at

MAX_STEPS = 160  # of a row of text
MAX_STRIP = 400  # steps of a strip
MAX_COLUMNS = 4  # as text
MISSING_STEP = -1.0
MIN_NAMED = 4  # steps of a strip that is wide enough for a name below it
Row = tuple[str, list[tuple[str, bool]]]


def pair_rows(original: Sequences, backs: dict[str, Sequences]) -> list[Row]:
    """Write a sequence and its reconstructions as text, with wrong values marked."""
    schema = original.schema
    columns = np.flatnonzero(~schema.numeric)[:MAX_COLUMNS].tolist()
    rows: list[Row] = []
    for column in columns:
        name = f"{schema.names[column]}, " if schema.num_columns > 1 else ""
        x = original.values[:, column]
        rows.append((f"{name}original", row_of(x, schema, column)))
        for method, back in backs.items():
            y = back.values[:, column]
            y = schema.columns[column].column_type.clean(y)  # PCA returns any number
            # a dash stands for a step that a reconstruction lacks
            rest = np.full(max(0, len(x) - len(y)), MISSING_STEP)
            tokens = row_of(
                np.append(y, rest), schema, column, np.append(wrong_values(x, y), rest < 0)
            )
            rows.append((f"{name}{method}", tokens))
    return rows


def row_of(
    values: np.ndarray, schema: Schema, column: int, marked: np.ndarray | None = None
) -> list[tuple[str, bool]]:
    """Return one column of a sequence as tokens, with a dot for each missing value."""
    names = [str(name) for name in schema.columns[column].categories] or ["0", "1"]
    gap = "" if all(len(name) == 1 for name in names) else " "
    tokens = []
    for step, value in enumerate(values[:MAX_STEPS].tolist()):
        if np.isnan(value):
            text = "·"
        elif value == MISSING_STEP:
            text = "–"
        else:
            text = names[round(value)] if round(value) < len(names) else "?"
        tokens.append((text, bool(marked is not None and marked[step])))
        if gap:
            tokens.append((gap, False))
    if len(values) > MAX_STEPS:
        tokens.append((f" … {len(values) - MAX_STEPS} more", False))
    return tokens


def strip_plot(pairs: Sequence[tuple[str, Sequences, Sequences]]) -> Plot:
    """Draw binary sequences next to their reconstructions."""
    axes, notes = grid([title for title, _, _ in pairs], len(pairs), gap=0.05)
    traces = []
    for panel, (_, before, after) in enumerate(pairs):
        before, after = (_first_steps(one) for one in (before, after))
        both = Sequences.from_list([before[0], after[0]], schema=before.schema)
        strips, starts = strips_of(both)
        x, y = (np.round(one.values) for one in (before, after))
        wrong = np.full(strips.shape, np.nan)
        places = starts[1] + np.arange(len(y))
        wrong[:, places] = np.where(wrong_values(x, y), y, np.nan).T
        strips[~np.isnan(wrong)] = np.nan
        width = np.array([max(1, len(x)), max(1, len(y))])
        traces += _heats(panel, strips, wrong, before.schema)
        # without room for the names, the caption says which is which
        names = ["original", "reconstruction"] if width.min() >= MIN_NAMED else ["", ""]
        _name_places(axes, panel, starts + (width - 1) / 2, names)
    widest = max(len(trace["z"][0]) for trace in traces)
    for name, axis in axes.items():
        if name.startswith("x"):
            axis["range"] = [-0.5, widest - 0.5]
    height = _height(pairs[0][1]) + 16
    return Plot(traces, layout(height, **axes, annotations=notes, margin=TITLED))


def sweep_strips(sweeps: Sequence[tuple[str, Sequences]], deviations: Sequence[float]) -> Plot:
    """Draw the decoded sequences of sweeps side by side, from low to high."""
    axes, notes = grid([title for title, _ in sweeps], 1, row_gap=0.4 / len(sweeps))
    traces = []
    for panel, (_, decoded) in enumerate(sweeps):
        decoded = _first_steps(decoded)
        strips, starts = strips_of(decoded)
        traces += _heats(panel, strips, None, decoded.schema)
        middle = starts + (np.maximum(1, decoded.lengths) - 1) / 2
        _name_places(axes, panel, middle, [signed(value) for value in deviations])
    height = (_height(sweeps[0][1]) - 40) * len(sweeps) + 40
    return Plot(traces, layout(height, **axes, annotations=notes))


def _first_steps(sequences: Sequences) -> Sequences:
    """Cut sequences to the steps that fit on a strip."""
    return split_at(sequences, np.minimum(sequences.lengths, MAX_STRIP))[0]


def _heats(
    panel: int, strips: np.ndarray, wrong: np.ndarray | None, schema: Schema
) -> list[dict[str, Any]]:
    names = [plain(schema.names[i]) for i in schema.binary]
    if len(set(names)) < len(names):  # names that are equal once they are shortened
        names = [f"{name} ({i})" for i, name in enumerate(names)]
    common = {
        "type": "heatmap", "y": names, "zmin": 0, "zmax": 1, "showscale": False,
        "hovertemplate": "%{y}: %{z}<extra></extra>", "xgap": 1, "ygap": 1, **panel_axes(panel),
    }  # fmt: skip
    if strips.shape[1] > 300:
        common |= {"xgap": 0}
    traces = [{**common, "z": numbers(strips), "colorscale": heat(ACCENT)}]
    if wrong is not None and np.isfinite(wrong).any():
        # the lowest color is visible, so that a wrong 0 shows, too
        traces.append(
            {**common, "z": numbers(wrong), "colorscale": heat(WRONG, least=0.3),
             "hovertemplate": "%{y}: %{z}, wrong<extra></extra>"}
        )  # fmt: skip
    return traces


def _name_places(
    axes: dict[str, Any], panel: int, places: np.ndarray, names: Sequence[str]
) -> None:
    suffix = "" if panel == 0 else str(panel + 1)
    axes[f"xaxis{suffix}"] |= {
        "tickmode": "array", "tickvals": numbers(places), "ticktext": list(names),
        "showgrid": False, "zeroline": False, "tickangle": 0,
    }  # fmt: skip
    axes[f"yaxis{suffix}"] |= {"autorange": "reversed", "showgrid": False, "zeroline": False}


def _height(sequences: Sequences) -> int:
    return int(np.clip(24 * sequences.schema.num_columns + 90, 180, 420))
