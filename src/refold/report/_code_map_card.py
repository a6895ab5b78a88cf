"""The card of the codes in the plane, with hover and labels."""

from typing import Any, Literal

import numpy as np

from refold._support.optional_imports import is_installed
from refold.evaluation import SequenceErrors, errors_by_sequence
from refold.plots import PALETTE, RAMP, code_plane, colour_groups
from refold.report._page import Card, Plot
from refold.report._plotly_style import MUTED, layout, numbers, plain
from refold.report._report_data import ReportData, Stage

__all__ = ["code_map"]

MOST_POINTS, FEWEST_FOR_UMAP = 5000, 20


def code_map(material: ReportData, stage: Stage) -> Card:
    """Draw the codes: by PCA, and by UMAP where that is installed."""
    rows = np.arange(len(material.codes))
    if len(rows) > MOST_POINTS:
        drawn = np.random.default_rng(material.seed).choice(len(rows), MOST_POINTS, replace=False)
        rows = np.sort(drawn)
    codes = material.codes[rows].astype(float)
    units = material.model.error_scaler_
    errors = errors_by_sequence(material.sequences, material.methods["Refold"], units)
    text = _hover(material, rows, errors)
    lengths = material.sequences.lengths[rows]
    if material.labels is None and lengths.min() < lengths.max():
        colours, name = lengths, "steps"
        says = "Colours are the lengths."
    elif material.labels is None:
        numeric = material.model.schema_.numeric.any()
        colours, name = (errors.numeric if numeric else errors.symbols)[rows], "error"
        says = "Colours are the errors."
    else:
        colours, name = material.labels[rows], material.label_name
        says = f"Colours are of {name}, which is no part of the data."
        if name in material.model.schema_.names:
            says = f"Colours are of {name}."
    views = []
    methods: tuple[tuple[Literal["pca", "umap"], str], ...] = (("pca", "PCA"), ("umap", "UMAP"))
    for method, button in methods:
        if method == "umap":
            few = len(rows) < FEWEST_FOR_UMAP or codes.shape[1] <= 2
            if few or not is_installed("umap"):
                continue
            stage("UMAP")
        points, names = code_plane(codes, method, seed=material.seed)
        traces, wide = _traces(points, colours, plain(name), text)
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
        if wide:
            del axes["legend"]
        views.append(Plot(traces, layout(520, **axes), button))
    plane = (
        "in the plane of their two principal components, with the share of the variance that each "
        "axis has"
        if codes.shape[1] > 2
        else "as they are"
    )
    if len(views) > 1:
        says += " UMAP keeps neighbours together; its distances between groups say nothing."
    shown = (
        f" {len(rows):,} of {len(material.codes):,} are drawn, chosen at random."
        if len(rows) < len(material.codes)
        else ""
    )
    caption = f"Each point is the code of a sequence, {plane}. {says}{shown}"
    return Card("Map of the codes", caption, views, switch=True)


def _traces(
    points: np.ndarray, labels: np.ndarray, name: str, text: list[str]
) -> tuple[list[dict[str, Any]], bool]:
    """Return a trace a group, or one with a colour bar and True."""
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


def _hover(material: ReportData, rows: np.ndarray, found: SequenceErrors) -> list[str]:
    lines = []
    for i in rows.tolist():
        steps = int(material.sequences.lengths[i])
        score_components = [f"<b>{plain(material.sequences.ids[i])}</b>"]
        score_components.append(f"{steps} step{'' if steps == 1 else 's'}")
        if material.labels is not None:
            score_components.append(f"{plain(material.label_name)}: {plain(material.labels[i])}")
        if np.isfinite(found.numeric[i]):
            score_components.append(f"error {found.numeric[i]:.3g}")
        if np.isfinite(found.symbols[i]):
            score_components.append(f"{found.symbols[i]:.1%} of the symbols wrong")
        lines.append("<br>".join(score_components))
    return lines
