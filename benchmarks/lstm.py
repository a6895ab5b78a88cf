"""One LSTM layer, next to Keras on JAX and on TensorFlow, PyTorch, and a large matrix product.

``python -m benchmarks.lstm`` takes about 9 minutes on two cores.  It needs ``tensorflow-cpu`` and
``torch`` (dependency group ``backends``).

Every implementation runs in its own process on the same arrays.  First its best setting and number
of threads are found.  Then the implementations take turns for several rounds, so that disturbances
affect all of them, and the median over rounds is reported.  Their results must agree.
"""

import importlib.util
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import lstm_layers
from benchmarks._process import MeasurementError, num_cores
from benchmarks._results import PACKAGES, run_parts, section, table
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
SHAPE = "T, B, F, H"
OURS, REFERENCE = "refold_lstm", "keras_jax"
SAME = 1e-4  # largest relative difference between implementations
FAR = 1.5  # settings that take this many times longer than the fastest are dropped
SETTLE = 0.02  # seconds until the threads of the previous process stop spinning
# Unrolled loops are tried up to this many steps. Longer ones take XLA long to compile.
LONGEST_UNROLL, LONGEST_UNROLL_WITHOUT_XLA = 10, 30


class Sizes(NamedTuple):
    """How much is measured; ``settings`` limits the settings of an implementation."""

    rounds: int = 7
    seconds: float = 0.1  # of a turn
    units: tuple[int, ...] = (8, 16, 20, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    settings: int | None = None


QUICK = Sizes(2, 0.03, (8, 64, 256), 1)


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
    return [Candidate(name, "all", {})]


class Timed(NamedTuple):
    """Median over the rounds in seconds, and the setting."""

    seconds: float
    candidate: Candidate


Times = dict[str, Timed]


class Pool:
    """Processes for implementations and numbers of cores; only one computes at a time."""

    def __init__(self, rounds: int, seconds: float) -> None:
        self.rounds, self.seconds = rounds, seconds
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
        """Time each implementation with its best setting."""
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
                print(f"Did not run: {entry.name} ({entry.words}), {mode}: {message}", flush=True)
        return able

    def _time(self, mode: str, candidate: Candidate) -> float:
        time.sleep(SETTLE)
        process = self.process(*candidate[:2])
        return process.submit(lstm_layers.burst, _key(mode, candidate), self.seconds).result()


def _key(mode: str, candidate: Candidate) -> str:
    return f"{mode} {candidate.name} {candidate.setting}"


def measure_row(pool: Pool, case: Case, entries: list[Candidate]) -> Times:
    """Measure a case, and compare the results."""
    both = pool.race("both", case, entries)
    arrays = {name: pool.arrays("both", timed.candidate) for name, timed in both.items()}
    others = arrays[REFERENCE]
    for name in both:
        # of any array, relative to its largest magnitude
        difference = max(
            float(np.abs(array - others[part]).max() / np.abs(others[part]).max())
            for part, array in arrays[name].items()
        )
        if not difference <= SAME:
            raise MeasurementError(f"{name} at ({case.title}) differs by {difference:.1e}.")
    return both


def layer(sizes: Sizes, folder: Path) -> str:
    """Measure all shapes, and draw the rate against the number of units."""
    packages = sorted({one.package for one in IMPLEMENTATIONS.values()})
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise MeasurementError(f"{', '.join(missing)} not installed")

    def entries(case: Case) -> list[Candidate]:
        return [one for name in IMPLEMENTATIONS for one in candidates(name, case)[: sizes.settings]]

    pool = Pool(sizes.rounds, sizes.seconds)
    rows: dict[Case, Times] = {}
    sweep, rates = {}, []
    try:
        engine = pool.process(OURS).submit(lstm_layers.engine).result()
        for case in ROWS:
            rates.append(matrix_rate(pool))
            rows[case] = measure_row(pool, case, entries(case))
            print(case.title, {n: t.seconds for n, t in rows[case].items()}, flush=True)
        for case in (Case(50, 64, 16, units) for units in sizes.units):
            sweep[case] = pool.race("both", case, entries(case))
            print(case.title, {n: t.seconds for n, t in sweep[case].items()}, flush=True)
        rates.append(matrix_rate(pool))
    finally:
        pool.close()
    rate = statistics.median(rates)
    draw(sweep, rate, folder / "lstm.png")
    text = (
        f"Refold's engine is {engine}. Each implementation has its own process and its best "
        "setting (second line of a cell). The implementations take turns, and times are medians "
        f"over rounds. Shapes are {SHAPE}: steps, batch size, features, units. All arrays are "
        "float32. "
        f"A product of two {MATMUL_SIZE} × {MATMUL_SIZE} matrices reaches {rate / 1e9:.0f} GFLOP/s "
        "(the fastest implementation).\n\n"
        "The time is that of one layer with all outputs and the gradients of the weights and of "
        "the input. The share of the matrix-product rate is the number of operations (three times "
        "those of the forward products), divided by Refold's time and by the matrix-product "
        "rate. The outputs and gradients of all implementations differ from those of Keras on JAX "
        f"by less than {SAME:g} of the largest magnitude of the array."
    )
    return section("Forward and backward, milliseconds", text, main_table(rows, rate))


def matrix_rate(pool: Pool) -> float:
    """Return the operations per second of a large matrix product, in the fastest implementation."""
    times = pool.race("matmul", None, [Candidate(name, "all", {}) for name in MATMUL])
    return max(2 * MATMUL_SIZE**3 / timed.seconds for timed in times.values())


def main_table(rows: dict[Case, Times], rate: float) -> str:
    """Return the table of the forward and backward pass."""
    lines = []
    for case, both in rows.items():
        ours = both[OURS].seconds
        peers = [timed.seconds for name, timed in both.items() if name != OURS]
        lines.append(
            [
                case.title,
                *(_cell(both.get(name)) for name in IMPLEMENTATIONS),
                f"{both[REFERENCE].seconds / ours:.2f}",
                f"{min(peers) / ours:.2f}",
                f"{case.flops / ours / rate:.0%}",
            ]
        )
    titles = [one.title for one in IMPLEMENTATIONS.values()]
    header = [SHAPE, *titles, "× Keras on JAX", "× fastest peer"]
    return table([*header, "share of the matrix-product rate"], lines)


def _cell(timed: Timed | None) -> str:
    if timed is None:
        return ""
    words = timed.candidate.words
    return f"{1000 * timed.seconds:.3g}" + (f"<br>{words}" if words else "")


def draw(sweep: dict[Case, Times], rate: float, path: Path) -> None:
    """Draw rate against units, with one curve for each implementation."""
    from matplotlib.figure import Figure

    from refold.plots._matplotlib import tidy
    from refold.plots.charts import MUTED_COLOR, PALETTE

    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    for name, color in zip(IMPLEMENTATIONS, PALETTE, strict=False):
        points = [
            (case.units, case.flops / times[name].seconds / 1e9)
            for case, times in sweep.items()
            if name in times
        ]
        widths = (2.6, 5, 3) if name == OURS else (1.6, 3.5, 2)
        style = dict(zip(("linewidth", "markersize", "zorder"), widths, strict=True))
        title = IMPLEMENTATIONS[name].title
        ax.plot(*zip(*points, strict=True), color=color, marker="o", label=title, **style)
    first, *_, last = (case.units for case in sweep)
    limit = rate / 1e9
    ax.axhline(limit, color=MUTED_COLOR, linestyle="--", linewidth=1.2)
    words = f"one large matrix product on this machine, {limit:.0f} GFLOP/s"
    above = {"xytext": (0, 5), "textcoords": "offset points", "fontsize": 9}
    ax.annotate(words, (first, limit), color="#5b6371", **above)
    ax.set_ylim(bottom=0)
    figure.legend(loc="outside right center", frameon=False)
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


def main() -> None:
    """Measure, and write the table and the picture."""
    packages = (*PACKAGES, "jaxlib", "tensorflow-cpu", "tensorflow", "torch")
    facts = {"about": __doc__, "packages": packages, "in_docs": True}
    run_parts("lstm", "One LSTM layer", {"layer": layer}, (Sizes(), QUICK), **facts)


if __name__ == "__main__":
    main()
