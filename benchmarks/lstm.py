"""One LSTM layer, next to Keras on its three backends, PyTorch, and a large matrix product.

``python -m benchmarks.lstm`` takes about 9 minutes on two cores.  It needs ``tensorflow-cpu`` and
``torch`` (dependency group ``backends``).  If one of them is missing, it says so and measures the
others.

Every implementation runs in its own process on the same arrays.  First its best setting and number
of threads are found.  Then the implementations take turns for several rounds, so that disturbances
affect all of them, and the median over rounds is reported.  Their results must agree.  Tables are
written to ``results/lstm.md``, and the picture and the main table to
``docs/explanation/performance.md``.  If an implementation is missing, or with ``--quick``,
everything is written to a temporary folder.
"""

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import lstm_layers
from benchmarks._process import num_cores
from benchmarks._results import (
    DOCS,
    PACKAGES,
    replace_results,
    results_folder,
    section,
    table,
    write_page,
)
from benchmarks.lstm_layers import MATMUL_SIZE, Case

ROWS = (
    Case(30, 32, 12, 64),
    Case(100, 64, 8, 64),
    Case(100, 64, 8, 128),
    Case(50, 128, 16, 256),
    Case(10, 100, 5, 20),
    Case(200, 16, 1, 32),
    Case(1000, 8, 3, 64),
)
UNITS = (8, 16, 20, 32, 48, 64, 96, 128, 192, 256, 384, 512)
SHAPE = "T, B, F, H"
OURS, REFERENCE = "refold_lstm", "keras_jax"
SAME = 1e-4  # largest relative difference between implementations
FAR = 1.5  # settings that take this many times longer than the fastest are dropped
SETTLE = 0.02  # seconds until the threads of the previous process stop spinning
# Unrolled loops are tried up to this many steps. Longer ones take XLA long to compile.
LONGEST_UNROLL, LONGEST_UNROLL_WITHOUT_XLA = 10, 30


class Implementation(NamedTuple):
    """An implementation: its title, the package that it needs, and the backend of Keras."""

    title: str
    package: str
    backend: str


# The function of this name in `lstm_layers` makes the jobs.
IMPLEMENTATIONS = {
    OURS: Implementation("Refold", "refold", "jax"),
    "keras_jax": Implementation("Keras on JAX", "jax", "jax"),
    "keras_tensorflow": Implementation("Keras on TensorFlow", "tensorflow", "tensorflow"),
    "torch_lstm": Implementation("PyTorch", "torch", "torch"),
    "keras_torch": Implementation("Keras on PyTorch", "torch", "torch"),
}
MATMUL = ("keras_jax", "keras_tensorflow", "torch_lstm")


class Candidate(NamedTuple):
    """One setting of an implementation: the cores of its process, and its arguments."""

    name: str
    cores: str
    setting: dict[str, Any]

    @property
    def words(self) -> str:
        """The setting as shown in tables, without settings that are defaults of the framework."""
        threads = self.setting.get("threads")
        words = [] if threads is None else [f"{threads} thread{'s' * (threads != 1)}"]
        words += ["1 core"] if self.cores == "1" else []
        words += [name for name in ("jit_compile", "unroll") if self.setting.get(name)]
        if "onednn" in self.setting:
            words.append("oneDNN" if self.setting["onednn"] else "without oneDNN")
        return ", ".join(words)


def candidates(name: str, case: Case) -> list[Candidate]:
    """Return the settings to try; the first is the default, and the only one of Refold."""
    cores = ["all", "1"] if hasattr(os, "sched_setaffinity") and num_cores() > 1 else ["all"]
    threads = sorted({1, num_cores()}, reverse=True)
    unroll = [False, True] if case.steps <= LONGEST_UNROLL else [False]
    without_xla = [False, True] if case.steps <= LONGEST_UNROLL_WITHOUT_XLA else [False]
    if name == "keras_jax":
        return [Candidate(name, c, {"unroll": u}) for c in cores for u in unroll]
    if name == "keras_tensorflow":
        return [
            Candidate(name, c, {"jit_compile": j, "unroll": u})
            for c in cores
            for j, unrolls in ((False, without_xla), (True, unroll))
            for u in unrolls
        ]
    if name == "torch_lstm":
        settings = [{"threads": t, "onednn": o} for t in threads for o in (True, False)]
        return [Candidate(name, "all", setting) for setting in settings]
    if name == "keras_torch":
        return [Candidate(name, "all", {"threads": t}) for t in threads]
    return [Candidate(name, "all", {})]


class Timed(NamedTuple):
    """Median over the rounds in seconds, and the setting."""

    seconds: float
    candidate: Candidate


Times = dict[str, Timed]


class Pool:
    """A process for each implementation and number of cores; only one of them computes at a time.

    ``log`` is called with the message of each failure.
    """

    def __init__(self, rounds: int, seconds: float, log: Callable[[str], None]) -> None:
        self.rounds, self.seconds, self.log = rounds, seconds, log
        self._processes: dict[tuple[str, str], ProcessPoolExecutor] = {}

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.shutdown()

    def process(self, name: str, cores: str = "all") -> ProcessPoolExecutor:
        """Return the process of an implementation, which is started at the first call."""
        if (name, cores) not in self._processes:
            self._processes[name, cores] = ProcessPoolExecutor(
                1,
                multiprocessing.get_context("spawn"),
                lstm_layers.start,
                (IMPLEMENTATIONS[name].backend, cores),
            )
        return self._processes[name, cores]

    def race(self, mode: str, case: Case | None, entries: list[Candidate]) -> Times:
        """Time each implementation with its best setting.

        Implementations for which no setting works have no result.
        """
        for process in self._processes.values():
            process.submit(lstm_layers.clear).result()
        able = self._build(mode, case, entries)
        first = [self._time(mode, entry) for entry in able]
        best: dict[str, float] = {}
        for entry, seconds in zip(able, first, strict=True):
            best[entry.name] = min(seconds, best.get(entry.name, seconds))
        finalists = [
            entry
            for entry, seconds in zip(able, first, strict=True)
            if seconds <= FAR * best[entry.name]
        ]
        times: list[list[float]] = [[] for _ in finalists]
        for turn in range(self.rounds):
            for i in range(len(finalists)):
                k = (turn + i) % len(finalists)
                times[k].append(self._time(mode, finalists[k]))
        results: Times = {}
        for entry, each in zip(finalists, times, strict=True):
            timed = Timed(statistics.median(each), entry)
            if entry.name not in results or timed.seconds < results[entry.name].seconds:
                results[entry.name] = timed
        return results

    def arrays(self, mode: str, candidate: Candidate) -> dict[str, np.ndarray]:
        """Return the results of an implementation in the last race."""
        process = self.process(*candidate[:2])
        return process.submit(lstm_layers.results, _key(mode, candidate)).result()

    def _build(self, mode: str, case: Case | None, entries: list[Candidate]) -> list[Candidate]:
        """Prepare the jobs of all processes at the same time, and return those that work."""
        waiting = [
            self.process(entry.name, entry.cores).submit(
                lstm_layers.build, _key(mode, entry), entry.name, mode, case, entry.setting
            )
            for entry in entries
        ]
        able = []
        for entry, future in zip(entries, waiting, strict=True):
            try:
                future.result()
                able.append(entry)
            except Exception as error:
                message = f"{type(error).__name__}: {error}".splitlines()[0]
                self.log(f"{entry.name} ({entry.words}), {mode}: {message}")
        return able

    def _time(self, mode: str, candidate: Candidate) -> float:
        time.sleep(SETTLE)
        process = self.process(*candidate[:2])
        return process.submit(lstm_layers.burst, _key(mode, candidate), self.seconds).result()


def _key(mode: str, candidate: Candidate) -> str:
    return f"{mode} {candidate.name} {candidate.setting}"


class Row(NamedTuple):
    """Results for one case: times and largest relative differences of each implementation.

    ``loop`` is Refold's time of a step in a compiled loop.
    """

    case: Case
    both: Times
    loop: Timed
    differences: dict[str, float]


def measure_row(pool: Pool, case: Case, entries: list[Candidate]) -> Row:
    """Measure a case, and compare the results."""
    both = pool.race("both", case, entries)
    arrays = {name: pool.arrays("both", timed.candidate) for name, timed in both.items()}
    loop = pool.race("loop", case, [both[OURS].candidate])[OURS]
    differences = {name: _difference(arrays[name], arrays[REFERENCE]) for name in both}
    return Row(case, both, loop, differences)


def _difference(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> float:
    """Return the largest difference of any array, relative to its largest magnitude."""
    return max(
        float(np.abs(array - others[name]).max() / np.abs(others[name]).max())
        for name, array in some.items()
    )


def fastest_peer(times: Times) -> float | None:
    """Return the seconds of the fastest implementation other than Refold."""
    return min((timed.seconds for name, timed in times.items() if name != OURS), default=None)


def page(rows: list[Row], rate: float, notes: list[str]) -> list[str]:
    """Return the parts of the page; ``rate`` is that of the matrix product, per second."""
    return [
        "Each implementation has its own process and its best setting (second line of a cell). The "
        f"implementations take turns, and times are medians over rounds. Shapes are {SHAPE}: "
        "steps, batch size, features, units. All arrays are float32.",
        *notes,
        f"A product of two {MATMUL_SIZE} × {MATMUL_SIZE} matrices reaches {rate / 1e9:.0f} GFLOP/s "
        "(the fastest implementation).",
        section(
            "Forward and backward, milliseconds",
            "The time of one layer with all outputs and the gradients of the weights and of the "
            "input. The share of the matrix-product rate is the number of operations (three times "
            "those of the forward products), divided by Refold's time and by the matrix-product "
            "rate. The last column is the share for ten steps in one compiled loop, as in "
            "training. The loop allocates memory once and not in every call.",
            main_table(rows, rate, settings=True),
        ),
        "The outputs and gradients of all implementations differ from those of Keras on JAX by "
        f"less than {SAME:g} of the largest magnitude of the array.",
    ]


def main_table(rows: list[Row], rate: float, *, settings: bool = False) -> str:
    """Return the table of the forward and backward pass."""
    names = _names(row.both for row in rows)
    header = [SHAPE, *_titles(names), "× Keras on JAX", "× fastest peer"]
    lines = []
    for row in rows:
        ours = row.both[OURS].seconds
        shares = [row.case.flops / seconds / rate for seconds in (ours, row.loop.seconds)]
        lines.append(
            [
                row.case.title,
                *(_cell(row.both.get(name), settings=settings) for name in names),
                f"{row.both[REFERENCE].seconds / ours:.2f}",
                f"{(fastest_peer(row.both) or ours) / ours:.2f}",
                *(f"{share:.0%}" for share in shares),
            ]
        )
    return table([*header, "share of the matrix-product rate", "share in a compiled loop"], lines)


def _names(results: Iterable[dict[str, Any]]) -> list[str]:
    present = {name for result in results for name in result}
    return [name for name in IMPLEMENTATIONS if name in present]


def _titles(names: list[str]) -> list[str]:
    return [IMPLEMENTATIONS[name].title for name in names]


def _cell(timed: Timed | None, *, settings: bool) -> str:
    if timed is None:
        return ""
    words = timed.candidate.words if settings else ""
    return f"{1000 * timed.seconds:.3g}" + (f"<br>{words}" if words else "")


def draw(sweep: dict[Case, Times], rate: float, path: Path) -> None:
    """Draw rate against units, with one curve for each implementation."""
    from matplotlib.figure import Figure

    from refold.plots._matplotlib import tidy
    from refold.plots.charts import MUTED, PALETTE

    colors = dict(zip(IMPLEMENTATIONS, PALETTE, strict=False))
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    ends = {}
    for name in IMPLEMENTATIONS:
        points = [
            (case.units, case.flops / times[name].seconds / 1e9)
            for case, times in sweep.items()
            if name in times
        ]
        if points:
            widths = (2.6, 5, 3) if name == OURS else (1.6, 3.5, 2)
            style = dict(zip(("linewidth", "markersize", "zorder"), widths, strict=True))
            ax.plot(*zip(*points, strict=True), color=colors[name], marker="o", **style)
            ends[name] = points[-1][1]
    first, *_, last = (case.units for case in sweep)
    limit = rate / 1e9
    ax.axhline(limit, color=MUTED, linestyle="--", linewidth=1.2)
    words = f"one large matrix product on this machine, {limit:.0f} GFLOP/s"
    above = {"xytext": (0, 5), "textcoords": "offset points", "fontsize": 9}
    ax.annotate(words, (first, limit), color="#5b6371", **above)
    top = 1.12 * max(limit, *ends.values())
    ax.set_ylim(0, top)
    heights = dict(ends)
    for below, name in pairwise(sorted(ends, key=ends.__getitem__)):  # labels do not overlap
        heights[name] = max(heights[name], heights[below] + 0.055 * top)
    for name, end in ends.items():
        ax.annotate(
            IMPLEMENTATIONS[name].title,
            (last, end),
            (last * 1.09, heights[name]),
            color=colors[name],
            fontweight="bold" if name == OURS else "normal",
            va="center",
            annotation_clip=False,
        )
    case = next(iter(sweep))
    ax.set_xscale("log", base=2)
    ax.set_xticks([tick for tick in (8, 16, 32, 64, 128, 256, 512) if first <= tick <= last])
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.minorticks_off()
    ax.set_xlabel("units")
    ax.set_ylabel("GFLOP/s, forward and backward")
    shape = f"{case.steps} steps, batch {case.batch}, {case.features} features"
    ax.set_title(f"One LSTM layer: {shape}, float32", loc="left", fontsize=11)
    tidy(ax, grid="y")
    figure.savefig(path)


IN_DOCS = """\
![Rate against units: one curve per implementation, and the matrix product](../images/lstm.png)

*Forward and backward pass of one layer: floating-point operations of its matrix products per
second. Higher is faster. The dashed line is one large matrix product on the same machine.*

The table shows milliseconds for the forward and backward pass in float32, with gradients of the
weights and of the input. T is the number of steps, B the batch size, F the number of features and H
the number of units. Each implementation runs alone, with its best setting and number of threads.
The last two columns compare Refold with the rate of a large matrix product on this machine: for
single calls, and for ten steps in one compiled loop. `SequenceAutoencoder` trains in such a loop,
which allocates memory once and not in every call.

{table}

[All results](../../benchmarks/results/lstm.md) have commit, machine, versions, and settings.
"""


def main() -> None:
    """Measure, and write the tables and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lstm", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    options = parser.parse_args()
    missing = [
        one.title
        for one in IMPLEMENTATIONS.values()
        if importlib.util.find_spec(one.package) is None
    ]
    names = [name for name, one in IMPLEMENTATIONS.items() if one.title not in missing]
    notes = [f"**Not installed, and left out:** {', '.join(missing)}."] if missing else []
    print(*notes)

    def note(text: str) -> None:
        notes.append(f"Did not run: {text}")
        print(text, flush=True)

    def entries(case: Case) -> list[Candidate]:
        number = 1 if options.quick else None
        return [entry for name in names for entry in candidates(name, case)[:number]]

    units = (8, 64, 256) if options.quick else UNITS
    pool = Pool(*((2, 0.03) if options.quick else (7, 0.1)), note)
    rows, sweep, rates = [], {}, []

    def measure_rate() -> None:
        entries = [Candidate(name, "all", {}) for name in MATMUL if name in names]
        times = pool.race("matmul", None, entries).values()
        rates.append(max(2 * MATMUL_SIZE**3 / timed.seconds for timed in times))

    try:
        engine = pool.process(OURS).submit(lstm_layers.engine).result()
        notes.insert(0, f"Refold runs {engine}.")
        for case in ROWS:
            measure_rate()
            rows.append(measure_row(pool, case, entries(case)))
            print(case.title, {n: t.seconds for n, t in rows[-1].both.items()}, flush=True)
        for case in (Case(50, 64, 16, number) for number in units):
            sweep[case] = pool.race("both", case, entries(case))
            print(case.title, {n: t.seconds for n, t in sweep[case].items()}, flush=True)
        measure_rate()
    finally:
        pool.close()
    rate = statistics.median(rates)
    complete = not (options.quick or missing)
    folder = results_folder(complete=complete)
    packages = (*PACKAGES, "jaxlib", "tensorflow-cpu", "tensorflow", "torch")
    parts = page(rows, rate, notes)
    write_page("lstm", "One LSTM layer", parts, packages=packages, folder=folder)
    draw(sweep, rate, (DOCS / "images" if complete else folder) / "lstm.png")
    if complete:
        text = IN_DOCS.format(table=main_table(rows, rate))
        replace_results(DOCS / "explanation" / "performance.md", text, name="lstm")
    for row in rows:
        for name, difference in row.differences.items():
            if not difference <= SAME:
                raise SystemExit(f"{name} at ({row.case.title}) differs by {difference:.1e}.")


if __name__ == "__main__":
    main()
