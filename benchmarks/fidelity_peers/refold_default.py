"""Refold with default settings; it decodes the lengths from the code."""

from collections.abc import Callable
from typing import Any

__all__ = ["fit"]


def fit(train: Any, *, size: int, seconds: float, seed: int) -> Callable[[Any], Any]:
    """Train, and return a function that reconstructs sequences."""
    import refold

    ae = refold.SequenceAutoencoder(size, time_budget=seconds, random_state=seed).fit(train)
    return ae.reconstruct
