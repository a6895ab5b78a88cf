"""Colors and axes of all figures; readable on white and on near-black backgrounds."""

import textwrap
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

PALETTE = (
    "#3f7ee8",
    "#e8833a",
    "#2a9d8f",
    "#d1578f",
    "#8a63d2",
    "#c9a227",
    "#d64545",
    "#46b3d6",
    "#7a9a3a",
    "#a5714e",
)
"""Colors of groups, most distinct first."""

ACCENT = PALETTE[0]
CONTRAST = PALETTE[1]
MUTED = "#8d95a3"
GREEN, VIOLET, WRONG = PALETTE[2], PALETTE[4], PALETTE[6]
RAMP = ("#3f5fd8", "#8a63d2", "#d1578f", "#e8833a", "#e2b53c")
"""Colors of a scale from low to high values."""


def new_figure(size: tuple[float, float]) -> Figure:
    """Return a figure without pyplot, of a size in inches."""
    return Figure(figsize=size, layout="constrained")


def new_axes(ax: Axes | None, *, size: tuple[float, float] = (6.0, 3.8)) -> Axes:
    """Return the given axes, or those of a new figure."""
    return new_figure(size).add_subplot() if ax is None else ax


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


def legend_above(ax: Axes) -> None:
    """Put the legend above the right end of the axes, beside a title on the left."""
    handles, names = ax.get_legend_handles_labels()
    names = [shortened(name, 80) for name in names]
    columns = max(1, min(4, 110 // (max(map(len, names)) + 9)))
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": columns}
    ax.legend(handles, names, frameon=False, fontsize="x-small", **place)


def shortened(name: str, length: int = 32) -> str:
    """Return a name that ends with an ellipsis if it is longer."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def wrapped(title: str, ax: Axes) -> str:
    """Return the title of an upright axis in lines that are not longer than the axis."""
    return textwrap.fill(title, max(8, int(12.6 * ax.bbox.height / ax.figure.dpi)))


def whole_numbers(ax: Axes) -> None:
    """Restrict the ticks of the x axis to whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def ramp() -> Colormap:
    """Return a colormap for ordered values."""
    return LinearSegmentedColormap.from_list("refold", RAMP)


def heat(colour: str) -> Colormap:
    """Return a colormap from nearly transparent to ``colour``."""
    ends = [to_rgba(colour, 0.10), to_rgba(colour, 1.0)]
    return LinearSegmentedColormap.from_list("refold-heat", ends)
