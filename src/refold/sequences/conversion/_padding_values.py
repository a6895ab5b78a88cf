"""Padding that is told by its values: how long sequences are then, and whether it is padding."""

from typing import Literal

import numpy as np

__all__ = ["Side", "inside", "lengths_without", "looks_padded"]

Side = Literal["post", "pre"]

# Padding is at the end of this share of sequences at least, and of this number; and of the steps
# that are left, no more than this share look like it.
_PADDED, _FEWEST, _STRAY = 0.1, 2, 0.01


def lengths_without(padded: np.ndarray, side: str = "post") -> np.ndarray:
    """Return the number of steps of each sequence without the padding on one side.

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
    """Return where a step looks like padding and is none, since real steps follow towards its side.

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
    """Say whether steps on one side are probably padding: of many sequences, of unequal number.

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
        num_padded >= max(_FEWEST, _PADDED * len(lengths))
        and lengths.min() < lengths.max()
        and stray <= _STRAY * lengths.sum()
    )
