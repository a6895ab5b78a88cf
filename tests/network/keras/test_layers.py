"""What layers compute, saved layers, and initial weights."""

import random
import re

import jax
import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from refold import SequenceAutoencoder
from refold.layers import PaddingMask
from refold.models import default
from refold.network.keras.decoder import TeacherForcing
from refold.network.keras.encoder import FixedMap, PooledConvolutions
from refold.network.keras.layer import seeded
from small_data import TINY, ragged

NAN = np.nan
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def randomized(layer, *inputs):
    """Build a layer and set random weights."""
    layer(*inputs)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return layer


# tests/network/test_same_results.py compares all layers with packed rows and ONNX.


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


def test_each_step_gets_the_previous_one():
    steps = np.array([[[0.5, 2], [-1, 0], [NAN, 1], [3, 3], [NAN, NAN], [7, 0]]], "float32")
    layer = TeacherForcing([0, 3])
    previous = np.asarray(layer(steps))
    assert previous[0].tolist() == [
        [0, 0, 0, 0, 0],  # no step before the first
        [0.5, 0, 0, 1, 1],
        [-1, 1, 0, 0, 1],
        [0, 0, 1, 0, 1],  # a missing value
        [3, 0, 0, 0, 1],  # an unknown category
        [0, 0, 0, 0, 0],  # nothing was observed
    ]
    flags = np.ones_like(steps)
    assert np.array_equal(layer(np.concatenate([steps, flags], axis=-1)), previous)


# ROCKET features


def test_bits_of_rocket_features_do_not_depend_on_padding_and_batch_size():
    x = keras.Input((None, 5))
    model = keras.Model(x, PooledConvolutions()(PaddingMask()(x)))
    given = 3 * normal(40, 60, 5)
    given[np.arange(60) >= RNG.integers(0, 61, 40)[:, None]] = NAN
    given[0] = NAN
    wider = np.pad(given, ((0, 0), (0, 77), (0, 0)), constant_values=NAN)
    features = model.predict(given, verbose=0)
    for other, batch_size in ((given, 1), (wider, 7)):
        assert np.array_equal(model.predict(other, batch_size=batch_size, verbose=0), features)
    assert not features[0].any(), "a sequence without steps"


def test_kernels_are_always_the_same_and_never_trained():
    """The file of a model without ROCKET features does not contain them."""
    layer = PooledConvolutions()
    layer.build((None, None, 2))
    drawn = [float(np.asarray(w).ravel()[0]) for w in (layer.channels, layer.taps, layer.bias)]
    assert drawn == pytest.approx([0.99498004, 0.53168702, -0.20416278], abs=1e-6)
    assert not layer.trainable_variables
    fixed = randomized(FixedMap(2), normal(4, 3))
    assert not fixed.trainable_variables


# Initial weights


@pytest.fixture
def compiled(caplog):
    """Return a function that returns the names of the programs that JAX compiles in a call."""

    def during(call):
        caplog.clear()
        with jax.log_compiles():
            call()
        found = [re.match(r"Compiling (?:jit\()?([\w<>]+)", r.getMessage()) for r in caplog.records]
        return [match[1] for match in found if match]

    assert during(lambda: jax.jit(lambda x: x + 1)(np.zeros(17)))
    return during


def test_a_fit_compiles_only_its_training_step(compiled):
    SequenceAutoencoder(**TINY).fit(ragged())
    other = SequenceAutoencoder(**TINY | {"units": 9, "latent_dim": 4})
    assert compiled(lambda: other.fit(ragged())) == ["_run"]


def weights(seed):
    with seeded(seed):
        models = default(["numeric"], latent_dim=2, max_steps=3, units=4)
        return [*models.encoder.get_weights(), float(keras.random.normal(()))]


def test_the_seed_determines_weights_and_draws():
    first, again, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not any(weight.any() for weight in weights(None)[:2]), "weights that will be assigned"


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
