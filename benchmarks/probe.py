"""How well a linear classifier predicts the label from the code, next to the error of the code.

``python -m benchmarks.probe`` takes about half an hour on two cores. Codes have 32 dimensions, and
the data sets of the first part have their archive's splits. The autoencoders never see a label. A
logistic regression is fitted on standardized codes of the training split.

Long series are those of `LONG_REPORT` in `_sets.py`, and `LONG_CHOOSE` has others to make choices
on. Windows have 128 steps and the default step for every set, which is what `fit` suggests for long
sequences. The classifier is a ridge regression on standardized vectors (`RidgeClassifierCV`, ten
penalties from 0.001 to 1000). What decides is the mean over the sets of several channels.
"""

import statistics
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import refold
from benchmarks._results import PACKAGES, run_parts, section, table
from benchmarks._sets import LONG_REPORT, Labelled, load_labelled
from benchmarks._vectors import aeon_features, pca_baseline
from refold.evaluation import nmse
from refold.sequences import Scaler

SIZE, SECONDS = 32, 60.0
WINDOW, LONG_SECONDS = 128, 30.0
SEEDS = (0, 1, 2)
DIVERGED = 1e3  # larger NMSEs are shown as diverged
SETS = ("JapaneseVowels", "BasicMotions", "GunPoint", "ItalyPowerDemand")


class Codes(NamedTuple):
    """Codes of both splits, and the held-out error if they can be decoded."""

    train: np.ndarray
    test: np.ndarray
    error: float | None = None


def refold_codes(
    train: Any, test: Any, seed: int, seconds: float = SECONDS, **options: Any
) -> list[Codes]:
    """Fit an autoencoder; return its codes and, for the default model, their features."""
    ae = refold.SequenceAutoencoder(SIZE, random_state=seed, time_budget=seconds, **options)
    ae.fit(train)
    if options:  # classic models read no more steps than they were trained on
        longest = ae.encoder_.input_shape[1]
        test = test.__class__.from_list([one[:longest] for one in test], column_types="numeric")
    codes = ae.transform(train), ae.transform(test)
    error = nmse(test, ae.inverse_transform(codes[1]), Scaler.fit(train))
    results = [Codes(*codes, error)]
    if not options:
        results.append(Codes(*map(ae.features, codes), error))
    return results


def pooled_codes(train: Any, test: Any, seed: int) -> list[Codes]:
    """Fit an autoencoder of windows, and return one vector for each series."""
    options = {"window": WINDOW, "random_state": seed, "time_budget": LONG_SECONDS}
    ae = refold.SequenceAutoencoder(SIZE, **options).fit(train)
    return [Codes(ae.pooled(train), ae.pooled(test))]


def pca_codes(train: Any, test: Any, seed: int) -> list[Codes]:
    """Return principal components of zero-padded sequences."""
    del seed
    pca = pca_baseline(train, SIZE)
    error = nmse(test, pca.reconstruct(test), Scaler.fit(train))
    return [Codes(pca.transform(train), pca.transform(test), error)]


def feature_codes(train: Any, test: Any, seed: int, *, kind: str) -> list[Codes]:
    """Return features of zero-padded sequences, computed by aeon."""
    return [Codes(*aeon_features(train, test, kind, seed))]


class Method(NamedTuple):
    """A title for each kind of codes, a function that returns them, and the seeds to measure."""

    titles: tuple[str, ...]
    encode: Callable[[Any, Any, int], list[Codes]]
    seeds: tuple[int, ...] = (0,)


OURS = ("**Refold**", "**Refold, `ae.features` of the codes**")
OTHERS = (
    Method(("Catch22, 24 features of each channel",), partial(feature_codes, kind="Catch22")),
    Method(("MiniRocket, 10,000 features",), partial(feature_codes, kind="MiniRocket"), SEEDS),
)
PROBED = (
    Method(("PCA",), pca_codes),
    Method(OURS, refold_codes, SEEDS),
    Method(("`RepeatVector`",), partial(refold_codes, architecture="repeat")),
    *OTHERS,
)
LONG_PROBED = (
    *OTHERS,
    Method(OURS, partial(refold_codes, seconds=LONG_SECONDS)),
    Method(("**Refold, `ae.pooled` of windows**",), pooled_codes, SEEDS),
)


def accuracies(methods: Iterable[Method], names: Iterable[str], classifier: Any) -> str:
    """Return the table of the accuracies of methods on data sets, and of their means."""
    data = {name: load_labelled(name) for name in names}
    rows = []
    for method in methods:
        columns = [measure(method, labelled, classifier) for labelled in data.values()]
        for title, *cells in zip(method.titles, *columns, strict=True):
            mean = statistics.mean(accuracy for accuracy, _ in cells)
            rows.append([title, *(text for _, text in cells), f"{mean:.3f}"])
            print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
    return table(["codes", *data, "mean"], rows)


def measure(method: Method, data: Labelled, classifier: Any) -> list[tuple[float, str]]:
    """Return the accuracy of each kind of codes as a median over seeds, and the text of a cell."""
    probe = make_pipeline(StandardScaler(), classifier)
    results = []
    for each in zip(*(method.encode(data.train, data.test, s) for s in method.seeds), strict=True):
        accuracy = statistics.median(
            probe.fit(codes.train, data.train_labels).score(codes.test, data.test_labels)
            for codes in each
        )
        errors = [codes.error for codes in each if codes.error is not None]
        text = f"{accuracy:.3f}"
        if errors:
            error = statistics.median(errors)
            text += f" ({f'{error:.4f}' if error < DIVERGED else 'diverged'})"
        results.append((accuracy, text))
    return results


def archive(limit: int | None, _: Any) -> str:
    """Return the text and the table of short series."""
    return "\n\n".join(
        [
            f"Test accuracy of a logistic regression on codes of {SIZE} dimensions, on the "
            "archive's splits. The held-out error (NMSE) of the sequences that are decoded from "
            "the codes is in parentheses. The autoencoders are not told the labels. Refold has "
            f"default settings and at most {SECONDS:.0f} s for a fit; its values are medians of "
            "three seeds. `ae.features` are computed from the codes alone. `RepeatVector` is that "
            "of `architecture=` with one seed. aeon computes its features from zero-padded series.",
            accuracies(PROBED[:limit], SETS[:limit], LogisticRegression(max_iter=5000)),
        ]
    )


def long_series(limit: int | None, _: Any) -> str:
    """Return the text and the tables of long series, of several channels and of one."""
    classifier = RidgeClassifierCV(np.logspace(-3, 3, 10))
    groups = [*LONG_REPORT][:3], [*LONG_REPORT][3:]
    tables = (
        accuracies(LONG_PROBED[:limit], names[:limit], classifier) for names in groups[:limit]
    )
    return section(
        "Long series",
        f"Test accuracy of a ridge classifier. Windows have {WINDOW} steps. A fit takes at most "
        f"{LONG_SECONDS:.0f} s. `ae.pooled` and MiniRocket are medians of three seeds. No subject "
        "of the arm exercises is both in training and in the test. The sets of the first table "
        "have 4 to 6 channels and 510 to 2618 steps, and those of the second have one channel.",
        *tables,
    )


if __name__ == "__main__":
    title, packages = "Accuracy of a linear classifier on codes", (*PACKAGES, "aeon", "aeon-neuro")
    parts = {"archive": archive, "long": long_series}
    run_parts("probe", title, parts, (None, 1), about=__doc__, packages=packages)
