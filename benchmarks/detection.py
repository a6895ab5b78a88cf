"""Anomaly detection: area under the ROC curve next to PyOD and sequitur, and false alarms.

Each class of a labelled data set is the normal class once. The model is trained on the sequences of
this class in the training split. The test split is unchanged, and sequences of other classes count
as anomalous. Refold has default settings, and a quarter of the training sequences is held back for
calibration. The other methods train on all of them. The detectors of PyOD have default settings and
read zero-padded, standardized arrays. sequitur is used as in ``fidelity.py``.
"""

import statistics
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks._results import PACKAGES, table, write_page

SECONDS = 5.0
SEED = 0
ALPHA = 0.05
LOADERS = {
    "GunPoint": "load_gunpoint",
    "ItalyPowerDemand": "load_italy_power_demand",
    "BasicMotions": "load_basic_motions",
    "ArrowHead": "load_arrow_head",
    "OSULeaf": "load_osuleaf",
}
METHODS = ("Refold", "IForest", "ECOD", "AutoEncoder", "KNN", "sequitur")


class Problem(NamedTuple):
    """Normal training sequences, test sequences, and which of the latter are anomalous."""

    train: Any
    test: Any
    anomalous: np.ndarray


def data_sets() -> Iterator[tuple[str, tuple[Any, np.ndarray], tuple[Any, np.ndarray]]]:
    """Yield the name and both splits of each data set, as sequences and labels."""
    import aeon.datasets
    from sklearn.datasets import load_digits

    import refold
    from refold.sequences import Sequences

    def sequences(series: Any) -> Sequences:
        return Sequences.from_list(
            [one.astype(np.float32) for one in series], column_types="numeric"
        )

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    images, labels = digits.images[order], digits.target[order]
    yield (
        "digits",
        (sequences(images[:1200]), labels[:1200]),
        (sequences(images[1200:]), labels[1200:]),
    )
    vowels = refold.datasets.japanese_vowels()
    yield "JapaneseVowels", (vowels.train, vowels.train_labels), (vowels.test, vowels.test_labels)
    for name, loader in LOADERS.items():
        splits = (getattr(aeon.datasets, loader)(split=part) for part in ("train", "test"))
        first, second = ((sequences(x.transpose(0, 2, 1)), np.asarray(y)) for x, y in splits)
        yield name, first, second


def refold_scores(problem: Problem) -> tuple[np.ndarray, np.ndarray | None]:
    """Return scores, and p-values if there are enough sequences for calibration."""
    import refold
    from refold.evaluation import least_calibration

    ae = refold.SequenceAutoencoder(
        calibration_fraction=0.25, time_budget=SECONDS, random_state=SEED
    ).fit(problem.train)
    found = ae.detect(problem.test, alpha=0.5)
    enough = round(0.25 * len(problem.train)) >= least_calibration(ALPHA)
    return found.scores, found.p_values if enough else None


def pyod_scores(problem: Problem, name: str) -> np.ndarray:
    """Return the scores of one of PyOD's detectors."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN

    made = {
        "IForest": lambda: IForest(random_state=SEED),
        "ECOD": ECOD,
        "KNN": KNN,
        # It skips a last batch that is not full, which would be the only batch of few series.
        "AutoEncoder": lambda: AutoEncoder(
            random_state=SEED, verbose=0, batch_size=min(32, len(problem.train))
        ),
    }
    train, test = _padded(problem)
    detector: Any = made[name]()
    detector.fit(train)
    return np.asarray(detector.decision_function(test))


def sequitur_scores(problem: Problem) -> np.ndarray:
    """Return the reconstruction errors of sequitur's autoencoder."""
    from benchmarks.fidelity_peers.sequitur_lstm import fit
    from refold.sequences import Scaler

    back = fit(problem.train, size=16, seconds=SECONDS, seed=SEED)(problem.test)
    if back is None:  # it diverged
        return np.full(len(problem.test), np.nan)
    scaler = Scaler.fit(problem.train)
    errors = (scaler.transform(problem.test).values - scaler.transform(back).values) ** 2
    bounds = problem.test.offsets[1:-1]
    return np.array([np.mean(one) for one in np.split(errors, bounds)])


def _padded(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    from refold.sequences import Scaler

    scaler, longest = Scaler.fit(problem.train), int(problem.train.lengths.max())
    arrays = []
    for part in (problem.train, problem.test):
        padded = scaler.transform(part).to_padded(0.0)[:, :longest]
        filled = np.pad(padded, ((0, 0), (0, longest - padded.shape[1]), (0, 0)))
        arrays.append(filled.reshape(len(part), -1))
    return arrays[0], arrays[1]


class Alarms(NamedTuple):
    """The number of false alarms, and the number of normal test sequences."""

    alarms: int
    normal: int


def main() -> None:
    """Measure, and write ``results/detection.md``."""
    warnings.simplefilter("ignore")
    rows, areas, alarms = [], {name: [] for name in METHODS}, []
    failed = dict.fromkeys(METHODS, 0)
    for name, (train, labels), (test, test_labels) in data_sets():
        classes = np.unique(labels)
        found = {method: [] for method in METHODS}
        counted = Alarms(0, 0)
        for one in classes:
            problem = Problem(train[labels == one], test, test_labels != one)
            scores, p_values = refold_scores(problem)
            every = {"Refold": scores, "sequitur": sequitur_scores(problem)}
            every |= {method: pyod_scores(problem, method) for method in METHODS[1:5]}
            for method, values in every.items():
                finite = np.isfinite(values)
                failed[method] += int((~finite).sum())
                found[method].append(
                    roc_auc_score(problem.anomalous, np.where(finite, values, 0.0))
                )
            if p_values is not None:
                normal = p_values[~problem.anomalous]
                counted = Alarms(
                    counted.alarms + int((normal <= ALPHA).sum()), counted.normal + len(normal)
                )
        for method in METHODS:
            areas[method].append(statistics.mean(found[method]))
        shown = [f"{areas[method][-1]:.3f}" for method in METHODS]
        alarms.append(counted)
        rate = f"{counted.alarms} of {counted.normal}" if counted.normal else ""
        rows.append([name, str(len(classes)), *shown, rate])
        print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
    medians = {method: statistics.median(areas[method]) for method in METHODS}
    rows.append(["**median**", "", *(f"**{medians[method]:.3f}**" for method in METHODS), ""])
    whole = Alarms(sum(one.alarms for one in alarms), sum(one.normal for one in alarms))
    write_page(
        "detection",
        "Anomaly detection",
        [
            "The table shows the area under the ROC curve, as a mean over the classes. Each class "
            "is the normal class once, and models are trained on this class only. Refold has "
            "default settings, one seed and a quarter of the training sequences held back for "
            f"calibration. A fit of Refold or sequitur has {SECONDS:.0f} s. The last column has "
            f"the false alarms among normal test sequences at a nominal rate of {ALPHA}, if there "
            f"are enough sequences for calibration. In total, these are {whole.alarms} of "
            f"{whole.normal} ({whole.alarms / max(1, whole.normal):.3f}).",
            "Scores that are not finite: "
            + ", ".join(f"{method} {count}" for method, count in failed.items())
            + ".",
            table(["data", "classes", *METHODS, "false alarms"], rows),
        ],
        packages=(*PACKAGES, "pyod", "sequitur", "aeon", "torch"),
    )


if __name__ == "__main__":
    main()
