"""The card of the best, the median and the worst reconstruction, over their originals."""

from typing import TYPE_CHECKING, Any

import numpy as np

from refold.evaluation import errors_by_sequence
from refold.plots import PALETTE
from refold.report._gather import Material
from refold.report._page import Card, Plot, Text, TextGroup
from refold.report._plotly import MUTED, grid, layout, numbers, plain
from refold.report._symbols import pair_rows, strip_plot

if TYPE_CHECKING:
    from refold.sequences import Sequences

__all__ = ["examples", "reconstructions"]

MOST_COLUMNS, MOST_SHOWN, MOST_POINTS = 12, 3, 1000


def examples(material: Material) -> list[tuple[str, int, float]]:
    """Return the best, the median and the worst: name, which sequence, and its error.

    A length that comes back wrong counts like as many wrong symbols, where no column is numeric.
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
    order = np.argsort(rank, kind="stable")[: int(np.isfinite(rank).sum())]
    if not len(order):
        return []
    places = {"Best": 0, "Median": len(order) // 2, "Worst": len(order) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(int(order[place]), name)
    return [(name, i, float(rank[i])) for i, name in chosen.items()]


def reconstructions(material: Material) -> Card | None:
    """Draw the three; None where nothing was observed."""
    chosen = examples(material)
    if not chosen:
        return None
    schema = material.model.schema_
    views: list[Any] = []
    says = "Chosen by the error, and decoded from their codes alone."
    if schema.numeric.any():
        views.append(_lines(material, chosen))
        says += (
            " The original is wide and pale, the reconstruction a thin line on it. A click on "
            "a name hides and shows."
        )
        if schema.numeric.sum() > MOST_SHOWN:
            says += f" The {MOST_SHOWN} columns that vary most are drawn at first."
    if not schema.numeric.all():
        if len(schema.binary) == schema.num_columns:
            views.append(_strips(material, chosen))
            says += " Left the original, right the reconstruction; what differs is red."
        else:
            views.append(_texts(material, chosen))
            says += " Symbols that differ are underlined."
        if all(error == 0 for _, _, error in chosen):
            says += " All of the sequences come back exactly."
    return Card("Best, median and worst", says, views)


def _title(material: Material, name: str, i: int, error: float) -> str:
    steps = int(material.sequences.lengths[i])
    return (
        f"{name}: {material.sequences.ids[i]} · {steps} step{'' if steps == 1 else 's'} · "
        f"error {error:.2g}"
    )


def _lines(material: Material, chosen: list[tuple[str, int, float]]) -> Plot:
    schema = material.model.schema_
    columns = _columns(material)
    shown = columns[:MOST_SHOWN]
    axes, notes = grid([plain(_title(material, *one)) for one in chosen], len(chosen))
    traces = []
    for panel, (_, i, _) in enumerate(chosen):
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
    return Plot(traces, layout(380, **settings))


def _with_pca_switch(traces: list[Any], shown: list[int], schema: Any) -> list[Any]:
    """Keep PCA of the columns shown at first, hidden until its name is clicked."""
    names = {plain(schema.names[column]) for column in shown}
    kept = [one for one in traces if one["legendgroup"] != "PCA" or one["name"] in names]
    first = next(one for one in kept if one["legendgroup"] == "PCA")
    for one in kept:
        if one["legendgroup"] == "PCA":
            one["name"], one["showlegend"] = "PCA", one is first
            one["line"]["color"] = MUTED if len(shown) == 1 else one["line"]["color"]
    return kept


def _columns(material: Material) -> list[int]:
    """Return numeric columns, those that vary most first."""
    values = material.sequences.values
    numeric = np.flatnonzero(material.model.schema_.numeric)
    count = np.maximum(1, (~np.isnan(values[:, numeric])).sum(axis=0))
    mean = np.nansum(values[:, numeric], axis=0) / count
    spread = np.nansum((values[:, numeric] - mean) ** 2, axis=0) / count
    return numeric[np.argsort(-spread, kind="stable")][:MOST_COLUMNS].tolist()


def _points(sequences: "Sequences", i: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    values = sequences.values[sequences.offsets[i] : sequences.offsets[i + 1], column]
    every = max(1, -(-len(values) // MOST_POINTS))
    return np.arange(0, len(values), every), values[::every]


def _strips(material: Material, chosen: list[tuple[str, int, float]]) -> Plot:
    pairs = []
    for name, i, error in chosen:
        before, after = material.sequences[[i]], material.methods["Refold"][[i]]
        pairs.append((plain(_title(material, name, i, error)), before, after))
    return strip_plot(pairs)


def _texts(material: Material, chosen: list[tuple[str, int, float]]) -> Text:
    groups = []
    for name, i, error in chosen:
        backs = {method: back[[i]] for method, back in material.methods.items()}
        rows = pair_rows(material.sequences[[i]], backs)
        groups.append(TextGroup(_title(material, name, i, error), rows))
    return Text(groups)
