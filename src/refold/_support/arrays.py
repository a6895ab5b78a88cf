"""Offsets of sequences whose steps follow one another in one array, and samples of rows."""

import numpy as np
from numpy.typing import ArrayLike


def offsets_from_lengths(lengths: ArrayLike) -> np.ndarray:
    """Return the offsets (n + 1,) of consecutive sequences with these lengths (n,)."""
    lengths = np.asarray(lengths, dtype=np.int64)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lengths_from_offsets(offsets: np.ndarray) -> np.ndarray:
    """Return the lengths (n,) of sequences with these offsets (n + 1,)."""
    return offsets[1:] - offsets[:-1]  # faster than numpy.diff


def positions_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the positions (sum of lengths,) of runs of rows with these starts and lengths (n,)."""
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return the indices of at most ``most`` of ``count`` items, first and last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)
