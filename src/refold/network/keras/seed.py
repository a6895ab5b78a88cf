"""Reproducible initial weights that leave global random states unchanged."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import keras
import numpy as np
from keras.src.backend.common import global_state

from refold.network.keras.initializers import undrawn

# Names in Keras's global state; there is no public way to save and restore it.
_SEED, _GENERATOR = "global_random_seed", "global_seed_generator"


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed the weights that are created inside, and restore all global random states.

    These are the states of Python and NumPy, and Keras's global seed and seed generator.

    Parameters
    ----------
    seed : int or None
        Seed of the weights; None if they are assigned next, so that the default model's are zero.

    Examples
    --------
    >>> before = random.getstate()
    >>> with seeded(0):
    ...     first = keras.layers.Dense(1)
    >>> random.getstate() == before
    True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    of_keras = {name: global_state.get_global_attribute(name) for name in (_SEED, _GENERATOR)}
    global_state.set_global_attribute(_GENERATOR, None)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        with undrawn() if seed is None else nullcontext():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)
