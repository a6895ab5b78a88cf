"""Cards of a section: data, architecture, losses, errors, reconstructions and codes.

Each public function returns the cards of one subject, with the text that explains them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from refold._support.messages import format_distinct_numbers, format_number, format_short
from refold._support.optional_imports import is_installed
from refold.diagnosis import DEVIATIONS, LatentDimensions, latent_dimensions, sweep
from refold.evaluation import (
    SequenceErrors,
    errors_by_feature,
    errors_by_length,
    errors_by_position,
)
from refold.model import Model
from refold.plots import charts, code_plane
from refold.plots.charts import Axis, Chart, count_text, dimension_name, signed_text
from refold.report._page import Card, Plot, Row, Score, Table, Text, TextGroup, Token, draw
from refold.sequences import Schema, Sequences

# The limits below keep cards short and the page small.

# Largest number of columns in the table of the data.
MAX_TABLE_ROWS = 30
# Largest number of categories that a row of the table names.
MAX_LISTED_CATEGORIES = 8
# Largest number of features with bars of errors.
MAX_FEATURE_BARS = 40
# What an error of 1 is, by the type of the columns.
ERROR_MEANINGS = {
    "numeric": "Squared errors are in units of the variance of the training data: predicting the "
    "mean has an error of 1.",
    "categorical": "A binary or categorical value is wrong if it differs from the original or is "
    "missing.",
}
# Largest number of numeric columns of a reconstruction, on all its axes.
MAX_LINE_COLUMNS = 12
# Largest number of lines on an axis of a reconstruction that are visible before a click.
MAX_VISIBLE_LINES = 3
# Largest number of columns of categories of a reconstruction.
MAX_TEXT_COLUMNS = 8
# Largest number of steps of a sequence that is shown as text.
MAX_TEXT_STEPS = 160
# Largest number of steps of a sequence that is shown as a colored strip.
MAX_STRIP_STEPS = 1000
# Largest number of points of the map of the codes.
MAX_POINTS = 5000
# With fewer codes, there are too few neighbors for UMAP.
MIN_UMAP_CODES = 20
# Largest number of latent dimensions with a sweep.
MAX_SWEPT_DIMENSIONS = 6
# A dimension of a variational code with a larger variance is active.
MIN_ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True)
class ReportData:
    """The model, data and measurements that the cards of a section show."""

    model: Model
    sequences: Sequences  # a sample of n sequences, with the columns of the model
    lengths: np.ndarray  # of all sequences, also those that are not in the sample
    codes: np.ndarray  # (n, width)
    methods: dict[str, Sequences]  # reconstructions by "Refold" and, if it could be fitted, "PCA"
    errors: SequenceErrors  # errors of Refold, by sequence
    scores: tuple[Score, ...]  # the main score first
    labels: np.ndarray | None  # (n,)
    label_name: str
    label_order: tuple[str, ...]  # categories of a Categorical of pandas, else empty
    seed: int


# Data and training


def draw_data(report_data: ReportData) -> list[Card]:
    """Return the card with a table of the columns and a chart of the lengths."""
    num_missing = int(np.isnan(report_data.sequences.values).sum())
    lengths = report_data.lengths
    low, high = int(lengths.min()), int(lengths.max())
    caption = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}."
    if low == high:
        caption = f"All sequences have {count_text(low)}."
    caption += f" {num_missing:,} values are missing." if num_missing else " No values are missing."
    if len(lengths) > len(report_data.sequences):
        caption += (
            f" The values and everything below are of {len(report_data.sequences):,} sequences "
            "drawn at random; the lengths are of all sequences."
        )
    views: list[Any] = [Table(["column", "type", "values", "missing"], _column_rows(report_data))]
    if low < high:
        views.append(draw(charts.length_histogram(lengths), 240))
    return [Card("Data", caption, views)]


def _column_rows(report_data: ReportData) -> list[list[str]]:
    """Return a table row for each column: name, type, values and share of missing values."""
    schema, values = report_data.sequences.schema, report_data.sequences.values
    rows = []
    for i, column in enumerate(schema.columns[:MAX_TABLE_ROWS]):
        observed = values[~np.isnan(values[:, i]), i].astype(float)
        if not len(observed):
            text = ""
        elif column.column_type.is_number:
            low, high = format_distinct_numbers(observed.min(), observed.max())
            text = f"{format_number(observed.mean())} ± {format_short(observed.std())}"
            text += f", {low} to {high}"
        elif not column.column_type.has_categories:
            text = f"{observed.mean():.1%} ones"
        else:
            names = ", ".join(map(str, column.categories[:MAX_LISTED_CATEGORIES]))
            ellipsis = ", …" if len(column.categories) > MAX_LISTED_CATEGORIES else ""
            text = f"{len(column.categories)} categories: {names}{ellipsis}"
        share = 1 - len(observed) / max(1, len(values))
        rows.append([column.name, column.type, text, f"{share:.1%}" if share else "none"])
    if schema.num_columns > MAX_TABLE_ROWS:
        rows.append([f"and {schema.num_columns - MAX_TABLE_ROWS} more", "", "", ""])
    return rows


def draw_architecture(report_data: ReportData) -> list[Card]:
    """Return the card with a table of the layers of encoder and decoder."""
    # imported here, so that the rest of the module does not load Keras
    from refold.network.keras.build import keras_models

    model, specification = report_data.model, report_data.model.specification
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps. "
        f"The code has {count_text(specification.latent_dim, 'dimension')}"
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
    rows = [*_layer_rows("encoder", encoder), *_layer_rows("decoder", decoder)]
    return [Card("Architecture", caption, [Table(["part", "layer", "output", "parameters"], rows)])]


def _layer_rows(model_name: str, keras_model: Any) -> list[list[str]]:
    """Return a table row for a Keras model, and one for each of its layers."""
    rows = [[model_name, "all layers", "", f"{keras_model.count_params():,}"]]
    for layer in keras_model.layers:
        try:
            dimensions = layer.output.shape[1:]
        except (AttributeError, ValueError):  # a shared layer, or one whose output is not a tensor
            dimensions = ()
        shape = " × ".join("T" if width is None else str(width) for width in dimensions)
        # the layer that a wrapper, such as Bidirectional, applies
        inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
        name = type(layer).__name__ + (f"({type(inner).__name__})" if inner is not None else "")
        num_parameters = layer.count_params()
        rows.append(["", name, shape, f"{num_parameters:,}" if num_parameters else ""])
    return rows


def draw_losses(report_data: ReportData) -> list[Card]:
    """Return the card with the losses by epoch, or none if the training had no epoch."""
    history = report_data.model.history
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


def draw_errors(report_data: ReportData) -> list[Card]:
    """Return cards with the errors by feature, by length and by position."""
    schema, sequences = report_data.model.schema, report_data.sequences
    scaler, methods = report_data.model.error_scaler, report_data.methods.items()
    by_feature = {method: errors_by_feature(sequences, x, scaler) for method, x in methods}
    by_length = {method: errors_by_length(sequences, x, scaler) for method, x in methods}
    by_position = {method: errors_by_position(sequences, x, scaler) for method, x in methods}
    if not any(np.nansum(values) > 0 for values in by_feature.values()):
        caption = (
            f"All values are reconstructed exactly by {' and by '.join(by_feature)}, so there are "
            "no errors to draw by feature, length or position. Steps beyond the end of the "
            "original do not count here."
        )
        return [Card("Errors", caption, ())]
    columns = {"numeric": schema.numeric, "categorical": ~schema.numeric}
    columns = {group: np.flatnonzero(mask) for group, mask in columns.items() if mask.any()}
    meaning = " ".join(ERROR_MEANINGS[group] for group in columns)
    cards = []
    if schema.num_columns > 1:
        caption = meaning
        if max(map(len, columns.values())) > MAX_FEATURE_BARS:
            caption += f" The {MAX_FEATURE_BARS} with the largest errors are shown."
        views = []
        for group, members in columns.items():
            worst = np.argsort(-np.nan_to_num(by_feature["Refold"][members]), kind="stable")
            drawn = np.sort(members[worst[:MAX_FEATURE_BARS]])
            values = {method: errors[drawn] for method, errors in by_feature.items()}
            chart = charts.feature_error_bars(values, [schema.names[i] for i in drawn], group)
            views.append(draw(chart, 110 + 26 * max(2, len(drawn)), group))
        cards.append(Card("Error by feature", caption, views, switch=True))
    if len(by_length["Refold"].first) > 1:
        caption = (
            "Sequences are grouped by length, with about as many in each group. Longer ones are "
            f"harder, because more has to fit into a code of the same size. {meaning}"
        )
        views = [draw(charts.length_error_bars(by_length, group), 320, group) for group in columns]
        cards.append(Card("Error by length", caption, views, switch=True))
    if len(by_position["Refold"].first) > 1:
        caption = "The error at each step of the sequences."
        if sequences.lengths.min() < sequences.lengths.max():
            caption += " Fewer sequences have the last steps, so the lines are less certain there."
        lines = {group: charts.position_error_lines(by_position, group) for group in columns}
        views = [draw(chart, 320, group) for group, chart in lines.items()]
        cards.append(Card("Error by position", f"{caption} {meaning}", views, switch=True))
    return cards


# Reconstructions


def draw_reconstructions(report_data: ReportData) -> list[Card]:
    """Return the card with the best, the median and the worst reconstruction, if there are any."""
    examples = _choose_examples(report_data)
    if not examples:
        return []
    schema = report_data.model.schema
    num_numeric = int(schema.numeric.sum())
    views: list[Any] = []
    caption = "Three sequences, chosen by their error and decoded from their codes alone."
    if num_numeric:
        groups = _group_numeric_columns(report_data)
        colors, panels = charts.column_colors([sorted(group) for group in groups]), []
        for row, title, subtitle in examples:
            pair = _original_and_reconstructions(report_data, row)
            for group in groups:
                visible = group[:MAX_VISIBLE_LINES]
                chart = charts.reconstruction_lines(*pair, sorted(group), visible, colors)
                name = schema.names[group[0]] if len(group) == 1 and len(groups) > 1 else ""
                panel_subtitle = " · ".join(text for text in (subtitle, name) if text)
                panels.append(replace(chart, title=title, subtitle=panel_subtitle))
                title = subtitle = ""  # the title is above the first panel only
        height = 380 if len(groups) == 1 else 130 + 190 * len(groups)
        views.append(draw(panels, height, num_columns=len(examples), fills_columns=True))
        caption += (
            " The original is the wide, pale line, the reconstruction the thin one. Click on a "
            "name to hide or show it."
        )
        if len(groups) > 1:
            caption += " Columns of different scales have axes of their own."
        num_included = sum(map(len, groups))
        if num_numeric > num_included:
            caption += f" {num_included} of {num_numeric} numeric columns are included."
        if max(map(len, groups)) > MAX_VISIBLE_LINES:
            where = " on each axis" if len(groups) > 1 else ""
            caption += f" At first, the {MAX_VISIBLE_LINES} columns with the largest variance are"
            caption += f" shown{where}."
    tokens = np.flatnonzero(~schema.numeric)[:MAX_TEXT_COLUMNS].tolist()
    strips = [i for i in tokens if charts.is_drawn_as_strip(schema.columns[i], schema)]
    views += [_draw_strips(report_data, examples, column) for column in strips]
    if texts := [i for i in tokens if i not in strips]:
        text_groups = [
            TextGroup(
                f"{title} · {subtitle}",
                make_token_rows(*_original_and_reconstructions(report_data, row), texts),
            )
            for row, title, subtitle in examples
        ]
        views.append(Text(text_groups))
    if tokens:
        caption += " Wrong values are underlined."
        if strips:
            caption += " Runs of categories are strips; point at one to see its name and steps."
        if schema.num_columns - num_numeric > MAX_TEXT_COLUMNS:
            caption += f" The first {MAX_TEXT_COLUMNS} of the columns of categories are shown."
    score = report_data.scores[0]
    if score.quantity == "exact" and score.value == 1:
        caption += " All sequences are reconstructed exactly."
    return [Card("Best, median and worst", caption, views)]


def _group_numeric_columns(report_data: ReportData) -> list[list[int]]:
    """Return the numeric columns of each axis, largest variance first."""
    schema, scaler = report_data.model.schema, report_data.model.error_scaler
    ranked = charts.sort_by_variance(schema, scaler.transform(report_data.sequences).values)
    # most values are within two standard deviations of the mean
    low, high = (scaler.mean_ + sign * 2 * scaler.scale_ for sign in (-1, 1))
    groups = charts.group_by_range(schema, low, high)
    max_per_axis = MAX_LINE_COLUMNS // len(groups)
    return [[column for column in ranked if column in group][:max_per_axis] for group in groups]


def _draw_strips(
    report_data: ReportData, examples: Sequence[tuple[int, str, str]], column_index: int
) -> Plot:
    """Draw one categorical column of the examples and of their reconstructions."""
    column = report_data.model.schema.columns[column_index]
    panels = []
    for row, title, subtitle in examples:
        original, reconstructions = _original_and_reconstructions(report_data, row)
        rows, wrong = [("original", original.values[:MAX_STRIP_STEPS, column_index])], []
        for method, reconstructed in reconstructions.items():
            values = column.column_type.to_nearest_valid(
                reconstructed.values[:MAX_STRIP_STEPS, column_index]
            )
            values, is_wrong = charts.pad_and_mark_wrong(rows[0][1], values)
            rows.append((method, values))
            wrong.append(is_wrong)
        chart = _make_strip_chart(report_data, column_index, rows, wrong)
        note = f" (first {MAX_STRIP_STEPS} steps)" * (len(original.values) > MAX_STRIP_STEPS)
        panels.append(replace(chart, title=title, subtitle=f"{column.name}{note} · {subtitle}"))
    return draw(panels, 80 + 165 * len(panels), panel_height=165)


def _make_strip_chart(
    report_data: ReportData,
    column_index: int,
    named_rows: Sequence[tuple[str, np.ndarray]],
    wrong_masks: Sequence[np.ndarray] = (),
) -> Chart:
    """Return strips of one column, in the colors that its categories have on the whole page."""
    categories = report_data.model.schema.columns[column_index].categories
    observed = report_data.sequences.values[:, column_index]
    return charts.category_strips(named_rows, categories, wrong_masks, observed_ids=observed)


def _choose_examples(report_data: ReportData) -> list[tuple[int, str, str]]:
    """Return the best, the median and the worst reconstruction: row, title and subtitle."""
    sequences, reconstructed = report_data.sequences, report_data.methods["Refold"]
    has_numbers = report_data.model.schema.numeric.any()
    errors, wrong_shares = report_data.errors.numeric, np.nan_to_num(report_data.errors.categorical)
    num_extra = np.maximum(0, reconstructed.lengths - sequences.lengths)
    if not has_numbers:
        # each extra step of a reconstruction counts as a wrong one
        errors = wrong_shares + num_extra / np.maximum(1, sequences.lengths)
        errors[sequences.lengths == 0] = np.nan
    # if errors are equal, the shorter sequence is the better one
    order = np.lexsort((sequences.lengths, errors))[: int(np.isfinite(errors).sum())].tolist()
    examples: dict[int, tuple[int, str, str]] = {}
    for name, rank in (("Best", 0), ("Median", len(order) // 2), ("Worst", len(order) - 1)):
        if not order or order[rank] in examples:
            continue
        i = order[rank]
        text = f"error {format_short(float(errors[i]))}"
        if not has_numbers:
            text = f"{wrong_shares[i]:.0%} wrong"
            text += f", {count_text(int(num_extra[i]), 'extra step')}" if num_extra[i] else ""
        subtitle = f"{count_text(int(sequences.lengths[i]))} · {text}"
        examples[i] = (i, f"{name}: {sequences.ids[i]}", subtitle)
    return list(examples.values())


def _original_and_reconstructions(
    report_data: ReportData, row: int
) -> tuple[Sequences, dict[str, Sequences]]:
    """Return one sequence, and its reconstruction by each method."""
    methods = report_data.methods.items()
    return report_data.sequences[[row]], {name: decoded[[row]] for name, decoded in methods}


def make_token_rows(
    original: Sequences, reconstructions: dict[str, Sequences], columns: Sequence[int]
) -> list[Row]:
    """Return columns of a sequence and its reconstructions as tokens, with wrong values marked."""
    schema = original.schema
    rows: list[Row] = []
    for column in columns:
        name = f"{schema.names[column]}, " if schema.num_columns > 1 else ""
        x = original.values[:, column]
        rows.append((f"{name}original", _make_tokens(x, schema, column)))
        for method, reconstructed in reconstructions.items():
            # PCA returns numbers between categories, so they are rounded
            y = schema.columns[column].column_type.to_nearest_valid(reconstructed.values[:, column])
            y, wrong = charts.pad_and_mark_wrong(x, y)
            rows.append((f"{name}{method}", _make_tokens(y, schema, column, wrong)))
    return rows


def _make_tokens(
    values: np.ndarray, schema: Schema, column_index: int, is_wrong: np.ndarray | None = None
) -> list[Token]:
    """Return one column of a sequence as tokens, with a dot for each missing value."""
    column = schema.columns[column_index]
    texts = charts.token_texts(values[:MAX_TEXT_STEPS], column)
    # characters are written without gaps between them
    gap = "" if all(len(str(name)) == 1 for name in column.categories) else " "
    tokens = []
    for step, text in enumerate(texts):
        tokens.append((text, bool(is_wrong is not None and is_wrong[step])))
        if gap:
            tokens.append((gap, False))
    if len(values) > MAX_TEXT_STEPS:
        tokens.append((f" … {len(values) - MAX_TEXT_STEPS} more", False))
    return tokens


# Codes


def draw_code_map(report_data: ReportData) -> list[Card]:
    """Return the card with maps of features and codes, by PCA and, if it is installed, by UMAP."""
    model, num_codes = report_data.model, len(report_data.codes)
    rows = np.arange(num_codes)
    if num_codes > MAX_POINTS:
        generator = np.random.default_rng(report_data.seed)
        rows = np.sort(generator.choice(num_codes, MAX_POINTS, replace=False))
    codes = report_data.codes[rows].astype(float)
    planes: list[tuple[Literal["pca", "umap"], str, np.ndarray]] = [("pca", "PCA", codes)]
    colors, name, meaning = _choose_colors(report_data, rows)
    caption = "Each point is the code of a sequence"
    if codes.shape[1] > 2:
        caption += (
            " in the plane of the first two principal components, each with its share of the "
            "variance"
        )
    caption += f". Colors show {meaning}."
    if codes.shape[1] > 2 and len(rows) >= MIN_UMAP_CODES and is_installed("umap"):
        planes.append(("umap", "UMAP", codes))
    if codes.shape[1] > 2 and model.reference is not None:
        caption += (
            " Features describe the decoded sequences by pooled random convolutions, which are "
            "similar for sequences with similar patterns. Under "
            f"{' and '.join(button for _, button, _ in planes)}, points are codes."
        )
        # the first view, because it shows groups of similar sequences best
        planes.insert(0, ("pca", "Features", model.features(codes)))
    if planes[-1][0] == "umap":
        caption += " UMAP preserves neighborhoods; its distances between groups have no meaning."
    if len(rows) < num_codes:
        caption += f" {len(rows):,} of {num_codes:,} codes are drawn, chosen at random."
    texts = [_hover_text(report_data, i) for i in rows.tolist()]
    views = []
    for method, button, vectors in planes:
        points, names = code_plane(vectors, method, seed=report_data.seed)
        options = {"label_name": name, "label_order": report_data.label_order, "hover_texts": texts}
        chart = charts.code_points(points, names, colors, **options)
        views.append(draw(chart, 520, button))
    return [Card("Map of the codes", caption, views, switch=True)]


def _choose_colors(report_data: ReportData, rows: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Return a label or number for each point, its name, and what the colors show."""
    name = report_data.label_name
    if report_data.labels is not None:
        is_column = name in report_data.model.schema.names
        meaning = name if is_column else f"{name}, which is not a column of the model"
        return report_data.labels[rows], name, meaning
    lengths = report_data.sequences.lengths[rows]
    if lengths.min() < lengths.max():
        return lengths, "steps", "the lengths"
    numeric = report_data.model.schema.numeric.any()
    values = report_data.errors.numeric if numeric else report_data.errors.categorical
    return values[rows], "error", "the errors"


def _hover_text(report_data: ReportData, row: int) -> str:
    """Return lines with the id, length, label and error of a sequence."""
    sequences, errors = report_data.sequences, report_data.errors
    numeric, categorical = errors.numeric[row], errors.categorical[row]
    lines = [str(sequences.ids[row]), count_text(int(sequences.lengths[row]))]
    if report_data.labels is not None:
        lines.append(f"{report_data.label_name}: {report_data.labels[row]}")
    if np.isfinite(numeric):
        lines.append(f"error {format_short(float(numeric))}")
    if np.isfinite(categorical):
        lines.append(f"{categorical:.1%} of the values wrong")
    return "\n".join(lines)


def draw_latent_cards(report_data: ReportData) -> list[Card]:
    """Return cards with the effects of latent dimensions, and with sweeps along the strongest."""
    dimensions = latent_dimensions(report_data.model, report_data.codes, seed=report_data.seed)
    cards = [_effect_card(report_data, dimensions)]
    if dimensions.total.max() > 0:
        cards.append(_sweep_card(report_data, dimensions))
    return cards


def _effect_card(report_data: ReportData, dimensions: LatentDimensions) -> Card:
    """Return the card with a bar for the effect of each latent dimension."""
    model, specification = report_data.model, report_data.model.specification
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
        inactive &= dimensions.deviation**2 <= MIN_ACTIVE_VARIANCE
        caption += (
            f" In training, {model.active_dimensions} of {specification.latent_dim} "
            "dimensions of this variational model were active, with a variance above "
            f"{MIN_ACTIVE_VARIANCE}. Gray ones are inactive on this data."
        )
    if num_dimensions > charts.MAX_DIMENSION_BARS:
        caption += f" {charts.MAX_DIMENSION_BARS} of {num_dimensions} dimensions are shown."
    chart = charts.latent_effect_bars(
        dimensions,
        model.schema.names,
        latent_dim=specification.latent_dim,
        rocket_dim=specification.rocket_dim,
        length_dim=specification.length_dim,
        inactive_mask=inactive,
    )
    return Card("Latent dimensions", caption, [draw(chart, 300)])


def _sweep_card(report_data: ReportData, dimensions: LatentDimensions) -> Card:
    """Return the card with sweeps, as lines, strips or text."""
    model, codes, schema = report_data.model, report_data.codes, report_data.model.schema
    base_name, base_code = "The mean code", None
    if not schema.numeric.any():
        # the mean code may decode to no typical sequence of categories, so a code near it is used
        stds = np.where(dimensions.deviation > 0, dimensions.deviation, 1.0)
        distances = (((codes - codes.mean(axis=0)) / stds) ** 2).sum(axis=1)
        base_name, base_code = "A code near the mean", codes[np.argmin(distances)]
    caption = (
        f"{base_name} is decoded while one dimension goes from two standard deviations below its "
        "mean to two above. The others do not change."
    )
    swept = [int(i) for i in dimensions.order[:MAX_SWEPT_DIMENSIONS] if dimensions.total[i] > 0]
    decoded = {i: sweep(model, codes, i, base_code=base_code) for i in swept}
    titles = {i: _dimension_title(report_data, dimensions, i) for i in swept}
    if not schema.numeric.any():
        # of each dimension, the column that it changes most
        columns = {i: int(dimensions.effect[i].argmax()) for i in swept}
        views: list[Any] = []
        for column in dict.fromkeys(columns.values()):  # each column has its own view and legend
            rows = {i: _split_sweep(decoded[i], column) for i in swept if columns[i] == column}
            name = schema.names[column] if schema.num_columns > 1 else ""
            if charts.is_drawn_as_strip(schema.columns[column], schema):
                strips = {i: _make_strip_chart(report_data, column, rows[i]) for i in rows}
                panels = [replace(strips[i], title=titles[i], subtitle=name) for i in rows]
                views.append(_draw_panels(panels))
                continue
            name = f" → {name}" if name else ""
            text_groups = []
            for i in rows:
                tokens = [(text, _make_tokens(x, schema, column)) for text, x in rows[i]]
                text_groups.append(TextGroup(titles[i] + name, tokens))
            views.append(Text(text_groups))
    else:
        caption += " Blue is low, yellow is high."
        if schema.numeric.sum() > 1:
            caption += " For each dimension, the column that changes most is drawn."
        panels = [_draw_sweep_lines(decoded[i], dimensions, i, titles[i]) for i in swept]
        views = [_draw_panels(panels)]
    return Card("Sweeps along latent dimensions", caption, views)


def _dimension_title(report_data: ReportData, dimensions: LatentDimensions, i: int) -> str:
    """Return the name of a latent dimension, and what it holds if that is not learned."""
    specification = report_data.model.specification
    name = dimension_name(dimensions, i)
    if specification.latent_dim - specification.rocket_dim <= i < specification.latent_dim:
        return f"{name} (ROCKET feature)"
    return f"{name} (length)" if i == specification.length_index else name


def _draw_sweep_lines(
    decoded: Sequences, dimensions: LatentDimensions, i: int, title: str
) -> Chart:
    """Return lines of the numeric column that a dimension changes most."""
    numeric = np.flatnonzero(decoded.schema.numeric)
    column = int(numeric[dimensions.effect[i, numeric].argmax()])
    subtitle = decoded.schema.names[column] if len(numeric) > 1 else ""
    chart = charts.sweep_lines(decoded, column, DEVIATIONS)
    return replace(chart, y=Axis(), title=title, subtitle=subtitle)


def _draw_panels(panels: Sequence[Chart]) -> Plot:
    """Draw charts in a grid with at most three columns."""
    return draw(panels, 110 + 245 * -(-len(panels) // 3), num_columns=min(3, len(panels)))


def _split_sweep(decoded: Sequences, column: int) -> list[tuple[str, np.ndarray]]:
    """Return the name and one column of each sequence of a sweep."""
    bounds = zip(DEVIATIONS, decoded.offsets[:-1], decoded.offsets[1:], strict=True)
    return [(signed_text(value), decoded.values[first:end, column]) for value, first, end in bounds]
