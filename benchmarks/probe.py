"""How well a linear classifier predicts the label from the code, next to the error of the code.

``python -m benchmarks.probe`` takes about a quarter of an hour on two cores. Codes have 32
dimensions, and the data sets have their archive's splits. The autoencoders never see a label. A
logistic regression is fitted on standardized codes of the training split.

The accuracy of T-Loss is the one that its paper reports for a support vector machine on the codes
of several frozen encoders together, 960 to 1280 dimensions: J.-Y. Franceschi, A. Dieuleveut and
M. Jaggi, "Unsupervised Scalable Representation Learning for Multivariate Time Series", NeurIPS
2019.
"""

import math
import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._records import read_records, write_records
from benchmarks._results import FOLDER, PACKAGES, machine, table, today, version_of, write_page
from benchmarks.fidelity_peers.methods import METHODS, OURS

SIZE, SECONDS = 32, 60.0
SEEDS = (0, 1, 2)
DIVERGED = 1e3  # larger NMSEs are shown as diverged
T_LOSS = {
    "JapaneseVowels": 0.989,
    "BasicMotions": 1.0,
    "GunPoint": 0.993,
    "ItalyPowerDemand": 0.925,
}
LOADERS = {
    "BasicMotions": "load_basic_motions",
    "GunPoint": "load_gunpoint",
    "ItalyPowerDemand": "load_italy_power_demand",
}


class Split(NamedTuple):
    """Sequences and their labels."""

    sequences: Any
    labels: np.ndarray


class Codes(NamedTuple):
    """Codes of both splits, and the held-out error if they can be decoded."""

    train: np.ndarray
    test: np.ndarray
    error: float | None = None


def load(name: str) -> tuple[Split, Split]:
    """Return both splits of a data set."""
    import refold
    from refold.sequences import Sequences

    if name == "JapaneseVowels":
        vowels = refold.datasets.japanese_vowels()
        return (
            Split(vowels.train, np.asarray(vowels.train_labels)),
            Split(vowels.test, np.asarray(vowels.test_labels)),
        )
    import aeon.datasets

    splits = []
    for part in ("train", "test"):
        x, y = getattr(aeon.datasets, LOADERS[name])(split=part)
        series = list(x.transpose(0, 2, 1).astype(np.float32))
        splits.append(Split(Sequences.from_list(series, column_types="numeric"), np.asarray(y)))
    return splits[0], splits[1]


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
    found = [Codes(*codes, error)]
    if not options:
        found.append(Codes(*map(ae.features, codes), error))
    return found


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


def reshape_model(**shape: int) -> Any:
    """Build the answer's ``Reshape`` model; its decoder reads the code as several steps."""
    from refold.models import classic

    steps, latent_dim = shape["steps"], shape["latent_dim"]
    return classic.reshape(
        steps=steps,
        features=shape["features"],
        latent_dim=latent_dim,
        code_steps=math.gcd(latent_dim, steps),
    )


PROBED = (
    Method(("**Refold**", "**Refold, `ae.features` of the codes**"), refold_codes, {}, SEEDS),
    Method(("PCA",), pca_codes, {}),
    Method(("`RepeatVector`",), refold_codes, {"architecture": "repeat"}),
    Method(("`Reshape`",), refold_codes, {"architecture": reshape_model}),
    Method(("Catch22, 24 features of each channel",), aeon_features, {"kind": "catch22"}),
    Method(("MiniRocket, 10,000 features",), aeon_features, {"kind": "minirocket"}, SEEDS),
)


def accuracy(codes: Codes, train: Split, test: Split) -> float:
    """Return the test accuracy of a logistic regression on the codes."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return float(probe.fit(codes.train, train.labels).score(codes.test, test.labels))


class Store:
    """Results on disk, so that a second run continues where the first one ended.

    A result is valid as long as the code of Refold, the versions and the machine are the same.
    """

    path = FOLDER / "probe.json"

    def __init__(self) -> None:
        versions = ", ".join(f"{name} {version_of(name)}" for name in (*PACKAGES[1:], "aeon"))
        made_by = {"code": METHODS[OURS].code, "versions": versions, "machine": machine()}
        self._made_by = made_by
        self._results = [one for one in read_records(self.path) if made_by.items() <= one.items()]

    def find(self, title: str, data: str) -> dict[str, Any] | None:
        """Return a result, or None if it is missing."""
        return next(
            (one for one in self._results if (one["codes"], one["data"]) == (title, data)), None
        )

    def put(self, title: str, data: str, **found: float | None) -> dict[str, Any]:
        """Store a result, and return it."""
        result = {"codes": title, "data": data, **found, **self._made_by, "date": today()}
        self._results.append(result)
        write_records(self.path, self._results)
        return result


def measure(method: Method, train: Split, test: Split) -> list[dict[str, float | None]]:
    """Return accuracy and held-out error of each kind of codes, as medians over seeds."""
    seeds = [
        method.encode(train.sequences, test.sequences, i, **method.options) for i in method.seeds
    ]
    found = []
    for each in zip(*seeds, strict=True):
        errors = [one.error for one in each if one.error is not None]
        found.append(
            {
                "accuracy": statistics.median(accuracy(one, train, test) for one in each),
                "error": statistics.median(errors) if errors else None,
            }
        )
    return found


def describe(result: dict[str, Any]) -> str:
    """Return the text of a cell of the table."""
    error = result["error"]
    if error is None:
        return f"{result['accuracy']:.3f}"
    return f"{result['accuracy']:.3f} ({f'{error:.4f}' if error < DIVERGED else 'diverged'})"


def main() -> None:
    """Measure what is missing, and write ``results/probe.md``."""
    store, rows = Store(), []
    data = {name: load(name) for name in T_LOSS}
    for method in PROBED:
        for name, (train, test) in data.items():
            if any(store.find(title, name) is None for title in method.titles):
                for title, found in zip(method.titles, measure(method, train, test), strict=True):
                    result = store.put(title, name, **found)
                    print(title, name, describe(result), file=sys.stderr, flush=True)
        for title in method.titles:
            results = [store.find(title, name) or {} for name in data]
            mean = statistics.mean(result["accuracy"] for result in results)
            rows.append([title, *map(describe, results), f"{mean:.3f}"])
    published = [f"{share:.3f}" for share in T_LOSS.values()]
    rows.append(["T-Loss, published", *published, f"{statistics.mean(T_LOSS.values()):.3f}"])
    write_page(
        "probe",
        "Accuracy of a linear classifier on codes",
        [
            f"Test accuracy of a logistic regression on codes of {SIZE} dimensions, on the "
            "archive's splits. The held-out error (NMSE) of the sequences that are decoded from "
            "the codes is in parentheses. The autoencoders are not told the labels. Refold has "
            f"default settings and at most {SECONDS:.0f} s for a fit; its values are medians of "
            "three seeds. `ae.features` are computed from the codes alone. The models of the "
            "question's answers are those of `architecture=` with one seed. The `Reshape` decoder "
            "splits the code into the largest number of steps that divides both its size and the "
            "length. aeon computes its features from zero-padded series. The accuracy of T-Loss is "
            "from its paper, for 960 to 1280 dimensions of several encoders and a support vector "
            "machine.",
            table(["codes", *data, "mean"], rows),
        ],
        packages=(*PACKAGES, "aeon"),
    )


if __name__ == "__main__":
    main()
