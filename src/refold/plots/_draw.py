"""Drawing of charts with matplotlib."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from refold.plots._style import new_axes, ramp, shortened, tidy, whole_numbers, wrapped
from refold.plots.charts import Chart, Marks

MANY_POINTS = 1500  # more points are rasterized, so that an SVG stays small
WIDE = 60  # characters of all names along the x axis, above which they are turned


def draw(chart: Chart, ax: Axes | None, *, size: tuple[float, float] = (6.0, 3.8)) -> Axes:
    """Draw a chart on the given axes, or on those of a new figure."""
    ax = new_axes(ax, size=size)
    for one in chart.marks:
        _draw_marks(ax, one, chart)
    ax.set_xlabel(chart.x.title)
    ax.set_ylabel(wrapped(chart.y.title, ax))
    names = [shortened(name) for name in chart.x.ticks]
    if names:
        turned = max(map(len, names)) > 3 and sum(len(name) + 1 for name in names) > WIDE
        ax.set_xticks(np.arange(len(names)), names, rotation=90 if turned else 0, fontsize="small")
    if chart.y.ticks:
        ax.set_yticks(np.arange(len(chart.y.ticks)), map(shortened, chart.y.ticks))
    if chart.horizontal:
        ax.invert_yaxis()
    elif chart.y.from_zero:
        ax.set_ylim(bottom=0)
    if chart.y.log:
        ax.set_yscale("log")
    if chart.x.whole:
        whole_numbers(ax)
    if chart.has_legend:
        # marks without a grid may be anywhere, so their legend is outside
        place = {} if chart.grid else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        ax.legend(title=chart.legend or None, frameon=False, fontsize="small", **place)
    tidy(ax, grid=chart.grid)
    return ax


def _draw_marks(ax: Axes, one: Marks, chart: Chart) -> None:
    style: dict[str, Any] = {"color": one.colour, "label": one.name}
    if one.kind == "bars":
        draw_bars = ax.barh if chart.horizontal else ax.bar
        draw_bars(one.x, np.nan_to_num(one.y), one.size, **style)
    elif one.kind == "lines":
        style |= {"marker": "o"} if len(one.x) == 1 else {}
        ax.plot(one.x, one.y, ":" if one.style == "dot" else "-", linewidth=1.8, **style)
    elif one.style == "diamond":
        ax.plot(one.x, one.y, "D", markersize=5, **style)
    elif one.style == "ring":
        style |= {"markerfacecolor": "none", "markeredgewidth": 1.8}
        ax.plot(one.x, one.y, "o", markersize=9, **style)
    else:
        num = sum(len(other.x) for other in chart.marks)
        style |= {"s": float(np.clip(6000 / num, 9, 42)), "linewidths": 0}
        style |= {"alpha": 0.85 if num <= 500 else 0.6, "rasterized": num > MANY_POINTS}
        if isinstance(one.colour, str):
            ax.scatter(one.x, one.y, **style)
            return
        del style["color"]
        drawn = ax.scatter(one.x, one.y, c=one.colour, cmap=ramp(), **style)
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1.0)  # type: ignore[union-attr]  # None in bars of contours only
        bar.set_label(wrapped(chart.legend, ax))
