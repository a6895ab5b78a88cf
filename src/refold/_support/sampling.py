"""Samples of many items that need no random numbers."""

import numpy as np

__all__ = ["evenly_spaced"]


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return the indices of at most ``most`` of ``count`` items, first and last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)
