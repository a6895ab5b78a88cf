"""The measurements of one run."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.lstm_peers.cases import MATMUL_SIZE, ROWS, SWEEP, Case, Data
from benchmarks.lstm_peers.implementations import Candidate, candidates
from benchmarks.lstm_peers.pool import Pool, Timed

__all__ = ["EPOCHS", "OURS", "Measured", "Row", "measure"]

OURS = "refold_lstm"
EPOCHS = 25  # for the question's model, in one call of fit
QUESTION_ROUNDS = 3
SWEEP_ROUNDS = 5
QUESTION = (OURS, "keras_jax", "keras_tensorflow", "keras_torch")
MATMUL = ("keras_jax", "keras_tensorflow", "torch_lstm")
REFERENCE = "keras_jax"  # the results of the others are compared with its results
RAGGED_BATCH = 32  # the smallest batch that is measured with unequal lengths


class Row(NamedTuple):
    """Results for one case: times and largest relative differences of each implementation.

    ``ragged`` has the times for unequal lengths.  ``loop`` is Refold's time of a step in a compiled
    loop.
    """

    case: Case
    both: dict[str, Timed]
    forward: dict[str, Timed]
    ragged: dict[str, Timed]
    loop: Timed
    differences: dict[str, float]


class Measured(NamedTuple):
    """All results; ``matmul`` is in operations per second, ``question`` in seconds per epoch."""

    rows: list[Row]
    sweep: dict[Case, dict[str, Timed]]
    question: dict[str, Timed]
    matmul: dict[str, float]
    about: str


def measure(
    pool: Pool,
    names: list[str],
    *,
    rows: tuple[Case, ...] = ROWS,
    sweep: tuple[Case, ...] = SWEEP,
    question: bool = True,
    num_settings: int | None = None,
    log: Callable[[str], None] = print,
) -> Measured:
    """Measure the named implementations, with all or only the first of their settings."""

    def entries(case: Case) -> list[Candidate]:
        return [entry for name in names for entry in candidates(name, case)[:num_settings]]

    about = pool.about(OURS)
    log(f"Refold runs {about}")
    rates: dict[str, list[float]] = {}
    measured = []
    for case in rows:
        _add_matmul_rates(pool, names, rates)
        measured.append(_row(pool, case, entries(case)))
        log(f"({case.title}), forward and backward: {_words(measured[-1].both)}")
    curves = {}
    for case in sweep:
        curves[case] = pool.race("both", case, entries(case), rounds=min(pool.rounds, SWEEP_ROUNDS))
        pool.clear()
        log(f"({case.title}), forward and backward: {_words(curves[case])}")
    _add_matmul_rates(pool, names, rates)
    epochs = {}
    if question:
        able = [Candidate(name, "all", {"epochs": EPOCHS}) for name in QUESTION if name in names]
        epochs = pool.race("question", None, able, rounds=min(pool.rounds, QUESTION_ROUNDS))
        log(f"an epoch of the question's model: {_words(epochs)}")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return Measured(measured, curves, epochs, medians, about)


def _row(pool: Pool, case: Case, entries: list[Candidate]) -> Row:
    both = pool.race("both", case, entries)
    arrays = {name: _load(pool, "both", timed.candidate) for name, timed in both.items()}
    forward = pool.race("forward", case, entries)
    for name, timed in forward.items():
        outputs = _load(pool, "forward", timed.candidate)["outputs"]
        arrays[name]["outputs of forward alone"] = outputs
        arrays[REFERENCE].setdefault("outputs of forward alone", arrays[REFERENCE]["outputs"])
    ragged = {}
    if case.batch >= RAGGED_BATCH:
        ragged = pool.race("ragged", case, [timed.candidate for timed in both.values()])
        mask = Data.draw(case).mask[..., None]
        for name, timed in ragged.items():
            for key, array in _load(pool, "ragged", timed.candidate).items():
                arrays[name][f"ragged {key}"] = array * mask if key == "outputs" else array
    loop = pool.race("loop", case, [both[OURS].candidate])[OURS]
    pool.clear()
    differences = {name: _difference(arrays[name], arrays[REFERENCE]) for name in both}
    return Row(case, both, forward, ragged, loop, differences)


def _add_matmul_rates(pool: Pool, names: list[str], rates: dict[str, list[float]]) -> None:
    entries = [Candidate(name, "all", {}) for name in MATMUL if name in names]
    for name, timed in pool.race("matmul", None, entries, rounds=1).items():
        rates.setdefault(name, []).append(2 * MATMUL_SIZE**3 / timed.seconds)


def _load(pool: Pool, mode: str, candidate: Candidate) -> dict[str, np.ndarray]:
    with np.load(pool.save(mode, candidate)) as arrays:
        return dict(arrays)


def _difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Return the largest difference of any array, relative to its largest magnitude."""
    return max(
        float(np.abs(array - theirs[name]).max() / np.abs(theirs[name]).max())
        for name, array in ours.items()
    )


def _words(times: dict[str, Timed]) -> str:
    return ", ".join(
        f"{name} {1000 * timed.seconds:.3g} ms" + (f" ({words})" if words else "")
        for name, timed in times.items()
        for words in [timed.candidate.words]
    )
