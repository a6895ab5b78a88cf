"""Cards of the latent dimensions: the effect of each, and sweeps along the strongest."""

from typing import Any

import numpy as np

from refold._support.number_text import number_text, short_number
from refold.diagnosis import DEVIATIONS, LatentDimensions, latent_dimensions, sweep
from refold.plots.charts import ACCENT, latent_bars, latent_name, signed, sweep_lines
from refold.report._page import Card, Plot, Text, TextGroup
from refold.report._plotly_style import (
    MAX_HOVER,
    MAX_TEXT,
    chart_traces,
    draw,
    grid,
    heat,
    layout,
    numbers,
    plain,
)
from refold.report._report_data import ReportData, Stage
from refold.report._token_strips import row_of, sweep_strips

MAX_BARS = 64
MAX_ROWS, MAX_COLUMNS = 24, 40  # of the heatmap by column
MAX_SWEPT = 6
ACTIVE = 0.01  # variance above which a dimension of a variational code is active


def latent_cards(material: ReportData, stage: Stage) -> list[Card]:
    """Draw the effect of each latent dimension, and sweeps along the strongest."""
    stage("latent dimensions")
    found = latent_dimensions(material.model, material.codes, seed=material.seed)
    cards = [_bars(material, found)]
    if material.model.schema.num_columns > 1 and len(found.names) > 1:
        cards[0] = Card(
            cards[0].title,
            f"{cards[0].caption} By column: the change of each column.",
            [*cards[0].views, _by_column(material, found)],
            switch=True,
        )
    if found.total.max() > 0:
        stage("sweeps")
        cards.append(_sweeps(material, found))
    return cards


def _bars(material: ReportData, found: LatentDimensions) -> Card:
    model = material.model
    variance = found.deviation**2
    idle = None
    caption = (
        "How much the decoded sequence changes if one latent dimension alone changes by one "
        f"standard deviation, largest change first: {_measured(material)}."
    )
    if model.active_dimensions is not None:
        own = np.arange(len(variance)) < model.specification.latent_dim
        idle = own & (variance <= ACTIVE)
        caption += (
            f" In training, {model.active_dimensions} of {model.specification.latent_dim} "
            f"dimensions of this variational model were active, with a variance above {ACTIVE}. "
            "Gray ones are inactive on this data."
        )
    if len(found.names) > MAX_BARS:
        caption += f" {MAX_BARS} of {len(found.names)} dimensions are shown."
    sizes = {
        name: getattr(model.specification, name)
        for name in ("latent_dim", "rocket_dim", "length_dim")
    }
    views = []
    for values, title, button in (
        (found.total, "change per standard deviation", "effect"),
        (variance, "variance over the data", "variance"),
    ):
        chart = latent_bars(found, values, title, num_bars=MAX_BARS, inactive=idle, **sizes)
        views.append(draw(chart, 300, button))
    return Card("Latent dimensions", caption, views, switch=True)


def _measured(material: ReportData) -> str:
    numeric = material.model.schema.numeric
    if numeric.all():
        return "the mean squared change, in units of the variance of the training data"
    if not numeric.any():
        return "the share of values that change"
    return (
        "the mean squared change of numeric columns and the share of other values that change, "
        "averaged"
    )


def _by_column(material: ReportData, found: LatentDimensions) -> Plot:
    rows = found.order[:MAX_ROWS]
    columns = np.arange(found.effect.shape[1])
    if len(columns) > MAX_COLUMNS:
        most = np.argsort(-found.effect.max(axis=0), kind="stable")[:MAX_COLUMNS]
        columns = np.sort(most)
    names, full_names = (
        [plain(material.model.schema.names[i], length) for i in columns]
        for length in (MAX_TEXT, MAX_HOVER)
    )
    z = found.effect[np.ix_(rows, columns)]
    trace = {
        "type": "heatmap", "z": numbers(z, 3), "x": list(range(len(columns))),
        "y": list(range(len(rows))), "colorscale": heat(ACCENT), "zmin": 0, "xgap": 1, "ygap": 1,
        "colorbar": {"title": {"text": "change"}, "thickness": 12, "outlinewidth": 0},
        "hoverinfo": "text",
        "hovertext": [
            [
                f"<b>{plain(latent_name(found, i))}</b><br>{name}: {short_number(value)}"
                for name, value in zip(full_names, z[row], strict=True)
            ]
            for row, i in enumerate(rows)
        ],
    }  # fmt: skip
    axes = {
        "xaxis": {"tickmode": "array", "tickvals": list(range(len(columns))), "ticktext": names,
                  "showgrid": False, "zeroline": False},
        "yaxis": {"tickmode": "array", "tickvals": list(range(len(rows))), "showgrid": False,
                  "ticktext": [plain(latent_name(found, i)) for i in rows], "autorange": "reversed",
                  "zeroline": False},
    }  # fmt: skip
    return Plot([trace], layout(110 + 21 * len(rows), legend_above=False, **axes), "by column")


def _sweeps(material: ReportData, found: LatentDimensions) -> Card:
    model, codes = material.model, material.codes
    schema = model.schema
    swept = [int(i) for i in found.order[:MAX_SWEPT] if found.total[i] > 0]
    base_code = None
    base = "The mean code"
    if not schema.numeric.any():
        middle = codes.mean(axis=0)
        unit = np.where(found.deviation > 0, found.deviation, 1.0)
        base_code = codes[np.argmin((((codes - middle) / unit) ** 2).sum(axis=1))]
        base = "A code near the mean"
    caption = (
        f"{base} is decoded while one dimension goes from two standard deviations below its mean "
        "to two above. The others do not change."
    )
    decoded = {i: sweep(model, codes, i, base_code=base_code) for i in swept}
    views: list[Any] = []
    if schema.numeric.any():
        caption += " Blue is low, yellow is high."
        if schema.numeric.sum() > 1:
            caption += " For each dimension, the column that changes most is drawn."
        views.append(_lines(material, found, decoded))
    elif len(schema.binary) == schema.num_columns:
        titles = [(f"<b>{plain(_title(material, found, i))}</b>", decoded[i]) for i in decoded]
        views.append(sweep_strips(titles, DEVIATIONS))
    else:
        views.append(_texts(material, found, decoded))
    return Card("Sweeps along latent dimensions", caption, views)


def _title(material: ReportData, found: LatentDimensions, i: int) -> str:
    model = material.model
    first = model.specification.latent_dim - model.specification.rocket_dim
    if first <= i < model.specification.latent_dim:
        return latent_name(found, i) + " (ROCKET feature)"
    return latent_name(found, i) + (" (length)" if i == model.specification.length_index else "")


def _lines(material: ReportData, found: LatentDimensions, decoded: dict[int, Any]) -> Plot:
    schema = material.model.schema
    numeric = np.flatnonzero(schema.numeric)
    moved = {i: int(numeric[found.effect[i, numeric].argmax()]) for i in decoded}
    titles = [f"<b>{plain(_title(material, found, i))}</b>" for i in moved]
    if len(numeric) > 1:
        columns = [plain(schema.names[column], 20) for column in moved.values()]
        titles = [f"{one} → {column}" for one, column in zip(titles, columns, strict=True)]
    across = min(3, len(decoded))
    axes, notes = grid(titles, across, row_gap=0.22)
    for note, column in zip(notes, moved.values(), strict=True):
        note["hovertext"] = plain(schema.names[column], MAX_HOVER)
    traces: list[dict[str, Any]] = []
    for panel, (i, column) in enumerate(moved.items()):
        for trace in chart_traces(sweep_lines(decoded[i], column, DEVIATIONS), panel):
            said = f"{trace['name']} standard deviations: %{{text}}<extra>step %{{x}}</extra>"
            texts = [number_text(value) for value in trace["y"]]
            hover = {"text": texts, "hovertemplate": said, "legendgroup": trace["name"]}
            traces.append(trace | hover)
    for name, axis in axes.items():
        axis |= {"zeroline": False, "nticks": 5} | ({"showgrid": False} if name[0] == "x" else {})
    rows = -(-len(decoded) // across)
    legend = {"orientation": "h", "x": 0, "y": -0.16 / rows, "yanchor": "top"}
    return Plot(traces, layout(80 + 215 * rows, **axes, annotations=notes, legend=legend))


def _texts(material: ReportData, found: LatentDimensions, decoded: dict[int, Any]) -> Text:
    schema = material.model.schema
    columns = np.flatnonzero(~schema.numeric)
    groups = []
    for i, one in decoded.items():
        column = int(columns[found.effect[i, columns].argmax()])
        name = f" → {schema.names[column]}" if len(columns) > 1 else ""
        bounds = one.offsets[1:-1]
        parts = np.split(one.values[:, column], bounds)
        rows = [
            (signed(value), row_of(part, schema, column))
            for value, part in zip(DEVIATIONS, parts, strict=True)
        ]
        groups.append(TextGroup(_title(material, found, i) + name, rows))
    return Text(groups)
