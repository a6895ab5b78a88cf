"""Drawing of charts with matplotlib."""

import textwrap
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from refold.plots.charts import (
    ACCENT,
    CONTRAST,
    GREEN,
    MUTED,
    RAMP,
    WRONG,
    Box,
    Cells,
    Chart,
    Marks,
)

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
        if isinstance(marks, Cells):
            _draw_cells(ax, marks)
        else:
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
        places = chart.x.places or range(len(names))
        ax.set_xticks(places, names, rotation=90 if turned else 0, fontsize="small")
    if any(isinstance(marks, Cells) for marks in chart.marks):
        ax.set_yticks([])  # rows are too narrow for names
        ax.spines[["left", "bottom"]].set_visible(False)
    elif chart.y.ticks:
        ax.set_yticks(range(len(chart.y.ticks)), map(shortened, chart.y.ticks))
    if chart.x.num_steps is not None:
        ax.set_xlim(-0.6, max(chart.x.num_steps, 1) - 0.4)
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
        num = sum(len(other.x) for other in chart.marks if isinstance(other, Marks))
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


def _draw_cells(ax: Axes, cells: Cells) -> None:
    num_rows, num_columns = cells.values.shape
    top, bottom = cells.first_row - 0.5, cells.first_row + num_rows - 0.5
    if num_columns:
        ends = [to_rgba(cells.color, 0.10), to_rgba(cells.color, 1.0)]
        ax.imshow(
            np.ma.masked_invalid(cells.values),
            cmap=LinearSegmentedColormap.from_list("refold-heat", ends),
            vmin=0,
            vmax=cells.top,
            interpolation="none",
            aspect="auto",
            extent=(-0.5, num_columns - 0.5, bottom, top),
        )
    else:
        ax.text(-0.5, (top + bottom) / 2, "empty", va="center", fontsize="small")
    for row, column in np.argwhere(() if cells.wrong is None else cells.wrong):
        x = column + np.array([-0.5, 0.5, 0.5, -0.5, -0.5])
        y = cells.first_row + row + np.array([-0.5, -0.5, 0.5, 0.5, -0.5])
        ax.plot(x, y, color=WRONG, linewidth=1.2)
    ax.set_ylim(bottom + 0.1, -0.6)


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


# Networks


def draw_network(boxes: list[Box], code_size: int, ax: Axes | None) -> Axes:
    """Draw a sequence, the layers of an encoder, a code, those of a decoder, and a sequence."""
    first, encoder, _, decoder, last = boxes
    num_rows = max(len(encoder.layers), len(decoder.layers))
    ax = new_axes(ax, size=(10.0, max(2.8, 0.36 * num_rows + 1.5)))
    _draw_sequence(ax, 1, first)
    _draw_layers(ax, (12, 43), (84, 60), ACCENT, encoder)
    _draw_code(ax, 50, code_size)
    _draw_layers(ax, (57, 88), (60, 84), GREEN, decoder)
    _draw_sequence(ax, 92, last)
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.4, "mutation_scale": 11}
    for start, end in ((8.6, 11.4), (43.6, 47.4), (52.6, 56.4), (88.6, 91.4)):
        ax.annotate("", (end, 50), (start, 50), arrowprops=arrow)
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.set_axis_off()
    return ax


def _draw_layers(
    ax: Axes, across: tuple[float, float], heights: tuple[float, float], color: str, box: Box
) -> None:
    """Draw a trapezoid with the table of its layers."""
    (left, right), (first, last) = across, (height / 2 for height in heights)
    x, y = (left, left, right, right), (50 - first, 50 + first, 50 + last, 50 - last)
    ax.fill(x, y, color=color, linewidth=0, alpha=0.12)
    ax.fill(x, y, facecolor="none", edgecolor=color, linewidth=1.6, alpha=0.9)
    title = f"{box.title}  ·  {box.below}"
    ax.text((left + right) / 2, 101, title, ha="center", va="top", weight="bold", fontsize=9.5)
    step = min(10.0, 54.0 / len(box.layers))
    for i, row in enumerate(box.layers):
        y = 50 + step * ((len(box.layers) - 1) / 2 - i)
        places = (left + 1.5, right - 8, right - 1.5)
        for x, text, side, alpha in zip(
            places, row, ("left", "right", "right"), (1, 0.75, 0.75), strict=True
        ):
            ax.text(x, y, text, ha=side, va="center", fontsize=8, alpha=alpha)


def _draw_code(ax: Axes, x: float, size: int) -> None:
    num_cells = min(size, 16)
    height = min(3.4, 52 / num_cells)
    shades = 0.35 + 0.6 * ((np.arange(num_cells)[:, None] * 7 + 3) % 11) / 10
    edge = height * num_cells / 2
    _draw_shades(ax, (x - 1.8, 50 - edge), (3.6, height), CONTRAST, shades)
    ax.text(x, 50 + edge + 3, "code", ha="center", va="bottom", weight="bold", fontsize=9.5)
    ax.text(x, 50 - edge - 3, f"{size}", ha="center", va="top", fontsize=9)


def _draw_sequence(ax: Axes, x: float, box: Box) -> None:
    rows, columns = np.arange(6)[:, None], np.arange(3)
    shades = 0.25 + 0.55 * ((rows * 5 + columns * 3) % 7) / 6
    _draw_shades(ax, (x, 29), (2.4, 7.0), MUTED, shades)
    ax.text(x + 3.4, 76, box.title, ha="center", va="bottom", fontsize=9)
    ax.text(x + 3.4, 26, box.below, ha="center", va="top", fontsize=9)


def _draw_shades(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    color: str,
    shades: np.ndarray,
) -> None:
    """Draw a grid of cells with gaps between them."""
    for (row, column), shade in np.ndenumerate(shades):
        x, y = corner[0] + column * size[0], corner[1] + row * size[1] + 0.25
        width = size[0] - (0.3 if shades.shape[1] > 1 else 0)
        ax.bar(x, size[1] - 0.5, width, y, align="edge", color=color, alpha=shade)
