"""The moving-ones data of the original question, as sequences and as a padded array."""

import numpy as np

from refold._support.argument_checks import check_whole
from refold._support.offsets import offsets_from_lengths
from refold.sequences import Column, Schema, Sequences

MAX_STEPS = 10


def moving_ones(n: int = 5000, seed: int = 0) -> Sequences:
    """Draw sequences in which a single one moves from feature to feature.

    Lengths are ``round(uniform(0, 10))``; a length of 0 gives an empty sequence. Step ``t`` has a
    one at feature ``t``. There are eight features, so steps 8 and 9 are all zero, but they are
    real and count towards the length. The length alone determines a sequence.

    Parameters
    ----------
    n : int, default=5000
        Number of sequences.
    seed : int, default=0
        The same seed gives the same sequences.

    Returns
    -------
    Sequences
        ``n`` sequences of 0 to 10 steps and 8 binary features.

    Examples
    --------
    >>> from refold.datasets import moving_ones
    >>> ones = moving_ones(100)
    >>> len(ones), int(ones.lengths.min()), int(ones.lengths.max())
    (100, 0, 10)
    """
    check_whole("seed", seed, least=0)
    lengths = draw_lengths(np.random.default_rng(seed), n=n, min_steps=0, max_steps=MAX_STEPS)
    values = np.concatenate([moving_one(length, features=8) for length in lengths])
    return Sequences(values, offsets_from_lengths(lengths), schema=binary_schema(8))


def question_array(
    n: int = 1200, steps: int = MAX_STEPS, features: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw moving ones as in the question: padded with zero steps to a fixed length.

    This is the input of a model without masking. Steps after the last feature are all zero too,
    so only the lengths tell data from padding.

    Parameters
    ----------
    n : int, default=1200
        Number of sequences.
    steps : int, default=10
        Maximum length, and number of steps after padding.
    features : int, default=5
        Number of features.
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
    check_whole("seed", seed, least=0)
    lengths = draw_lengths(np.random.default_rng(seed), n=n, min_steps=0, max_steps=steps)
    x = np.zeros((n, steps, features), np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = moving_one(length, features=features)
    return x, lengths


def moving_one(length: int, *, features: int) -> np.ndarray:
    """Return one sequence of shape (length, features); steps after the last feature are zero."""
    return np.eye(length, features, dtype=np.float32)


def draw_lengths(rng: np.random.Generator, *, n: int, min_steps: int, max_steps: int) -> np.ndarray:
    """Draw ``n`` lengths as in the question: uniform numbers, rounded."""
    check_whole("n", n)
    check_whole("min_steps", min_steps, least=0)
    check_whole("steps", max_steps, least=max(min_steps, 1))
    return np.rint(rng.uniform(min_steps, max_steps, n)).astype(np.int64)


def binary_schema(features: int) -> Schema:
    """Return the schema of ``features`` binary columns named x0, x1, ..."""
    return Schema(tuple(Column(f"x{i}", "binary") for i in range(features)))
