"""Lookup of data sets by name, for the command line."""

from collections.abc import Callable

import numpy as np

from refold._support.rules import check_whole
from refold.datasets._japanese_vowels import japanese_vowels
from refold.datasets._synthetic import (
    moving_ones,
    noisy_sines,
    question_array,
    ramps,
    random_one_hot,
)
from refold.errors import ParameterError
from refold.sequences import Sequences


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
