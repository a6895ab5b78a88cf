"""Cards of the data, the architecture and the training losses."""

from typing import Any

import numpy as np

from refold.plots import PALETTE, layer_table, length_bins, shape_text
from refold.report._page import Card, Diagram, Plot, Table
from refold.report._plotly_style import ACCENT, CONTRAST, MUTED, layout, numbers
from refold.report._report_data import ReportData

__all__ = ["architecture", "data", "losses"]

MAX_ROWS = 30  # of the table of columns
MAX_TICKS = 12  # epochs that each have a tick
GREEN, VIOLET = PALETTE[2], PALETTE[4]


def data(material: ReportData) -> Card:
    """Show the columns and the lengths."""
    rows, missing = _columns(material)
    names = ["column", "type", "values", "missing"]
    views: list[Any] = [Table(names, rows)]
    lengths = material.lengths
    low, high = int(lengths.min()), int(lengths.max())
    spread = f"Lengths are {low} to {high} steps, with a median of {np.median(lengths):.0f}. "
    if low == high:
        spread = f"All sequences have {low} step{'' if low == 1 else 's'}. "
    else:
        first, last, counts = length_bins(lengths)
        bars = {
            "type": "bar",
            "x": numbers((first + last) / 2),
            "y": numbers(counts),
            "width": [0.9 * float(last[0] - first[0] + 1)] * len(first),
            "marker": {"color": ACCENT},
            "hovertext": [
                f"{n:,} of {f}{'' if f == e else f' to {e}'} steps"
                for n, f, e in zip(counts.tolist(), first.tolist(), last.tolist(), strict=True)
            ],
            "hoverinfo": "text",
        }
        axes = {
            "xaxis": {"title": {"text": "steps"}, "showgrid": False},
            "yaxis": {"title": {"text": "sequences"}},
        }
        views.append(Plot([bars], layout(240, legend_above=False, bargap=0, **axes)))
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
    model = material.model
    encoder, decoder = model.encoder_, model.decoder_
    size = material.codes.shape[1]
    statistics = size - model.latent_dim_
    below = f"{size} dimensions"
    if statistics:
        below = f"{model.latent_dim_} dimensions + {statistics} for level and spread"
    boxes = [
        ("sequence", shape_text(encoder.input_shape), ()),
        ("encoder", f"{encoder.count_params():,} parameters", layer_table(encoder)),
        ("code", below, ()),
        ("decoder", f"{decoder.count_params():,} parameters", layer_table(decoder)),
        ("sequence", shape_text(decoder.output_shape), ()),
    ]
    caption = (
        "The layers, with their output shapes and numbers of parameters. T is the number of steps. "
        "A small model next to the decoder predicts the length from the code."
    )
    if model.forecaster_ is not None:
        caption += " The second decoder, which forecasts, is not shown."
    if model.rocket_dim_:
        caption += (
            f" The last {model.rocket_dim_} of the {model.latent_dim_} latent dimensions are "
            "ROCKET features."
        )
    return Card("Architecture", caption, [Diagram(boxes)])


def losses(material: ReportData) -> Card | None:
    """Draw the losses by epoch; None if no epoch was trained."""
    history, start = material.model.history_, material.model.start_loss_
    loss, validation = (_floats(history.get(name, ())) for name in ("loss", "val_loss"))
    if not len(loss):
        return None
    epochs = np.asarray(history.get("epoch", np.arange(1, len(loss) + 1)))
    refit = np.array(history.get("phase", ["validated"] * len(loss))) == "refit"
    traces = []
    for curve, rows, name, line in (
        (loss, ~refit, "training", {"color": MUTED, "width": 2}),
        (loss, refit, "refit on all data", {"color": VIOLET, "width": 2, "dash": "dot"}),
        (validation, ~refit, "validation", {"color": ACCENT, "width": 2}),
    ):
        chosen = np.flatnonzero(rows[: len(curve)])
        if np.isfinite(curve[chosen]).any():
            few = {"mode": "lines+markers"} if len(chosen) < 3 else {"mode": "lines"}
            traces.append(
                {"type": "scatter", "x": numbers(epochs[chosen]), "y": numbers(curve[chosen]),
                 "name": name, "line": line, **few}
            )  # fmt: skip
    caption = ["Training stops when the validation loss no longer falls; the best epoch is kept."]
    if start is not None:
        traces.append(_mark([0], [start], "linear initialization", "diamond", GREEN))
        caption.append("The linear initialization, from principal components, is at epoch 0.")
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        place = (int(epochs[best]), float(validation[best]))
        if start is not None and start <= place[1]:
            place = (0, start)
            caption.append("No epoch was better, so the initialization was kept.")
        traces.append(_mark([place[0]], [place[1]], "best", "circle-open", CONTRAST))
    else:
        caption = ["The loss on the training data. There was no validation data."]
    if refit.any():
        caption.append(
            "After that, a refit trained the network again on all data, for as many steps. If the "
            "refit was completed, the model has its weights."
        )
    finite = np.concatenate([loss, validation, [np.nan if start is None else start]])
    finite = finite[np.isfinite(finite)]
    wide = len(finite) and finite.min() > 0 and finite.max() > 3 * finite.min()
    axes = {
        "xaxis": {
            "title": {"text": "epoch"},
            "rangemode": "tozero",
            **({"dtick": 1} if len(loss) <= MAX_TICKS else {}),
        },
        "yaxis": {"title": {"text": "loss"}, **(_log_axis(finite) if wide else {})},
        "hovermode": "x unified",
    }
    return Card("Losses by epoch", " ".join(caption), [Plot(traces, layout(340, **axes))])


def _mark(x: list[Any], y: list[float], name: str, symbol: str, colour: str) -> dict[str, Any]:
    marker = {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}}
    return {"type": "scatter", "x": x, "y": numbers(y), "name": name, "mode": "markers",
            "cliponaxis": False, "marker": marker}  # fmt: skip


def _log_axis(values: np.ndarray) -> dict[str, Any]:
    """Return a log axis with ticks at 1, 2 and 5, or at powers of ten if the range is wide."""
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    steps = (1.0,) if high - low > 4 else (1.0, 2.0, 5.0)
    ticks = [step * 10.0**power for power in np.arange(low, high + 1) for step in steps]
    texts = [f"{tick:g}" for tick in ticks]
    return {"type": "log", "tickmode": "array", "tickvals": numbers(ticks), "ticktext": texts}


def _floats(values: Any) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


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
        elif column.type == "numeric":
            text = f"{seen.mean():.3g} ± {seen.std():.3g}, {seen.min():.3g} to {seen.max():.3g}"
        elif column.type == "binary":
            text = f"{seen.mean():.1%} ones"
        else:
            text = _categories_text(column.categories)
        share = missing[i] / max(1, len(values))
        rows.append([column.name, column.type, text, f"{share:.1%}" if missing[i] else "none"])
    if (more := sequences.schema.num_columns - MAX_ROWS) > 0:
        rows.append([f"and {more} more", "", "", ""])
    return rows, int(missing.sum())


def _categories_text(categories: Any) -> str:
    shown = ", ".join(str(category) for category in categories[:8])
    return f"{len(categories)} categories: {shown}{', …' if len(categories) > 8 else ''}"
