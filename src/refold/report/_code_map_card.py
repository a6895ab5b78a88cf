"""Card with the map of the codes in two dimensions."""

from typing import Literal

import numpy as np

from refold._support.number_text import short_number
from refold._support.optional_imports import is_installed
from refold.evaluation import SequenceErrors, errors_by_sequence
from refold.plots import code_plane
from refold.plots.charts import code_points, in_steps
from refold.report._page import Card
from refold.report._plotly_style import draw
from refold.report._report_data import ReportData, Stage

MAX_POINTS = 5000
LEGEND = {"itemsizing": "constant", "x": 1.01, "y": 1, "yanchor": "top", "orientation": "v"}
MIN_UMAP = 20  # codes


def code_map(material: ReportData, stage: Stage) -> Card:
    """Draw the features of the codes and the codes by PCA and, if it is installed, by UMAP."""
    rows = np.arange(len(material.codes))
    if len(rows) > MAX_POINTS:
        drawn = np.random.default_rng(material.seed).choice(len(rows), MAX_POINTS, replace=False)
        rows = np.sort(drawn)
    codes = material.codes[rows].astype(float)
    units = material.model.error_scaler
    errors = errors_by_sequence(material.sequences, material.methods["Refold"], units)
    text = _hover(material, rows, errors)
    lengths = material.sequences.lengths[rows]
    if material.labels is None and lengths.min() < lengths.max():
        colours, name = lengths, "steps"
        meaning = "Colors show the lengths."
    elif material.labels is None:
        numeric = material.model.schema.numeric.any()
        colours, name = (errors.numeric if numeric else errors.categorical)[rows], "error"
        meaning = "Colors show the errors."
    else:
        colours, name = material.labels[rows], material.label_name
        meaning = f"Colors show {name}, which is not a column of the model."
        if name in material.model.schema.names:
            meaning = f"Colors show {name}."
    views = []
    planes: list[tuple[Literal["pca", "umap"], str, np.ndarray]] = [("pca", "PCA", codes)]
    if codes.shape[1] > 2 and material.model.reference is not None:
        # in front, because groups of similar sequences are easier to see in it
        planes.insert(0, ("pca", "Features", material.model.features(codes)))
    if codes.shape[1] > 2 and len(rows) >= MIN_UMAP and is_installed("umap"):
        planes.append(("umap", "UMAP", codes))
    for method, button, vectors in planes:
        if method == "umap":
            stage("UMAP")
        points, names = code_plane(vectors, method, seed=material.seed)
        chart = code_points(points, names, colours, label_name=name, hover=text)
        views.append(draw(chart, 520, button, hovermode="closest", legend=LEGEND))
    plane = (
        " in the plane of the first two principal components, each with its share of the variance"
        if codes.shape[1] > 2
        else ""
    )
    buttons = [button for _, button, _ in planes]
    if "Features" in buttons:
        meaning += (
            " Features describe the decoded sequences by pooled random convolutions, which are "
            "similar for sequences with similar patterns. Under "
            f"{' and '.join(buttons[1:])}, points are codes."
        )
    if "UMAP" in buttons:
        meaning += " UMAP preserves neighborhoods; its distances between groups have no meaning."
    shown = (
        f" {len(rows):,} of {len(material.codes):,} codes are drawn, chosen at random."
        if len(rows) < len(material.codes)
        else ""
    )
    caption = f"Each point is the code of a sequence{plane}. {meaning}{shown}"
    return Card("Map of the codes", caption, views, switch=True)


def _hover(material: ReportData, rows: np.ndarray, errors: SequenceErrors) -> list[str]:
    lines = []
    for i in rows.tolist():
        parts = [str(material.sequences.ids[i]), in_steps(int(material.sequences.lengths[i]))]
        if material.labels is not None:
            parts.append(f"{material.label_name}: {material.labels[i]}")
        if np.isfinite(errors.numeric[i]):
            parts.append(f"error {short_number(float(errors.numeric[i]))}")
        if np.isfinite(errors.categorical[i]):
            parts.append(f"{errors.categorical[i]:.1%} of the values wrong")
        lines.append("\n".join(parts))
    return lines
