"""The data sets.  As a process, it writes one of them to files: ``... data NAME FOLDER``.

- JapaneseVowels ships with Refold, digits with scikit-learn, and ItalyPowerDemand, GunPoint and
  BasicMotions with aeon.  All except digits have their own splits.
- Words are drawn from web2, Webster's dictionary of 1934, whose copyright has expired.  The package
  english-words (MIT) ships it.
- Sentences are lines of at most 120 characters from the docstrings and help topics of Python's
  standard library, under Python's licence.  They depend on the version of Python.
- The data sets of ``wheel_sets.py`` come from wheels on the package index.

Random splits have a fixed seed.
"""

import hashlib
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fidelity_peers import wheel_sets
from benchmarks.training_peers.process import answer

__all__ = ["DATA", "Data", "Split"]

NUM_WORDS = (20_000, 2_000)
SHORTEST_WORD, LONGEST_WORD = 2, 12
NUM_SENTENCES = (11_000, 1_000)
SHORTEST_SENTENCE, LONGEST_SENTENCE = 60, 120

Split = tuple[Any, Any]
"""Training and test split as `refold.sequences.Sequences`."""


class Data(NamedTuple):
    """A data set: its title, its description, the measure of error, and a function that loads it.

    ``error`` is ``nmse``, ``exact`` (the share of sequences that are not reconstructed exactly) or
    ``accuracy`` (the share of wrong categories).
    """

    title: str
    about: str
    error: str
    load: Callable[[], Split]


def japanese_vowels() -> Split:
    """Return utterances of two vowels."""
    import refold

    data = refold.datasets.japanese_vowels()
    return data.train, data.test


def digits() -> Split:
    """Return images of digits; each row of an image is a step."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32)
    return _arrays(*_draw(images, (1200, 597)))


def from_aeon(loader: str) -> Split:
    """Return a data set of aeon with its own split."""
    import aeon.datasets

    load = getattr(aeon.datasets, loader)
    return _arrays(*(load(split=part)[0].transpose(0, 2, 1) for part in ("train", "test")))


def one_hot() -> Split:
    """Return sequences of random categories."""
    from refold.datasets import random_one_hot

    return random_one_hot(20_000, seed=0), random_one_hot(5_000, seed=1)


def words() -> Split:
    """Return words of lower-case letters."""
    from english_words import get_english_words_set

    found = get_english_words_set(["web2"], lower=True)
    fitting = (word for word in found if SHORTEST_WORD <= len(word) <= LONGEST_WORD)
    return _texts([word for word in fitting if word.isascii() and word.isalpha()], NUM_WORDS)


def sentences() -> Split:
    """Return lines of prose."""
    from benchmarks.fidelity_peers.prose import prose

    lines = {line for text in prose() for line in textwrap.wrap(text, LONGEST_SENTENCE)}
    return _texts([line for line in lines if len(line) >= SHORTEST_SENTENCE], NUM_SENTENCES)


def from_wheels(load: Callable[[], tuple[list[Any], list[Any]]]) -> Split:
    """Return a data set of `wheel_sets`."""
    from refold.sequences import Sequences

    train, test = load()
    if isinstance(train[0], np.ndarray):
        return _arrays(train, test)
    first = Sequences.from_list(train)
    return first, Sequences.from_list(test, schema=first.schema)


def _wheel_sets() -> dict[str, Data]:
    loaders = wheel_sets.CHOOSE | wheel_sets.REPORT
    return {
        name: Data(
            title, about, "exact" if name in _TEXTS else "nmse", partial(from_wheels, loaders[name])
        )
        for name, (title, about) in _ABOUT.items()
    }


_TEXTS = ("german", "french", "phonemes", "molecules")
_ABOUT = {
    "plaid": ("PLAID", "100 to 1344 steps"),
    "ar2": ("AR(2) noise", "20 to 79 steps"),
    "trace": ("Trace", "275 steps"),
    "covid": ("Covid3Month", "84 steps"),
    "tecator": ("Tecator", "100 steps"),
    "arrowhead": ("ArrowHead", "251 steps"),
    "countries": ("countries", "12 steps of 3 features"),
    "temperatures": ("temperatures of days", "24 steps"),
    "german": ("German words", "3 to 12 letters"),
    "yearly": ("M1 yearly", "15 to 53 steps"),
    "osuleaf": ("OSULeaf", "427 steps"),
    "acsf1": ("ACSF1", "1460 steps"),
    "pickup": ("PickupGestureWiimoteZ", "29 to 361 steps"),
    "coffee": ("Coffee", "286 steps"),
    "sea": ("sea surface by year", "12 steps"),
    "fertility": ("fertility", "54 steps, some missing"),
    "glucose": ("glucose of days", "96 steps, some missing"),
    "prices": ("share prices", "40 steps of 4 features"),
    "walking": ("Daphnet", "64 steps of 3 features"),
    "chorales": ("Bach's chorales", "25 to 116 notes of 2 features"),
    "french": ("French words", "3 to 12 letters"),
    "phonemes": ("English phonemes", "3 to 12 phonemes"),
    "molecules": ("molecules", "5 to 40 characters"),
}

DATA = {
    "vowels": Data("JapaneseVowels", "7 to 29 steps of 12 features", "nmse", japanese_vowels),
    "digits": Data("digits", "8 steps of 8 features", "nmse", digits),
    "italy": Data(
        "ItalyPowerDemand", "24 steps", "nmse", lambda: from_aeon("load_italy_power_demand")
    ),
    "gunpoint": Data("GunPoint", "150 steps", "nmse", lambda: from_aeon("load_gunpoint")),
    "motions": Data(
        "BasicMotions", "100 steps of 6 features", "nmse", lambda: from_aeon("load_basic_motions")
    ),
    "one_hot": Data("random one-hot", "10 steps of 5 symbols", "exact", one_hot),
    "words": Data("English words", "2 to 12 letters", "exact", words),
    "sentences": Data("sentences", "60 to 120 characters", "accuracy", sentences),
    **_wheel_sets(),
}


def _arrays(train: Any, test: Any) -> Split:
    from refold.sequences import Sequences

    return tuple(
        Sequences.from_list([one.astype(np.float32) for one in part], column_types="numeric")
        for part in (train, test)
    )


def _texts(texts: list[str], sizes: tuple[int, int]) -> Split:
    from refold.sequences import Sequences

    if len(texts) < sum(sizes):
        raise SystemExit(f"{sum(sizes)} texts are needed. Found {len(texts)}.")
    train, test = _draw(np.array(sorted(texts)), sizes)
    first = Sequences.from_list(train.tolist())
    return first, Sequences.from_list(test.tolist(), schema=first.schema)


def _draw(items: np.ndarray, sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(len(items))
    return items[order[: sizes[0]]], items[order[sizes[0] : sum(sizes)]]


def _export(name: str, folder: Path) -> dict[str, Any]:
    """Write both splits, and return their digest and sizes."""
    from refold.sequences import write

    digest = hashlib.sha256()
    splits = DATA[name].load()
    for part, split in zip(("train", "test"), splits, strict=True):
        write(split, folder / f"{part}.parquet")
        for piece in (split.values.tobytes(), split.offsets.tobytes(), repr(split.schema).encode()):
            digest.update(piece)
    train, test = splits
    width = sum(column.width for column in train.schema.columns)
    return {
        "digest": digest.hexdigest()[:8],
        "num_train": len(train),
        "num_test": len(test),
        "numbers": int(train.lengths.max()) * width,
    }


if __name__ == "__main__":
    answer(**_export(sys.argv[1], Path(sys.argv[2])))
