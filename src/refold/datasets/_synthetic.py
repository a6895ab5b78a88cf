"""Generators of one-hot symbols, ramps and noisy sines."""

import numpy as np

from refold._support.argument_checks import check_whole
from refold._support.offsets import offsets_from_lengths
from refold._support.rules import check, number
from refold.datasets._moving_ones import binary_schema, draw_lengths
from refold.sequences import Column, Schema, Sequences


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
    n : int, default=20000
        Number of sequences.
    steps : int, default=10
        Maximum length.
    categories : int, default=5
        Number of categories, and of features.
    seed : int, default=0
        The same seed gives the same sequences.
    min_steps : int, optional
        Minimum length; lengths are ``round(uniform(min_steps, steps))``. By default all sequences
        have ``steps`` steps.

    Returns
    -------
    Sequences
        ``n`` sequences of ``categories`` binary features.

    Examples
    --------
    >>> from refold.datasets import random_one_hot
    >>> random_one_hot(3)[0].shape
    (10, 5)
    """
    check_whole("categories", categories)
    check_whole("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    shortest = steps if min_steps is None else min_steps
    lengths = draw_lengths(rng, n=n, min_steps=shortest, max_steps=steps)
    drawn = rng.integers(categories, size=int(lengths.sum()))
    values = (drawn[:, None] == np.arange(categories)).astype(np.float32)
    return Sequences(values, offsets_from_lengths(lengths), schema=binary_schema(categories))


def ramps() -> Sequences:
    """Return four ramps of unequal length, from the second answer to the question.

    Returns
    -------
    Sequences
        Four series of 9, 8, 4 and 4 steps.

    Examples
    --------
    >>> from refold.datasets import ramps
    >>> ramps().lengths.tolist()
    [9, 8, 4, 4]
    """
    series = [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0.2, 0.4, 0.6, 0.8],
        [0.3, 0.6, 0.9, 1.2],
    ]
    lengths = np.array([len(ramp) for ramp in series])
    values = np.concatenate(series).astype(np.float32)[:, None]
    return Sequences(values, offsets_from_lengths(lengths), schema=series_schema())


def noisy_sines(
    n: int = 1000,
    seed: int = 0,
    *,
    min_steps: int = 20,
    max_steps: int = 100,
    noise: float = 0.1,
) -> Sequences:
    """Draw sines of random length, frequency and phase, with white noise added.

    Parameters
    ----------
    n : int, default=1000
        Number of series.
    seed : int, default=0
        The same seed gives the same series.
    min_steps, max_steps : int, default=20 and 100
        Minimum and maximum length.
    noise : float, default=0.1
        Standard deviation of the noise; the sines have amplitude 1.

    Returns
    -------
    Sequences
        ``n`` series. Frequencies are uniform between 0.02 and 0.1 periods per step.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> sines = noisy_sines(200)
    >>> bool(sines.lengths.min() >= 20 and sines.lengths.max() <= 100)
    True
    """
    check("noise", noise, number(least=0))
    check_whole("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    lengths = draw_lengths(rng, n=n, min_steps=min_steps, max_steps=max_steps)
    offsets = offsets_from_lengths(lengths)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    frequency = np.repeat(rng.uniform(0.02, 0.1, n), lengths)
    phase = np.repeat(rng.uniform(0, 2 * np.pi, n), lengths)
    values = np.sin(2 * np.pi * frequency * step + phase) + noise * rng.normal(size=len(step))
    return Sequences(values.astype(np.float32)[:, None], offsets, schema=series_schema())


def series_schema() -> Schema:
    """Return the schema of univariate series."""
    return Schema((Column("x0", "numeric"),), layout="series")
