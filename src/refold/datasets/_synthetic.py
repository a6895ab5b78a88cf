"""Generators of moving ones, one-hot symbols, ramps and noisy sines."""

import numpy as np

from refold._support.arrays import offsets_from_lengths
from refold._support.rules import check, check_whole, number
from refold.sequences import Column, Schema, Sequences

_MAX_STEPS = 10


def moving_ones(n: int = 5000, seed: int = 0) -> Sequences:
    """Draw sequences in which a single one moves from feature to feature.

    Lengths are ``round(uniform(0, 10))``. Step ``t`` has a one at feature ``t`` of eight, so steps
    8 and 9 are all zero, but they are real. The length alone determines a sequence.

    Parameters
    ----------
    n, seed : int, default=5000 and 0
        Number of sequences; the same seed gives the same ones.

    Examples
    --------
    >>> from refold.datasets import moving_ones
    >>> ones = moving_ones(100)
    >>> len(ones), int(ones.lengths.min()), int(ones.lengths.max())
    (100, 0, 10)
    """
    lengths = _draw_lengths(_generator(seed), n, 0, _MAX_STEPS)
    # steps after the last feature are zero
    values = np.concatenate([np.eye(length, 8, dtype=np.float32) for length in lengths])
    return Sequences(values, offsets_from_lengths(lengths), schema=_binary_schema(8))


def question_array(
    n: int = 1200, steps: int = _MAX_STEPS, features: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw moving ones as in the question: padded with zero steps to a fixed length.

    This is the input of a model without masking. Steps after the last feature are all zero too,
    so only the lengths tell data from padding.

    Parameters
    ----------
    n, steps, features : int, default=1200, 10 and 5
        Shape of the array.
    seed : int, default=0
        The same seed gives the same array.

    Returns
    -------
    x : array of shape (n, steps, features), float32
        The padded sequences.
    lengths : array of shape (n,), int64
        Length of each sequence before padding, ``round(uniform(0, steps))``.

    Examples
    --------
    >>> from refold.datasets import question_array
    >>> x, lengths = question_array()
    >>> x.shape, lengths.shape
    ((1200, 10, 5), (1200,))
    """
    check_whole("features", features)
    lengths = _draw_lengths(_generator(seed), n, 0, steps)
    x = np.zeros((n, steps, features), np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = np.eye(length, features)
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
        Number of sequences; the same seed gives the same ones.
    steps, min_steps : int, default=10
        Lengths are ``round(uniform(min_steps, steps))``; ``min_steps`` is ``steps`` by default.
    categories : int, default=5
        Number of categories, and of features.

    Examples
    --------
    >>> from refold.datasets import random_one_hot
    >>> random_one_hot(3)[0].shape
    (10, 5)
    """
    check_whole("categories", categories)
    rng = _generator(seed)
    lengths = _draw_lengths(rng, n, steps if min_steps is None else min_steps, steps)
    tokens = rng.integers(categories, size=int(lengths.sum()))
    values = (tokens[:, None] == np.arange(categories)).astype(np.float32)
    return Sequences(values, offsets_from_lengths(lengths), schema=_binary_schema(categories))


def ramps() -> Sequences:
    """Return four ramps of 9, 8, 4 and 4 steps, from the second answer to the question.

    Examples
    --------
    >>> from refold.datasets import ramps
    >>> ramps().lengths.tolist()
    [9, 8, 4, 4]
    """
    series = [np.arange(1, 10), np.arange(1, 9), np.arange(2, 9, 2), np.arange(3, 13, 3)]
    return Sequences.from_list([(ramp / 10).astype(np.float32) for ramp in series])


def noisy_sines(
    n: int = 1000,
    seed: int = 0,
    *,
    min_steps: int = 20,
    max_steps: int = 100,
    noise: float = 0.1,
) -> Sequences:
    """Draw sines of random length, phase and frequency (up to 0.1 periods per step), with noise.

    Parameters
    ----------
    n, seed : int, default=1000 and 0
        Number of series; the same seed gives the same ones.
    min_steps, max_steps : int, default=20 and 100
        Minimum and maximum length.
    noise : float, default=0.1
        Standard deviation of the noise; the sines have amplitude 1.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> sines = noisy_sines(200)
    >>> bool(sines.lengths.min() >= 20 and sines.lengths.max() <= 100)
    True
    """
    check("noise", noise, number(least=0))
    rng = _generator(seed)
    lengths = _draw_lengths(rng, n, min_steps, max_steps)
    offsets = offsets_from_lengths(lengths)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    frequency = np.repeat(rng.uniform(0.02, 0.1, n), lengths)
    phase = np.repeat(rng.uniform(0, 2 * np.pi, n), lengths)
    values = np.sin(2 * np.pi * frequency * step + phase) + noise * rng.normal(size=len(step))
    schema = Schema((Column("x0", "numeric"),), layout="series")
    return Sequences(values.astype(np.float32)[:, None], offsets, schema=schema)


def _generator(seed: int) -> np.random.Generator:
    check_whole("seed", seed, least=0)
    return np.random.default_rng(seed)


def _draw_lengths(rng: np.random.Generator, n: int, min_steps: int, max_steps: int) -> np.ndarray:
    """Draw lengths (n,) as in the question: uniform numbers, rounded."""
    check_whole("n", n)
    check_whole("min_steps", min_steps, least=0)
    check_whole("steps", max_steps, least=max(min_steps, 1))
    return np.rint(rng.uniform(min_steps, max_steps, n)).astype(np.int64)


def _binary_schema(features: int) -> Schema:
    return Schema(tuple(Column(f"x{i}", "binary") for i in range(features)))
