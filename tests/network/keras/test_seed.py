"""Weights depend on the seed, and global random states are unchanged."""

import random

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from refold import SequenceAutoencoder
from refold.models import seeded


def draws():
    """Return the next numbers of each global generator."""
    return [
        random.random(),  # noqa: S311
        np.random.random(),  # noqa: NPY002
        float(keras.random.normal(())),
    ]


def draws_after(work):
    keras.utils.set_random_seed(7)
    # Keras 3.11 keeps its generator, and seeds the first one with Python's random numbers.
    global_state.set_global_attribute("global_seed_generator", None)
    draws()
    work()
    return draws()


def weights(seed):
    with seeded(seed):
        layer = keras.layers.Dense(3)
        layer.build((None, 2))
        return np.asarray(layer.kernel), float(keras.random.normal(()))


@pytest.mark.parametrize("seed", [0, None])
def test_global_states_are_unchanged(seed):
    assert draws_after(lambda: weights(seed)) == draws_after(lambda: None)


def test_the_seed_determines_weights_and_draws():
    for one, other in zip(weights(3), weights(3), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(weights(3)[0], weights(4)[0])


def test_a_fit_changes_no_global_state():
    def fit():
        x = np.random.default_rng(0).normal(size=(8, 4))
        SequenceAutoencoder(latent_dim=2, units=4, max_epochs=1, random_state=0).fit(x)

    assert draws_after(fit) == draws_after(lambda: None)
    keras.utils.set_random_seed(11)
    fit()
    from keras.src.utils.rng_utils import get_random_seed

    assert get_random_seed() == 11
