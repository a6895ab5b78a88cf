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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
    load_labelled,
)
from benchmarks._vectors import aeon_features
from refold._support.arrays import offsets_from_lengths
from refold.network.packed.resampling import interpolate_missing_values, resample_columns
from refold.training.initialization._principal_components import principal_components

SIZES = (16, 32, 64)
START = 16
LEAST = 1e-4
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
    aligned = sequences.align(model.schema)
    return resample_columns(
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
            ours, others = (max(value, LEAST) for value in errors)
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


def start(limit: int | None, _: Path) -> str:
    """Return the table of linear starts of a fit from few series, with the pretrained model's."""
    counts, starts = (10, 30, 100), ("pretrained", "with the better one of both")
    ratios: dict[tuple[int, str], list[float]] = {}
    for data in [*DATA.values()][:limit]:
        if data.error != "nmse":
            continue
        parts = [refold.sequences.as_sequences(part) for part in data.load()[:2]]
        lengths = {*parts[0].lengths.tolist(), *parts[1].lengths.tolist()}
        values = [part.values for part in parts]
        if len(lengths) > 1 or not START < min(lengths) <= 512 or np.isnan(values[0]).any():
            continue
        train, test = (part[:, 0].reshape(-1, *lengths).astype(float) for part in values)
        train = train[np.random.default_rng(0).permutation(len(train))]
        for number in counts:
            if number <= len(train):
                ours, theirs = start_errors(train[:number], test)
                ratios.setdefault((number, starts[0]), []).append(ours / theirs)
                ratios.setdefault((number, starts[1]), []).append(min(1.0, ours / theirs))
    rows = [
        [f"{number}", f"{len(ratios[number, starts[0]])}"]
        + [f"{statistics.geometric_mean(ratios[number, name]):.2f}" for name in starts]
        for number in counts
        if (number, starts[0]) in ratios
    ]
    return section(
        "A fit that starts from it",
        f"Principal components of {START} dimensions of few series, of the first column, with a "
        "prior that weighs as one series: the curves that the model writes, at the size of the "
        "data. The ratio of its error on the test split to that of the start that `fit` has. The "
        "better one of both is chosen on the test split, so no rule could choose better.",
        table(["series", "sets", *starts], rows),
    )


def start_errors(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Return the errors of components with the prior of the model, and of those of a fit."""
    center, unit = train.mean(), train.std()
    train, test = (train - center) / unit, (test - center) / unit
    mean, observed = train.mean(axis=0), np.ones((*train.shape, 1), bool)
    options: Any = {"seed": 0, "is_observed": observed}
    lengths = np.full(len(train), train.shape[1])
    own = principal_components(train[..., None], lengths, START, **options).loadings
    model = refold.load("series")
    codes = model.require_reference().codes.copy()
    codes[:, -2:] = 0  # no level, and the scale 1
    drawn = np.array(model.decode(codes, [train.shape[1]] * len(codes)))
    within = train.std(axis=1).mean()
    prior = np.cov(within * drawn.T) + train.mean(axis=1).var()
    covariance = np.cov(train.T, bias=True)
    prior *= np.trace(covariance) / np.trace(prior) / len(train)
    components = np.linalg.eigh(covariance + prior)[1][:, -START:].T
    away = test - mean
    return tuple(max(error(away, away @ part.T @ part), LEAST) for part in (components, own))


def classified(data: Any, vectors: Callable[[Any], np.ndarray]) -> float:
    """Return the test accuracy of a ridge classifier on vectors of both splits."""
    return scored(data, vectors(data.train), vectors(data.test))


def scored(data: Any, train: np.ndarray, test: np.ndarray) -> float:
    """Return the test accuracy of a ridge classifier."""
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10)))
    return float(probe.fit(train, data.train_labels).score(test, data.test_labels))


def accuracy(limit: int | None, _: Path) -> str:
    """Return the table of accuracies."""
    model, rows = refold.load("series"), []
    for name in LABELLED[:limit]:
        data = load_labelled(name)
        first, second = (curves(part).reshape(len(part), -1) for part in (data.train, data.test))
        pca = PCA(min(64, len(first) - 1)).fit(first)
        rows.append(
            [
                classified(data, lambda part: model.features(model.encode(part))),
                classified(data, model.encode),
                scored(data, *aeon_features(data.train, data.test, "MiniRocket")),
                scored(data, *aeon_features(data.train, data.test, "Catch22")),
                scored(data, pca.transform(first), pca.transform(second)),
            ]
        )
        print(name, *rows[-1], flush=True)
    cells = [[name, *(f"{x:.3f}" for x in row)] for name, row in zip(LABELLED, rows, strict=False)]
    cells.append(["mean", *(f"{x:.3f}" for x in np.mean(rows, axis=0))])
    heading = [
        "data",
        "`features` of codes",
        "codes",
        "MiniRocket",
        "Catch22",
        "PCA, 64 dimensions",
    ]
    return section("Accuracy of a linear classifier", table(heading, cells))


def speed(limit: int | None, _: Path) -> str:
    """Return the speed of the model, and the time of the first vector of a process."""
    series, model = (
        np.random.default_rng(0).standard_normal((8192, 128)).cumsum(axis=1),
        refold.load("series"),
    )
    seconds = []
    for _i in range(3 if limit else 7):
        begun = time.perf_counter()
        model.encode(series)
        seconds.append(time.perf_counter() - begun)
    first = statistics.median(
        measure_command("-c", FIRST_VECTOR).seconds for _i in range(3 if limit else 7)
    )
    size = (Path(refold.__file__).parent / "model/series.refold").stat().st_size
    rows = [
        [
            "series of 128 steps encoded in a second",
            f"{len(series) / statistics.median(seconds):,.0f}",
        ],
        ["seconds from the start of Python to the first vector", f"{first:.2f}"],
        ["size of the file in MB", f"{size / 1e6:.2f}"],
    ]
    return section("Speed", "Medians.", table(["", ""], rows))


if __name__ == "__main__":
    title, packages = "The pretrained model", (*PACKAGES, "aeon", "aeon-neuro")
    parts = {"fidelity": fidelity, "accuracy": accuracy, "start": start, "speed": speed}
    run_parts("pretrained", title, parts, (None, 2), about=__doc__, packages=packages)
