"""Padding detected by its values: lengths without it, and whether it is likely padding."""

from typing import Literal

import numpy as np

__all__ = ["Side", "inside", "lengths_without", "looks_padded"]

Side = Literal["post", "pre"]

# Minimum share of padded sequences.
_MIN_PADDED_SHARE = 0.1
# Minimum number of padded sequences.
_MIN_PADDED = 2
# Maximum share of the remaining steps that look like padding.
_MAX_STRAY_SHARE = 0.01


def lengths_without(padded: np.ndarray, side: str = "post") -> np.ndarray:
    """Return the length of each sequence without the padding on one side.

    Parameters
    ----------
    padded : array of bool of shape (n, T)
        Steps that look like padding.
    side : {"post", "pre"}

    Returns
    -------
    array of int64 of shape (n,)
    """
    padded = padded if side == "post" else padded[:, ::-1]
    position = np.arange(1, padded.shape[1] + 1)
    return np.where(padded, 0, position).max(axis=1, initial=0).astype(np.int64)


def inside(padded: np.ndarray, side: str = "post") -> np.ndarray:
    """Return a mask of steps that look like padding but lie between real steps.

    Parameters
    ----------
    padded : array of bool of shape (n, T)
    side : {"post", "pre"}

    Returns
    -------
    array of bool of shape (n, T)
    """
    real = np.arange(padded.shape[1]) < lengths_without(padded, side)[:, None]
    return padded & (real if side == "post" else real[:, ::-1])


def looks_padded(padded: np.ndarray, side: str = "post") -> bool:
    """Return whether steps on one side are likely padding: frequent, and of unequal number.

    Parameters
    ----------
    padded : array of bool of shape (n, T)
    side : {"post", "pre"}

    Returns
    -------
    bool

    Examples
    --------
    >>> looks_padded(np.array([[False, True], [False, False], [False, True]]))
    True
    >>> looks_padded(np.array([[False, True], [True, False], [False, True]]))
    False
    """
    lengths = lengths_without(padded, side)
    lengths = lengths[lengths > 0]
    num_padded = (lengths < padded.shape[1]).sum()
    stray = inside(padded, side).sum()
    return bool(
        num_padded >= max(_MIN_PADDED, _MIN_PADDED_SHARE * len(lengths))
        and lengths.min() < lengths.max()
        and stray <= _MAX_STRAY_SHARE * lengths.sum()
    )
