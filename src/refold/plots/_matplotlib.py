"""Drawing of charts with matplotlib."""

import textwrap
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from refold.plots.charts import ACCENT, CONTRAST, MUTED, RAMP, WRONG, Chart, Marks, wrong_values

LINE_STYLES: dict[str, dict[str, Any]] = {
    "": {"linewidth": 1.8},
    "dot": {"linewidth": 1.8, "linestyle": ":"},
    "markers": {"linewidth": 1.8, "marker": "o", "markersize": 4.5},
    "original": {"linewidth": 2.6, "alpha": 0.35, "solid_capstyle": "round"},
    "reconstruction": {"linewidth": 1.4, "linestyle": (0, (4, 1.6))},
}
POINT_STYLES: dict[str, dict[str, Any]] = {
    "diamond": {"marker": "D", "markersize": 5},
    "ring": {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.8},
}
MANY_POINTS = 1500  # more points are rasterized, so that an SVG stays small
WIDE = 60  # characters of all names along the x axis, above which they are turned


def new_figure(size: tuple[float, float]) -> Figure:
    """Return a figure without pyplot, of a size in inches."""
    return Figure(figsize=size, layout="constrained")


def new_axes(ax: Axes | None, *, size: tuple[float, float] = (6.0, 3.8)) -> Axes:
    """Return the given axes, or those of a new figure."""
    return new_figure(size).add_subplot() if ax is None else ax


def draw(
    chart: Chart, ax: Axes | None, *, size: tuple[float, float] = (6.0, 3.8), legend: bool = True
) -> Axes:
    """Draw a chart on the given axes, or on those of a new figure."""
    ax = new_axes(ax, size=size)
    for marks in chart.marks:
        _draw_marks(ax, marks, chart)
    _scale_axes(ax, chart)
    if chart.title:
        ax.set_title(chart.title, fontsize="small", loc="left")
    if legend and chart.has_legend:
        # marks without a grid may be anywhere, so their legend is outside
        place = {} if chart.grid else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        ax.legend(title=chart.legend or None, frameon=False, fontsize="small", **place)
    tidy(ax, grid=chart.grid)
    return ax


def _scale_axes(ax: Axes, chart: Chart) -> None:
    ax.set_xlabel(chart.x.title)
    ax.set_ylabel(wrapped(chart.y.title, ax))
    names = [shortened(name) for name in chart.x.ticks]
    if names:
        turned = max(map(len, names)) > 3 and sum(len(name) + 1 for name in names) > WIDE
        ax.set_xticks(range(len(names)), names, rotation=90 if turned else 0, fontsize="small")
    if chart.y.ticks:
        ax.set_yticks(range(len(chart.y.ticks)), map(shortened, chart.y.ticks))
    if chart.horizontal:
        ax.invert_yaxis()
    elif chart.y.from_zero:
        ax.set_ylim(bottom=0)
    if chart.y.log:
        ax.set_yscale("log")
    if chart.x.whole:
        whole_numbers(ax)


def _draw_marks(ax: Axes, marks: Marks, chart: Chart) -> None:
    style: dict[str, Any] = {"color": marks.color, "label": marks.name}
    if marks.kind == "bars":
        draw_bars = ax.barh if chart.horizontal else ax.bar
        draw_bars(marks.x, np.nan_to_num(marks.y), marks.size, **style)
    elif marks.kind == "lines":
        style |= {"marker": "o"} if len(marks.x) == 1 else {}
        ax.plot(marks.x, marks.y, **style | LINE_STYLES[marks.style])
    elif marks.style:
        ax.plot(marks.x, marks.y, linestyle="", **style, **POINT_STYLES[marks.style])
    else:
        num = sum(len(other.x) for other in chart.marks)
        style |= {"s": float(np.clip(6000 / num, 9, 42)), "linewidths": 0}
        style |= {"alpha": 0.85 if num <= 500 else 0.6, "rasterized": num > MANY_POINTS}
        if isinstance(marks.color, str):
            ax.scatter(marks.x, marks.y, **style)
            return
        del style["color"]
        ramp = LinearSegmentedColormap.from_list("refold", RAMP)
        points = ax.scatter(marks.x, marks.y, c=marks.color, cmap=ramp, **style)
        bar = ax.figure.colorbar(points, ax=ax, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1.0)  # type: ignore[union-attr]  # None in bars of contours only
        bar.set_label(wrapped(chart.legend, ax))


def draw_strips(ax: Axes, before: np.ndarray, after: np.ndarray, num_steps: int) -> None:
    """Draw two (n_rows, n_steps) as shades, and frame the wrong values of the lower one."""
    below = len(before) + 1
    for strips, color, first in ((before, ACCENT, 0), (after, CONTRAST, below)):
        top, bottom = first - 0.5, first + len(strips) - 0.5
        if not strips.shape[1]:
            ax.text(-0.5, (top + bottom) / 2, "empty", va="center", fontsize="small")
            continue
        ends = [to_rgba(color, 0.10), to_rgba(color, 1.0)]
        ax.imshow(
            np.ma.masked_invalid(strips),
            cmap=LinearSegmentedColormap.from_list("refold-heat", ends),
            vmin=0,
            vmax=1,
            interpolation="none",
            aspect="auto",
            extent=(-0.5, strips.shape[1] - 0.5, bottom, top),
        )
    for column, row in np.argwhere(wrong_values(before.T, after.T)):
        x = column + np.array([-0.5, 0.5, 0.5, -0.5, -0.5])
        y = below + row + np.array([-0.5, -0.5, 0.5, 0.5, -0.5])
        ax.plot(x, y, color=WRONG, linewidth=1.2)
    ax.set_xlim(-0.6, max(num_steps, 1) - 0.4)
    ax.set_ylim(below + len(after) - 0.4, -0.6)
    ax.set_yticks([])  # rows are too narrow for names
    whole_numbers(ax)
    tidy(ax)
    ax.spines[["left", "bottom"]].set_visible(False)


def tidy(ax: Axes, *, grid: Literal["both", "x", "y"] | None = None) -> None:
    """Hide the upper and right spines, and draw a faint grid along ``grid``."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.8)
    ax.tick_params(length=3, width=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        formatter: Any = axis.get_major_formatter()
        if isinstance(formatter, ScalarFormatter):
            # a tick has the whole number, which does not have to be added to another one
            formatter.set_useOffset(False)
            formatter.set_scientific(False)
    if grid is not None:
        ax.grid(visible=True, axis=grid, color=MUTED, alpha=0.25, linewidth=0.7)
        ax.set_axisbelow(True)


def legend_above(ax: Axes, handles: list[Any], names: list[str]) -> None:
    """Put a legend above the right end of the axes, beside a title on the left."""
    names = [shortened(name, 80) for name in names]
    columns = max(1, min(4, 110 // (max(map(len, names)) + 9)))
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    close = {"ncols": columns, "handlelength": 1.4, "columnspacing": 0.8}
    ax.legend(handles, names, frameon=False, fontsize="x-small", **place, **close)


def shortened(name: str, length: int = 32) -> str:
    """Return a name that ends with an ellipsis if it is longer."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def wrapped(title: str, ax: Axes) -> str:
    """Return the title of an upright axis in lines that are not longer than the axis."""
    return textwrap.fill(title, max(8, int(12.6 * ax.bbox.height / ax.figure.dpi)))


def whole_numbers(ax: Axes) -> None:
    """Restrict the ticks of the x axis to whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
