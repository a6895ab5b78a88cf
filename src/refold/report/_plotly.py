"""Drawing of charts with Plotly, as plain JSON; `page.js` has the colors of light and dark."""

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.output import number_text
from refold.plots.charts import RAMP, Axis, Cells, Chart, Marks
from refold.report._page import Plot

LINE_STYLES: dict[str, dict[str, Any]] = {
    "": {"line": {"width": 2}},
    "dot": {"line": {"width": 2, "dash": "dot"}},
    "original": {"line": {"width": 5}, "opacity": 0.3},
    "reconstruction": {"line": {"width": 1.6}},
    "thin dots": {"line": {"width": 1.2, "dash": "dot"}, "opacity": 0.9},
}
POINT_STYLES = {"diamond": "diamond", "ring": "circle-open"}
BAR = {"thickness": 12, "outlinewidth": 0, "exponentformat": "none"}  # of colors
MAX_POINTS = 1000  # of a line
MAX_TICKS = 12  # whole numbers that each have a tick
MAX_TEXT, MAX_HOVER = 48, 200  # characters
MAX_TITLE, MAX_SUBTITLE = 32, 38  # characters above a panel
ROW_GAP = 75  # pixels between rows of panels, for ticks and titles


def draw(
    charts: Chart | Sequence[Chart], height: int, name: str = "", *, columns: int = 1, **layout: Any
) -> Plot:
    """Return a chart, or several with axes of their own, as a figure of the page."""
    panels = [charts] if isinstance(charts, Chart) else charts
    traces, axes = [], {}
    for i, chart in enumerate(panels):
        number = str(i + 1) if i else ""
        traces += [
            trace | ({"xaxis": f"x{number}", "yaxis": f"y{number}"} if i else {})
            for trace in _traces(chart, legend=i == 0)
        ]
        last = i >= len(panels) - columns
        x_grid = chart.grid != "y" and not chart.title
        axes[f"xaxis{number}"] = _axis(chart.x, titled=last, grid=x_grid)
        axes[f"yaxis{number}"] = _axis(chart.y, grid=chart.grid != "x")
        _fit_axes(axes[f"xaxis{number}"], axes[f"yaxis{number}"], chart)
    first = panels[0]
    top = 40  # room for a legend and the buttons
    legend: dict[str, Any] = {"x": 0, "y": 1.02, "yanchor": "bottom", "orientation": "h"}
    if first.title:
        top = 56 if first.subtitle else 40
        legend |= {"y": -56 / (height - 120), "yanchor": "top"}
        layout |= {"annotations": _arrange(axes, panels, columns, ROW_GAP / (height - 100))}
    elif first.grid is None:  # points may be anywhere
        legend = {"x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"}
    legend["title"] = {"text": plain(first.legend)}
    margin = {"l": 10, "r": 10, "t": top, "b": 10}
    base = {"height": height, "margin": margin, "legend": legend, "barmode": "overlay"}
    return Plot(traces, base | axes | layout, name)


def _traces(chart: Chart, *, legend: bool) -> list[dict[str, Any]]:
    """Return the traces of a chart."""
    num_points = sum(len(marks.x) for marks in chart.marks if isinstance(marks, Marks))
    size = float(np.clip(180 / np.sqrt(max(1, num_points)), 5, 9))
    traces = []
    for marks in chart.marks:
        if isinstance(marks, Cells):
            traces.append(_cells(marks, chart))
        else:
            shown = legend and chart.has_legend and bool(marks.name)
            traces.append(_trace(marks, chart, size) | {"showlegend": shown})
    return traces


def _trace(marks: Marks, chart: Chart, size: float) -> dict[str, Any]:
    every = -(-len(marks.x) // MAX_POINTS) if marks.kind == "lines" else 1
    x, y = numbers(marks.x[:: every or 1]), numbers(marks.y[:: every or 1])
    trace: dict[str, Any] = {"type": "scatter", "x": x, "y": y, "name": plain(marks.name)}
    if marks.hover:
        trace |= {"hoverinfo": "text", "hovertext": [_hover(text) for text in marks.hover]}
    if marks.quantity:
        said = f"{plain(marks.quantity, MAX_HOVER)}: %{{text}}<extra>{chart.x.title} %{{x}}</extra>"
        trace |= {"hovertemplate": said, "text": [number_text(value) for value in y]}
    if marks.group:
        trace |= {"legendgroup": plain(marks.group)}
        trace |= {"visible": "legendonly"} if marks.hidden else {}
    if marks.kind == "bars":
        trace |= {"type": "bar", "width": marks.size, "marker": {"color": marks.color}}
        return trace | ({"x": y, "y": x, "orientation": "h"} if chart.horizontal else {})
    if marks.kind == "lines":
        style = LINE_STYLES[marks.style]
        trace |= style | {"line": {"color": marks.color} | style["line"]}
        return trace | {"mode": "lines+markers" if len(x) < 3 else "lines"}
    marker: dict[str, Any] = {"size": size, "opacity": 0.8, "color": marks.color}
    if marks.style:
        marker |= {"size": 11, "opacity": 1, "symbol": POINT_STYLES[marks.style]}
        marker["line"] = {"width": 2, "color": marks.color}
        trace["cliponaxis"] = False
    elif not isinstance(marks.color, str):
        ramp = [[i / (len(RAMP) - 1), color] for i, color in enumerate(RAMP)]
        bar = BAR | {"title": {"text": plain(chart.legend)}}
        marker |= {"color": numbers(marks.color), "showscale": True}
        marker |= {"colorscale": ramp, "colorbar": bar}
    return trace | {"mode": "markers", "marker": marker}


def _cells(cells: Cells, chart: Chart) -> dict[str, Any]:
    """Return the trace of a grid of cells."""
    return {
        "type": "heatmap",
        "z": numbers(cells.values, 3),
        "zmin": 0,
        "zmax": cells.top or 1,
        "xgap": 1,
        "ygap": 1,
        "colorscale": _heat(cells.color),
        "colorbar": BAR | {"title": {"text": plain(chart.legend)}},
        "hoverinfo": "text",
        "hovertext": [[_hover(text) for text in row] for row in cells.hover],
    }


def _axis(axis: Axis, *, grid: bool, titled: bool = True) -> dict[str, Any]:
    """Return the layout of an axis."""
    layout: dict[str, Any] = {"title": {"text": plain(axis.title) if titled else ""}}
    layout |= {"showgrid": grid, "zeroline": axis.from_zero}
    if axis.ticks:
        places = numbers(axis.places or range(len(axis.ticks)))
        names = [plain(name) for name in axis.ticks]
        layout |= {"tickmode": "array", "tickvals": places, "ticktext": names}
    if axis.from_zero:
        layout["rangemode"] = "tozero"
    return layout


def _fit_axes(x: dict[str, Any], y: dict[str, Any], chart: Chart) -> None:
    """Choose the directions of two axes, and ticks that depend on the data."""
    marks = [part for part in chart.marks if isinstance(part, Marks)]
    if len(marks) < len(chart.marks):
        x["showgrid"] = y["showgrid"] = False
    if chart.horizontal or len(marks) < len(chart.marks):
        y["autorange"] = "reversed"
    if chart.y.log:
        y |= _log_ticks(np.concatenate([part.y for part in marks]))
    span = np.ptp(np.concatenate([part.x for part in marks])) if marks else 0
    if chart.x.whole and span <= (MAX_TICKS / 3 if chart.title else MAX_TICKS):
        x["dtick"] = 1
    if chart.title:
        y["nticks"] = 5


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    """Return a log axis with ticks at 1, 2 and 5, or at powers of ten if the range is wide."""
    low, high = np.floor(np.log10(np.nanmin(values))), np.ceil(np.log10(np.nanmax(values)))
    steps = (1.0,) if high - low > 4 else (1.0, 2.0, 5.0)
    ticks = [step * 10.0**power for power in np.arange(low, high + 1) for step in steps]
    texts = [number_text(tick) for tick in ticks]
    return {"type": "log", "tickmode": "array", "tickvals": numbers(ticks), "ticktext": texts}


def _arrange(
    axes: dict[str, Any], charts: Sequence[Chart], columns: int, row_gap: float
) -> list[dict[str, Any]]:
    """Give panels their places in rows, and return their titles as annotations."""
    rows, gap = -(-len(charts) // columns), 0.07
    width, height = (1 - gap * (columns - 1)) / columns, (1 - row_gap * (rows - 1)) / rows
    titles = []
    for i, chart in enumerate(charts):
        number = str(i + 1) if i else ""
        left, top = (i % columns) * (width + gap), 1 - (i // columns) * (height + row_gap)
        x, y = (left, left + width), (top - height, top)
        axes[f"xaxis{number}"] |= {"domain": np.clip(x, 0, 1).tolist(), "anchor": f"y{number}"}
        axes[f"yaxis{number}"] |= {"domain": np.clip(y, 0, 1).tolist(), "anchor": f"x{number}"}
        text = f"<b>{plain(chart.title, MAX_TITLE)}</b>"
        text += f"<br>{plain(chart.subtitle, MAX_SUBTITLE)}" if chart.subtitle else ""
        titles.append({"text": text, "x": left, "y": top, "xref": "paper", "yref": "paper"})
        titles[-1]["hovertext"] = plain(chart.subtitle, MAX_HOVER)
        titles[-1] |= {"xanchor": "left", "yanchor": "bottom", "align": "left"}
        titles[-1] |= {"showarrow": False, "font": {"size": 12.5}}
    return titles


def numbers(values: ArrayLike, digits: int = 7) -> list[Any]:
    """Return an array as nested lists with few digits; None is a value that is not finite."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.tolist()
    if array.ndim > 1:
        return [numbers(row, digits) for row in array]
    return [
        float(f"{value:.{digits}g}") if math.isfinite(value) else None
        for value in array.astype(float).tolist()
    ]


def plain(text: object, max_length: int = MAX_TEXT) -> str:
    """Return text escaped for Plotly, and shortened if it is long."""
    text = " ".join(str(text).split())
    if len(text) > max_length:
        text = f"{text[: max_length - 1]}…"
    return html.escape(text, quote=False).replace("%{", "%&#123;")  # a hover template would fill it


def _hover(text: str) -> str:
    first, *others = (plain(line, MAX_HOVER) for line in text.split("\n"))
    return "<br>".join([f"<b>{first}</b>", *others])


def _heat(color: str) -> list[list[Any]]:
    """Return a color scale from nearly transparent to a color."""
    red, green, blue = (int(color[c : c + 2], 16) for c in (1, 3, 5))
    return [[0, f"rgba({red},{green},{blue},0.06)"], [1, color]]
