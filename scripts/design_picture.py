"""Draw the data flow of docs/explanation/design.md: ``python scripts/design_picture.py``.

The picture has a background of its own, so that it is readable on white and on dark pages.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PATH = Path(__file__).parents[1] / "docs" / "images" / "design.png"
# Color of names and labels.
INK = "#1f2530"
# Color of arrows and other lines of text.
FAINT_INK = "#4b5260"
BACKGROUND = "#f6f7f9"
# Fill and edge of boxes for data and results of users.
USER = ("#ffffff", "#aab0bb")
# Fill and edge of boxes for training.
TRAINING = ("#fdeee0", "#e8833a")
# Fill and edge of boxes that a fitted model needs.
RUNNING = ("#e6effd", "#3f7ee8")
# Width of a box, in units of the axes.
WIDTH = 21.0
# Height of a box, in units of the axes.
HEIGHT = 13.0
Point = tuple[float, float]
Colors = tuple[str, str]

# Left, bottom, colors, name and other lines of text of each box.
BOXES = {
    "input": (3, 66, USER, "your data", "files, lists,\narrays, tables"),
    "sequences": (30, 66, RUNNING, "Sequences", "files/, sequences/:\nall steps, and offsets"),
    "training": (57, 66, TRAINING, "training/", "split, specify, initialize,\ntrain, choose"),
    "keras": (57, 36, TRAINING, "network/keras/", "layers on Keras and JAX"),
    "model": (30, 36, RUNNING, "Model", "model/: network, schema,\nscalers, statistics"),
    "packed": (30, 6, RUNNING, "network/packed/", "NumPy on rows,\nwithout padding"),
    "kernel": (57, 6, RUNNING, "kernels/", "the LSTM in C++,\nfor both networks"),
    "results": (3, 36, USER, "results", "codes, sequences,\nscores, forecasts"),
    "applications": (
        3,
        6,
        RUNNING,
        "applications",
        "estimator, cli/, serve/,\nsearch/, explore/, ...",
    ),
}
# Box and side where each arrow starts, box and side where it ends, and its label.
ARROWS = (
    ("input", "right", "sequences", "left", "read"),
    ("sequences", "right", "training", "left", "fit"),
    ("sequences", "bottom", "model", "top", "encode"),
    ("training", "bottom", "keras", "top", "trains"),
    ("keras", "left", "model", "right", "weights"),
    ("model", "left", "results", "right", "return"),
    ("model", "bottom", "packed", "top", "runs on"),
    ("packed", "right", "kernel", "left", "calls"),
    ("keras", "bottom", "kernel", "top", "calls"),
    ("results", "bottom", "applications", "top", "used by"),
)
# Middle of each side, as shares of the width and the height of a box.
SIDES = {"left": (0.0, 0.5), "right": (1.0, 0.5), "top": (0.5, 1.0), "bottom": (0.5, 0.0)}


def main() -> None:
    """Draw all boxes and arrows."""
    figure = Figure(figsize=(9.4, 4.8), dpi=120, facecolor=BACKGROUND)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 81), ylim=(0, 85))
    axes.axis("off")
    for box in BOXES:
        draw_box(axes, *BOXES[box])
    for start, start_side, end, end_side, label in ARROWS:
        draw_arrow(axes, middle_of_side(start, start_side), middle_of_side(end, end_side), label)
    figure.savefig(PATH)


def middle_of_side(box: str, side: str) -> Point:
    """Return the middle of a side of a box."""
    (left, bottom, *_), (across, up) = BOXES[box], SIDES[side]
    return left + across * WIDTH, bottom + up * HEIGHT


def draw_box(axes: Axes, left: int, bottom: int, colors: Colors, name: str, lines: str) -> None:
    """Draw a box with its name above its other lines."""
    style = {"facecolor": colors[0], "edgecolor": colors[1], "linewidth": 1.4}
    corners = "round,pad=0,rounding_size=1.2"
    axes.add_patch(FancyBboxPatch((left, bottom), WIDTH, HEIGHT, boxstyle=corners, **style))
    middle, centered = left + WIDTH / 2, {"ha": "center", "va": "center"}
    axes.text(middle, bottom + 9.6, name, size=11, weight="bold", color=INK, **centered)
    axes.text(middle, bottom + 4.4, lines, size=8.8, color=FAINT_INK, **centered)


def draw_arrow(axes: Axes, start: Point, end: Point, label: str) -> None:
    """Draw an arrow with a label beside it."""
    style = {"arrowstyle": "-|>", "mutation_scale": 13, "color": FAINT_INK, "linewidth": 1.3}
    axes.add_patch(FancyArrowPatch(start, end, shrinkA=2, shrinkB=2, **style))
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    position, align = (x, y + 1.2), {"ha": "center", "va": "bottom"}
    if start[0] == end[0]:  # a vertical arrow has its label at the right
        position, align = (x + 0.8, y), {"ha": "left", "va": "center"}
    axes.text(*position, label, size=8.4, color=INK, style="italic", **align)


if __name__ == "__main__":
    main()
