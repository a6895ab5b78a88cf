"""Offsets of sequences whose steps follow one another in one array."""

from typing import Any

import numpy as np

__all__ = ["lengths_from_offsets", "offsets_from_lengths", "positions_of"]


def offsets_from_lengths(lengths: Any) -> np.ndarray:
    """Return the offsets, of shape (n + 1,), of consecutive sequences of these lengths.

    Examples
    --------
    >>> offsets_from_lengths([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lengths_from_offsets(offsets: np.ndarray) -> np.ndarray:
    """Return the lengths of sequences with these offsets; faster than ``numpy.diff``.

    Examples
    --------
    >>> lengths_from_offsets(np.array([0, 2, 2, 5])).tolist()
    [2, 0, 3]
    """
    return offsets[1:] - offsets[:-1]


def positions_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the positions in runs of rows with these starts and lengths, run after run.

    Examples
    --------
    >>> positions_of(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
