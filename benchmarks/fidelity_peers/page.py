"""The page of results, with a table and a picture."""

import math
from pathlib import Path
from typing import Any

from benchmarks._results import Record, section, table
from benchmarks._sets import DATA
from benchmarks.fidelity_peers.cells import (
    BRIEF_SECONDS,
    LONG_SECONDS,
    SECONDS,
    Cell,
    Outcome,
    Selection,
    summary,
)
from benchmarks.fidelity_peers.methods import METHODS, OURS, PCA

EXPLAINED = f"""\
*NMSE* is squared error over power: 0 is perfect, and 1 is the error of predicting the mean. *Exact*
is the share of sequences that are reconstructed exactly, with the share of right categories in
parentheses. All sequences are held out. Refold has its default settings, and its value is the
median of three seeds. It decodes the lengths from the code; the other methods are told them. For
categorical data, and for fewer than 2000 training sequences, Refold's codes include latent
optimization; all others encode in one pass. The best result of a row is bold, and NaN and failed
runs count as worst. An NMSE above 100 is shown as *diverged*, and curves end at 2 and at 0.0001.
*Relative to PCA* is Refold's NMSE divided by that of PCA. *Wrong lengths* is the largest share of
wrong lengths of Refold's seeds. *Seconds* is the time of Refold's `fit`. Defaults were chosen on
the data sets from PLAID to German words. On the sets after them, results are only reported. A fit
has at most {SECONDS} seconds, {BRIEF_SECONDS} for the sets from PLAID on, and {LONG_SECONDS} for
sentences and for words with 64 or 128 dimensions. Results with a ° were trained on another machine
than Refold in the same row."""
DIVERGED = 100.0  # larger errors are shown as "diverged"
SMALLEST = 1e-4  # smaller errors are drawn here


def page(cells: list[Cell], used: list[Record], picture: str) -> list[str]:
    """Return the parts of the page."""
    parts = [
        "![Held-out error by latent dimensions, with one panel for each data set and one curve for "
        f"each method]({picture})",
        EXPLAINED,
        _table(cells),
    ]
    if rows := summary(cells):
        parts.append(section("Summary", table(["what", "measured"], rows)))
    notes = {
        f"- {METHODS[one['method']].title}, {DATA[one['data']].title}, {one['size']} dimensions: "
        f"{one.get('failed') or one['not_possible']}"
        for one in used
        if "failed" in one or "not_possible" in one
    }
    return [*parts, section("Not run", "\n".join(sorted(notes)))] if notes else parts


def about(used: list[Record], selection: Selection) -> str:
    """Return the dates, the machines, the versions, the commits and the number of the results."""
    dates, machines = (sorted({one[name] for one in used}) for name in ("date", "machine"))
    versions = {part for record in used for part in record["versions"].split(", ")}
    wanted, got = len(selection.runs()), sum("failed" not in record for record in used)
    missing = "" if got == wanted else f" **{got} of {wanted} runs have results.**"
    lines = [
        f"{' to '.join(dates[:: max(1, len(dates) - 1)])}, {'; '.join(machines)}",
        ", ".join(sorted(versions, key=str.lower)),
        f"Refold's code (its commit, or a digest up to 2026-11-28): {_commits(used)}.{missing}",
    ]
    return "  \n".join(lines)


def _commits(used: list[Record]) -> str:
    """Return the commits of Refold's code, with their results if there are several."""
    places: dict[str, dict[str, list[str]]] = {}
    for one in used:
        if one["method"] == OURS:
            sizes = places.setdefault(one["code"], {}).setdefault(DATA[one["data"]].title, [])
            sizes += [] if str(one["size"]) in sizes else [str(one["size"])]
    if len(places) < 2:
        return ", ".join(places) or "none"
    texts = []
    for code, sets in sorted(places.items()):
        cells = (f"{title} at {', '.join(sizes)}" for title, sizes in sets.items())
        texts.append(f"{code} ({'; '.join(cells)})")
    return ", ".join(texts)


def _table(cells: list[Cell]) -> str:
    names = [name for name in METHODS if any(name in cell.outcomes for cell in cells)]
    titles = [METHODS[name].title for name in names]
    header = ["data", "latent dimensions", *titles, "best", "relative to PCA", "wrong lengths"]
    rows, last = [], None
    for cell in cells:
        data = DATA[cell.data]
        words = {"nmse": "NMSE", "exact": "exact", "accuracy": "right categories"}[data.error]
        shown = []
        for name in names:
            text = _shown(cell.outcomes.get(name), data.error)
            text = f"**{text}**" if name in cell.best else text
            shown.append(text + " °" * (name in cell.elsewhere))
        ours = cell.outcomes.get(OURS, Outcome())
        rows.append(
            [
                f"{data.title}, {data.about}; {words}" if cell.data != last else "",
                str(cell.size),
                *shown,
                ", ".join(METHODS[name].title for name in cell.best),
                "" if cell.ratio is None else _ratio(cell.ratio),
                "" if ours.wrong_lengths is None else f"{100 * ours.wrong_lengths:.1f} %",
                "" if math.isnan(ours.took) else f"{ours.took:.0f}",
            ]
        )
        last = cell.data
    return table([*header, "seconds"], rows)


def _shown(outcome: Outcome | None, error: str) -> str:
    if outcome is None or outcome.note:
        return outcome.note if outcome else ""
    if error == "nmse" and outcome.error > DIVERGED:
        return "diverged"
    if error == "nmse":
        return f"{outcome.error:.4f}" if outcome.error < 0.1 else f"{outcome.error:.3f}"
    share = f"{100 * (1 - outcome.error):.1f} %"
    return share if error == "accuracy" else f"{share} ({100 * (1 - outcome.wrong):.1f})"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if math.isfinite(ratio) and ratio < 100 else "large"


AXES = {
    "nmse": "NMSE",
    "exact": "share of sequences not exact",
    "accuracy": "share of wrong categories",
}


def draw(cells: list[Cell], path: Path) -> None:
    """Draw error against latent dimensions, with a panel for each data set."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(cell.data for cell in cells))
    rows = math.ceil(len(names) / 4)
    columns = math.ceil(len(names) / rows)
    figure = Figure(figsize=(3.3 * columns + 0.3, 2.9 * rows + 0.7), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for ax, name in zip(axes, names, strict=False):
        own = [cell for cell in cells if cell.data == name]
        handles |= _panel(ax, name, sorted(own, key=lambda cell: cell.size))
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
    figure.savefig(path)


def _panel(ax: Any, name: str, cells: list[Cell]) -> dict[str, Any]:
    from matplotlib.ticker import LogLocator, NullFormatter

    from refold.plots._matplotlib import tidy
    from refold.plots.charts import ACCENT, MUTED, PALETTE

    peers = [method for method in METHODS if method not in {OURS, PCA}]
    colors = {OURS: ACCENT, PCA: "#222222", **dict(zip(peers, PALETTE[1:], strict=False))}
    handles = {}
    for method in reversed(METHODS):  # Refold last, on top
        points = [
            (cell.size, cell.outcomes[method])
            for cell in cells
            if method in cell.outcomes and math.isfinite(cell.outcomes[method].error)
        ]
        if not points:
            continue
        sizes = [size for size, _ in points]
        style: dict[str, Any] = {"linewidth": 1.2, "markersize": 3}
        if method == OURS:
            style = {"linewidth": 2.4, "markersize": 5}
            low = [max(SMALLEST, outcome.low) for _, outcome in points]
            high = [max(SMALLEST, outcome.high) for _, outcome in points]
            ax.fill_between(sizes, low, high, color=colors[OURS], alpha=0.2, linewidth=0)
        if method == PCA:
            style["linestyle"] = "--"
        errors = [max(SMALLEST, outcome.error) for _, outcome in points]
        (handles[method],) = ax.plot(sizes, errors, color=colors[method], marker="o", **style)
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
