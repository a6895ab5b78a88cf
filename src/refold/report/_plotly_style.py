"""Numbers, text, colors and layouts that all figures of the page share, in the form of Plotly."""

import html
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.number_text import number_text
from refold.plots import RAMP
from refold.plots.charts import Axis, Chart, Marks
from refold.report._page import Plot

MAX_POINTS = 1000  # of a line
MAX_TICKS = 12  # whole numbers that each have a tick
MAX_TEXT, MAX_HOVER = 48, 200  # characters
TITLED = {"l": 10, "r": 10, "t": 56, "b": 10}  # margins of panels whose titles have two lines


def numbers(values: ArrayLike, digits: int = 7) -> list[Any]:
    """Return an array as nested lists with few digits; None is a value that is not finite."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.tolist()
    if array.ndim > 1:
        return [numbers(row, digits) for row in array]
    return [
        float(f"{one:.{digits}g}") if math.isfinite(one) else None
        for one in array.astype(float).tolist()
    ]


def plain(text: object, max_length: int = MAX_TEXT) -> str:
    """Return text escaped for Plotly, and shortened if it is long."""
    text = " ".join(str(text).split())
    if len(text) > max_length:
        text = f"{text[: max_length - 1]}…"
    return html.escape(text, quote=False).replace("%{", "%&#123;")  # a hover template would fill it


def draw(chart: Chart, height: int, name: str = "", **settings: Any) -> Plot:
    """Return a chart as a figure of the page; ``settings`` are of its layout."""
    axes = {
        "xaxis": _axis(chart.x, grid=chart.grid != "y"),
        "yaxis": _axis(chart.y, grid=chart.grid != "x"),
        "barmode": "overlay",
    }
    if chart.horizontal:
        axes["yaxis"]["autorange"] = "reversed"
    if chart.y.log:
        axes["yaxis"] |= _log_axis(np.concatenate([one.y for one in chart.marks]))
    places = np.concatenate([one.x for one in chart.marks])
    if chart.x.whole and np.ptp(places) <= MAX_TICKS:
        axes["xaxis"]["dtick"] = 1
    page_layout = layout(height, **axes | settings)
    page_layout["legend"]["title"] = {"text": plain(chart.legend)}
    return Plot(chart_traces(chart), page_layout, name)


def chart_traces(chart: Chart, panel: int = 0) -> list[dict[str, Any]]:
    """Return the marks of a chart as traces of Plotly, for a panel of `grid`."""
    size = float(np.clip(180 / np.sqrt(sum(len(one.x) for one in chart.marks)), 5, 9))
    place = panel_axes(panel) | {"showlegend": chart.has_legend and panel == 0}
    return [_trace(one, chart, size) | place for one in chart.marks]


def panel_axes(panel: int) -> dict[str, str]:
    """Return the axes of a panel of `grid`, for its traces."""
    return {} if panel == 0 else {"xaxis": f"x{panel + 1}", "yaxis": f"y{panel + 1}"}


def _trace(one: Marks, chart: Chart, size: float) -> dict[str, Any]:
    every = -(-len(one.x) // MAX_POINTS) if one.kind == "lines" else 1
    x, y = numbers(one.x[:: every or 1]), numbers(one.y[:: every or 1])
    trace = {"type": "scatter", "x": x, "y": y, "name": plain(one.name)}
    if one.hover:
        trace |= {"hoverinfo": "text", "hovertext": [_hover(text) for text in one.hover]}
    if one.kind == "bars":
        trace |= {"type": "bar", "width": one.size, "marker": {"color": one.colour}}
        return trace | ({"x": y, "y": x, "orientation": "h"} if chart.horizontal else {})
    if one.kind == "lines":
        line = {"color": one.colour, "width": 2, "dash": one.style or "solid"}
        return trace | {"mode": "lines+markers" if len(x) < 3 else "lines", "line": line}
    marker: dict[str, Any] = {"size": size, "opacity": 0.8, "color": one.colour}
    if one.style:
        symbol = "circle-open" if one.style == "ring" else one.style
        marker |= {"size": 11, "opacity": 1, "symbol": symbol}
        marker["line"] = {"width": 2, "color": one.colour}
        trace["cliponaxis"] = False
    elif not isinstance(one.colour, str):
        marker |= {
            "color": numbers(one.colour), "showscale": True,
            "colorscale": [[i / (len(RAMP) - 1), colour] for i, colour in enumerate(RAMP)],
            "colorbar": {"title": {"text": plain(chart.legend)}, "thickness": 12,
                         "outlinewidth": 0, "exponentformat": "none"},
        }  # fmt: skip
    return trace | {"mode": "markers", "marker": marker}


def _hover(text: str) -> str:
    first, *others = (plain(line, MAX_HOVER) for line in text.split("\n"))
    return "<br>".join([f"<b>{first}</b>", *others])


def _axis(axis: Axis, *, grid: bool) -> dict[str, Any]:
    """Return the layout of an axis."""
    found: dict[str, Any] = {"title": {"text": plain(axis.title)}, "showgrid": grid}
    found["zeroline"] = axis.from_zero
    if axis.ticks:
        places, names = list(range(len(axis.ticks))), [plain(name) for name in axis.ticks]
        found |= {"tickmode": "array", "tickvals": places, "ticktext": names}
    if axis.from_zero:
        found["rangemode"] = "tozero"
    return found


def _log_axis(values: np.ndarray) -> dict[str, Any]:
    """Return a log axis with ticks at 1, 2 and 5, or at powers of ten if the range is wide."""
    low, high = np.floor(np.log10(np.nanmin(values))), np.ceil(np.log10(np.nanmax(values)))
    steps = (1.0,) if high - low > 4 else (1.0, 2.0, 5.0)
    ticks = [step * 10.0**power for power in np.arange(low, high + 1) for step in steps]
    texts = [number_text(tick) for tick in ticks]
    return {"type": "log", "tickmode": "array", "tickvals": numbers(ticks), "ticktext": texts}


def layout(height: int, **settings: Any) -> dict[str, Any]:
    """Return a layout with small margins and, by default, the legend above."""
    base = {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 12, "b": 10},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    if settings.pop("legend_above", True):
        base["margin"]["t"] = 40
    return base | settings


def grid(titles: list[str], columns: int, *, gap: float = 0.07, row_gap: float = 0.2) -> Any:
    """Arrange panels in rows. Return axes by name, and annotations with the titles."""
    rows = -(-len(titles) // columns)
    wide = (1 - gap * (columns - 1)) / columns
    high = (1 - row_gap * (rows - 1)) / rows
    axes, notes = {}, []
    for i, title in enumerate(titles):
        left, top = (i % columns) * (wide + gap), 1 - (i // columns) * (high + row_gap)
        name = "" if i == 0 else str(i + 1)
        axes[f"xaxis{name}"] = {"domain": _clipped(left, left + wide), "anchor": f"y{name}"}
        axes[f"yaxis{name}"] = {"domain": _clipped(top - high, top), "anchor": f"x{name}"}
        notes.append(
            {
                "text": title, "x": left, "y": top, "xref": "paper", "yref": "paper",
                "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left",
                "font": {"size": 12.5},
            }
        )  # fmt: skip
    return axes, notes


def heat(colour: str, *, least: float = 0.06) -> list[list[Any]]:
    """Return a color scale from nearly transparent to a color."""
    red, green, blue = (int(colour[c : c + 2], 16) for c in (1, 3, 5))
    return [[0, f"rgba({red},{green},{blue},{least})"], [1, colour]]


def _clipped(low: float, high: float) -> list[float]:
    return [round(max(0.0, low), 4), round(min(1.0, high), 4)]
