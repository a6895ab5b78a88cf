"""Cards of the data, the architecture, the losses and the errors."""

from typing import Any

import numpy as np

from refold._support.display import number_text, number_texts, short_number
from refold.evaluation import errors_by_feature, errors_by_length, errors_by_position
from refold.plots import architecture_boxes
from refold.plots.charts import (
    feature_error_bars,
    in_steps,
    length_chart,
    length_error_bars,
    loss_chart,
    position_error_lines,
)
from refold.report._page import Card, Diagram, Plot, Table
from refold.report._plotly import draw
from refold.report._report_data import ReportData
from refold.sequences import Schema

MAX_ROWS = 30  # of the table of columns
MAX_FEATURES = 40
ERROR_MEANINGS = {
    "numeric": "Squared errors are in units of the variance of the training data: predicting the "
    "mean has an error of 1.",
    "categorical": "A binary or categorical value is wrong if it differs from the original or is "
    "missing.",
}


def data(material: ReportData) -> list[Card]:
    """Show the columns and the lengths."""
    num_missing = int(np.isnan(material.sequences.values).sum())
    lengths = material.lengths
    low, high = int(lengths.min()), int(lengths.max())
    caption = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}."
    if low == high:
        caption = f"All sequences have {in_steps(low)}."
    caption += f" {num_missing:,} values are missing." if num_missing else " No values are missing."
    if material.sampled:
        caption += (
            f" The values and everything below are of {len(material.sequences):,} sequences drawn "
            "at random; the lengths are of all sequences."
        )
    views: list[Any] = [Table(["column", "type", "values", "missing"], _columns(material))]
    if low < high:
        views.append(draw(length_chart(lengths), 240))
    return [Card("Data", caption, views)]


def _columns(material: ReportData) -> list[list[str]]:
    """Return a table row for each column."""
    schema, values = material.sequences.schema, material.sequences.values
    rows = []
    for i, column in enumerate(schema.columns[:MAX_ROWS]):
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
    if schema.num_columns > MAX_ROWS:
        rows.append([f"and {schema.num_columns - MAX_ROWS} more", "", "", ""])
    return rows


def architecture(material: ReportData) -> list[Card]:
    """Show the layers of encoder and decoder, and the code between them."""
    # not at the top, because all other cards do without Keras
    from refold.network.keras.network import keras_models

    model, specification = material.model, material.model.specification
    encoder, decoder, *_ = keras_models(model.network).models
    boxes = architecture_boxes(encoder, decoder)
    if statistics := model.scaler.num_statistics:
        below = f"{specification.latent_dim} dimensions + {statistics} for level and spread"
        boxes[2] = boxes[2]._replace(below=below)
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps."
    )
    if specification.length_dim:
        caption += f" Dimension {specification.length_index} of the code holds the length."
    else:
        caption += " A small model next to the decoder predicts the length from the code."
    if specification.forecast_steps:
        caption += " The second decoder, which forecasts, is not shown."
    if specification.rocket_dim:
        caption += (
            f" The last {specification.rocket_dim} of the {specification.latent_dim} latent "
            "dimensions are ROCKET features."
        )
    return [Card("Architecture", caption, [Diagram(boxes)])]


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
    chart = loss_chart(history.epochs, history.initial_loss)
    return [Card("Losses by epoch", caption, [draw(chart, 340, hovermode="x unified")])]


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
        views = [_features(by_feature, schema, group, rows) for group, rows in columns.items()]
        cards.append(Card("Error by feature", caption, views, switch=True))
    if len(by_length["Refold"].first) > 1:
        caption = (
            "Sequences are grouped by length, with about as many in each group. Longer ones are "
            f"harder, because more has to fit into a code of the same size. {unit}"
        )
        views = [draw(length_error_bars(by_length, group), 320, group) for group in columns]
        cards.append(Card("Error by length", caption, views, switch=True))
    if len(by_position["Refold"].first) > 1:
        caption = "The error at each step of the sequences."
        if sequences.lengths.min() < sequences.lengths.max():
            caption += " Fewer sequences have the last steps, so the lines are less certain there."
        views = [draw(position_error_lines(by_position, group), 320, group) for group in columns]
        cards.append(Card("Error by position", f"{caption} {unit}", views, switch=True))
    return cards


def _features(
    errors: dict[str, np.ndarray], schema: Schema, group: str, columns: np.ndarray
) -> Plot:
    worst = np.argsort(-np.nan_to_num(errors["Refold"][columns]), kind="stable")
    columns = np.sort(columns[worst[:MAX_FEATURES]])
    names = [schema.names[i] for i in columns]
    values = {method: every[columns] for method, every in errors.items()}
    chart = feature_error_bars(values, names, group)
    return draw(chart, 110 + 26 * max(2, len(columns)), group)
