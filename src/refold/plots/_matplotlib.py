"""Drawing of charts with matplotlib."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from matplotlib.transforms import Bbox

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
GAP = 4  # points between names
SMALL_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": "x-small", "handlelength": 1.4}
SMALL_LEGEND |= {"columnspacing": 0.8, "borderaxespad": 0.2}
FEW = 4  # rows whose names fit on any axes
MAX_NAMES = 5  # in a column of a legend beside axes


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
        handles, names = ax.get_legend_handles_labels()
        texts = [shortened(name) for name in names]
        title = chart.legend or None
        ax.legend(handles, texts, title=title, frameon=False, fontsize="small", **place)
    tidy(ax, grid=chart.grid)
    if chart.x.ticks or len(chart.y.ticks) > FEW:
        _part_ticks(ax, chart)
    return ax


def _scale_axes(ax: Axes, chart: Chart) -> None:
    ax.set_xlabel(chart.x.title)
    ax.set_ylabel(wrapped(chart.y.title, ax))
    names = [shortened(name) for name in chart.x.ticks]
    if names:
        ax.set_xticks(range(len(names)), names, fontsize="small")
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
    elif marks.kind == "runs":
        for row in np.unique(marks.y):
            first, end = marks.x[marks.y == row].T
            runs = [*zip(first, end - first, strict=True)]
            ax.broken_barh(runs, (row - marks.size / 2, marks.size), **style)
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


def panels(ax: Axes, num: int) -> list[Axes]:
    """Divide axes into several, one below the other, with the same x axis; the first is ``ax``."""
    if num < 2:
        return [ax]
    figure: Any = ax.figure
    if spec := ax.get_subplotspec():
        grid: Any = spec.subgridspec(num, 1)
    else:
        box = ax.get_position()
        grid = GridSpec(num, 1, figure, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)
    ax.set_subplotspec(grid[0])
    others = [figure.add_subplot(grid[i], sharex=ax) for i in range(1, num)]
    for upper in (ax, *others[:-1]):
        upper.tick_params(labelbottom=False)
    return [ax, *others]


def lay_out(ax: Axes) -> float:
    """Give the figure its layout, so that texts can be measured; return the pixels per point."""
    figure: Any = ax.figure.canvas.figure
    figure.draw_without_rendering()
    return float(figure.dpi) / 72


def _part_ticks(ax: Axes, chart: Chart) -> None:
    """Turn names of ticks that would touch, and leave out some if there is still no room."""
    gap = GAP * lay_out(ax)
    for axis, ticks, side in (
        (ax.xaxis, chart.x.ticks, "width"),
        (ax.yaxis, chart.y.ticks, "height"),
    ):
        labels = axis.get_ticklabels() if ticks else []
        pitch = getattr(ax.bbox, side) / max(1, len(labels))
        room = max((getattr(label.get_window_extent(), side) for label in labels), default=0)
        if side == "width" and room + gap > pitch:
            axis.set_tick_params(rotation=90)
            room = max(label.get_window_extent().width for label in axis.get_ticklabels())
        if room > pitch:
            every = int(np.ceil(room / pitch))
            texts = [label.get_text() for label in labels[::every]]
            axis.set_ticks(axis.get_ticklocs()[::every], texts)


def part_labels(ax: Axes, labels: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write names beside points, where they do not cover each other."""
    scale = lay_out(ax)
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
    look: dict[str, Any] = {"fontsize": "small", "weight": "bold", "arrowprops": line}
    centers = [ax.transData.transform(point) for _, point in labels]
    taken = [Bbox.from_bounds(x, y, 0, 0).padded(4 * scale) for x, y in centers]
    for name, point in labels:
        text = ax.annotate(name, point, (0, 0), textcoords="offset points", **look)
        text.set_in_layout(False)  # the layout stays that in which names are measured
        box = text.get_window_extent()
        width, height = box.width / scale, box.height / scale
        for away in range(5, 200, 4):
            across = (away, -away - width, -width / 2)
            places = [(x, y) for x in across for y in (away, -away - height)]
            boxes = [box.translated(scale * x, scale * y) for x, y in places]
            free = [
                not moved.count_overlaps(taken) and ax.bbox.count_contains(moved.corners()) == 4
                for moved in boxes
            ]
            if any(free):
                text.set_position(places[free.index(True)])
                taken.append(boxes[free.index(True)])
                break
        else:
            text.remove()


def legend_beside(target: Axes | Figure, legend: Mapping[str, Any]) -> None:
    """Put a legend of names and handles to the right of axes, or of a figure with a layout."""
    place: dict[str, Any] = {"loc": "outside right upper"}
    if isinstance(target, Axes):
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        place["ncols"] = -(-len(legend) // MAX_NAMES)
    names = [shortened(name) for name in legend]
    target.legend([*legend.values()], names, **SMALL_LEGEND | place)


def head(axes: Sequence[Axes], titles: Sequence[str], legend: Mapping[str, Any]) -> None:
    """Give axes their titles, and the first a legend beside its title, or below if it is long."""
    look: dict[str, Any] = {"fontsize": "small", "loc": "left"}
    texts = [ax.set_title(title, **look) for ax, title in zip(axes, titles, strict=True)]
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": len(legend)}
    beside = axes[0].get_legend()
    above = axes[0].legend([*legend.values()], [*legend], **SMALL_LEGEND | place)
    if beside:
        axes[0].add_artist(beside)
    scale = lay_out(axes[0])
    for ax, text, title in zip(axes, texts, titles, strict=True):
        share = ax.bbox.width / text.get_window_extent().width
        text.set_text(title if share >= 1 else shortened(title, int(share * len(title))))
    if legend and texts[0].get_window_extent().x1 + GAP * scale > above.get_window_extent().x0:
        pad = above.get_window_extent().height / scale + GAP
        axes[0].set_title(texts[0].get_text(), pad=pad, **look)


def shortened(name: str, length: int = 32) -> str:
    """Return a name that ends with an ellipsis if it is longer."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def wrapped(title: str, ax: Axes) -> str:
    """Return the title of an upright axis in lines that are not longer than the axis."""
    return textwrap.fill(title, max(8, int(12.6 * ax.bbox.height / ax.figure.dpi)))


def whole_numbers(ax: Axes) -> None:
    """Restrict the ticks of the x axis to whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
