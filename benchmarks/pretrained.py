"""The model that comes with Refold, without a fit: its errors, its features and its speed.

``python -m benchmarks.pretrained`` takes about five minutes on two cores.

Each column of a sequence is a series of its own. It is resampled to 128 points, as the model does,
and standardized. PCA of the same size is fitted to such series of the training split, column by
column. The model was trained on synthetic series only. Errors below 0.0001 of the variance count as
0.0001, because a short series has fewer values than PCA has components. What was chosen was chosen
on the sets for choosing only: `CHOOSE` of `_sets.py` without text, JapaneseVowels, digits,
UnitTest and `LONG_CHOOSE`.

Accuracies are those of a ridge classifier (`RidgeClassifierCV`, ten penalties from 0.001 to 1000)
on standardized vectors, for labelled sets of at most 512 steps.
"""

import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifierCV

import refold
from benchmarks._process import measure_command
from benchmarks._results import PACKAGES, run_parts, section, table
from benchmarks._sets import (
    CHOOSE,
    DATA,
    LONG_CHOOSE,
    LONG_REPORT,
    SEARCH_CHOOSE,
    SEARCH_REPORT,
)
from benchmarks.probe import OTHERS, Codes, Method, accuracies
from refold._support.arrays import offsets_from_lengths
from refold.network.packed.resampling import interpolate_missing_values, resample_columns_by_cosines

SIZES = (16, 32, 64)
PCA_DIM = 64
MIN_ERROR = 1e-4  # smaller errors count as this one
CHOSEN = {"vowels", "digits", "UnitTest", *CHOOSE, *LONG_CHOOSE}
LABELLED = [
    name for name in SEARCH_CHOOSE | SEARCH_REPORT if name not in {"PLAID", "ACSF1", "PigCVP"}
]
FIRST_VECTOR = """
import refold
refold.load("series").encode([[0.0, 1.0, 0.5, 2.0] * 25])
"""


def curves(sequences: Any) -> np.ndarray:
    """Return the standardized columns of sequences as curves (n, columns, 128)."""
    model = refold.load("series").adapt(sequences)
    aligned = sequences.convert_to_schema(model.schema)
    return resample_columns_by_cosines(
        model.scaler.transform(interpolate_missing_values(aligned)), model.specification.grid
    )


def error(true: np.ndarray, written: np.ndarray) -> float:
    """Return the squared error as a share of the power."""
    return float(((true - written) ** 2).sum() / max((true**2).sum(), 1e-9))


def pca_error(train: np.ndarray, test: np.ndarray, size: int) -> float:
    """Return the error of PCA of each column of curves."""
    written = np.empty_like(test)
    for i in range(train.shape[1]):
        pca = PCA(min(size, len(train) - 1)).fit(train[:, i])
        written[:, i] = pca.inverse_transform(pca.transform(test[:, i]))
    return error(test, written)


def own_error(test: Any, true: np.ndarray, size: int) -> float:
    """Return the error of the pretrained model, of curves that it decodes at 128 steps."""
    model = refold.load("series", dims=size).adapt(test)
    codes = model.check_codes(model.encode(test))
    points = np.full(len(codes), model.specification.grid)
    latent_dim = model.specification.latent_dim
    outputs = model.network.decode(codes[:, :latent_dim], offsets_from_lengths(points))
    written = outputs.reshape(len(codes), points[0], -1).transpose(0, 2, 1)
    return error(true, written)


def fidelity(limit: int | None, _: Path) -> str:
    """Return the table of errors, and the means of their ratios to those of PCA."""
    loads = {name: data.load for name, data in DATA.items() if data.error == "nmse"}
    long = LONG_CHOOSE | LONG_REPORT | {"UnitTest": SEARCH_CHOOSE["UnitTest"]}
    again = {"exercises, five subjects", "PLAID", "ACSF1"}  # among the other sets
    loads |= {name: load for name, load in long.items() if name not in again}
    rows, ratios = [], {}
    for name, load in [*loads.items()][:limit]:
        parts = [refold.sequences.as_sequences(part) for part in load()[:2]]
        train, test = map(curves, parts)
        cells, ratios[name] = [], []
        for size in SIZES:
            errors = own_error(parts[1], test, size), pca_error(train, test, size)
            ours, others = (max(value, MIN_ERROR) for value in errors)
            ratios[name].append(ours / others)
            cells += [f"{ours:.4f}", f"{others:.4f}", f"{ours / others:.2f}"]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            held = refold.load("series").score(parts[1])
        told = "yes" if any("numbers explain" in str(one.message) for one in told) else "no"
        title = DATA[name].title if name in DATA else name
        group = "choosing" if name in CHOSEN else "reporting"
        rows.append([title, group, f"{test.shape[1]}", *cells, f"{held:.3f}", told])
        print(*rows[-1], sep=", ", flush=True)
    heading = ["data", "set for", "columns"]
    for size in SIZES:
        heading += [f"{size} numbers", f"PCA, {size}", "ratio"]
    means = [
        f"{group}, geometric mean of the ratios: "
        + ", ".join(
            f"{statistics.geometric_mean(r[i] for r in chosen):.3f} with {size} numbers"
            for i, size in enumerate(SIZES)
        )
        for group, chosen in (
            ("Sets for choosing", [r for name, r in ratios.items() if name in CHOSEN]),
            ("Sets for reporting", [r for name, r in ratios.items() if name not in CHOSEN]),
            ("All sets", [*ratios.values()]),
        )
        if chosen
    ]
    return section(
        "Errors without a fit",
        "NMSE of curves of the test split. *Explained* is the share of the variance of the "
        "sequences themselves, at all their steps, that 64 numbers a column explain. *Told* says "
        "whether the model warns that its codes leave out much of them.",
        table([*heading, "explained", "told"], rows),
        "  \n".join(means) + ".",
    )


def codes(train: Any, test: Any, _seed: int) -> list[Codes]:
    """Return features of the codes, and the codes."""
    model = refold.load("series")
    both = model.encode(train), model.encode(test)
    return [Codes(*map(model.features, both)), Codes(*both)]


def pca_codes(train: Any, test: Any, _seed: int) -> list[Codes]:
    """Return principal components of the curves of all columns."""
    first, second = (curves(part).reshape(len(part), -1) for part in (train, test))
    pca = PCA(min(PCA_DIM, len(first) - 1)).fit(first)
    return [Codes(pca.transform(first), pca.transform(second))]


def accuracy(limit: int | None, _: Path) -> str:
    """Return the table of accuracies."""
    methods = (
        Method(("**`features` of codes**", "codes"), codes),
        *OTHERS,
        Method((f"PCA, {PCA_DIM} dimensions",), pca_codes),
    )
    classifier = RidgeClassifierCV(np.logspace(-3, 3, 10))
    text = accuracies(methods, LABELLED[:limit], classifier)
    return section("Accuracy of a linear classifier", "MiniRocket has three seeds.", text)


def speed(limit: int | None, _: Path) -> str:
    """Return the speed of the model, and the time of the first vector of a process."""
    series = np.random.default_rng(0).standard_normal((8192, 128)).cumsum(axis=1)
    model, rounds, seconds = refold.load("series"), 3 if limit else 7, []
    for _i in range(rounds):
        begun = time.perf_counter()
        model.encode(series)
        seconds.append(time.perf_counter() - begun)
    first = statistics.median(measure_command("-c", FIRST_VECTOR).seconds for _i in range(rounds))
    size = (Path(refold.__file__).parent / "model/series.refold").stat().st_size
    rate = len(series) / statistics.median(seconds)
    rows = [
        ["series of 128 steps encoded in a second", f"{rate:,.0f}"],
        ["seconds from the start of Python to the first vector", f"{first:.2f}"],
        ["size of the file in MB", f"{size / 1e6:.2f}"],
    ]
    return section("Speed", "Medians.", table(["", ""], rows))


if __name__ == "__main__":
    title, packages = "The pretrained model", (*PACKAGES, "aeon", "aeon-neuro")
    parts = {"fidelity": fidelity, "accuracy": accuracy, "speed": speed}
    run_parts("pretrained", title, parts, (None, 2), about=__doc__, packages=packages)
