"""What `benchmarks.fidelity` runs, and the page of its results with a table and a picture."""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._results import Record, read_records, section, table
from benchmarks._sets import CHOOSE, DATA, REPORT
from benchmarks.fidelity_peers.methods import METHODS, OURS, PCA

SIZES, WHEEL_SIZES = (2, 4, 8, 16, 32), (4, 16, 32)
SECONDS, LONG_SECONDS, BRIEF_SECONDS = 60, 300, 30
# Tolerance for errors of Refold above those of PCA: a factor, or a difference.
FACTOR, DIFFERENCE = 1.02, 0.0005
# Errors with a smaller relative difference count as equal.
TIE = 1e-3
# Ratios are averaged over cells in which PCA's error is in this range. Below it there is little to
# improve, and above it no method learns much.
ERRORS = (0.002, 0.9)
# Wrong lengths are summed up for codes of at least this size.
LENGTH_SIZE, WRONG_LENGTHS = 8, 0.01


class Part(NamedTuple):
    """Data sets with the same sizes and the same time limit in seconds."""

    data: tuple[str, ...]
    sizes: tuple[int, ...]
    seconds: int = SECONDS


PARTS = {
    "series": Part(("vowels", "digits", "italy", "gunpoint", "motions"), SIZES),
    "symbols": Part(("one_hot", "words"), SIZES),
    "words": Part(("words",), (64, 128), LONG_SECONDS),
    # Keras issue 7231: 11,000 one-hot sentences of 120 steps, codes of 120 dimensions.
    "sentences": Part(("sentences",), (32, 120), LONG_SECONDS),
    "choosing": Part(CHOOSE, WHEEL_SIZES, BRIEF_SECONDS),
    "reporting": Part(REPORT, WHEEL_SIZES, BRIEF_SECONDS),
}
QUICK = {"quick": Part(("italy", "one_hot"), (4,), 5)}


class Run(NamedTuple):
    """One fit; with the code, the versions and the machine it identifies a result."""

    data: str
    size: int
    method: str
    seed: int
    seconds: int


class Selection(NamedTuple):
    """The selected parts, data sets and methods."""

    parts: dict[str, Part] = PARTS
    data: tuple[str, ...] = tuple(DATA)
    methods: tuple[str, ...] = tuple(METHODS)

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Yield the data set, the size and the time limit of each cell."""
        for part in self.parts.values():
            for data in part.data:
                if data in self.data:
                    for size in part.sizes:
                        yield data, size, part.seconds

    def runs(self) -> list[Run]:
        """Return all runs."""
        return [
            run for cell in self.cells() for name in self.methods for run in runs_of(name, *cell)
        ]


def runs_of(name: str, data: str, size: int, seconds: int) -> list[Run]:
    """Return the runs of a method in a cell; one without training has a time limit of 0."""
    method = METHODS[name]
    limit = seconds if method.trained else 0
    return [Run(data, size, name, seed, limit) for seed in method.seeds]


class Outcome(NamedTuple):
    """The result of a method, as medians over seeds; NaN becomes infinity.

    Methods are ranked by ``error``, and by ``wrong``, the share of wrong categories, if errors are
    equal.  ``low`` and ``high`` are the smallest and the largest error of a seed.  ``took`` is the
    time of a fit in seconds.  ``note`` gives the reason if there is no error.  ``machines`` are
    those of the fits; a method without training has none.  ``wrong_lengths`` is the largest share
    of wrong lengths of a seed, or None if it was not measured.
    """

    error: float = math.inf
    wrong: float = 0.0
    low: float = math.inf
    high: float = math.inf
    took: float = math.nan
    note: str = ""
    machines: frozenset[str] = frozenset()
    wrong_lengths: float | None = None


class Cell(NamedTuple):
    """The results of all methods for one data set and one number of latent dimensions."""

    data: str
    size: int
    numbers: int
    outcomes: dict[str, Outcome]

    @property
    def best(self) -> list[str]:
        """Names of the best methods; methods with NaN are not among them."""
        left = {name: one for name, one in self.outcomes.items() if one.error < math.inf}
        for field in ("error", "wrong"):
            lowest = min((getattr(one, field) for one in left.values()), default=0.0)
            left = {k: one for k, one in left.items() if getattr(one, field) <= (1 + TIE) * lowest}
        return list(left)

    @property
    def elsewhere(self) -> list[str]:
        """Names of the methods that were trained on another machine than Refold."""
        if OURS not in self.outcomes:
            return []
        ours = self.outcomes[OURS].machines
        trained = {name: one for name, one in self.outcomes.items() if one.machines}
        return [name for name, one in trained.items() if one.machines != ours]

    @property
    def ratio(self) -> float | None:
        """Error of Refold divided by that of PCA, for numeric data."""
        if DATA[self.data].error != "nmse" or not {OURS, PCA} <= self.outcomes.keys():
            return None
        ours, pca = self.outcomes[OURS].error, self.outcomes[PCA].error
        return ours / pca if pca > 0 else math.inf


def read_cells(path: Path, selection: Selection) -> tuple[list[Cell], list[Record]]:
    """Return the cells of a selection that have results, and all records that they use.

    The newest result of a run counts, from any code, versions and machine.
    """
    stored = {tuple(record[name] for name in Run._fields): record for record in read_records(path)}
    cells, used = [], []
    for cell in selection.cells():
        outcomes, numbers = {}, 0
        for name in selection.methods:
            runs = runs_of(name, *cell)
            if records := [stored[run] for run in runs if run in stored]:
                outcomes[name] = _outcome(records, DATA[cell[0]].error)
                numbers = records[0]["numbers"]
                used += records
        if outcomes:
            cells.append(Cell(*cell[:2], numbers, outcomes))
    return cells, used


def _outcome(records: list[Record], error: str) -> Outcome:
    for record in records:
        if "failed" in record:
            return Outcome(note="failed")
        if "not_possible" in record:
            return Outcome(note="–")
    errors = [_error(record, error) for record in records]
    wrong = [_error(record, "accuracy") if error != "nmse" else 0.0 for record in records]
    median = statistics.median(errors)
    return Outcome(
        median,
        statistics.median(wrong),
        min(errors),
        max(errors),
        statistics.median(record["took"] for record in records),
        "" if math.isfinite(median) else "NaN",
        frozenset(record["machine"] for record in records if record["seconds"]),
        max((one["wrong_lengths"] for one in records if "wrong_lengths" in one), default=None),
    )


def _error(record: dict[str, Any], name: str) -> float:
    value = record[name]
    if value is None:
        return math.inf
    return value if name == "nmse" else 1 - value


def summary(cells: list[Cell]) -> list[list[str]]:
    """Return rows that compare Refold with PCA and with the best method, and count lengths."""
    rows = []
    numeric = [cell for cell in cells if cell.ratio is not None]
    if numeric:
        what = (
            f"numeric data: with every seed, the NMSE is at most {FACTOR} times that of PCA, or "
            f"{DIFFERENCE} above it"
        )
        rows.append([what, _all_but([cell for cell in numeric if not _is_close(cell)], numeric)])
    for group, names in (("choosing", CHOOSE), ("reporting", REPORT)):
        rows += _mean_ratio(f"sets for {group}", [one for one in numeric if one.data in names])
    others = [cell for cell in numeric if cell.data not in CHOOSE + REPORT]
    rows += _mean_ratio("sets with peers", others)
    large = [cell for cell in cells if cell.size >= LENGTH_SIZE and OURS in cell.outcomes]
    large = [cell for cell in large if cell.outcomes[OURS].wrong_lengths is not None]
    if large:
        off = [c for c in large if (c.outcomes[OURS].wrong_lengths or 0.0) > WRONG_LENGTHS]
        what = (
            f"at most {WRONG_LENGTHS:.0%} of the lengths are wrong with at least {LENGTH_SIZE} "
            "latent dimensions and any seed"
        )
        rows.append([what, _all_but(off, large)])
    shared = [cell for cell in cells if cell.outcomes.keys() == METHODS.keys()]
    if shared:
        lost = [cell for cell in shared if OURS not in cell.best]
        rows.append(["best of all methods, if all have results", _all_but(lost, shared)])
    return rows


def _is_close(cell: Cell) -> bool:
    pca = cell.outcomes[PCA].error
    return cell.outcomes[OURS].high <= max(FACTOR * pca, pca + DIFFERENCE)


def _mean_ratio(title: str, cells: list[Cell]) -> list[list[str]]:
    counted = [
        cell.ratio
        for cell in cells
        if 2 * cell.size <= cell.numbers and ERRORS[0] <= cell.outcomes[PCA].error <= ERRORS[1]
    ]
    if not counted:
        return []
    what = (
        f"{title}, numeric data: NMSE divided by that of PCA, geometric mean over cells with at "
        "most half as many latent dimensions as a series has values, and an NMSE of PCA from "
        f"{ERRORS[0]} to {ERRORS[1]}"
    )
    return [[what, f"{statistics.geometric_mean(counted):.3f}, {len(counted)} cells"]]


def _all_but(exceptions: list[Cell], cells: list[Cell]) -> str:
    places = ", ".join(f"{DATA[cell.data].title} at {cell.size}" for cell in exceptions)
    count = f"{len(cells) - len(exceptions)} of {len(cells)} cells"
    return f"{count}; exceptions: {places}" if places else count


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
    commits = sorted({record["code"] for record in used if record["method"] == OURS})
    wanted, got = len(selection.runs()), sum("failed" not in record for record in used)
    missing = "" if got == wanted else f" **{got} of {wanted} runs have results.**"
    lines = [
        f"{' to '.join(dates[:: max(1, len(dates) - 1)])}, {'; '.join(machines)}",
        ", ".join(sorted(versions, key=str.lower)),
        "Refold's code (its commit, or a digest up to 2026-11-28): "
        f"{', '.join(commits) or 'none'}.{missing}",
    ]
    return "  \n".join(lines)


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

    from refold.plots._matplotlib import tidy_axes
    from refold.plots.charts import ACCENT_COLOR, MUTED_COLOR, PALETTE

    peers = [method for method in METHODS if method not in {OURS, PCA}]
    colors = {OURS: ACCENT_COLOR, PCA: "#222222", **dict(zip(peers, PALETTE[1:], strict=False))}
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
    ax.axhline(1, color=MUTED_COLOR, linewidth=0.8)
    ax.set_xlabel("latent dimensions", fontsize=8)
    ax.set_ylabel(AXES[DATA[name].error], fontsize=8)
    ax.tick_params(labelsize=8)
    ax.set_title(DATA[name].title, loc="left", fontsize=10)
    tidy_axes(ax, grid_axis="y")
    return handles
