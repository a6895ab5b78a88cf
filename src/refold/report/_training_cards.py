"""Cards of the data, the architecture and the training losses."""

from typing import Any

import numpy as np

from refold._support.number_text import number_text, number_texts, short_number
from refold.plots import layer_table, shape_text
from refold.plots.charts import in_steps, length_chart, loss_chart
from refold.report._page import Card, Diagram, Table
from refold.report._plotly_style import draw
from refold.report._report_data import ReportData

MAX_ROWS = 30  # of the table of columns


def data(material: ReportData) -> Card:
    """Show the columns and the lengths."""
    rows, missing = _columns(material)
    names = ["column", "type", "values", "missing"]
    views: list[Any] = [Table(names, rows)]
    lengths = material.lengths
    low, high = int(lengths.min()), int(lengths.max())
    spread = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}. "
    if low == high:
        spread = f"All sequences have {in_steps(low)}. "
    else:
        views.append(draw(length_chart(lengths), 240, legend_above=False))
    gaps = "No values are missing." if not missing else f"{missing:,} values are missing."
    sample = (
        f" The values and everything below are of {len(material.sequences):,} sequences drawn at "
        "random; the lengths are of all sequences."
        if material.sampled
        else ""
    )
    return Card("Data", f"{spread}{gaps}{sample}", views)


def architecture(material: ReportData) -> Card:
    """Show the layers of encoder and decoder, and the code between them."""
    # not at the top, because all other cards do without Keras
    from refold.network.keras.network import keras_models

    model, specification = material.model, material.model.specification
    encoder, decoder, *_ = keras_models(model.network).models
    below = f"{model.code_size} dimensions"
    if statistics := model.scaler.num_statistics:
        below = f"{specification.latent_dim} dimensions + {statistics} for level and spread"
    boxes = [
        ("sequence", shape_text(encoder.input_shape), ()),
        ("encoder", f"{encoder.count_params():,} parameters", layer_table(encoder)),
        ("code", below, ()),
        ("decoder", f"{decoder.count_params():,} parameters", layer_table(decoder)),
        ("sequence", shape_text(decoder.output_shape), ()),
    ]
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps. "
        + (
            f"Dimension {specification.length_index} of the code holds the length."
            if specification.length_dim
            else "A small model next to the decoder predicts the length from the code."
        )
    )
    if specification.forecast_steps:
        caption += " The second decoder, which forecasts, is not shown."
    if specification.rocket_dim:
        caption += (
            f" The last {specification.rocket_dim} of the {specification.latent_dim} latent "
            "dimensions are ROCKET features."
        )
    return Card("Architecture", caption, [Diagram(boxes)])


def losses(material: ReportData) -> Card | None:
    """Draw the losses by epoch; None if no epoch was trained."""
    model = material.model
    if not model.history.epochs.get("loss"):
        return None
    caption = "Training stops when the validation loss no longer falls; the best epoch is kept."
    if model.history.best_epoch is None:
        caption = "The loss on the training data. There was no validation data."
    if model.history.initial_loss is not None:
        caption += " The initial weights, by default from principal components, are at epoch 0."
    if model.history.best_epoch == 0:
        caption += " The initialization was kept, because no epoch was better on held-out data."
    if "refit" in model.history.epochs.get("phase", ()):
        caption += (
            " After that, a refit trained the network again on all data, for as many steps. If the "
            "refit was completed, the model has its weights."
        )
    chart = loss_chart(model.history.epochs, model.history.initial_loss)
    return Card("Losses by epoch", caption, [draw(chart, 340, hovermode="x unified")])


def _columns(material: ReportData) -> tuple[list[list[str]], int]:
    """Return a table row for each column, and the total number of missing values."""
    sequences = material.sequences
    values = sequences.values
    missing = np.isnan(values).sum(axis=0)
    rows = []
    for i, column in enumerate(sequences.schema.columns[:MAX_ROWS]):
        seen = values[:, i][~np.isnan(values[:, i])].astype(float)
        if not len(seen):
            text = ""
        elif column.column_type.is_number:
            low, high = number_texts(seen.min(), seen.max())
            text = f"{number_text(seen.mean())} ± {short_number(seen.std())}, {low} to {high}"
        elif not column.column_type.has_categories:
            text = f"{seen.mean():.1%} ones"
        else:
            shown = ", ".join(map(str, column.categories[:8]))
            more = ", …" if len(column.categories) > 8 else ""
            text = f"{len(column.categories)} categories: {shown}{more}"
        share = missing[i] / max(1, len(values))
        rows.append([column.name, column.type, text, f"{share:.1%}" if missing[i] else "none"])
    if (more := sequences.schema.num_columns - MAX_ROWS) > 0:
        rows.append([f"and {more} more", "", "", ""])
    return rows, int(missing.sum())
