"""Cards of the codes: their map, the effect of each latent dimension, sweeps along some."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from refold._support.display import short_number
from refold._support.optional_imports import is_installed
from refold.diagnosis import DEVIATIONS, LatentDimensions, latent_dimensions, sweep
from refold.plots import code_plane
from refold.plots.charts import (
    Axis,
    Chart,
    code_points,
    in_steps,
    latent_bars,
    latent_cells,
    latent_name,
    signed,
    sweep_cells,
    sweep_lines,
)
from refold.report._page import Card, Text, TextGroup
from refold.report._plotly import draw
from refold.report._report_data import ReportData
from refold.report._sequence_cards import MAX_STRIP, tokens_of
from refold.sequences import Sequences, split_at

MAX_POINTS = 5000  # of the map
MIN_UMAP = 20  # codes
MAX_BARS = 64
MAX_ROWS, MAX_COLUMNS = 24, 40  # of the effects by column
MAX_SWEPT = 6
ACTIVE = 0.01  # variance above which a dimension of a variational code is active


def code_map(material: ReportData) -> list[Card]:
    """Draw the features of the codes and the codes by PCA and, if it is installed, by UMAP."""
    model, num_codes = material.model, len(material.codes)
    rows = np.arange(num_codes)
    if num_codes > MAX_POINTS:
        generator = np.random.default_rng(material.seed)
        rows = np.sort(generator.choice(num_codes, MAX_POINTS, replace=False))
    codes = material.codes[rows].astype(float)
    colors, name, meaning = _colors(material, rows)
    texts = _hover_texts(material, rows)
    planes: list[tuple[Literal["pca", "umap"], str, np.ndarray]] = [("pca", "PCA", codes)]
    caption = "Each point is the code of a sequence"
    if codes.shape[1] > 2:
        caption += (
            " in the plane of the first two principal components, each with its share of the "
            "variance"
        )
    caption += f". Colors show {meaning}."
    if codes.shape[1] > 2 and len(rows) >= MIN_UMAP and is_installed("umap"):
        planes.append(("umap", "UMAP", codes))
    if codes.shape[1] > 2 and model.reference is not None:
        caption += (
            " Features describe the decoded sequences by pooled random convolutions, which are "
            "similar for sequences with similar patterns. Under "
            f"{' and '.join(button for _, button, _ in planes)}, points are codes."
        )
        # in front, because groups of similar sequences are easier to see in it
        planes.insert(0, ("pca", "Features", model.features(codes)))
    if planes[-1][0] == "umap":
        caption += " UMAP preserves neighborhoods; its distances between groups have no meaning."
    if len(rows) < num_codes:
        caption += f" {len(rows):,} of {num_codes:,} codes are drawn, chosen at random."
    views = []
    for method, button, vectors in planes:
        points, names = code_plane(vectors, method, seed=material.seed)
        chart = code_points(points, names, colors, label_name=name, hover=texts)
        views.append(draw(chart, 520, button))
    return [Card("Map of the codes", caption, views, switch=True)]


def _colors(material: ReportData, rows: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Return the colors of the points, the name of their scale, and what they show."""
    name = material.label_name
    if material.labels is not None:
        is_column = name in material.model.schema.names
        meaning = name if is_column else f"{name}, which is not a column of the model"
        return material.labels[rows], name, meaning
    lengths = material.sequences.lengths[rows]
    if lengths.min() < lengths.max():
        return lengths, "steps", "the lengths"
    numeric = material.model.schema.numeric.any()
    errors = material.errors.numeric if numeric else material.errors.categorical
    return errors[rows], "error", "the errors"


def _hover_texts(material: ReportData, rows: np.ndarray) -> list[str]:
    sequences, errors = material.sequences, material.errors
    texts = []
    for i in rows.tolist():
        lines = [str(sequences.ids[i]), in_steps(int(sequences.lengths[i]))]
        if material.labels is not None:
            lines.append(f"{material.label_name}: {material.labels[i]}")
        if np.isfinite(errors.numeric[i]):
            lines.append(f"error {short_number(float(errors.numeric[i]))}")
        if np.isfinite(errors.categorical[i]):
            lines.append(f"{errors.categorical[i]:.1%} of the values wrong")
        texts.append("\n".join(lines))
    return texts


def latent_cards(material: ReportData) -> list[Card]:
    """Draw the effect of each latent dimension, and sweeps along the strongest."""
    dimensions = latent_dimensions(material.model, material.codes, seed=material.seed)
    cards = [_effects(material, dimensions)]
    if dimensions.total.max() > 0:
        cards.append(_sweeps(material, dimensions))
    return cards


def _effects(material: ReportData, dimensions: LatentDimensions) -> Card:
    model, specification = material.model, material.model.specification
    num_dimensions = len(dimensions.names)
    variance = dimensions.deviation**2
    inactive = None
    measure = "the mean squared change, in units of the variance of the training data"
    if not model.schema.numeric.any():
        measure = "the share of values that change"
    elif not model.schema.numeric.all():
        measure = (
            "the mean squared change of numeric columns and the share of other values that change, "
            "averaged"
        )
    caption = (
        "How much the decoded sequence changes if one latent dimension alone changes by one "
        f"standard deviation, largest change first: {measure}."
    )
    if model.active_dimensions is not None:
        inactive = np.arange(num_dimensions) < specification.latent_dim
        inactive &= variance <= ACTIVE
        caption += (
            f" In training, {model.active_dimensions} of {specification.latent_dim} "
            f"dimensions of this variational model were active, with a variance above {ACTIVE}. "
            "Gray ones are inactive on this data."
        )
    if num_dimensions > MAX_BARS:
        caption += f" {MAX_BARS} of {num_dimensions} dimensions are shown."
    sizes = {
        size: getattr(specification, size) for size in ("latent_dim", "rocket_dim", "length_dim")
    }
    bars = {
        "effect": (dimensions.total, "change per standard deviation"),
        "variance": (variance, "variance over the data"),
    }
    views = []
    for button, (values, title) in bars.items():
        options = {"num_bars": MAX_BARS, "inactive": inactive, **sizes}
        views.append(draw(latent_bars(dimensions, values, title, **options), 300, button))
    if model.schema.num_columns > 1 and num_dimensions > 1:
        caption += " By column: the change of each column."
        options = {"num_rows": MAX_ROWS, "num_columns": MAX_COLUMNS}
        chart = latent_cells(dimensions, model.schema.names, **options)
        views.append(draw(chart, 110 + 21 * min(num_dimensions, MAX_ROWS), "by column"))
    return Card("Latent dimensions", caption, views, switch=True)


def _sweeps(material: ReportData, dimensions: LatentDimensions) -> Card:
    model, codes, schema = material.model, material.codes, material.model.schema
    swept = [int(i) for i in dimensions.order[:MAX_SWEPT] if dimensions.total[i] > 0]
    base, base_code = "The mean code", None
    if not schema.numeric.any():
        unit = np.where(dimensions.deviation > 0, dimensions.deviation, 1.0)
        distances = (((codes - codes.mean(axis=0)) / unit) ** 2).sum(axis=1)
        base, base_code = "A code near the mean", codes[np.argmin(distances)]
    caption = (
        f"{base} is decoded while one dimension goes from two standard deviations below its mean "
        "to two above. The others do not change."
    )
    decoded = {i: sweep(model, codes, i, base_code=base_code) for i in swept}
    titles = {i: _title(material, dimensions, i) for i in swept}
    rows = -(-len(swept) // 3)
    if not schema.numeric.any() and len(schema.binary) == schema.num_columns:
        charts = [_strips(decoded[i], titles[i]) for i in swept]
        height = int(np.clip(24 * schema.num_columns + 90, 180, 420))
        view: Any = draw(charts, (height - 40) * len(charts) + 60)
    elif not schema.numeric.any():
        view = Text([_text(decoded[i], dimensions, i, titles[i]) for i in swept])
    else:
        caption += " Blue is low, yellow is high."
        if schema.numeric.sum() > 1:
            caption += " For each dimension, the column that changes most is drawn."
        charts = [_lines(decoded[i], dimensions, i, titles[i]) for i in swept]
        view = draw(charts, 110 + 245 * rows, columns=min(3, len(charts)))
    return Card("Sweeps along latent dimensions", caption, [view])


def _title(material: ReportData, dimensions: LatentDimensions, i: int) -> str:
    specification = material.model.specification
    name = latent_name(dimensions, i)
    if specification.latent_dim - specification.rocket_dim <= i < specification.latent_dim:
        return f"{name} (ROCKET feature)"
    return f"{name} (length)" if i == specification.length_index else name


def _lines(decoded: Sequences, dimensions: LatentDimensions, i: int, title: str) -> Chart:
    numeric = np.flatnonzero(decoded.schema.numeric)
    column = int(numeric[dimensions.effect[i, numeric].argmax()])
    subtitle = decoded.schema.names[column] if len(numeric) > 1 else ""
    chart = sweep_lines(decoded, column, DEVIATIONS)
    return replace(chart, y=Axis(), title=title, subtitle=subtitle)


def _strips(decoded: Sequences, title: str) -> Chart:
    short = split_at(decoded, np.minimum(decoded.lengths, MAX_STRIP))[0]
    return replace(sweep_cells(short, DEVIATIONS), title=title)


def _text(decoded: Sequences, dimensions: LatentDimensions, i: int, title: str) -> TextGroup:
    schema = decoded.schema
    column = int(dimensions.effect[i].argmax())
    rows = [
        (signed(deviation), tokens_of(decoded[[k]].values[:, column], schema, column))
        for k, deviation in enumerate(DEVIATIONS)
    ]
    return TextGroup(f"{title} → {schema.names[column]}" if schema.num_columns > 1 else title, rows)
