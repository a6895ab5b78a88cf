"""What is run, and the results of all methods for each data set and number of dimensions."""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._results import Record, read_records
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
    """The selected parts, data sets, methods, sizes, seeds and largest time limit."""

    parts: dict[str, Part] = PARTS
    data: tuple[str, ...] = tuple(DATA)
    methods: tuple[str, ...] = tuple(METHODS)
    sizes: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    seconds: int = LONG_SECONDS

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Yield the data set, the size and the time limit of each cell."""
        for part in self.parts.values():
            for data in part.data:
                for size in part.sizes:
                    if data in self.data and (not self.sizes or size in self.sizes):
                        yield data, size, min(part.seconds, self.seconds)

    def runs_of(self, name: str, data: str, size: int, seconds: int) -> list[Run]:
        """Return the runs of a method in a cell; one without training has a time limit of 0."""
        method = METHODS[name]
        seeds = [seed for seed in method.seeds if not self.seeds or seed in self.seeds]
        return [Run(data, size, name, seed, seconds if method.trained else 0) for seed in seeds]

    def runs(self) -> list[Run]:
        """Return all runs."""
        return [
            run
            for cell in self.cells()
            for name in self.methods
            for run in self.runs_of(name, *cell)
        ]


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
            runs = selection.runs_of(name, *cell)
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
