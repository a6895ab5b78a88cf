"""JapaneseVowels, and the lookup of data sets by name, for the command line."""

from collections.abc import Callable
from importlib.resources import files
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from refold._support.rules import check_whole
from refold.datasets._synthetic import (
    moving_ones,
    noisy_sines,
    question_array,
    ramps,
    random_one_hot,
)
from refold.errors import ParameterError
from refold.sequences import Sequences, as_sequences


# ``data/SOURCE.md`` has the licence of the data.
class JapaneseVowels(NamedTuple):
    """The two splits of JapaneseVowels with their labels.

    Attributes
    ----------
    train, test : Sequences
        270 utterances, 30 per speaker, and 370 utterances, of 7 to 29 steps.
    train_labels, test_labels : array of shape (n_sequences,), int64
        The speaker of each utterance, 1 to 9.
    """

    train: Sequences
    test: Sequences
    train_labels: np.ndarray
    test_labels: np.ndarray


def japanese_vowels() -> JapaneseVowels:
    """Load JapaneseVowels: vowels of nine male speakers, 12 cepstrum coefficients per step.

    References
    ----------
    M. Kudo, J. Toyama and M. Shimbo, Japanese Vowels, UCI Machine Learning Repository, 1999,
    https://doi.org/10.24432/C5NS47, licensed under CC BY 4.0.

    Examples
    --------
    >>> from refold.datasets import japanese_vowels
    >>> vowels = japanese_vowels()
    >>> len(vowels.train), len(vowels.test), vowels.train[0].shape
    (270, 370, (20, 12))
    """
    path = files("refold.datasets") / "data" / "japanese_vowels.parquet"
    table = pq.read_table(BytesIO(path.read_bytes())).combine_chunks()
    splits, labels = table["split"].to_numpy(), table["label"].to_numpy().astype(np.int64)
    features = table.drop_columns(["split", "label"])
    train, test = splits == "train", splits == "test"
    return JapaneseVowels(
        as_sequences(features.filter(train)),
        as_sequences(features.filter(test)),
        labels[train],
        labels[test],
    )


def _question(n: int = 1200, seed: int = 0) -> Sequences:
    """Draw the question's array as sequences of equal length, as without masking."""
    x, _ = question_array(n, seed=seed)
    return Sequences.from_array(x, column_types="binary")


_GENERATORS: dict[str, Callable[..., Sequences]] = {
    "moving-ones": moving_ones,
    "question": _question,
    "random-one-hot": random_one_hot,
    "noisy-sines": noisy_sines,
}
_FIXED: dict[str, Callable[[], Sequences]] = {
    "ramps": ramps,
    "japanese-vowels": lambda: japanese_vowels().train,
    "japanese-vowels-test": lambda: japanese_vowels().test,
}
_LABELS: dict[str, tuple[str, Callable[[], np.ndarray]]] = {
    "japanese-vowels": ("speaker", lambda: japanese_vowels().train_labels),
    "japanese-vowels-test": ("speaker", lambda: japanese_vowels().test_labels),
}


def names() -> list[str]:
    """Return the names of all data sets.

    Examples
    --------
    >>> from refold.datasets import names
    >>> names()[:4]
    ['moving-ones', 'question', 'random-one-hot', 'noisy-sines']
    """
    return [*_GENERATORS, *_FIXED]


def load(name: str, n: int | None = None, seed: int = 0) -> Sequences:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        One of ``names()``. ``"japanese-vowels"`` is its training split.
    n : int, optional
        Number of sequences to draw, by default that of the generator; or to take from the start
        of a fixed data set, by default all.
    seed : int, default=0
        Seed of a generator.

    Examples
    --------
    >>> from refold.datasets import load
    >>> len(load("moving-ones", n=20))
    20
    """
    if n is not None:
        check_whole("n", n)
    if name in _GENERATORS:
        sizes = {} if n is None else {"n": n}
        return _GENERATORS[name](**sizes, seed=seed)
    if name not in _FIXED:
        raise ParameterError(f"There is no data set {name!r}. Known: {', '.join(names())}.")
    sequences = _FIXED[name]()
    if n is not None and n > len(sequences):
        raise ParameterError(f"{name} has {len(sequences)} sequences. Got n={n}.")
    return sequences[:n]


def labels_of(name: str) -> tuple[str, np.ndarray]:
    """Return the labels of a data set, and their name.

    Parameters
    ----------
    name : str
        One of ``names()``.

    Returns
    -------
    column : str
        Name of the labels, such as ``"speaker"``.
    labels : array of shape (n_sequences,)

    Examples
    --------
    >>> from refold.datasets import labels_of
    >>> column, labels = labels_of("japanese-vowels")
    >>> column, labels[:3].tolist()
    ('speaker', [1, 1, 1])
    """
    if name not in _LABELS:
        raise ParameterError(f"{name} has no labels. Data sets with labels: {', '.join(_LABELS)}.")
    column, load_labels = _LABELS[name]
    return column, load_labels()
