"""Each public function returns the cards of one subject, with the text that explains them.

Subjects are the data, the architecture, losses, errors, reconstructions and codes. Heights of plots
are in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from refold._support.messages import (
    format_distinct_numbers,
    format_number,
    format_rounded,
    pluralize,
)
from refold._support.optional_imports import is_installed
from refold.diagnosis import DEVIATIONS, LatentDimensions, decode_sweep, measure_latent_effects
from refold.evaluation import (
    SequenceErrors,
    errors_by_feature,
    errors_by_length,
    errors_by_position,
)
from refold.model import Model
from refold.plots import charts, project_codes_to_plane
from refold.plots.charts import Axis, Chart, describe_dimension, format_signed_number
from refold.report._page import (
    Card,
    Plot,
    Score,
    Table,
    TextGroup,
    TextView,
    Token,
    TokenRow,
    make_plot,
)
from refold.sequences import Column, Sequences

# The limits below keep cards short and the page small.

# Largest number of columns in the table of the data.
MAX_LISTED_COLUMNS = 30
# Largest number of categories that a row of the table names.
MAX_LISTED_CATEGORIES = 8
# Largest number of features with bars of errors.
MAX_FEATURE_BARS = 40
# What the errors mean, by the type of the columns.
ERROR_MEANINGS = {
    "numeric": "Squared errors are in units of the variance of the training data: predicting the "
    "mean has an error of 1.",
    "categorical": "A binary or categorical value is wrong if it differs from the original or is "
    "missing.",
}
# Largest number of numeric columns of a reconstruction, on all its axes together.
MAX_NUMERIC_COLUMNS = 12
# Largest number of lines on an axis of a reconstruction that are visible before a click.
MAX_VISIBLE_LINES = 3
# Largest number of binary and categorical columns of a reconstruction, as strips or text.
MAX_CATEGORY_COLUMNS = 8
# Largest number of steps of a sequence that is shown as text.
MAX_TEXT_STEPS = 160
# Largest number of steps of a sequence that is shown as a colored strip.
MAX_STRIP_STEPS = 1000
# Largest number of points of the map of the codes.
MAX_MAP_POINTS = 5000
# Smallest number of codes for UMAP. With fewer codes, there are too few neighbors.
MIN_UMAP_CODES = 20
# Largest number of latent dimensions with a sweep.
MAX_SWEPT_DIMENSIONS = 6
# A dimension of a variational code is active if its variance is larger than this.
MIN_ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True)
class ReportData:
    """The model, data and measurements that the cards of a section show."""

    model: Model
    sequences: Sequences  # a sample, with the columns of the model
    all_lengths: np.ndarray  # of all sequences, also those that are not in the sample
    # the fields below are of the sample
    codes: np.ndarray  # (n_sequences, code_size)
    # by method: "Refold" and, if it could be fitted, "PCA"
    reconstructions: dict[str, Sequences]
    errors: SequenceErrors  # errors of Refold, by sequence
    scores: tuple[Score, ...]  # the main score first
    labels: np.ndarray | None  # (n_sequences,)
    label_name: str
    label_order: tuple[str, ...]  # categories of a Categorical of pandas, else empty
    seed: int


# Data and training


def make_data_cards(report_data: ReportData) -> list[Card]:
    """Return the card with a table of the columns and a chart of the lengths."""
    num_missing = int(np.isnan(report_data.sequences.values).sum())
    lengths = report_data.all_lengths
    low, high = int(lengths.min()), int(lengths.max())
    caption = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}."
    if low == high:
        caption = f"All sequences have {pluralize(low, 'step')}."
    caption += f" {num_missing:,} values are missing." if num_missing else " No values are missing."
    if len(lengths) > len(report_data.sequences):
        caption += (
            f" The values and everything below are of {len(report_data.sequences):,} sequences "
            "drawn at random; the lengths are of all sequences."
        )
    schema, values = report_data.sequences.schema, report_data.sequences.values
    rows = []
    for i, column in enumerate(schema.columns[:MAX_LISTED_COLUMNS]):
        observed = values[~np.isnan(values[:, i]), i].astype(float)
        if not len(observed):
            text = ""
        elif column.column_type.is_number:
            texts = format_distinct_numbers(observed.min(), observed.max())
            text = f"{format_number(observed.mean())} ± {format_rounded(observed.std())}"
            text += f", {' to '.join(texts)}"
        elif not column.column_type.has_categories:
            text = f"{observed.mean():.1%} ones"
        else:
            names = ", ".join(map(str, column.categories[:MAX_LISTED_CATEGORIES]))
            ellipsis = ", …" if len(column.categories) > MAX_LISTED_CATEGORIES else ""
            text = f"{len(column.categories)} categories: {names}{ellipsis}"
        missing_share = 1 - len(observed) / max(1, len(values))
        missing_text = f"{missing_share:.1%}" if missing_share else "none"
        rows.append([column.name, column.type, text, missing_text])
    if schema.num_columns > MAX_LISTED_COLUMNS:
        rows.append([f"and {schema.num_columns - MAX_LISTED_COLUMNS} more", "", "", ""])
    views: list[Any] = [Table(["column", "type", "values", "missing"], rows)]
    if low < high:
        views.append(make_plot(charts.length_histogram(lengths), 240))
    return [Card("Data", caption, views)]


def make_architecture_cards(report_data: ReportData) -> list[Card]:
    """Return the card with a table of the layers of encoder and decoder."""
    # imported here, so that the rest of the module does not load Keras
    from refold.network.keras.build import to_keras_network

    model, specification = report_data.model, report_data.model.specification
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps. "
        f"The code has {pluralize(specification.latent_dim, 'dimension')}"
    )
    if num_statistics := model.scaler.num_statistics:
        caption += f" and {num_statistics} numbers for level and spread"
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
    # the first two models are the encoder and the decoder
    models: tuple[Any, ...] = to_keras_network(model.network).models[:2]
    rows = []
    for part, keras_model in zip(("encoder", "decoder"), models, strict=True):
        rows.append([part, "all layers", "", f"{keras_model.count_params():,}"])
        for layer in keras_model.layers:
            try:
                dimensions = layer.output.shape[1:]
            except (AttributeError, ValueError):  # a shared layer, or the output is not a tensor
                dimensions = ()
            shape = " × ".join("T" if width is None else str(width) for width in dimensions)
            # the layer that a wrapper, such as Bidirectional, applies
            inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
            name = type(layer).__name__ + (f"({type(inner).__name__})" if inner is not None else "")
            num_parameters = layer.count_params()
            rows.append(["", name, shape, f"{num_parameters:,}" if num_parameters else ""])
    return [Card("Architecture", caption, [Table(["part", "layer", "output", "parameters"], rows)])]


def make_loss_cards(report_data: ReportData) -> list[Card]:
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
    return [Card("Losses by epoch", caption, [make_plot(chart, 340, hovermode="x unified")])]


# Errors


def make_error_cards(report_data: ReportData) -> list[Card]:
    """Return cards with the errors by feature, by length and by position."""
    schema, sequences = report_data.model.schema, report_data.sequences
    scaler, methods = report_data.model.error_scaler, report_data.reconstructions.items()
    # For each method, `by_feature` has an array (num_columns,). `by_length` has `GroupErrors` of
    # groups of lengths, and `by_position` has `GroupErrors` of groups of steps.
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
    # each card has a view of the numeric columns and a view of the other columns, if there are any
    masks = {"numeric": schema.numeric, "categorical": ~schema.numeric}
    columns = {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}
    meaning = " ".join(ERROR_MEANINGS[column_type] for column_type in columns)
    cards = []
    if schema.num_columns > 1:
        caption = meaning
        if max(map(len, columns.values())) > MAX_FEATURE_BARS:
            caption += f" The {MAX_FEATURE_BARS} with the largest errors are shown."
        views = []
        for column_type, indices in columns.items():
            # the columns with the largest errors of Refold, drawn in the order of the schema; the
            # error of a column is NaN if it has no observed value
            worst = np.argsort(-np.nan_to_num(by_feature["Refold"][indices]), kind="stable")
            drawn = np.sort(indices[worst[:MAX_FEATURE_BARS]])
            errors = {method: values[drawn] for method, values in by_feature.items()}
            names = [schema.names[i] for i in drawn]
            chart = charts.feature_error_bars(errors, names, column_type)
            # 26 pixels for each feature, and 110 for the margins
            views.append(make_plot(chart, 110 + 26 * max(2, len(drawn)), column_type))
        cards.append(Card("Error by feature", caption, views, has_switch=True))
    if len(by_length["Refold"].first) > 1:  # more than one group
        caption = (
            "Sequences are grouped by length, with about as many in each group. Longer ones are "
            f"harder, because more has to fit into a code of the same size. {meaning}"
        )
        bars = {name: charts.error_by_length_bars(by_length, name) for name in columns}
        views = [make_plot(chart, 320, name) for name, chart in bars.items()]
        cards.append(Card("Error by length", caption, views, has_switch=True))
    if len(by_position["Refold"].first) > 1:
        caption = "The error at each step of the sequences."
        if sequences.lengths.min() < sequences.lengths.max():
            caption += " Fewer sequences have the last steps, so the lines are less certain there."
        lines = {name: charts.position_error_lines(by_position, name) for name in columns}
        views = [make_plot(chart, 320, name) for name, chart in lines.items()]
        cards.append(Card("Error by position", f"{caption} {meaning}", views, has_switch=True))
    return cards


# Reconstructions


class Example(NamedTuple):
    """A sequence and its reconstruction by each method, with a title and a subtitle."""

    title: str
    subtitle: str
    original: Sequences
    reconstructions: dict[str, Sequences]


def make_reconstruction_cards(report_data: ReportData) -> list[Card]:
    """Return the card with the best, the median and the worst reconstruction, if there are any."""
    examples = _choose_examples(report_data)
    if not examples:
        return []
    schema, scaler = report_data.model.schema, report_data.model.error_scaler
    num_numeric = int(schema.numeric.sum())
    views: list[Any] = []
    caption = "Three sequences, chosen by their error and decoded from their codes alone."
    if num_numeric:
        scaled = scaler.transform(report_data.sequences).values
        ranked = charts.sort_columns_by_variance(schema, scaled)
        # arrays (num_columns,): most values are within two standard deviations of the mean
        low, high = (scaler.mean_ + sign * 2 * scaler.scale_ for sign in (-1, 1))
        # the columns on each axis, largest variance first
        groups = charts.group_columns_by_range(schema, low, high)
        max_lines = MAX_NUMERIC_COLUMNS // len(groups)
        groups = [[column for column in ranked if column in group][:max_lines] for group in groups]
        colors = charts.choose_column_colors([sorted(group) for group in groups])
        panels = []
        for title, subtitle, original, decoded in examples:
            for i, group in enumerate(groups):
                visible = group[:MAX_VISIBLE_LINES]
                chart = charts.reconstruction_lines(
                    original, decoded, sorted(group), visible, colors
                )
                name = schema.names[group[0]] if len(group) == 1 and len(groups) > 1 else ""
                parts = (name,) if i else (subtitle, name)  # the first panel has the subtitle
                panel_subtitle = " · ".join(part for part in parts if part)
                panels.append(replace(chart, title="" if i else title, subtitle=panel_subtitle))
        height = 380 if len(groups) == 1 else 130 + 190 * len(groups)
        views.append(make_plot(panels, height, num_columns=len(examples), is_filled_by_column=True))
        caption += (
            " The original is the wide, pale line, the reconstruction the thin one. Click on a "
            "name to hide or show its lines."
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
    # other columns are strips of colored runs, or text; `strips` and `texts` have their indices
    other_columns = np.flatnonzero(~schema.numeric)[:MAX_CATEGORY_COLUMNS].tolist()
    strips = [i for i in other_columns if charts.is_drawn_as_strip(schema.columns[i], schema)]
    for column in strips:
        panels = []
        for title, subtitle, original, decoded in examples:
            # the first row is the original, which has no mask of wrong values
            rows = _list_column_versions(original, decoded, column, MAX_STRIP_STEPS)
            named_rows, wrong_masks = [row[:2] for row in rows], [mask for *_, mask in rows[1:]]
            chart = _make_category_strips(report_data, column, named_rows, wrong_masks)
            is_cut = len(original.values) > MAX_STRIP_STEPS
            note = f" (first {MAX_STRIP_STEPS} steps)" if is_cut else ""
            strip_subtitle = f"{schema.names[column]}{note} · {subtitle}"
            panels.append(replace(chart, title=title, subtitle=strip_subtitle))
        views.append(make_plot(panels, 80 + 165 * len(panels), narrow_panel_height=165))
    if texts := [i for i in other_columns if i not in strips]:
        text_groups = [
            TextGroup(f"{title} · {subtitle}", make_comparison_text_rows(original, decoded, texts))
            for title, subtitle, original, decoded in examples
        ]
        views.append(TextView(text_groups))
    if other_columns:
        caption += " Wrong values are underlined."
        if strips:
            caption += " Runs of categories are strips; point at one to see its name and steps."
        if schema.num_columns - num_numeric > MAX_CATEGORY_COLUMNS:
            caption += f" The first {MAX_CATEGORY_COLUMNS} of the columns of categories are shown."
    score = report_data.scores[0]
    if score.quantity == "exact" and score.value == 1:
        caption += " All sequences are reconstructed exactly."
    return [Card("Best, median and worst", caption, views)]


def _choose_examples(report_data: ReportData) -> list[Example]:
    """Return the sequences with the best, the median and the worst reconstruction."""
    sequences, methods = report_data.sequences, report_data.reconstructions
    has_numbers = report_data.model.schema.numeric.any()
    errors, wrong_shares = report_data.errors.numeric, np.nan_to_num(report_data.errors.categorical)
    num_extra = np.maximum(0, methods["Refold"].lengths - sequences.lengths)
    if not has_numbers:
        # each extra step of a reconstruction counts as a wrong one
        errors = wrong_shares + num_extra / np.maximum(1, sequences.lengths)
        errors[sequences.lengths == 0] = np.nan  # an empty sequence is no example
    # Rows are sorted by error. If errors are equal, the shorter sequence is the better one. Rows
    # with the error NaN come last, and are left out.
    ranked = np.lexsort((sequences.lengths, errors))[: int(np.isfinite(errors).sum())].tolist()
    examples: dict[int, Example] = {}  # by row, because a row may be two of the three
    for name, rank in (("Best", 0), ("Median", len(ranked) // 2), ("Worst", len(ranked) - 1)):
        if not ranked or (row := ranked[rank]) in examples:
            continue
        text = f"error {format_rounded(float(errors[row]))}"
        if not has_numbers:
            text = f"{wrong_shares[row]:.0%} wrong"
            text += f", {pluralize(int(num_extra[row]), 'extra step')}" if num_extra[row] else ""
        examples[row] = Example(
            f"{name}: {sequences.ids[row]}",
            f"{pluralize(int(sequences.lengths[row]), 'step')} · {text}",
            sequences[[row]],
            {method: decoded[[row]] for method, decoded in methods.items()},
        )
    return list(examples.values())


def _list_column_versions(
    original: Sequences,
    reconstructions: dict[str, Sequences],
    column_index: int,
    max_steps: int | None = None,
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return a column of the original and of each reconstruction, as a row for each of them."""
    # a row has a name, values (n_steps,), and a mask (n_steps,) of the wrong values
    values = original.values[:max_steps, column_index]
    rows = [("original", values, np.zeros(len(values), bool))]
    for method, reconstructed in reconstructions.items():
        column_type = original.schema.columns[column_index].column_type
        # PCA returns numbers between categories, so they are rounded
        decoded = column_type.to_nearest_valid(reconstructed.values[:max_steps, column_index])
        rows.append((method, *charts.pad_reconstruction_and_find_wrong(values, decoded)))
    return rows


def _make_category_strips(
    report_data: ReportData,
    column_index: int,
    named_rows: Sequence[tuple[str, np.ndarray]],
    wrong_masks: Sequence[np.ndarray] = (),
) -> Chart:
    """Return strips of one column, in the colors that its categories have on the whole page."""
    categories = report_data.model.schema.columns[column_index].categories
    values = report_data.sequences.values[:, column_index]
    return charts.category_strips(named_rows, categories, values, wrong_masks)


def make_comparison_text_rows(
    original: Sequences, reconstructions: dict[str, Sequences], columns: Sequence[int]
) -> list[TokenRow]:
    """Return columns of a sequence and its reconstructions as tokens, with wrong values marked."""
    schema = original.schema
    text_rows: list[TokenRow] = []
    for column in columns:
        prefix = f"{schema.names[column]}, " if schema.num_columns > 1 else ""
        for name, values, is_wrong in _list_column_versions(original, reconstructions, column):
            tokens = _make_tokens(values, schema.columns[column], is_wrong)
            text_rows.append((f"{prefix}{name}", tokens))
    return text_rows


def _make_tokens(
    step_values: np.ndarray, column: Column, is_wrong: np.ndarray | None = None
) -> list[Token]:
    """Return values (n_steps,) of a column as tokens, with a dot for each missing value."""
    # A gap is a token, too. Tokens of one character are written without gaps between them.
    gap = "" if all(len(str(name)) == 1 for name in column.categories) else " "
    tokens = []
    for step, text in enumerate(charts.get_category_texts(step_values[:MAX_TEXT_STEPS], column)):
        tokens.append((text, bool(is_wrong is not None and is_wrong[step])))
        if gap:
            tokens.append((gap, False))
    if len(step_values) > MAX_TEXT_STEPS:
        tokens.append((f" … {len(step_values) - MAX_TEXT_STEPS} more", False))
    return tokens


# Codes


def make_code_map_cards(report_data: ReportData) -> list[Card]:
    """Return the card with maps of features and codes, by PCA and, if it is installed, by UMAP."""
    model, num_codes = report_data.model, len(report_data.codes)
    rows = np.arange(num_codes)
    if num_codes > MAX_MAP_POINTS:
        generator = np.random.default_rng(report_data.seed)
        rows = np.sort(generator.choice(num_codes, MAX_MAP_POINTS, replace=False))
    codes = report_data.codes[rows].astype(float)
    # method, text of the button and vectors (n_points, n_dimensions) of each view of the map
    vectors_of_views: list[tuple[Literal["pca", "umap"], str, np.ndarray]] = [("pca", "PCA", codes)]
    colors, color_name, meaning = _choose_color_values(report_data, rows)
    caption = "Each point is the code of a sequence"
    if codes.shape[1] > 2:
        caption += (
            " in the plane of the first two principal components, each with its share of the "
            "variance"
        )
    caption += f". Colors show {meaning}."
    if codes.shape[1] > 2 and len(rows) >= MIN_UMAP_CODES and is_installed("umap"):
        vectors_of_views.append(("umap", "UMAP", codes))
    if codes.shape[1] > 2 and model.reference is not None:
        caption += (
            " Features describe the decoded sequences by pooled random convolutions, which are "
            "similar for sequences with similar patterns. Under "
            f"{' and '.join(button for _, button, _ in vectors_of_views)}, points are codes."
        )
        # features are the first view, because it shows groups of similar sequences best
        vectors_of_views.insert(0, ("pca", "Features", model.features(codes)))
    if vectors_of_views[-1][0] == "umap":
        caption += " UMAP preserves neighborhoods; its distances between groups have no meaning."
    if len(rows) < num_codes:
        caption += f" {len(rows):,} of {num_codes:,} codes are drawn, chosen at random."
    sequences, errors, labels = report_data.sequences, report_data.errors, report_data.labels
    hover_texts = []
    for row in rows.tolist():
        lines = [str(sequences.ids[row]), pluralize(int(sequences.lengths[row]), "step")]
        if labels is not None:
            lines.append(f"{report_data.label_name}: {labels[row]}")
        if np.isfinite(errors.numeric[row]):
            lines.append(f"error {format_rounded(float(errors.numeric[row]))}")
        if np.isfinite(errors.categorical[row]):
            lines.append(f"{errors.categorical[row]:.1%} of the values wrong")
        hover_texts.append("\n".join(lines))
    options: dict[str, Any] = {"label_name": color_name, "label_order": report_data.label_order}
    options["hover_texts"] = hover_texts
    views = []
    for method, button, vectors in vectors_of_views:
        points, axis_names = project_codes_to_plane(vectors, method, seed=report_data.seed)
        chart = charts.code_scatter_chart(points, axis_names, colors, **options)
        views.append(make_plot(chart, 520, button))
    return [Card("Map of the codes", caption, views, has_switch=True)]


def _choose_color_values(report_data: ReportData, rows: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Return a label or number of each row, the name of these values, and what they mean."""
    name = report_data.label_name
    if report_data.labels is not None:
        is_column = name in report_data.model.schema.names
        meaning = name if is_column else f"{name}, which is not a column of the model"
        return report_data.labels[rows], name, meaning
    lengths = report_data.sequences.lengths[rows]
    if lengths.min() < lengths.max():
        return lengths, "steps", "the lengths"
    has_numbers = report_data.model.schema.numeric.any()
    errors = report_data.errors.numeric if has_numbers else report_data.errors.categorical
    return errors[rows], "error", "the errors"


def make_latent_dimension_cards(report_data: ReportData) -> list[Card]:
    """Return cards with the effects of latent dimensions, and with sweeps along the strongest."""
    model, specification = report_data.model, report_data.model.specification
    dimensions = measure_latent_effects(model, report_data.codes, seed=report_data.seed)
    num_dimensions = len(dimensions.names)
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
    is_inactive = None
    if model.active_dimensions is not None:  # only a variational model has this number
        # a code may end in level and scale, which are never inactive
        is_inactive = np.arange(num_dimensions) < specification.latent_dim
        is_inactive &= dimensions.deviation**2 <= MIN_ACTIVE_VARIANCE
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
        is_inactive=is_inactive,
    )
    cards = [Card("Latent dimensions", caption, [make_plot(chart, 300)])]
    if dimensions.mean_effect.max() > 0:  # some dimension changes the decoded sequence
        cards.append(_draw_sweeps(report_data, dimensions))
    return cards


def _draw_sweeps(report_data: ReportData, dimension_effects: LatentDimensions) -> Card:
    """Return the card with sweeps along the strongest dimensions, as lines, strips or text."""
    model, codes, schema = report_data.model, report_data.codes, report_data.model.schema
    numeric = np.flatnonzero(schema.numeric)
    base_name, base_code = "The mean code", None
    if not len(numeric):
        # the mean code may decode to no typical sequence of categories, so a code near it is used
        stds = np.where(dimension_effects.deviation > 0, dimension_effects.deviation, 1.0)
        distances = (((codes - codes.mean(axis=0)) / stds) ** 2).sum(axis=1)
        base_name, base_code = "A code near the mean", codes[np.argmin(distances)]
    caption = (
        f"{base_name} is decoded while one dimension goes from two standard deviations below its "
        "mean to two above. The others do not change."
    )
    strongest = dimension_effects.order_by_effect[:MAX_SWEPT_DIMENSIONS].tolist()
    swept = [dimension for dimension in strongest if dimension_effects.mean_effect[dimension] > 0]
    decoded = {i: decode_sweep(model, codes, i, base_code=base_code) for i in swept}
    # the title of a dimension: its name, and what it holds if it is not learned
    titles, specification = {}, model.specification
    first_rocket = specification.latent_dim - specification.rocket_dim
    for dimension in swept:
        titles[dimension] = describe_dimension(dimension_effects, dimension)
        if first_rocket <= dimension < specification.latent_dim:
            titles[dimension] += " (ROCKET feature)"
        elif dimension == specification.length_index:
            titles[dimension] += " (length)"
    if len(numeric):
        caption += " Blue is low, yellow is high."
        if len(numeric) > 1:
            caption += " For each dimension, the column that changes most is drawn."
        panels = []
        for dimension in swept:
            column = int(numeric[dimension_effects.effect[dimension, numeric].argmax()])
            subtitle = schema.names[column] if len(numeric) > 1 else ""
            chart = charts.sweep_lines(decoded[dimension], column, DEVIATIONS)
            panels.append(replace(chart, y_axis=Axis(), title=titles[dimension], subtitle=subtitle))
        return Card("Sweeps along latent dimensions", caption, [_draw_chart_grid(panels)])
    # the column that each dimension changes most; each such column has its own view and legend
    columns = {dimension: int(dimension_effects.effect[dimension].argmax()) for dimension in swept}
    views: list[Any] = []
    for column in dict.fromkeys(columns.values()):
        name = schema.names[column] if schema.num_columns > 1 else ""
        is_strip = charts.is_drawn_as_strip(schema.columns[column], schema)
        panels, text_groups = [], []
        for dimension in (dimension for dimension in swept if columns[dimension] == column):
            # a row for each value of the dimension, named by its distance from the mean in standard
            # deviations
            sequences = decoded[dimension]
            bounds = zip(DEVIATIONS, sequences.offsets[:-1], sequences.offsets[1:], strict=True)
            named_rows = [
                (format_signed_number(deviation), sequences.values[begin:end, column])
                for deviation, begin, end in bounds
            ]
            if is_strip:
                chart = _make_category_strips(report_data, column, named_rows)
                panels.append(replace(chart, title=titles[dimension], subtitle=name))
                continue
            title = titles[dimension] + (f" → {name}" if name else "")
            tokens = [(text, _make_tokens(x, schema.columns[column])) for text, x in named_rows]
            text_groups.append(TextGroup(title, tokens))
        views.append(_draw_chart_grid(panels) if is_strip else TextView(text_groups))
    return Card("Sweeps along latent dimensions", caption, views)


def _draw_chart_grid(panels: Sequence[Chart]) -> Plot:
    """Draw charts in a grid with at most three columns."""
    # 245 pixels for each row of panels, and 110 for the margins; -(-a // 3) rounds a / 3 up
    return make_plot(panels, 110 + 245 * -(-len(panels) // 3), num_columns=min(3, len(panels)))


# Functions that draw the cards, in the order of the page.
CARD_FUNCTIONS = (
    make_data_cards,
    make_architecture_cards,
    make_loss_cards,
    make_error_cards,
    make_reconstruction_cards,
    make_code_map_cards,
    make_latent_dimension_cards,
)
