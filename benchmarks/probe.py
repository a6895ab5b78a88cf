"""How much of a label codes keep: accuracy of a logistic regression on them, beside their error.

Codes of 32 numbers and the archive's own splits.  The autoencoders never see a label; the logistic
regression is scikit-learn's, on standardised codes of the training split.  T-Loss's figures are
those that its paper gives for a support vector machine on the codes of several frozen encoders,
side by side, 960 to 1280 numbers: J.-Y. Franceschi, A. Dieuleveut and M. Jaggi, "Unsupervised
Scalable Representation Learning for Multivariate Time Series", NeurIPS 2019.
"""

import math
import statistics
import sys
from collections.abc import Callable
from functools import partial
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
ABSURD = 1e3  # an NMSE of nothing that has learned
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
    """Codes of both splits, and the held-out error where there is a way back."""

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


def refold_codes(
    train: Any, test: Any, seed: int, *, described: bool = False, **options: Any
) -> Codes:
    """Fit an autoencoder, and encode; with ``described``, describe what the codes decode to."""
    import refold
    from refold.evaluation import nmse
    from refold.sequences import Scaler

    ae = refold.SequenceAutoencoder(SIZE, random_state=seed, time_budget=SECONDS, **options)
    ae.fit(train)
    # the models of the answers read no more steps than they were trained on
    most = ae.encoder_.input_shape[1]
    codes = ae.transform([one[:most] for one in test])
    error = nmse(test, ae.inverse_transform(codes), Scaler.fit(train))
    vectors = ae.transform(train), codes
    return Codes(*(map(ae.features, vectors) if described else vectors), error)


def pca_codes(train: Any, test: Any, seed: int) -> Codes:
    """Take principal components of zero-padded sequences."""
    from refold.evaluation import PCABaseline, nmse
    from refold.sequences import Scaler

    del seed
    numbers = int(train.lengths.max()) * train.schema.num_columns
    pca = PCABaseline(min(SIZE, len(train), numbers)).fit(train)
    error = nmse(test, pca.reconstruct(test), Scaler.fit(train))
    return Codes(pca.transform(train), pca.transform(test), error)


def features(train: Any, test: Any, seed: int, *, kind: str) -> Codes:
    """Take features of aeon's, of zero-padded sequences."""
    from aeon.transformations.collection.convolution_based import MiniRocket
    from aeon.transformations.collection.feature_based import Catch22

    longest = int(train.lengths.max())
    arrays = []
    for part in (train, test):
        padded = part.to_padded(0.0)[:, :longest]
        filled = np.pad(padded, ((0, 0), (0, longest - padded.shape[1]), (0, 0)))
        arrays.append(filled.transpose(0, 2, 1).astype(float))  # which numba wants
    made = (
        Catch22(catch24=True, replace_nans=True)
        if kind == "catch22"
        else MiniRocket(random_state=seed)
    )
    return Codes(*(np.asarray(made.fit(arrays[0]).transform(one)) for one in arrays))


class Way(NamedTuple):
    """A way to codes: how it is called, what makes them, and by how many seeds."""

    title: str
    encode: Callable[..., Codes]
    options: dict[str, Any]
    seeds: tuple[int, ...] = (0,)


def read_as_steps(*, at_once: bool, **shape: int) -> Any:
    """Make an answer's model that reads the code as as many steps as it can be read as."""
    from refold.models import classic

    steps, size = shape["steps"], shape["latent_dim"]
    if at_once:
        make, code_steps = classic.dense, size if size % steps else steps
    else:
        make, code_steps = classic.reshape, math.gcd(size, steps)
    return make(steps=steps, features=shape["features"], latent_dim=size, code_steps=code_steps)


WAYS = (
    Way("**Refold**", refold_codes, {}, SEEDS),
    Way("Refold, no discriminative numbers", refold_codes, {"rocket_dim": 0}, SEEDS),
    Way(
        "Refold, none, features of the decoded codes",
        refold_codes,
        {"rocket_dim": 0, "described": True},
        SEEDS,
    ),
    Way("Refold, 4 of them", refold_codes, {"rocket_dim": 4}, SEEDS),
    Way("Refold, 16 of them", refold_codes, {"rocket_dim": 16}, SEEDS),
    Way("PCA", pca_codes, {}),
    Way("`RepeatVector`", refold_codes, {"architecture": "repeat"}),
    Way("`Reshape`", refold_codes, {"architecture": partial(read_as_steps, at_once=False)}),
    Way("all steps at once", refold_codes, {"architecture": partial(read_as_steps, at_once=True)}),
    Way("Catch22, 24 features a channel", features, {"kind": "catch22"}),
    Way("MiniRocket, 10,000 features", features, {"kind": "minirocket"}, SEEDS),
)


def accuracy(codes: Codes, train: Split, test: Split) -> float:
    """Fit a logistic regression on the codes of one split, and try it on the other's."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return float(probe.fit(codes.train, train.labels).score(codes.test, test.labels))


class Store:
    """Cells on disk, so that a second run goes on where the first ended.

    A cell holds as long as the code of Refold, the versions and the machine are the same.
    """

    path = FOLDER / "probe.json"

    def __init__(self) -> None:
        versions = ", ".join(f"{name} {version_of(name)}" for name in (*PACKAGES[1:], "aeon"))
        made_by = {"code": METHODS[OURS].code, "versions": versions, "machine": machine()}
        self._made_by = made_by
        self._cells = [one for one in read_records(self.path) if made_by.items() <= one.items()]

    def find(self, title: str, data: str) -> dict[str, Any] | None:
        """Return a cell, if there is one."""
        return next(
            (one for one in self._cells if (one["codes"], one["data"]) == (title, data)), None
        )

    def put(self, title: str, data: str, **found: float | None) -> dict[str, Any]:
        """Keep a cell, and return it."""
        cell = {"codes": title, "data": data, **found, **self._made_by, "date": today()}
        self._cells.append(cell)
        write_records(self.path, self._cells)
        return cell


def measure(way: Way, train: Split, test: Split) -> dict[str, float | None]:
    """Return accuracy and held-out error, medians over seeds."""
    found = [way.encode(train.sequences, test.sequences, seed, **way.options) for seed in way.seeds]
    errors = [one.error for one in found if one.error is not None]
    return {
        "accuracy": statistics.median(accuracy(one, train, test) for one in found),
        "error": statistics.median(errors) if errors else None,
    }


def words(cell: dict[str, Any]) -> str:
    """Return a cell as it stands in the table."""
    error = cell["error"]
    if error is None:
        return f"{cell['accuracy']:.3f}"
    return f"{cell['accuracy']:.3f} ({f'{error:.4f}' if error < ABSURD else 'diverged'})"


def main() -> None:
    """Measure what is lacking, and write ``results/probe.md``."""
    store, rows = Store(), []
    data = {name: load(name) for name in T_LOSS}
    for way in WAYS:
        cells = []
        for name, (train, test) in data.items():
            cell = store.find(way.title, name)
            if cell is None:
                cell = store.put(way.title, name, **measure(way, train, test))
                print(way.title, name, words(cell), file=sys.stderr, flush=True)
            cells.append(cell)
        mean = statistics.mean(cell["accuracy"] for cell in cells)
        rows.append([way.title, *map(words, cells), f"{mean:.3f}"])
    published = [f"{share:.3f}" for share in T_LOSS.values()]
    rows.append(["T-Loss, published", *published, f"{statistics.mean(T_LOSS.values()):.3f}"])
    write_page(
        "probe",
        "How much of a label codes keep",
        [
            f"Accuracy of a logistic regression on codes of {SIZE} numbers, and in brackets the "
            "held-out error (NMSE) of what is decoded from them. The archive's splits; the "
            f"autoencoders are not told the labels. Refold by its defaults, {SECONDS:.0f} s at "
            "most, median of three seeds; the models of the question's answers as Refold ships "
            "them, one seed, the code read as as many steps as divide both its size and the length "
            "or, where all steps are written at once, as one number a step; aeon's features of "
            "zero-padded series; the features of the decoded codes are computed "
            "from the codes alone; T-Loss's figures are from its paper, by 960 to 1280 numbers of "
            "several encoders and a support vector machine. How many numbers are discriminative, "
            "and of what they are made, was chosen by "
            "cross-validation on the training splits of nine sets, these four among them.",
            table(["codes", *data, "mean"], rows),
        ],
        packages=(*PACKAGES, "aeon"),
    )


if __name__ == "__main__":
    main()
