"""Reproducible weights without disturbing anybody else's random numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw weights made inside from a seed; Python's and NumPy's states stay as they were.

    Keras's own global seed stays set to ``seed``, since Keras offers no way to read it.

    Parameters
    ----------
    seed : int or None
        With None the weights are drawn as they come.

    Examples
    --------
    >>> before = random.getstate()
    >>> with seeded(0):
    ...     first = keras.layers.Dense(1)
    >>> random.getstate() == before
    True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
