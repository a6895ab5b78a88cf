"""`draw_chart` draws a `Chart` with matplotlib. The other functions draw what is not in a `Chart`.

Some functions measure names on a picture, and keep them from covering each other.
"""

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

from refold.plots.charts import (
    ACCENT_COLOR,
    CONTRAST_COLOR,
    MUTED_COLOR,
    RAMP,
    WRONG_COLOR,
    Chart,
    Marks,
    compute_wrong_mask,
)

# Options of lines, by the style of `Marks`.
LINE_OPTIONS_BY_STYLE: dict[str, dict[str, Any]] = {
    "": {"linewidth": 1.8},
    "dot": {"linewidth": 1.8, "linestyle": ":"},
    "markers": {"linewidth": 1.8, "marker": "o", "markersize": 4.5},
    "original": {"linewidth": 2.6, "alpha": 0.35, "solid_capstyle": "round"},
    "reconstruction": {"linewidth": 1.4, "linestyle": (0, (4, 1.6))},
}
# Options of points, by the style of `Marks`.
POINT_OPTIONS_BY_STYLE: dict[str, dict[str, Any]] = {
    "diamond": {"marker": "D", "markersize": 5},
    "ring": {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.8},
}
# Maximum number of points that are drawn as shapes. More points are drawn as an image, so that an
# SVG file stays small.
MAX_UNRASTERIZED_POINTS = 1500
# Smallest gap between names on a picture, in points of 1/72 inch.
MIN_NAME_SPACING_POINTS = 4
# Options of a legend beside axes or titles.
LEGEND_OPTIONS: dict[str, Any] = {"frameon": False, "fontsize": "x-small", "handlelength": 1.4}
LEGEND_OPTIONS |= {"columnspacing": 0.8, "borderaxespad": 0.2}
# The names of this many rows fit on any axes, so they need not be measured.
MAX_ROWS_WITHOUT_OVERLAP = 4
# Maximum number of names in a column of a legend beside axes. More names need another column.
MAX_LEGEND_ROWS = 5
# Number of characters of the default font that fit in an inch.
CHARACTERS_PER_INCH = 12.6


def get_or_make_axes(ax: Axes | None, *, figsize: tuple[float, float] = (6.0, 3.8)) -> Axes:
    """Return ``ax``. If it is None, return the axes of a new figure, unknown to pyplot."""
    return Figure(figsize=figsize, layout="constrained").add_subplot() if ax is None else ax


def draw_chart(
    chart: Chart,
    ax: Axes | None,
    *,
    figsize: tuple[float, float] = (6.0, 3.8),
    shows_legend: bool = True,
) -> Axes:
    """Draw a chart on axes, or on a new figure, and return the axes."""
    ax, x_axis, y_axis = get_or_make_axes(ax, figsize=figsize), chart.x_axis, chart.y_axis
    x_names, y_names = x_axis.tick_names, y_axis.tick_names
    for marks in chart.marks:
        _draw_chart_marks(ax, marks, chart)
    ax.set_xlabel(x_axis.title)
    ax.set_ylabel(wrap_y_title(y_axis.title, ax))
    if x_names:
        ax.set_xticks(range(len(x_names)), map(shorten_name, x_names), fontsize="small")
    if y_names:
        ax.set_yticks(range(len(y_names)), map(shorten_name, y_names))
    if chart.is_horizontal:
        ax.invert_yaxis()  # the first row is at the top
    elif y_axis.starts_at_zero:
        ax.set_ylim(bottom=0)
    if y_axis.is_log:
        ax.set_yscale("log")
    if x_axis.has_integer_ticks:
        use_integer_ticks(ax)
    if chart.title:
        ax.set_title(chart.title, fontsize="small", loc="left")
    if shows_legend and chart.has_legend:
        # the points of a map, a chart without a grid, may be anywhere, so its legend is beside it
        position = {} if chart.grid_axis else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        handles, names = ax.get_legend_handles_labels()
        texts = [shorten_name(name) for name in names]
        title = chart.legend_title or None
        ax.legend(handles, texts, title=title, frameon=False, fontsize="small", **position)
    tidy_axes(ax, grid_axis=chart.grid_axis)
    if x_names or len(y_names) > MAX_ROWS_WITHOUT_OVERLAP:
        _prevent_tick_overlap(ax, chart)
    return ax


def _draw_chart_marks(ax: Axes, marks: Marks, chart: Chart) -> None:
    """Draw the marks of a chart that share a color and a style."""
    options: dict[str, Any] = {"color": marks.color, "label": marks.name}
    if marks.mark_type == "bars":
        draw_bars = ax.barh if chart.is_horizontal else ax.bar
        draw_bars(marks.x, np.nan_to_num(marks.y), marks.thickness, **options)
    elif marks.mark_type == "runs":
        for row in np.unique(marks.y):
            first, end = marks.x[marks.y == row].T
            runs = [*zip(first, end - first, strict=True)]
            ax.broken_barh(runs, (row - marks.thickness / 2, marks.thickness), **options)
    elif marks.mark_type == "lines":
        options |= {"marker": "o"} if len(marks.x) == 1 else {}  # a line of one point is invisible
        ax.plot(marks.x, marks.y, **options | LINE_OPTIONS_BY_STYLE[marks.style])
    elif marks.style:
        ax.plot(marks.x, marks.y, linestyle="", **options, **POINT_OPTIONS_BY_STYLE[marks.style])
    else:
        # many points are small and pale, so that they do not cover each other; `s` is an area
        num_points = sum(len(group.x) for group in chart.marks)
        options |= {"s": float(np.clip(6000 / num_points, 9, 42)), "linewidths": 0}
        options |= {"alpha": 0.85 if num_points <= 500 else 0.6}
        options |= {"rasterized": num_points > MAX_UNRASTERIZED_POINTS}
        if isinstance(marks.color, str):
            ax.scatter(marks.x, marks.y, **options)
            return
        del options["color"]  # the colors are numbers on a scale
        ramp = LinearSegmentedColormap.from_list("refold", RAMP)
        points = ax.scatter(marks.x, marks.y, c=marks.color, cmap=ramp, **options)
        bar = ax.figure.colorbar(points, ax=ax, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1.0)  # type: ignore[union-attr]  # None in bars of contours only
        bar.set_label(wrap_y_title(chart.legend_title, ax))


def draw_heatmap_pair(
    ax: Axes, original_rows: np.ndarray, decoded_rows: np.ndarray, num_steps: int
) -> None:
    """Draw two heat maps (n_rows, n_steps), and frame the wrong values of the second one."""
    first_decoded_row = len(original_rows) + 1  # after a gap of one row
    options: dict[str, Any] = {"vmin": 0, "vmax": 1, "interpolation": "none", "aspect": "auto"}
    heatmaps = (original_rows, ACCENT_COLOR, 0), (decoded_rows, CONTRAST_COLOR, first_decoded_row)
    for array, color, first_row in heatmaps:
        top, bottom = first_row - 0.5, first_row + len(array) - 0.5
        if not array.shape[1]:
            ax.text(-0.5, (top + bottom) / 2, "empty", va="center", fontsize="small")
            continue
        ends = [to_rgba(color, 0.10), to_rgba(color, 1.0)]
        color_map = LinearSegmentedColormap.from_list("refold-heat", ends)
        extent = (-0.5, array.shape[1] - 0.5, bottom, top)
        ax.imshow(np.ma.masked_invalid(array), cmap=color_map, extent=extent, **options)
    for column, row in np.argwhere(compute_wrong_mask(original_rows.T, decoded_rows.T)):
        # the four corners of a square, and the first corner again
        x = column + np.array([-0.5, 0.5, 0.5, -0.5, -0.5])
        y = first_decoded_row + row + np.array([-0.5, -0.5, 0.5, 0.5, -0.5])
        ax.plot(x, y, color=WRONG_COLOR, linewidth=1.2)
    ax.set_xlim(-0.6, max(num_steps, 1) - 0.4)
    ax.set_ylim(first_decoded_row + len(decoded_rows) - 0.4, -0.6)
    ax.set_yticks([])  # rows are not high enough for names
    use_integer_ticks(ax)
    tidy_axes(ax)
    ax.spines[["left", "bottom"]].set_visible(False)


def tidy_axes(ax: Axes, *, grid_axis: Literal["both", "x", "y"] | None = None) -> None:
    """Hide the upper and right spines, and draw faint grid lines at the ticks of ``grid_axis``."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.8)
    ax.tick_params(length=3, width=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        formatter: Any = axis.get_major_formatter()
        if isinstance(formatter, ScalarFormatter):
            # each tick has its complete number, without an offset or a power at the end of the axis
            formatter.set_useOffset(False)
            formatter.set_scientific(False)
    if grid_axis is not None:
        ax.grid(visible=True, axis=grid_axis, color=MUTED_COLOR, alpha=0.25, linewidth=0.7)
        ax.set_axisbelow(True)


def split_axes_into_panels(ax: Axes, num_panels: int) -> list[Axes]:
    """Split axes into panels one below the other, which share the x axis; the first is ``ax``."""
    if num_panels < 2:
        return [ax]
    figure: Any = ax.figure
    if spec := ax.get_subplotspec():
        grid: Any = spec.subgridspec(num_panels, 1)
    else:
        box = ax.get_position()
        grid = GridSpec(num_panels, 1, figure, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)
    ax.set_subplotspec(grid[0])
    panels = [ax, *(figure.add_subplot(grid[i], sharex=ax) for i in range(1, num_panels))]
    for upper in panels[:-1]:
        upper.tick_params(labelbottom=False)
    return panels


def prepare_text_measurement(ax: Axes) -> float:
    """Lay out the figure, so that texts can be measured. Return the pixels per 1/72 inch."""
    figure: Any = ax.figure.canvas.figure  # the outer one, if the axes are on a subfigure
    figure.draw_without_rendering()
    return float(figure.dpi) / 72


def _prevent_tick_overlap(ax: Axes, chart: Chart) -> None:
    """Rotate names of ticks that would touch, and leave some out if there is still no room."""
    pixels_per_point = prepare_text_measurement(ax)
    gap = MIN_NAME_SPACING_POINTS * pixels_per_point
    for axis, tick_names, extent_name in (
        (ax.xaxis, chart.x_axis.tick_names, "width"),
        (ax.yaxis, chart.y_axis.tick_names, "height"),
    ):
        # all lengths are in pixels, along the axis
        labels = axis.get_ticklabels() if tick_names else []
        spacing = getattr(ax.bbox, extent_name) / max(1, len(labels))
        longest = max((getattr(x.get_window_extent(), extent_name) for x in labels), default=0)
        if extent_name == "width" and longest + gap > spacing:
            axis.set_tick_params(rotation=90)
            longest = max(label.get_window_extent().width for label in axis.get_ticklabels())
        if longest > spacing:
            stride = int(np.ceil(longest / spacing))
            texts = [label.get_text() for label in labels[::stride]]
            axis.set_ticks(axis.get_ticklocs()[::stride], texts)


def place_labels(ax: Axes, labeled_points: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write names beside points, without overlap; names without room are left out."""
    pixels_per_point = prepare_text_measurement(ax)
    line = {"arrowstyle": "-", "color": MUTED_COLOR, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
    options: dict[str, Any] = {"fontsize": "small", "weight": "bold", "arrowprops": line}
    centers = [ax.transData.transform(point) for _, point in labeled_points]
    occupied = [Bbox.from_bounds(x, y, 0, 0).padded(4 * pixels_per_point) for x, y in centers]
    for name, point in labeled_points:
        text = ax.annotate(name, point, (0, 0), textcoords="offset points", **options)
        text.set_in_layout(False)  # otherwise the text would change the layout it is measured in
        box = text.get_window_extent()
        width, height = box.width / pixels_per_point, box.height / pixels_per_point
        for distance in range(5, 200, 4):  # between name and point, in points of 1/72 inch
            # six candidates: right, left and middle, each above and below
            x_offsets = (distance, -distance - width, -width / 2)
            offsets = [(x, y) for x in x_offsets for y in (distance, -distance - height)]
            boxes = [box.translated(pixels_per_point * x, pixels_per_point * y) for x, y in offsets]
            is_free = [
                not moved.count_overlaps(occupied) and ax.bbox.count_contains(moved.corners()) == 4
                for moved in boxes
            ]
            if any(is_free):
                text.set_position(offsets[is_free.index(True)])
                occupied.append(boxes[is_free.index(True)])
                break
        else:
            text.remove()


def add_legend_beside(target: Axes | Figure, handles: Mapping[str, Any]) -> None:
    """Put a legend to the right of axes, or to the right of a figure that has a layout."""
    options: dict[str, Any] = {"loc": "outside right upper"}
    if isinstance(target, Axes):
        options = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        options["ncols"] = -(-len(handles) // MAX_LEGEND_ROWS)  # rounded up
    target.legend([*handles.values()], [*map(shorten_name, handles)], **LEGEND_OPTIONS | options)


def add_titles_and_legend(
    axes: Sequence[Axes], titles: Sequence[str], handles: Mapping[str, Any]
) -> None:
    """Set the titles of axes, and add a legend beside the first title, or below a long title."""
    title_options: dict[str, Any] = {"fontsize": "small", "loc": "left"}
    texts = [ax.set_title(title, **title_options) for ax, title in zip(axes, titles, strict=True)]
    first_ax, old_legend = axes[0], axes[0].get_legend()
    legend_options = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": len(handles)}
    legend = first_ax.legend([*handles.values()], [*handles], **LEGEND_OPTIONS | legend_options)
    if old_legend:  # a second legend replaces the first one, which is added again
        first_ax.add_artist(old_legend)
    pixels_per_point = prepare_text_measurement(first_ax)
    for ax, text, title in zip(axes, texts, titles, strict=True):
        # share of a title that fits above its axes
        share = ax.bbox.width / text.get_window_extent().width
        text.set_text(title if share >= 1 else shorten_name(title, int(share * len(title))))
    title_end = texts[0].get_window_extent().x1 + MIN_NAME_SPACING_POINTS * pixels_per_point
    legend_box = legend.get_window_extent()
    if handles and title_end > legend_box.x0:  # the title moves up, above the legend
        pad = legend_box.height / pixels_per_point + MIN_NAME_SPACING_POINTS
        first_ax.set_title(texts[0].get_text(), pad=pad, **title_options)


def shorten_name(name: str, max_characters: int = 32) -> str:
    """Return a name, cut to a length in characters, with an ellipsis at the end."""
    return name if len(name) <= max_characters else f"{name[: max_characters - 1]}…"


def wrap_y_title(title: str, ax: Axes) -> str:
    """Return the title of a y axis, in lines that are not longer than the axis."""
    height_inches = ax.bbox.height / ax.figure.dpi
    # even on a short axis, a line has space for a short word
    return textwrap.fill(title, max(8, int(CHARACTERS_PER_INCH * height_inches)))


def use_integer_ticks(ax: Axes) -> None:
    """Restrict the ticks of the x axis to whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
