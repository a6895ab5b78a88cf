"""Card with the map of the codes in two dimensions."""

from typing import Any, Literal

import numpy as np

from refold._support.optional_imports import is_installed
from refold.evaluation import SequenceErrors, errors_by_sequence
from refold.plots import PALETTE, RAMP, code_plane, colour_groups
from refold.report._page import Card, Plot
from refold.report._plotly_style import MUTED, layout, numbers, plain
from refold.report._report_data import ReportData, Stage

__all__ = ["code_map"]

MAX_POINTS = 5000
MIN_UMAP = 20  # codes


def code_map(material: ReportData, stage: Stage) -> Card:
    """Draw the codes by PCA and, if it is installed, by UMAP."""
    rows = np.arange(len(material.codes))
    if len(rows) > MAX_POINTS:
        drawn = np.random.default_rng(material.seed).choice(len(rows), MAX_POINTS, replace=False)
        rows = np.sort(drawn)
    codes = material.codes[rows].astype(float)
    units = material.model.error_scaler_
    errors = errors_by_sequence(material.sequences, material.methods["Refold"], units)
    text = _hover(material, rows, errors)
    lengths = material.sequences.lengths[rows]
    if material.labels is None and lengths.min() < lengths.max():
        colours, name = lengths, "steps"
        meaning = "Colors show the lengths."
    elif material.labels is None:
        numeric = material.model.schema_.numeric.any()
        colours, name = (errors.numeric if numeric else errors.symbols)[rows], "error"
        meaning = "Colors show the errors."
    else:
        colours, name = material.labels[rows], material.label_name
        meaning = f"Colors show {name}, which is not a column of the model."
        if name in material.model.schema_.names:
            meaning = f"Colors show {name}."
    views = []
    methods: tuple[tuple[Literal["pca", "umap"], str], ...] = (("pca", "PCA"), ("umap", "UMAP"))
    for method, button in methods:
        if method == "umap":
            few = len(rows) < MIN_UMAP or codes.shape[1] <= 2
            if few or not is_installed("umap"):
                continue
            stage("UMAP")
        points, names = code_plane(codes, method, seed=material.seed)
        traces, has_color_bar = _traces(points, colours, plain(name), text)
        axes = {
            "xaxis": {"title": {"text": names[0]}, "zeroline": False},
            "yaxis": {"title": {"text": names[1]}, "zeroline": False},
            "hovermode": "closest",
            "legend": {
                "title": {"text": plain(name)},
                "itemsizing": "constant",
                "x": 1.01,
                "y": 1,
                "yanchor": "top",
                "orientation": "v",
            },
        }
        if has_color_bar:
            del axes["legend"]
        views.append(Plot(traces, layout(520, **axes), button))
    plane = (
        " in the plane of the first two principal components, each with its share of the variance"
        if codes.shape[1] > 2
        else ""
    )
    if len(views) > 1:
        meaning += " UMAP preserves neighborhoods; its distances between groups have no meaning."
    shown = (
        f" {len(rows):,} of {len(material.codes):,} codes are drawn, chosen at random."
        if len(rows) < len(material.codes)
        else ""
    )
    caption = f"Each point is the code of a sequence{plane}. {meaning}{shown}"
    return Card("Map of the codes", caption, views, switch=True)


def _traces(
    points: np.ndarray, labels: np.ndarray, name: str, text: list[str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return one trace per group, or one with a color bar, and whether it has one."""
    values, names, num_others = colour_groups(labels)
    size = float(np.clip(180 / np.sqrt(len(points)), 5, 9))
    common = {"type": "scatter", "mode": "markers", "hoverinfo": "text"}
    if names is None:
        marker = {
            "size": size, "opacity": 0.8, "color": numbers(values), "showscale": True,
            "colorscale": [[i / (len(RAMP) - 1), colour] for i, colour in enumerate(RAMP)],
            "colorbar": {"title": {"text": name}, "thickness": 12, "outlinewidth": 0},
        }  # fmt: skip
        x, y = numbers(points[:, 0]), numbers(points[:, 1])
        return [{**common, "x": x, "y": y, "marker": marker, "hovertext": text}], True
    traces = []
    for i, group in enumerate(names):
        rows = np.flatnonzero(values == i)
        if not len(rows):
            continue
        other = num_others > 0 and i == len(names) - 1
        colour = MUTED if other else PALETTE[i % len(PALETTE)]
        traces.append(
            {
                **common, "name": plain(group),
                "x": numbers(points[rows, 0]), "y": numbers(points[rows, 1]),
                "marker": {"size": size, "color": colour, "opacity": 0.5 if other else 0.8},
                "hovertext": [text[row] for row in rows],
            }
        )  # fmt: skip
    return traces, False


def _hover(material: ReportData, rows: np.ndarray, errors: SequenceErrors) -> list[str]:
    lines = []
    for i in rows.tolist():
        steps = int(material.sequences.lengths[i])
        parts = [f"<b>{plain(material.sequences.ids[i])}</b>"]
        parts.append(f"{steps} step{'' if steps == 1 else 's'}")
        if material.labels is not None:
            parts.append(f"{plain(material.label_name)}: {plain(material.labels[i])}")
        if np.isfinite(errors.numeric[i]):
            parts.append(f"error {errors.numeric[i]:.3g}")
        if np.isfinite(errors.symbols[i]):
            parts.append(f"{errors.symbols[i]:.1%} of the values wrong")
        lines.append("<br>".join(parts))
    return lines
