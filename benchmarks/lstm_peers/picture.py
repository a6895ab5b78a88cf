"""The picture of a run: rate against units, with one curve for each implementation."""

from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.lstm_peers.implementations import IMPLEMENTATIONS
from benchmarks.lstm_peers.measure import Measured
from refold.plots._matplotlib import tidy
from refold.plots.charts import MUTED, PALETTE

__all__ = ["draw"]

COLOURS = dict(zip([one.name for one in IMPLEMENTATIONS], PALETTE, strict=False))
TICKS = (8, 16, 32, 64, 128, 256, 512)
DISTANCE = 0.055  # between the labels of two curves, as a share of the height


def draw(measured: Measured, path: Path) -> None:
    """Draw the sweep and save it to a file."""
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    limit = max(measured.matmul.values()) / 1e9
    units = [case.units for case in measured.sweep]
    ends = {}
    for one in IMPLEMENTATIONS:
        points = [
            (case.units, case.flops / times[one.name].seconds / 1e9)
            for case, times in measured.sweep.items()
            if one.name in times
        ]
        if points:
            style = {"linewidth": 1.6, "markersize": 3.5, "zorder": 2}
            if not one.peer:
                style = {"linewidth": 2.6, "markersize": 5, "zorder": 3}
            ax.plot(*zip(*points, strict=True), color=COLOURS[one.name], marker="o", **style)
            ends[one] = points[-1][1]
    ax.axhline(limit, color=MUTED, linestyle="--", linewidth=1.2)
    above = {"xytext": (0, 5), "textcoords": "offset points", "fontsize": 9}
    words = f"one large matrix product on this machine, {limit:.0f} GFLOP/s"
    ax.annotate(words, (units[0], limit), color="#5b6371", **above)

    top = 1.12 * max(limit, *ends.values())
    ax.set_ylim(0, top)
    heights = _apart([*ends.values()], DISTANCE * top)
    for (one, end), height in zip(ends.items(), heights, strict=True):
        ax.annotate(
            one.title,
            (units[-1], end),
            (units[-1] * 1.09, height),
            color=COLOURS[one.name],
            fontweight="normal" if one.peer else "bold",
            va="center",
            annotation_clip=False,
        )
    case = next(iter(measured.sweep))
    ax.set_xscale("log", base=2)
    ax.set_xticks([tick for tick in TICKS if units[0] <= tick <= units[-1]])
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.minorticks_off()
    ax.set_xlabel("units")
    ax.set_ylabel("GFLOP/s, forward and backward")
    shape = f"{case.steps} steps, batch {case.batch}, {case.features} features"
    ax.set_title(f"One LSTM layer: {shape}, float32", loc="left", fontsize=11)
    tidy(ax, grid="y")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def _apart(heights: list[float], distance: float) -> list[float]:
    """Move heights up, starting with the lowest, until all are ``distance`` apart."""
    moved = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + distance)
    return moved
