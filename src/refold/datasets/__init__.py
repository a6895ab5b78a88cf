"""Data sets: generators of synthetic sequences, and a real data set in the package.

``refold.sequences.read`` reads a user's own files.
"""

from collections.abc import Callable
from importlib.resources import files
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from refold._support.arrays import offsets_from_lengths
from refold._support.rules import check, check_integer, number_rule
from refold.errors import ParameterError
from refold.sequences import Column, Schema, Sequences, as_sequences

# Number of steps to which sequences are padded in a question on Stack Overflow. Several data sets
# come from this question. `examples/question` links to it.
_PADDED_LENGTH = 10


def moving_ones(n: int = 5000, seed: int = 0) -> Sequences:
    """Draw sequences in which a single one moves from feature to feature.

    Lengths are ``round(uniform(0, 10))``. Step ``t`` has a one at feature ``t``. There are eight
    features, so steps 8 and 9 are real, but all zero. The length alone determines a sequence.

    Parameters
    ----------
    n, seed : int, default=5000 and 0
        Number of sequences, and seed of the random numbers.

    Examples
    --------
    >>> ones = moving_ones(100)
    >>> len(ones), int(ones.lengths.min()), int(ones.lengths.max())
    (100, 0, 10)
    """
    _, lengths = _make_rng_and_lengths(seed, n, min_steps=0, max_steps=_PADDED_LENGTH)
    # `np.eye` has a row for each step; its rows after the eighth are zero
    values = np.concatenate([np.eye(length, 8, dtype=np.float32) for length in lengths])
    return Sequences(values, offsets_from_lengths(lengths), schema=_make_binary_schema(8))


def padded_moving_ones(n: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw moving ones of 5 features, padded with zeros to 10 steps.

    The question in ``examples/question`` has such data, for a model without masking. Steps after
    the last feature are all zero too, so only the lengths tell data from padding.

    Parameters
    ----------
    n, seed : int, default=1200 and 0
        Number of sequences, and seed of the random numbers.

    Returns
    -------
    x : array of shape (n, 10, 5), float32
        The padded sequences.
    lengths : array of shape (n,), int64
        Length of each sequence before padding, ``round(uniform(0, 10))``.

    Examples
    --------
    >>> x, lengths = padded_moving_ones()
    >>> x.shape, lengths.shape
    ((1200, 10, 5), (1200,))
    """
    _, lengths = _make_rng_and_lengths(seed, n, min_steps=0, max_steps=_PADDED_LENGTH)
    x = np.zeros((n, _PADDED_LENGTH, 5), np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = np.eye(length, 5)
    return x, lengths


def random_one_hot(
    n: int = 20_000,
    steps: int = 10,
    categories: int = 5,
    seed: int = 0,
    *,
    min_steps: int | None = None,
) -> Sequences:
    """Draw sequences of random tokens, one-hot encoded.

    Unlike in moving ones, the length does not determine a sequence: the code must store
    ``steps * log2(categories)`` bits. ``random_one_hot(5000, 10, 8, min_steps=0)`` has the shape of
    ``moving_ones``.

    Parameters
    ----------
    n, seed : int, default=20000 and 0
        Number of sequences, and seed of the random numbers.
    steps, min_steps : int, default=10
        Lengths are ``round(uniform(min_steps, steps))``; ``min_steps`` is ``steps`` by default.
    categories : int, default=5
        Number of categories, and of features.

    Examples
    --------
    >>> random_one_hot(3)[0].shape
    (10, 5)
    """
    check_integer("categories", categories)
    rng, lengths = _make_rng_and_lengths(seed, n, steps if min_steps is None else min_steps, steps)
    tokens = rng.integers(categories, size=int(lengths.sum()))
    values = (tokens[:, None] == np.arange(categories)).astype(np.float32)
    return Sequences(values, offsets_from_lengths(lengths), schema=_make_binary_schema(categories))


def ramps() -> Sequences:
    """Return four ramps of 9, 8, 4 and 4 steps, from the second answer in ``examples/question``.

    Examples
    --------
    >>> ramps().lengths.tolist()
    [9, 8, 4, 4]
    """
    series = [np.arange(1, 10), np.arange(1, 9), np.arange(2, 9, 2), np.arange(3, 13, 3)]
    return Sequences.from_list([(ramp / 10).astype(np.float32) for ramp in series])


def noisy_sines(
    n: int = 1000, seed: int = 0, *, min_steps: int = 20, max_steps: int = 100, noise: float = 0.1
) -> Sequences:
    """Draw sines of random length, phase and frequency (up to 0.1 periods per step), with noise.

    Parameters
    ----------
    n, seed : int, default=1000 and 0
        Number of series, and seed of the random numbers.
    min_steps, max_steps : int, default=20 and 100
        Minimum and maximum length.
    noise : float, default=0.1
        Standard deviation of the noise; the sines have amplitude 1.

    Examples
    --------
    >>> sines = noisy_sines(200)
    >>> bool(sines.lengths.min() >= 20 and sines.lengths.max() <= 100)
    True
    """
    check("noise", noise, number_rule(minimum=0))
    rng, lengths = _make_rng_and_lengths(seed, n, min_steps, max_steps)
    offsets = offsets_from_lengths(lengths)
    # index of each step in its series; this and the next arrays are (num_steps,), for all series
    steps = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    frequencies = np.repeat(rng.uniform(0.02, 0.1, n), lengths)
    phases = np.repeat(rng.uniform(0, 2 * np.pi, n), lengths)
    values = np.sin(2 * np.pi * frequencies * steps + phases) + noise * rng.normal(size=len(steps))
    schema = Schema((Column("x0", "numeric"),), layout="series")
    return Sequences(values.astype(np.float32)[:, None], offsets, schema=schema)


def _make_rng_and_lengths(
    seed: int, n: int, min_steps: int, max_steps: int
) -> tuple[np.random.Generator, np.ndarray]:
    """Return a generator for further draws, and rounded uniform lengths (n,) that it drew."""
    check_integer("seed", seed, minimum=0)
    check_integer("n", n)
    check_integer("min_steps", min_steps, minimum=0)
    check_integer("max_steps", max_steps, minimum=max(min_steps, 1))
    rng = np.random.default_rng(seed)
    return rng, np.rint(rng.uniform(min_steps, max_steps, n)).astype(np.int64)


def _make_binary_schema(num_columns: int) -> Schema:
    """Return the schema of binary columns x0, x1, and so on."""
    return Schema(tuple(Column(f"x{i}", "binary") for i in range(num_columns)))


# ``data/SOURCE.md`` has the license of the data.
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
    >>> vowels = japanese_vowels()
    >>> len(vowels.train), len(vowels.test), vowels.train[0].shape
    (270, 370, (20, 12))
    """
    # The file has a row for each utterance. Its columns are the 12 features, with a list of numbers
    # in each cell, and "split" and "label".
    path = files("refold.datasets") / "data" / "japanese_vowels.parquet"
    table = pq.read_table(BytesIO(path.read_bytes())).combine_chunks()
    splits, labels = table["split"].to_numpy(), table["label"].to_numpy().astype(np.int64)
    is_train, is_test = splits == "train", splits == "test"
    features = table.drop_columns(["split", "label"])
    train, test = (as_sequences(features.filter(mask)) for mask in (is_train, is_test))
    return JapaneseVowels(train, test, labels[is_train], labels[is_test])


def _make_padded_ones_sequences(n: int = 1200, seed: int = 0) -> Sequences:
    """Return `padded_moving_ones` as sequences, all of 10 steps: the padding is part of them."""
    return Sequences.from_array(padded_moving_ones(n, seed)[0], column_types="binary")


# Functions that draw a data set; the caller chooses the number of sequences and the seed.
_DATA_SET_GENERATORS: dict[str, Callable[..., Sequences]] = {
    "moving-ones": moving_ones,
    "question": _make_padded_ones_sequences,
    "random-one-hot": random_one_hot,
    "noisy-sines": noisy_sines,
}
# Functions that return a data set that is always the same.
_NONRANDOM_DATA_SET_LOADERS: dict[str, Callable[[], Sequences]] = {
    "ramps": ramps,
    "japanese-vowels": lambda: japanese_vowels().train,
    "japanese-vowels-test": lambda: japanese_vowels().test,
}
# Functions that return the labels of a data set, one label for each sequence.
_LABEL_LOADERS: dict[str, Callable[[], np.ndarray]] = {
    "japanese-vowels": lambda: japanese_vowels().train_labels,
    "japanese-vowels-test": lambda: japanese_vowels().test_labels,
}


def list_data_sets() -> list[str]:
    """Return the names of all data sets.

    Examples
    --------
    >>> list_data_sets()[:4]
    ['moving-ones', 'question', 'random-one-hot', 'noisy-sines']
    """
    return [*_DATA_SET_GENERATORS, *_NONRANDOM_DATA_SET_LOADERS]


def load(name: str, n: int | None = None, seed: int = 0) -> Sequences:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        One of ``list_data_sets()``. ``"japanese-vowels"`` is its training split.
    n : int, optional
        Number of sequences. A generator draws that many, by default the number in its signature. A
        data set that is always the same returns its first ``n`` sequences, by default all.
    seed : int, default=0
        Seed of a generator.

    Examples
    --------
    >>> len(load("moving-ones", n=20))
    20
    """
    if n is not None:
        check_integer("n", n)
    if name in _DATA_SET_GENERATORS:
        generator = _DATA_SET_GENERATORS[name]
        return generator(seed=seed) if n is None else generator(n, seed=seed)
    if name not in _NONRANDOM_DATA_SET_LOADERS:
        names = ", ".join(list_data_sets())
        raise ParameterError(f"There is no data set {name!r}. Known: {names}.")
    sequences = _NONRANDOM_DATA_SET_LOADERS[name]()
    if n is not None and n > len(sequences):
        raise ParameterError(f"{name} has {len(sequences)} sequences. Got n={n}.")
    return sequences[:n]


def labels_of(name: str) -> tuple[str, np.ndarray]:
    """Return the labels of a data set, and the name of the labels.

    Parameters
    ----------
    name : str
        One of ``list_data_sets()``.

    Returns
    -------
    column : str
        Name of the labels, such as ``"speaker"``.
    labels : array of shape (n_sequences,)

    Examples
    --------
    >>> column, labels = labels_of("japanese-vowels")
    >>> column, labels[:3].tolist()
    ('speaker', [1, 1, 1])
    """
    if name not in _LABEL_LOADERS:
        labeled = ", ".join(_LABEL_LOADERS)
        raise ParameterError(f"{name} has no labels. Data sets with labels: {labeled}.")
    return "speaker", _LABEL_LOADERS[name]()
