"""The picture: error against latent dimensions, with a panel for each data set."""

import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.fidelity_peers.cells import Cell
from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS, OURS, PCA
from refold.plots._matplotlib import tidy
from refold.plots.charts import ACCENT, MUTED, PALETTE

__all__ = ["draw"]

LEAST = 1e-4  # smaller errors are drawn here
AXES = {
    "nmse": "NMSE",
    "exact": "share of sequences not exact",
    "accuracy": "share of wrong categories",
}
PEERS = [name for name in METHODS if name not in {OURS, PCA}]
COLOURS = {OURS: ACCENT, PCA: "#222222", **dict(zip(PEERS, PALETTE[1:], strict=False))}


def draw(cells: list[Cell], path: Path) -> None:
    """Draw the cells and save the picture to a file."""
    names = list(dict.fromkeys(cell.data for cell in cells))
    rows = math.ceil(len(names) / 4)
    columns = math.ceil(len(names) / rows)
    figure = Figure(figsize=(3.3 * columns + 0.3, 2.9 * rows + 0.7), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for ax, name in zip(axes, names, strict=False):
        handles |= _panel(ax, name, [cell for cell in cells if cell.data == name])
    for ax in axes[len(names) :]:
        ax.axis("off")
    titles = [name for name in METHODS if name in handles]
    figure.legend(
        [handles[name] for name in titles],
        [METHODS[name].title.replace("`", "") for name in titles],
        loc="outside lower center",
        ncols=min(4, len(titles)),
        frameon=False,
        fontsize=9,
    )
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def _panel(ax: Any, name: str, cells: list[Cell]) -> dict[str, Any]:
    handles = {}
    for method in reversed(METHODS):  # Refold last, on top
        points = [
            (cell.size, cell.outcomes[method])
            for cell in sorted(cells, key=lambda cell: cell.size)
            if method in cell.outcomes and math.isfinite(cell.outcomes[method].error)
        ]
        if not points:
            continue
        sizes = [size for size, _ in points]
        style: dict[str, Any] = {"linewidth": 1.2, "markersize": 3}
        if method == OURS:
            style = {"linewidth": 2.4, "markersize": 5}
            low, high = ([max(LEAST, one[i]) for _, one in points] for i in (2, 3))
            ax.fill_between(sizes, low, high, color=COLOURS[OURS], alpha=0.2, linewidth=0)
        if method == PCA:
            style |= {"linestyle": "--"}
        errors = [max(LEAST, one.error) for _, one in points]
        (handles[method],) = ax.plot(sizes, errors, color=COLOURS[method], marker="o", **style)
    ticks = sorted({cell.size for cell in cells})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(top=2)
    ax.axhline(1, color=MUTED, linewidth=0.8)
    ax.set_xlabel("latent dimensions", fontsize=8)
    ax.set_ylabel(AXES[DATA[name].error], fontsize=8)
    ax.tick_params(labelsize=8)
    ax.set_title(DATA[name].title, loc="left", fontsize=10)
    tidy(ax, grid="y")
    return handles
