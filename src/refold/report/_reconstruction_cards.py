"""Card with the best, the median and the worst reconstruction over their originals."""

from typing import Any, NamedTuple

import numpy as np

from refold._support.number_text import number_text, short_number
from refold.evaluation import errors_by_sequence
from refold.plots import PALETTE
from refold.plots.charts import MUTED, by_variance, in_steps
from refold.report._page import Card, Plot, Text, TextGroup
from refold.report._plotly_style import (
    MAX_HOVER,
    MAX_TEXT,
    TITLED,
    grid,
    layout,
    numbers,
    panel_axes,
    plain,
)
from refold.report._report_data import ReportData
from refold.report._token_strips import pair_rows, strip_plot
from refold.sequences import Sequences

MAX_COLUMNS = 12
MAX_SHOWN = 3  # columns that are visible at first
MAX_POINTS = 1000  # of a line


class Example(NamedTuple):
    """One of the three sequences: its rank, its index, its error, and the error in words."""

    name: str
    row: int
    error: float
    text: str


def examples(material: ReportData) -> list[Example]:
    """Return the best, the median and the worst reconstruction."""
    sequences, back = material.sequences, material.methods["Refold"]
    numeric = material.model.schema.numeric.any()
    found = errors_by_sequence(sequences, back, material.model.error_scaler)
    errors = found.numeric if numeric else found.categorical
    rank = errors.copy()
    if not numeric:
        # each extra step of a reconstruction counts as a wrong one
        extra = np.maximum(0, back.lengths - sequences.lengths)
        rank = np.nan_to_num(rank) + extra / np.maximum(1, sequences.lengths)
        rank[sequences.lengths == 0] = np.nan
    # if errors are equal, the shorter sequence is the better one
    order = np.lexsort((sequences.lengths, rank))[: int(np.isfinite(rank).sum())]
    if not len(order):
        return []
    places = {"Best": 0, "Median": len(order) // 2, "Worst": len(order) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(int(order[place]), name)
    chosen_examples = []
    for i, name in chosen.items():
        text = f"error {short_number(rank[i])}"
        if not numeric:
            extra_steps = int(back.lengths[i] - sequences.lengths[i])
            text = f"{np.nan_to_num(found.categorical[i]):.0%} wrong"
            if extra_steps > 0:
                text += f", {in_steps(extra_steps, 'extra step')}"
        chosen_examples.append(Example(name, i, float(rank[i]), text))
    return chosen_examples


def reconstructions(material: ReportData) -> Card | None:
    """Draw the three examples; None if nothing was observed."""
    chosen = examples(material)
    if not chosen:
        return None
    schema = material.model.schema
    views: list[Any] = []
    caption = "Three sequences, chosen by their error and decoded from their codes alone."
    if schema.numeric.any():
        views.append(_lines(material, chosen))
        caption += (
            " The original is the wide, pale line, the reconstruction the thin one. Click on a "
            "name to hide or show it."
        )
        if schema.numeric.sum() > MAX_COLUMNS:
            caption += (
                f" {MAX_COLUMNS} of {int(schema.numeric.sum())} numeric columns are included."
            )
        if schema.numeric.sum() > MAX_SHOWN:
            caption += f" At first, the {MAX_SHOWN} columns with the largest variance are shown."
    if not schema.numeric.all():
        if len(schema.binary) == schema.num_columns:
            views.append(_strips(material, chosen))
            caption += (
                " The original is on the left, the reconstruction on the right. Wrong values are "
                "red; a missing 1 is pale red."
            )
        else:
            views.append(_texts(material, chosen))
            caption += " Wrong values are underlined."
        score = material.result.scores[0]
        if score.quantity == "exact" and score.value == 1:
            caption += " All sequences are reconstructed exactly."
    return Card("Best, median and worst", caption, views)


def _title(material: ReportData, one: Example) -> tuple[str, str]:
    steps = in_steps(material.sequences.lengths[one.row])
    return f"{one.name}: {material.sequences.ids[one.row]}", f"{steps} · {one.text}"


def _heading(material: ReportData, one: Example) -> str:
    """Return the title of a panel, on two lines."""
    first, second = _title(material, one)
    return f"<b>{plain(first, 32)}</b><br>{plain(second)}"


def _lines(material: ReportData, chosen: list[Example]) -> Plot:
    schema = material.model.schema
    standardized = material.model.error_scaler.transform(material.sequences)
    columns = by_variance(standardized)[:MAX_COLUMNS]
    shown = columns[:MAX_SHOWN]
    axes, notes = grid([_heading(material, one) for one in chosen], len(chosen))
    looks = (
        ("original", material.sequences, {"width": 5}, 0.3),
        ("Refold", material.methods["Refold"], {"width": 1.6}, 1.0),
        # PCA is drawn for the columns shown at first, when its name is clicked
        ("PCA", material.methods.get("PCA"), {"width": 1.2, "dash": "dot"}, 0.9),
    )
    traces = []
    for panel, i in enumerate(one.row for one in chosen):
        for order, column in enumerate(sorted(columns)):
            name, full = (plain(schema.names[column], most) for most in (MAX_TEXT, MAX_HOVER))
            colour = PALETTE[order % len(PALETTE)]
            for method, source, line, opacity in looks:
                pca = method == "PCA"
                if source is None or (pca and column not in shown):
                    continue
                steps, values = _points(source, i, column)
                named = column == min(shown) if pca else method == "Refold"
                traces.append(
                    {
                        "type": "scatter", "mode": "lines" if len(values) > 1 else "markers",
                        "x": numbers(steps), "y": numbers(values), "opacity": opacity,
                        "line": line | {"color": MUTED if pca and len(shown) == 1 else colour},
                        "name": method if pca else name,
                        "legendgroup": method if pca else f"c{column}",
                        "legendrank": 2000 if pca else 1000,
                        "showlegend": panel == 0 and named,
                        "visible": True if column in shown and not pca else "legendonly",
                        "text": [number_text(value) for value in values.tolist()],
                        "hovertemplate": f"{full}, {method}: %{{text}}<extra>step %{{x}}</extra>",
                        **panel_axes(panel),
                    }
                )  # fmt: skip
    for name, axis in axes.items():
        if name.startswith("x"):
            axis |= {"title": {"text": "step"}, "showgrid": False}
    settings = {**axes, "annotations": notes, "legend": {"orientation": "h", "x": 0, "y": -0.25}}
    settings["margin"] = TITLED
    return Plot(traces, layout(380, **settings))


def _points(sequences: Sequences, i: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    values = sequences.values[sequences.offsets[i] : sequences.offsets[i + 1], column]
    every = max(1, -(-len(values) // MAX_POINTS))
    return np.arange(0, len(values), every), values[::every]


def _strips(material: ReportData, chosen: list[Example]) -> Plot:
    pairs = []
    for one in chosen:
        before, after = material.sequences[[one.row]], material.methods["Refold"][[one.row]]
        pairs.append((_heading(material, one), before, after))
    return strip_plot(pairs)


def _texts(material: ReportData, chosen: list[Example]) -> Text:
    groups = []
    for one in chosen:
        backs = {method: back[[one.row]] for method, back in material.methods.items()}
        rows = pair_rows(material.sequences[[one.row]], backs)
        groups.append(TextGroup(" · ".join(_title(material, one)), rows))
    return Text(groups)
