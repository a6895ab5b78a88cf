"""Cards of a section: data, architecture, losses, errors, reconstructions and codes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from refold._support.optional_imports import is_installed
from refold._support.output import number_text, number_texts, short_number
from refold.diagnosis import DEVIATIONS, LatentDimensions, latent_dimensions, sweep
from refold.evaluation import (
    SequenceErrors,
    errors_by_feature,
    errors_by_length,
    errors_by_position,
)
from refold.model import Model
from refold.plots import charts, code_plane
from refold.plots.charts import Axis, Chart, in_steps, latent_name, signed
from refold.report._page import Card, Plot, Row, Score, Table, Text, TextGroup, Token, draw
from refold.sequences import Schema, Sequences

MAX_TABLE_ROWS = 30  # columns of the data
MAX_FEATURES = 40
ERROR_MEANINGS = {
    "numeric": "Squared errors are in units of the variance of the training data: predicting the "
    "mean has an error of 1.",
    "categorical": "A binary or categorical value is wrong if it differs from the original or is "
    "missing.",
}
# Reconstructions.
MAX_COLUMNS = 12
MAX_SHOWN = 3  # columns that are visible at first
MAX_TEXT_COLUMNS, MAX_TEXT_STEPS, MAX_STRIP_STEPS = 8, 160, 1000
# Codes.
MAX_POINTS = 5000  # of the map
MIN_UMAP = 20  # codes
MAX_SWEPT = 6
ACTIVE = 0.01  # variance above which a dimension of a variational code is active


@dataclass(frozen=True)
class ReportData:
    """Everything that the cards of a section are drawn from."""

    model: Model
    sequences: Sequences  # the sample, (n,), with the columns of the model
    lengths: np.ndarray  # of all sequences, in the sample or not
    codes: np.ndarray  # (n, width)
    methods: dict[str, Sequences]  # reconstructions by "Refold" and, if it could be fitted, "PCA"
    errors: SequenceErrors  # of Refold, by sequence
    scores: tuple[Score, ...]  # the main one first
    labels: np.ndarray | None  # (n,)
    label_name: str
    label_order: tuple[str, ...]  # of a Categorical
    seed: int


# Data and training


def data(material: ReportData) -> list[Card]:
    """Show the columns and the lengths."""
    num_missing = int(np.isnan(material.sequences.values).sum())
    lengths = material.lengths
    low, high = int(lengths.min()), int(lengths.max())
    caption = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}."
    if low == high:
        caption = f"All sequences have {in_steps(low)}."
    caption += f" {num_missing:,} values are missing." if num_missing else " No values are missing."
    if len(lengths) > len(material.sequences):
        caption += (
            f" The values and everything below are of {len(material.sequences):,} sequences drawn "
            "at random; the lengths are of all sequences."
        )
    views: list[Any] = [Table(["column", "type", "values", "missing"], _columns(material))]
    if low < high:
        views.append(draw(charts.length_chart(lengths), 240))
    return [Card("Data", caption, views)]


def _columns(material: ReportData) -> list[list[str]]:
    """Return a table row for each column."""
    schema, values = material.sequences.schema, material.sequences.values
    rows = []
    for i, column in enumerate(schema.columns[:MAX_TABLE_ROWS]):
        observed = values[~np.isnan(values[:, i]), i].astype(float)
        if not len(observed):
            text = ""
        elif column.column_type.is_number:
            low, high = number_texts(observed.min(), observed.max())
            text = f"{number_text(observed.mean())} ± {short_number(observed.std())}"
            text += f", {low} to {high}"
        elif not column.column_type.has_categories:
            text = f"{observed.mean():.1%} ones"
        else:
            names = ", ".join(map(str, column.categories[:8]))
            more = ", …" if len(column.categories) > 8 else ""
            text = f"{len(column.categories)} categories: {names}{more}"
        share = 1 - len(observed) / max(1, len(values))
        rows.append([column.name, column.type, text, f"{share:.1%}" if share else "none"])
    if schema.num_columns > MAX_TABLE_ROWS:
        rows.append([f"and {schema.num_columns - MAX_TABLE_ROWS} more", "", "", ""])
    return rows


def architecture(material: ReportData) -> list[Card]:
    """List the layers of encoder and decoder."""
    # not at the top, because all other cards do without Keras
    from refold.network.keras.build import keras_models

    model, specification = material.model, material.model.specification
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps. "
        f"The code has {in_steps(specification.latent_dim, 'dimension')}"
    )
    if statistics := model.scaler.num_statistics:
        caption += f" and {statistics} numbers for level and spread"
    if specification.length_dim:
        caption += f". Dimension {specification.length_index} of the code holds the length."
    else:
        caption += ". A small model next to the decoder predicts the length from the code."
    if specification.forecast_steps:
        caption += " The second decoder, which forecasts, is not shown."
    if specification.rocket_dim:
        caption += (
            f" The last {specification.rocket_dim} of the {specification.latent_dim} latent "
            "dimensions are ROCKET features."
        )
    encoder, decoder, *_ = keras_models(model.network).models
    rows = [*_layers("encoder", encoder), *_layers("decoder", decoder)]
    return [Card("Architecture", caption, [Table(["part", "layer", "output", "parameters"], rows)])]


def _layers(part: str, model: Any) -> list[list[str]]:
    """Return a table row for each layer of a Keras model, and one for the whole."""
    rows = [[part, "all layers", "", f"{model.count_params():,}"]]
    for layer in model.layers:
        try:
            sizes = layer.output.shape[1:]
        except (AttributeError, ValueError):  # a shared layer, or one whose output is not a tensor
            sizes = ()
        shape = " × ".join("T" if size is None else str(size) for size in sizes)
        inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
        name = type(layer).__name__ + (f"({type(inner).__name__})" if inner is not None else "")
        number = layer.count_params()
        rows.append(["", name, shape, f"{number:,}" if number else ""])
    return rows


def losses(material: ReportData) -> list[Card]:
    """Draw the losses by epoch; no card if no epoch was trained."""
    history = material.model.history
    if not history.epochs.get("loss"):
        return []
    caption = "Training stops when the validation loss no longer falls; the best epoch is kept."
    if history.best_epoch is None:
        caption = "The loss on the training data. There was no validation data."
    if history.initial_loss is not None:
        caption += " The initial weights, by default from principal components, are at epoch 0."
    if history.best_epoch == 0:
        caption += " The initialization was kept, because no epoch was better on held-out data."
    if "refit" in history.epochs.get("phase", ()):
        caption += (
            " After that, a refit trained the network again on all data, for as many steps. If the "
            "refit was completed, the model has its weights."
        )
    chart = charts.loss_chart(history.epochs, history.initial_loss)
    return [Card("Losses by epoch", caption, [draw(chart, 340, hovermode="x unified")])]


# Errors


def errors(material: ReportData) -> list[Card]:
    """Draw the errors; figures with one group are left out, and one card says if there are none."""
    schema, sequences = material.model.schema, material.sequences
    units, methods = material.model.error_scaler, material.methods.items()
    by_feature = {method: errors_by_feature(sequences, back, units) for method, back in methods}
    by_length = {method: errors_by_length(sequences, back, units) for method, back in methods}
    by_position = {method: errors_by_position(sequences, back, units) for method, back in methods}
    if not any(np.nansum(values) > 0 for values in by_feature.values()):
        caption = (
            f"All values are reconstructed exactly by {' and by '.join(by_feature)}, so there are "
            "no errors to draw by feature, length or position. Steps beyond the end of the "
            "original do not count here."
        )
        return [Card("Errors", caption, ())]
    columns = {"numeric": schema.numeric, "categorical": ~schema.numeric}
    columns = {group: np.flatnonzero(mask) for group, mask in columns.items() if mask.any()}
    unit = " ".join(ERROR_MEANINGS[group] for group in columns)
    cards = []
    if schema.num_columns > 1:
        caption = unit
        if max(map(len, columns.values())) > MAX_FEATURES:
            caption += f" The {MAX_FEATURES} with the largest errors are shown."
        views = []
        for group, members in columns.items():
            worst = np.argsort(-np.nan_to_num(by_feature["Refold"][members]), kind="stable")
            shown = np.sort(members[worst[:MAX_FEATURES]])
            values = {method: every[shown] for method, every in by_feature.items()}
            chart = charts.feature_error_bars(values, [schema.names[i] for i in shown], group)
            views.append(draw(chart, 110 + 26 * max(2, len(shown)), group))
        cards.append(Card("Error by feature", caption, views, switch=True))
    if len(by_length["Refold"].first) > 1:
        caption = (
            "Sequences are grouped by length, with about as many in each group. Longer ones are "
            f"harder, because more has to fit into a code of the same size. {unit}"
        )
        views = [draw(charts.length_error_bars(by_length, group), 320, group) for group in columns]
        cards.append(Card("Error by length", caption, views, switch=True))
    if len(by_position["Refold"].first) > 1:
        caption = "The error at each step of the sequences."
        if sequences.lengths.min() < sequences.lengths.max():
            caption += " Fewer sequences have the last steps, so the lines are less certain there."
        lines = {group: charts.position_error_lines(by_position, group) for group in columns}
        views = [draw(chart, 320, group) for group, chart in lines.items()]
        cards.append(Card("Error by position", f"{caption} {unit}", views, switch=True))
    return cards


# Reconstructions


def reconstructions(material: ReportData) -> list[Card]:
    """Draw the best, the median and the worst one; no card if nothing was observed."""
    examples = _examples(material)
    if not examples:
        return []
    schema = material.model.schema
    num_numeric = int(schema.numeric.sum())
    views: list[Any] = []
    caption = "Three sequences, chosen by their error and decoded from their codes alone."
    if num_numeric:
        groups = _line_groups(material)
        colors, panels = charts.column_colors([sorted(group) for group in groups]), []
        for row, title, subtitle in examples:
            pair = _pair(material, row)
            for group in groups:
                shown = group[:MAX_SHOWN]
                chart = charts.reconstruction_lines(*pair, sorted(group), shown, colors)
                name = schema.names[group[0]] if len(group) == 1 and len(groups) > 1 else ""
                about = " · ".join(text for text in (subtitle, name) if text)
                panels.append(replace(chart, title=title, subtitle=about))
                title = subtitle = ""  # above the first panel only
        height = 380 if len(groups) == 1 else 130 + 190 * len(groups)
        views.append(draw(panels, height, columns=len(examples), by_column=True))
        caption += (
            " The original is the wide, pale line, the reconstruction the thin one. Click on a "
            "name to hide or show it."
        )
        if len(groups) > 1:
            caption += " Columns of different scales have axes of their own."
        included = sum(map(len, groups))
        if num_numeric > included:
            caption += f" {included} of {num_numeric} numeric columns are included."
        if max(map(len, groups)) > MAX_SHOWN:
            caption += f" At first, the {MAX_SHOWN} columns with the largest variance are shown"
            caption += " on each axis." if len(groups) > 1 else "."
    tokens = np.flatnonzero(~schema.numeric)[:MAX_TEXT_COLUMNS].tolist()
    strips = [i for i in tokens if charts.is_strip(schema.columns[i], schema)]
    views += [_strip_view(material, examples, column) for column in strips]
    if texts := [i for i in tokens if i not in strips]:
        parts = [
            TextGroup(f"{title} · {subtitle}", pair_rows(*_pair(material, row), texts))
            for row, title, subtitle in examples
        ]
        views.append(Text(parts))
    if tokens:
        caption += " Wrong values are underlined."
        if strips:
            caption += " Runs of categories are strips; point at one to see its name and steps."
        if schema.num_columns - num_numeric > MAX_TEXT_COLUMNS:
            caption += f" The first {MAX_TEXT_COLUMNS} of the columns of categories are shown."
    score = material.scores[0]
    if score.quantity == "exact" and score.value == 1:
        caption += " All sequences are reconstructed exactly."
    return [Card("Best, median and worst", caption, views)]


def _line_groups(material: ReportData) -> list[list[int]]:
    """Return the columns on each axis by their scale in training, largest variance first."""
    schema, scaler = material.model.schema, material.model.error_scaler
    ranked = charts.by_variance(schema, scaler.transform(material.sequences).values)
    low, high = (scaler.mean_ + sign * 2 * scaler.scale_ for sign in (-1, 1))
    groups = charts.column_groups(schema, low, high)
    limit = MAX_COLUMNS // len(groups)
    return [[column for column in ranked if column in group][:limit] for group in groups]


def _strip_view(material: ReportData, examples: Sequence[tuple[int, str, str]], index: int) -> Plot:
    """Draw one categorical column of the examples and of their reconstructions."""
    column = material.model.schema.columns[index]
    panels = []
    for row, title, subtitle in examples:
        original, backs = _pair(material, row)
        rows, wrong = [("original", original.values[:MAX_STRIP_STEPS, index])], []
        for method, back in backs.items():
            values = column.column_type.clean(back.values[:MAX_STRIP_STEPS, index])
            values, faults = charts.compared(rows[0][1], values)
            rows.append((method, values))
            wrong.append(faults)
        chart = _strip_chart(material, index, rows, wrong)
        part = f" (first {MAX_STRIP_STEPS} steps)" * (len(original.values) > MAX_STRIP_STEPS)
        panels.append(replace(chart, title=title, subtitle=f"{column.name}{part} · {subtitle}"))
    return draw(panels, 80 + 165 * len(panels), panel_height=165)


def _strip_chart(
    material: ReportData,
    index: int,
    rows: Sequence[tuple[str, np.ndarray]],
    wrong: Sequence[np.ndarray] = (),
) -> Chart:
    categories = material.model.schema.columns[index].categories
    observed = material.sequences.values[:, index]
    return charts.strip_chart(rows, categories, wrong, observed=observed)


def _examples(material: ReportData) -> list[tuple[int, str, str]]:
    """Return the best, the median and the worst reconstruction: row, title and subtitle."""
    sequences, back = material.sequences, material.methods["Refold"]
    has_numbers = material.model.schema.numeric.any()
    rank, shares = material.errors.numeric, np.nan_to_num(material.errors.categorical)
    extra = np.maximum(0, back.lengths - sequences.lengths)
    if not has_numbers:
        # each extra step of a reconstruction counts as a wrong one
        rank = shares + extra / np.maximum(1, sequences.lengths)
        rank[sequences.lengths == 0] = np.nan
    # if errors are equal, the shorter sequence is the better one
    order = np.lexsort((sequences.lengths, rank))[: int(np.isfinite(rank).sum())].tolist()
    examples: dict[int, tuple[int, str, str]] = {}
    for name, place in (("Best", 0), ("Median", len(order) // 2), ("Worst", len(order) - 1)):
        if not order or order[place] in examples:
            continue
        i = order[place]
        text = f"error {short_number(float(rank[i]))}"
        if not has_numbers:
            text = f"{shares[i]:.0%} wrong"
            text += f", {in_steps(int(extra[i]), 'extra step')}" if extra[i] else ""
        subtitle = f"{in_steps(int(sequences.lengths[i]))} · {text}"
        examples[i] = (i, f"{name}: {sequences.ids[i]}", subtitle)
    return list(examples.values())


def _pair(material: ReportData, row: int) -> tuple[Sequences, dict[str, Sequences]]:
    """Return one sequence and its reconstructions."""
    backs = {method: back[[row]] for method, back in material.methods.items()}
    return material.sequences[[row]], backs


def pair_rows(
    original: Sequences, backs: dict[str, Sequences], columns: Sequence[int]
) -> list[Row]:
    """Write columns of a sequence and its reconstructions as text, with wrong values marked."""
    schema = original.schema
    rows: list[Row] = []
    for column in columns:
        name = f"{schema.names[column]}, " if schema.num_columns > 1 else ""
        x = original.values[:, column]
        rows.append((f"{name}original", _tokens(x, schema, column)))
        for method, back in backs.items():
            # PCA returns any number
            y = schema.columns[column].column_type.clean(back.values[:, column])
            y, wrong = charts.compared(x, y)
            rows.append((f"{name}{method}", _tokens(y, schema, column, wrong)))
    return rows


def _tokens(
    values: np.ndarray, schema: Schema, column: int, wrong: np.ndarray | None = None
) -> list[Token]:
    """Return one column of a sequence as tokens, with a dot for each missing value."""
    texts = charts.letters(values[:MAX_TEXT_STEPS], schema.columns[column])
    gap = "" if all(len(str(name)) == 1 for name in schema.columns[column].categories) else " "
    tokens = []
    for step, text in enumerate(texts):
        tokens.append((text, bool(wrong is not None and wrong[step])))
        if gap:
            tokens.append((gap, False))
    if len(values) > MAX_TEXT_STEPS:
        tokens.append((f" … {len(values) - MAX_TEXT_STEPS} more", False))
    return tokens


# Codes


def code_map(material: ReportData) -> list[Card]:
    """Draw the features of the codes and the codes by PCA and, if it is installed, by UMAP."""
    model, num_codes = material.model, len(material.codes)
    rows = np.arange(num_codes)
    if num_codes > MAX_POINTS:
        generator = np.random.default_rng(material.seed)
        rows = np.sort(generator.choice(num_codes, MAX_POINTS, replace=False))
    codes = material.codes[rows].astype(float)
    planes: list[tuple[Literal["pca", "umap"], str, np.ndarray]] = [("pca", "PCA", codes)]
    colors, name, meaning = _colors(material, rows)
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
    texts = [_hover_text(material, i) for i in rows.tolist()]
    views = []
    for method, button, vectors in planes:
        points, names = code_plane(vectors, method, seed=material.seed)
        look = {"label_name": name, "label_order": material.label_order, "hover": texts}
        chart = charts.code_points(points, names, colors, **look)
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
    values = material.errors.numeric if numeric else material.errors.categorical
    return values[rows], "error", "the errors"


def _hover_text(material: ReportData, i: int) -> str:
    """Return the id, length, label and error of a sequence as lines."""
    numeric, categorical = material.errors.numeric[i], material.errors.categorical[i]
    lines = [str(material.sequences.ids[i]), in_steps(int(material.sequences.lengths[i]))]
    if material.labels is not None:
        lines.append(f"{material.label_name}: {material.labels[i]}")
    if np.isfinite(numeric):
        lines.append(f"error {short_number(float(numeric))}")
    if np.isfinite(categorical):
        lines.append(f"{categorical:.1%} of the values wrong")
    return "\n".join(lines)


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
        f"standard deviation, largest change first: {measure}. Point at a bar to see the variance "
        "of the dimension and the columns that it changes most."
    )
    if model.active_dimensions is not None:
        inactive = np.arange(num_dimensions) < specification.latent_dim
        inactive &= dimensions.deviation**2 <= ACTIVE
        caption += (
            f" In training, {model.active_dimensions} of {specification.latent_dim} "
            f"dimensions of this variational model were active, with a variance above {ACTIVE}. "
            "Gray ones are inactive on this data."
        )
    if num_dimensions > charts.MAX_BARS:
        caption += f" {charts.MAX_BARS} of {num_dimensions} dimensions are shown."
    chart = charts.latent_bars(
        dimensions,
        model.schema.names,
        latent_dim=specification.latent_dim,
        rocket_dim=specification.rocket_dim,
        length_dim=specification.length_dim,
        inactive=inactive,
    )
    return Card("Latent dimensions", caption, [draw(chart, 300)])


def _sweeps(material: ReportData, dimensions: LatentDimensions) -> Card:
    model, codes, schema = material.model, material.codes, material.model.schema
    base, base_code = "The mean code", None
    if not schema.numeric.any():
        unit = np.where(dimensions.deviation > 0, dimensions.deviation, 1.0)
        distances = (((codes - codes.mean(axis=0)) / unit) ** 2).sum(axis=1)
        base, base_code = "A code near the mean", codes[np.argmin(distances)]
    caption = (
        f"{base} is decoded while one dimension goes from two standard deviations below its mean "
        "to two above. The others do not change."
    )
    swept = [int(i) for i in dimensions.order[:MAX_SWEPT] if dimensions.total[i] > 0]
    decoded = {i: sweep(model, codes, i, base_code=base_code) for i in swept}
    titles = {i: _dimension_title(material, dimensions, i) for i in swept}
    if not schema.numeric.any():
        columns = {i: int(dimensions.effect[i].argmax()) for i in swept}
        views: list[Any] = []
        for column in dict.fromkeys(columns.values()):  # each has one legend
            rows = {i: _sweep_rows(decoded[i], column) for i in swept if columns[i] == column}
            name = schema.names[column] if schema.num_columns > 1 else ""
            if charts.is_strip(schema.columns[column], schema):
                panels = [
                    replace(_strip_chart(material, column, rows[i]), title=titles[i], subtitle=name)
                    for i in rows
                ]
                views.append(_sweep_panels(panels))
                continue
            texts = {i: [(text, _tokens(x, schema, column)) for text, x in rows[i]] for i in rows}
            name = f" → {name}" if name else ""
            views.append(Text([TextGroup(titles[i] + name, texts[i]) for i in texts]))
    else:
        caption += " Blue is low, yellow is high."
        if schema.numeric.sum() > 1:
            caption += " For each dimension, the column that changes most is drawn."
        panels = [_sweep_lines(decoded[i], dimensions, i, titles[i]) for i in swept]
        views = [_sweep_panels(panels)]
    return Card("Sweeps along latent dimensions", caption, views)


def _dimension_title(material: ReportData, dimensions: LatentDimensions, i: int) -> str:
    specification = material.model.specification
    name = latent_name(dimensions, i)
    if specification.latent_dim - specification.rocket_dim <= i < specification.latent_dim:
        return f"{name} (ROCKET feature)"
    return f"{name} (length)" if i == specification.length_index else name


def _sweep_lines(decoded: Sequences, dimensions: LatentDimensions, i: int, title: str) -> Chart:
    numeric = np.flatnonzero(decoded.schema.numeric)
    column = int(numeric[dimensions.effect[i, numeric].argmax()])
    subtitle = decoded.schema.names[column] if len(numeric) > 1 else ""
    chart = charts.sweep_lines(decoded, column, DEVIATIONS)
    return replace(chart, y=Axis(), title=title, subtitle=subtitle)


def _sweep_panels(panels: Sequence[Chart]) -> Plot:
    return draw(panels, 110 + 245 * -(-len(panels) // 3), columns=min(3, len(panels)))


def _sweep_rows(decoded: Sequences, column: int) -> list[tuple[str, np.ndarray]]:
    parts = zip(DEVIATIONS, decoded.offsets[:-1], decoded.offsets[1:], strict=True)
    return [(signed(value), decoded.values[a:b, column]) for value, a, b in parts]
