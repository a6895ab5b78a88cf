"""Card with the best, the median and the worst reconstruction over their originals."""

from typing import Any, NamedTuple

import numpy as np

from refold.evaluation import errors_by_sequence
from refold.plots import PALETTE
from refold.report._page import Card, Plot, Text, TextGroup
from refold.report._plotly_style import MUTED, TITLED, grid, layout, numbers, plain
from refold.report._report_data import ReportData
from refold.report._token_strips import pair_rows, strip_plot
from refold.sequences import Sequences

__all__ = ["examples", "reconstructions"]

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
    """Return the best, the median and the worst reconstruction.

    If no column is numeric, each extra step of a reconstruction counts as a wrong one. If errors
    are equal, the shorter sequence ranks as better.
    """
    sequences, back = material.sequences, material.methods["Refold"]
    numeric = material.model.schema_.numeric.any()
    found = errors_by_sequence(sequences, back, material.model.error_scaler_)
    errors = found.numeric if numeric else found.symbols
    rank = errors.copy()
    if not numeric:
        extra = np.maximum(0, back.lengths - sequences.lengths)
        rank = np.nan_to_num(rank) + extra / np.maximum(1, sequences.lengths)
        rank[sequences.lengths == 0] = np.nan
    order = np.lexsort((sequences.lengths, rank))[: int(np.isfinite(rank).sum())]
    if not len(order):
        return []
    places = {"Best": 0, "Median": len(order) // 2, "Worst": len(order) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(int(order[place]), name)
    chosen_examples = []
    for i, name in chosen.items():
        text = f"error {rank[i]:.2g}"
        if not numeric:
            extra_steps = int(back.lengths[i] - sequences.lengths[i])
            text = f"{np.nan_to_num(found.symbols[i]):.0%} wrong"
            if extra_steps > 0:
                text += f", {extra_steps} extra step{'' if extra_steps == 1 else 's'}"
        chosen_examples.append(Example(name, i, float(rank[i]), text))
    return chosen_examples


def reconstructions(material: ReportData) -> Card | None:
    """Draw the three examples; None if nothing was observed."""
    chosen = examples(material)
    if not chosen:
        return None
    schema = material.model.schema_
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
    steps = int(material.sequences.lengths[one.row])
    many = "" if steps == 1 else "s"
    return (
        f"{one.name}: {material.sequences.ids[one.row]}",
        f"{steps} step{many} · {one.text}",
    )


def _heading(material: ReportData, one: Example) -> str:
    """Return the title of a panel, on two lines."""
    first, second = _title(material, one)
    return f"<b>{plain(first, 32)}</b><br>{plain(second)}"


def _lines(material: ReportData, chosen: list[Example]) -> Plot:
    schema = material.model.schema_
    columns = _columns(material)
    shown = columns[:MAX_SHOWN]
    axes, notes = grid([_heading(material, one) for one in chosen], len(chosen))
    traces = []
    for panel, i in enumerate(one.row for one in chosen):
        place = {} if panel == 0 else {"xaxis": f"x{panel + 1}", "yaxis": f"y{panel + 1}"}
        for order, column in enumerate(sorted(columns)):
            name = plain(schema.names[column])
            colour = PALETTE[order % len(PALETTE)]
            visible = True if column in shown else "legendonly"
            for method, line, opacity in (
                (None, {"color": colour, "width": 5}, 0.3),
                ("Refold", {"color": colour, "width": 1.6}, 1.0),
                ("PCA", {"color": colour, "width": 1.2, "dash": "dot"}, 0.9),
            ):
                source = material.sequences if method is None else material.methods.get(method)
                if source is None:
                    continue
                steps, values = _points(source, i, column)
                group = f"c{column}" if method != "PCA" else "PCA"
                traces.append(
                    {
                        "type": "scatter", "mode": "lines" if len(values) > 1 else "markers",
                        "x": numbers(steps), "y": numbers(values), "line": line,
                        "opacity": opacity, "legendgroup": group, "name": name, **place,
                        "showlegend": panel == 0 and method == "Refold",
                        "visible": visible if method != "PCA" else "legendonly",
                        "hovertemplate": f"{name}, {method or 'original'}: %{{y:.3g}}"
                        "<extra>step %{x}</extra>",
                    }
                )  # fmt: skip
    if "PCA" in material.methods:
        traces = _with_pca_switch(traces, shown, schema)
    for name, axis in axes.items():
        if name.startswith("x"):
            axis |= {"title": {"text": "step"}, "showgrid": False}
    settings = {**axes, "annotations": notes, "legend": {"orientation": "h", "x": 0, "y": -0.25}}
    settings["margin"] = TITLED
    return Plot(traces, layout(380, **settings))


def _with_pca_switch(traces: list[Any], shown: list[int], schema: Any) -> list[Any]:
    """Keep PCA only for the columns shown at first, hidden until its name is clicked."""
    names = {plain(schema.names[column]) for column in shown}
    kept = [one for one in traces if one["legendgroup"] != "PCA" or one["name"] in names]
    first = next(one for one in kept if one["legendgroup"] == "PCA")
    for one in kept:
        if one["legendgroup"] == "PCA":
            one["name"], one["showlegend"], one["legendrank"] = "PCA", one is first, 2000
            one["line"]["color"] = MUTED if len(shown) == 1 else one["line"]["color"]
    return kept


def _columns(material: ReportData) -> list[int]:
    """Return numeric columns, largest variance first."""
    values = material.model.error_scaler_.transform(material.sequences).values
    numeric = np.flatnonzero(material.model.schema_.numeric)
    count = np.maximum(1, (~np.isnan(values[:, numeric])).sum(axis=0))
    mean = np.nansum(values[:, numeric], axis=0) / count
    spread = np.nansum((values[:, numeric] - mean) ** 2, axis=0) / count
    return numeric[np.argsort(-spread, kind="stable")][:MAX_COLUMNS].tolist()


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
