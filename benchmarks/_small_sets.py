"""Small data sets of installed packages, for `benchmarks.patience`.

Rules are chosen on the sets of `CHOOSE` and reported on those of `REPORT`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["CHOOSE", "REPORT", "SETS"]


def from_aeon(name: str) -> Any:
    """Return the training split of a data set of aeon."""
    import aeon.datasets

    found, _ = getattr(aeon.datasets, name)(split="train")
    return [np.asarray(one, np.float32).T for one in found]


def from_sktime(name: str) -> Any:
    """Return the training split of a data set of sktime."""
    import sktime.datasets

    found, _ = getattr(sktime.datasets, name)(split="train", return_type="numpy3d")
    return found.transpose(0, 2, 1).astype(np.float32)


def digits() -> Any:
    """Return 300 images of scikit-learn; each row of an image is a step."""
    from sklearn.datasets import load_digits

    return load_digits().images[:300].astype(np.float32)


def trace() -> Any:
    """Return the training split of Trace from tslearn."""
    from tslearn.datasets import CachedDatasets

    return CachedDatasets().load_dataset("Trace")[0].astype(np.float32)


def vowels() -> Any:
    """Return the training split of JapaneseVowels."""
    from refold.datasets import japanese_vowels

    return japanese_vowels().train


def generated(name: str) -> Any:
    """Return 300 sequences of one of Refold's generators."""
    import refold.datasets

    return getattr(refold.datasets, name)(300, seed=0)


def sines() -> Any:
    """Return 120 noisy sines of 20 to 60 steps."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 61, 120)
    waves = [np.sin(rng.uniform(0.1, 0.5) * np.arange(n) + rng.uniform(0, 6)) for n in lengths]
    return [(wave + 0.1 * rng.standard_normal(len(wave)))[:, None] for wave in waves]


def mixed() -> Any:
    """Return 150 random walks, each with a categorical column for the direction of a step."""
    rng = np.random.default_rng(1)
    rows = []
    for n in rng.integers(10, 31, 150):
        steps = rng.standard_normal(n)
        names = np.where(steps > 0, "up", "down")
        rows.append(np.array([*zip(np.cumsum(steps), names, strict=True)], dtype=object))
    return rows


CHOOSE: dict[str, Callable[[], Any]] = {
    "ArrowHead": lambda: from_aeon("load_arrow_head"),
    "GunPoint": lambda: from_aeon("load_gunpoint"),
    "ItalyPowerDemand": lambda: from_aeon("load_italy_power_demand"),
    "CardanoSentiment": lambda: from_aeon("load_cardano_sentiment"),
    "JapaneseVowels": vowels,
    "digits": digits,
    "moving ones": lambda: generated("moving_ones"),
    "sines": sines,
}
REPORT: dict[str, Callable[[], Any]] = {
    "BasicMotions": lambda: from_aeon("load_basic_motions"),
    "Covid3Month": lambda: from_aeon("load_covid_3month"),
    "OSULeaf": lambda: from_aeon("load_osuleaf"),
    "PickupGestureWiimoteZ": lambda: from_aeon("load_pickup_gesture_wiimoteZ"),
    "UnitTest": lambda: from_aeon("load_unit_test"),
    "Tecator": lambda: from_sktime("load_tecator"),
    "Trace": trace,
    "random one-hot": lambda: generated("random_one_hot"),
    "mixed": mixed,
}
SETS = CHOOSE | REPORT
