"""Results of all methods for each data set and size, and targets for those of Refold."""

import math
import statistics
from typing import Any, NamedTuple

from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS, OURS, PCA
from benchmarks.fidelity_peers.plan import Run, Selection
from benchmarks.fidelity_peers.store import Store, failed
from benchmarks.fidelity_peers.wheel_sets import CHOOSE, REPORT

__all__ = ["Cell", "Outcome", "Verdict", "judge", "read_cells"]

# Tolerance for errors of Refold above those of PCA: a factor, or a difference.
FACTOR, DIFFERENCE = 1.02, 0.0005
# Errors with a smaller relative difference count as equal.
TIE = 1e-3
# Ratios are averaged over cells in which PCA's error is in this range. Below it there is little to
# improve, and above it no method learns much.
ERRORS = (0.002, 0.9)
# Targets: the mean ratio for each group of data sets, the share of cells in which Refold is best,
# and the share of wrong lengths in codes of at least LENGTH_SIZE dimensions.
MEAN_RATIOS = {"sets with peers": 0.58, "sets for choosing": 0.7, "sets for reporting": 0.7}
BEST_SHARE, WRONG_LENGTHS, LENGTH_SIZE = 0.9, 0.01, 8


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
    def whole(self) -> bool:
        """Whether all methods have a result."""
        return self.outcomes.keys() == METHODS.keys()

    @property
    def best(self) -> list[str]:
        """Names of the best methods; methods with NaN are not among them."""
        left = {name: one for name, one in self.outcomes.items() if one.error < math.inf}
        for field in ("error", "wrong"):
            least = min((getattr(one, field) for one in left.values()), default=0.0)
            left = {k: one for k, one in left.items() if getattr(one, field) <= (1 + TIE) * least}
        return list(left)

    @property
    def wrong_lengths(self) -> float | None:
        """Share of wrong lengths of Refold, or None if it was not measured."""
        return self.outcomes[OURS].wrong_lengths if OURS in self.outcomes else None

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


class Verdict(NamedTuple):
    """A target, the measured result, and whether the target is met."""

    what: str
    wanted: str
    got: str
    holds: bool


def read_cells(store: Store, selection: Selection) -> tuple[list[Cell], list[dict[str, Any]]]:
    """Return the cells of a selection that have results, and all records that they use."""
    cells, used = [], []
    for data, size, seconds in selection.cells():
        outcomes, numbers = {}, 0
        for name in selection.methods:
            method = METHODS[name]
            limit = seconds if method.trained else 0
            seeds = selection.seeds_of(name)
            found = [store.newest(Run(data, size, name, seed, limit)) for seed in seeds]
            records = [one for one in found if one is not None]
            if records:
                outcomes[name] = _outcome(records, DATA[data].error)
                numbers = records[0]["numbers"]
                used += records
        if outcomes:
            cells.append(Cell(data, size, numbers, outcomes))
    return cells, used


def judge(cells: list[Cell]) -> list[Verdict]:
    """Compare Refold with PCA and with the best method."""
    numeric = [cell for cell in cells if cell.ratio is not None]
    worse = [cell for cell in numeric if not _close(cell)]
    shared = [cell for cell in cells if cell.whole]
    lost = [cell for cell in shared if OURS not in cell.best]
    verdicts = []
    if numeric:
        verdicts.append(
            Verdict(
                "numeric data: not worse than PCA with any seed",
                f"NMSE at most {FACTOR} times that of PCA, or {DIFFERENCE} above it, in all cells",
                f"{len(numeric) - len(worse)} of {len(numeric)} cells{_but(worse)}",
                not worse,
            )
        )
    for group, wanted in MEAN_RATIOS.items():
        if ratios := [_ratio_of(cell) for cell in numeric if _counts(cell, group)]:
            mean = statistics.geometric_mean(ratios)
            verdicts.append(
                Verdict(
                    f"{group}, numeric data: NMSE divided by that of PCA, geometric mean over "
                    "cells with at most half as many latent dimensions as a series has values, and "
                    f"an NMSE of PCA from {ERRORS[0]} to {ERRORS[1]}",
                    f"at most {wanted}",
                    f"{mean:.3f}, {len(ratios)} cells",
                    mean <= wanted,
                )
            )
    large = [cell for cell in cells if cell.size >= LENGTH_SIZE and cell.wrong_lengths is not None]
    if large:
        off = [cell for cell in large if (cell.wrong_lengths or 0.0) > WRONG_LENGTHS]
        verdicts.append(
            Verdict(
                f"wrong lengths with at least {LENGTH_SIZE} latent dimensions and any seed, if "
                "they were measured",
                f"at most {WRONG_LENGTHS:.0%} of the sequences, in all cells",
                f"{len(large) - len(off)} of {len(large)} cells{_but(off)}",
                not off,
            )
        )
    if shared:
        got = f"{len(shared) - len(lost)} of {len(shared)} cells{_but(lost)}"
        share = 1 - len(lost) / len(shared)
        what = "best of all methods, if all have results"
        verdicts.append(
            Verdict(what, f"at least {BEST_SHARE:.0%} of the cells", got, share >= BEST_SHARE)
        )
    return verdicts


def _ratio_of(cell: Cell) -> float:
    return math.inf if cell.ratio is None else cell.ratio


def _counts(cell: Cell, group: str) -> bool:
    """Whether a cell belongs to a group of data sets and its ratio is averaged."""
    part = "choosing" if cell.data in CHOOSE else "reporting" if cell.data in REPORT else "peers"
    fits = 2 * cell.size <= cell.numbers
    return part in group and fits and ERRORS[0] <= cell.outcomes[PCA].error <= ERRORS[1]


def _but(cells: list[Cell]) -> str:
    places = ", ".join(f"{DATA[cell.data].title} at {cell.size}" for cell in cells)
    return f"; exceptions: {places}" if places else ""


def _close(cell: Cell) -> bool:
    pca = cell.outcomes[PCA].error
    return cell.outcomes[OURS].high <= max(FACTOR * pca, pca + DIFFERENCE)


def _outcome(records: list[dict[str, Any]], error: str) -> Outcome:
    for record in records:
        if failed(record):
            return Outcome(note="failed")
        if "not_possible" in record:
            return Outcome(note="–")
    errors = [_error(record, error) for record in records]
    wrong = [_error(record, "accuracy") if error != "nmse" else 0.0 for record in records]
    median = statistics.median(errors)
    took = statistics.median(record["took"] for record in records)
    note = "" if math.isfinite(median) else "NaN"
    machines = frozenset(record["machine"] for record in records if record["seconds"])
    shares = [record["wrong_lengths"] for record in records if "wrong_lengths" in record]
    off = max(shares, default=None)
    least, most = min(errors), max(errors)
    return Outcome(median, statistics.median(wrong), least, most, took, note, machines, off)


def _error(record: dict[str, Any], name: str) -> float:
    value = record[name]
    if value is None:
        return math.inf
    return value if name == "nmse" else 1 - value
