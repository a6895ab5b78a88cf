"""The picture of a run: rate against units, a curve an implementation, and the machine's limit."""

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.lstm_peers.implementations import IMPLEMENTATIONS
from benchmarks.lstm_peers.measure import Measured
from refold.plots._style import MUTED, PALETTE, tidy

__all__ = ["draw"]

COLOURS = dict(zip([one.name for one in IMPLEMENTATIONS], PALETTE, strict=False))
TICKS = (8, 16, 32, 64, 128, 256, 512)


def draw(measured: Measured, path: Path) -> None:
    """Draw the sweep into a file."""
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    limit = max(measured.matmul.values()) / 1e9
    for one in IMPLEMENTATIONS:
        points = [
            (case.units, case.flops / times[one.name].seconds / 1e9)
            for case, times in measured.sweep.items()
            if one.name in times
        ]
        if points:
            ours = not one.peer
            ax.plot(
                *zip(*points, strict=True),
                color=COLOURS[one.name],
                label=one.title,
                linewidth=2.6 if ours else 1.6,
                marker="o",
                markersize=5 if ours else 3.5,
                zorder=3 if ours else 2,
            )
    ax.axhline(limit, color=MUTED, linestyle="--", linewidth=1.2)
    words = f"this machine's large matrix product, {limit:.0f} GFLOP/s"
    units = [case.units for case in measured.sweep]
    ax.annotate(
        words, (units[0], limit), (0, 4), textcoords="offset points", color="#5b6371", fontsize=9
    )
    case = next(iter(measured.sweep))
    ax.set_xscale("log", base=2)
    ax.set_xticks([tick for tick in TICKS if units[0] <= tick <= units[-1]])
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.minorticks_off()
    ax.set_ylim(0, 1.12 * limit)
    ax.set_xlabel("units")
    ax.set_ylabel("GFLOP/s, forward and backward")
    shape = f"{case.steps} steps, batch {case.batch}, {case.features} features"
    ax.set_title(
        f"One LSTM layer: {shape}, float32",
        loc="left",
        fontsize=11,
    )
    tidy(ax, grid="y")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.94), fontsize=9)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)
