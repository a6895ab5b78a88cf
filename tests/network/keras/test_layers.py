"""Padding, constants, and what a fit compiles and leaves unchanged."""

import random
import re

import jax
import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from refold import SequenceAutoencoder
from refold.layers import PaddingMask
from refold.network.keras.encoder import FixedMap, PooledConvolutions
from small_data import TINY, draw_ragged_sequences

NAN = np.nan


def test_only_trailing_missing_steps_are_padding():
    x = np.array(
        [
            [[1, 2], [NAN, 3], [NAN, NAN]],  # a missing entry is not padding
            [[NAN, NAN], [0, 0], [0, 0]],  # neither is a leading step, nor zeros
            [[NAN, NAN], [NAN, NAN], [NAN, NAN]],
        ],
        "float32",
    )
    layer = PaddingMask()
    mask = np.asarray(layer.compute_mask(x))
    assert mask.tolist() == [[True, True, False], [True, True, True], [False, False, False]]
    assert np.array_equal(np.asarray(layer(x)), np.nan_to_num(x))


def test_kernels_are_always_the_same_and_never_trained():
    """The file of a model without ROCKET features does not contain them."""
    layer = PooledConvolutions()
    layer.build((None, None, 2))
    drawn = [float(np.asarray(w).ravel()[0]) for w in (layer.channels, layer.taps, layer.bias)]
    assert drawn == pytest.approx([0.99498004, 0.53168702, -0.20416278], abs=1e-6)
    assert not layer.trainable_variables
    fixed = FixedMap(2)
    fixed(np.ones((4, 3), "float32"))
    assert not fixed.trainable_variables


@pytest.fixture
def compiled(caplog):
    """Return a function that returns the names of the programs that JAX compiles in a call."""

    def during(call):
        caplog.clear()
        with jax.log_compiles():
            call()
        messages = "\n".join(record.getMessage() for record in caplog.records)
        return re.findall(r"^Compiling (?:jit\()?([\w<>]+)", messages, re.MULTILINE)

    assert during(lambda: jax.jit(lambda x: x + 1)(np.zeros(17)))
    return during


def test_a_fit_compiles_only_its_training_step(compiled):
    SequenceAutoencoder(**TINY).fit(draw_ragged_sequences())
    estimator = SequenceAutoencoder(**TINY | {"units": 9, "latent_dim": 4})
    assert compiled(lambda: estimator.fit(draw_ragged_sequences())) == ["_train_batches"]


def test_a_fit_changes_no_global_state():
    def draws_after(work):
        keras.utils.set_random_seed(7)
        # Keras 3.11 keeps its generator, and seeds the first one with Python's random numbers.
        global_state.set_global_attribute("global_seed_generator", None)
        work()
        return random.random(), np.random.random(), float(keras.random.normal(()))  # noqa: S311, NPY002

    def fit():
        x = np.random.default_rng(0).normal(size=(8, 4))
        SequenceAutoencoder(latent_dim=2, units=4, max_epochs=1, random_state=0).fit(x)

    assert draws_after(fit) == draws_after(lambda: None)
