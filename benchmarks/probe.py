"""How well a linear classifier predicts the label from the code, next to the error of the code.

``python -m benchmarks.probe`` takes about a quarter of an hour on two cores. Codes have 32
dimensions, and the data sets have their archive's splits. The autoencoders never see a label. A
logistic regression is fitted on standardized codes of the training split.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._records import Record, newest, replace
from benchmarks._results import (
    PACKAGES,
    machine,
    results_folder,
    table,
    today,
    version_of,
    write_page,
)
from benchmarks.fidelity_peers.methods import METHODS, OURS
from benchmarks.search_peers.labelled import CHOOSE, REPORT, Labelled

SIZE, SECONDS = 32, 60.0
SEEDS = (0, 1, 2)
DIVERGED = 1e3  # larger NMSEs are shown as diverged
SETS = ("JapaneseVowels", "BasicMotions", "GunPoint", "ItalyPowerDemand")


class Codes(NamedTuple):
    """Codes of both splits, and the held-out error if they can be decoded."""

    train: np.ndarray
    test: np.ndarray
    error: float | None = None


def refold_codes(train: Any, test: Any, seed: int, **options: Any) -> list[Codes]:
    """Fit an autoencoder; return its codes and, for the default model, their features."""
    import refold
    from refold.evaluation import nmse
    from refold.sequences import Scaler

    ae = refold.SequenceAutoencoder(SIZE, random_state=seed, time_budget=SECONDS, **options)
    ae.fit(train)
    if options:  # classic models read no more steps than they were trained on
        most = ae.encoder_.input_shape[1]
        test = test.__class__.from_list([one[:most] for one in test], column_types="numeric")
    codes = ae.transform(train), ae.transform(test)
    error = nmse(test, ae.inverse_transform(codes[1]), Scaler.fit(train))
    results = [Codes(*codes, error)]
    if not options:
        results.append(Codes(*map(ae.features, codes), error))
    return results


def pca_codes(train: Any, test: Any, seed: int) -> list[Codes]:
    """Return principal components of zero-padded sequences."""
    from refold.evaluation import PCABaseline, nmse
    from refold.sequences import Scaler

    del seed
    numbers = int(train.lengths.max()) * train.schema.num_columns
    pca = PCABaseline(min(SIZE, len(train), numbers)).fit(train)
    error = nmse(test, pca.reconstruct(test), Scaler.fit(train))
    return [Codes(pca.transform(train), pca.transform(test), error)]


def aeon_features(train: Any, test: Any, seed: int, *, kind: str) -> list[Codes]:
    """Return features of zero-padded sequences, computed by aeon."""
    from aeon.transformations.collection.convolution_based import MiniRocket
    from aeon.transformations.collection.feature_based import Catch22

    longest = int(train.lengths.max())
    arrays = []
    for part in (train, test):
        padded = part.to_padded(0.0)[:, :longest]
        filled = np.pad(padded, ((0, 0), (0, longest - padded.shape[1]), (0, 0)))
        arrays.append(filled.transpose(0, 2, 1).astype(float))  # numba needs this
    made = (
        Catch22(catch24=True, replace_nans=True)
        if kind == "catch22"
        else MiniRocket(random_state=seed)
    )
    return [Codes(*(np.asarray(made.fit(arrays[0]).transform(one)) for one in arrays))]


class Method(NamedTuple):
    """A function that returns codes, a title for each kind of codes, and the seeds to measure."""

    titles: tuple[str, ...]
    encode: Callable[..., list[Codes]]
    options: dict[str, Any]
    seeds: tuple[int, ...] = (0,)


PROBED = (
    Method(("**Refold**", "**Refold, `ae.features` of the codes**"), refold_codes, {}, SEEDS),
    Method(("PCA",), pca_codes, {}),
    Method(("`RepeatVector`",), refold_codes, {"architecture": "repeat"}),
    Method(("Catch22, 24 features of each channel",), aeon_features, {"kind": "catch22"}),
    Method(("MiniRocket, 10,000 features",), aeon_features, {"kind": "minirocket"}, SEEDS),
)


def accuracy(codes: Codes, data: Labelled) -> float:
    """Return the test accuracy of a logistic regression on the codes."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    probe.fit(codes.train, data.train_labels)
    return float(probe.score(codes.test, data.test_labels))


def measure(method: Method, data: Labelled) -> list[dict[str, float | None]]:
    """Return accuracy and held-out error of each kind of codes, as medians over seeds."""
    seeds = [method.encode(data.train, data.test, i, **method.options) for i in method.seeds]
    results = []
    for each in zip(*seeds, strict=True):
        errors = [one.error for one in each if one.error is not None]
        results.append(
            {
                "accuracy": statistics.median(accuracy(one, data) for one in each),
                "error": statistics.median(errors) if errors else None,
            }
        )
    return results


def describe(result: dict[str, Any]) -> str:
    """Return the text of a cell of the table."""
    error = result["error"]
    if error is None:
        return f"{result['accuracy']:.3f}"
    return f"{result['accuracy']:.3f} ({f'{error:.4f}' if error < DIVERGED else 'diverged'})"


def made_by() -> Record:
    """Return what a stored result has to agree with to be valid, besides its codes and data."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in (*PACKAGES[1:], "aeon"))
    return {"code": METHODS[OURS].code, "versions": versions, "machine": machine()}


def main() -> None:
    """Measure what is missing, and write ``results/probe.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only PCA and one data set")
    quick = parser.parse_args().quick
    folder = results_folder(complete=not quick)
    path = folder / "probe.json"
    methods, names = (PROBED[1:2], ["GunPoint"]) if quick else (PROBED, SETS)
    data = {name: (CHOOSE | REPORT)[name]() for name in names}
    rows = []
    for method in methods:
        cells: dict[str, list[Record]] = {title: [] for title in method.titles}
        for name, labelled in data.items():
            keys = [{"codes": title, "data": name, **made_by()} for title in method.titles]
            stored = [newest(path, **key) for key in keys]
            if None in stored or keys[0]["code"].endswith("+"):
                stored = [
                    replace(path, {**key, **result, "date": today()}, same=("codes", "data"))
                    for key, result in zip(keys, measure(method, labelled), strict=True)
                ]
                print(name, *map(describe, stored), file=sys.stderr, flush=True)
            for title, result in zip(method.titles, stored, strict=True):
                cells[title].append(result)
        for title, results in cells.items():
            mean = statistics.mean(result["accuracy"] for result in results)
            rows.append([title, *map(describe, results), f"{mean:.3f}"])
    write_page(
        "probe",
        "Accuracy of a linear classifier on codes",
        [
            f"Test accuracy of a logistic regression on codes of {SIZE} dimensions, on the "
            "archive's splits. The held-out error (NMSE) of the sequences that are decoded from "
            "the codes is in parentheses. The autoencoders are not told the labels. Refold has "
            f"default settings and at most {SECONDS:.0f} s for a fit; its values are medians of "
            "three seeds. `ae.features` are computed from the codes alone. `RepeatVector` is that "
            "of `architecture=` with one seed. aeon computes its features from zero-padded series.",
            table(["codes", *data, "mean"], rows),
        ],
        packages=(*PACKAGES, "aeon"),
        folder=folder,
    )


if __name__ == "__main__":
    main()
