"""Initial weights from NumPy: Keras's distributions, seeds, no compilation, no global states."""

import random
import re
from dataclasses import replace

import jax
import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from refold import SequenceAutoencoder
from refold.layers import Constant, ForgetBias, GlorotUniform, Orthogonal
from refold.models import Specification, build, default, seeded
from small_data import TINY, ragged

DRAWN = [GlorotUniform, Orthogonal]
SIZES = {"latent_dim": 5, "max_steps": 9, "units": 7, "depth": 2, "dropout": 0.1}
LENGTHS = {"length_mean": 5.0, "length_deviation": 2.0}
OPTIONS = {"variational": True, "forecast_steps": 3, "cell": "lstm"}


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


@pytest.mark.parametrize("make", DRAWN)
@pytest.mark.parametrize("shape", [(40, 160), (160, 40), (40, 40)], ids=str)
def test_moments_are_those_of_keras(make, shape):
    theirs = {
        GlorotUniform: keras.initializers.GlorotUniform,
        Orthogonal: keras.initializers.Orthogonal,
    }
    ours, other = (np.asarray(one(seed=0)(shape)) for one in (make, theirs[make]))
    assert ours.dtype == other.dtype
    assert ours.shape == other.shape
    assert abs(ours.mean()) < 0.1 * other.std()
    assert ours.std() == pytest.approx(other.std(), rel=0.05)
    assert abs(ours).max() == pytest.approx(abs(other).max(), rel=0.5)


@pytest.mark.parametrize("shape", [(3, 12), (12, 3), (5, 5), (1, 4)], ids=str)
def test_rows_or_columns_are_orthonormal(shape):
    kernel = np.asarray(Orthogonal(seed=1)(shape), "float64")
    gram = kernel @ kernel.T if shape[0] <= shape[1] else kernel.T @ kernel
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_biases_are_those_of_the_keras_layer(cell):
    made = default(["numeric"], latent_dim=2, max_steps=3, units=4, cell=cell)
    ours = made.decoder.get_layer("decoder_1")
    theirs = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell](4)
    theirs.build((None, 3, 3))
    assert np.array_equal(ours.cell.bias, theirs.cell.bias)


@pytest.mark.parametrize(
    "initializer", [Constant(2.0), ForgetBias(), *(make(seed=2) for make in DRAWN)]
)
def test_a_copy_from_the_configuration_draws_the_same_weights(initializer):
    shape = (8,) if isinstance(initializer, ForgetBias) else (8, 4)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(initializer))
    assert np.array_equal(copy(shape), initializer(shape))
    assert np.asarray(initializer(shape, dtype="float16")).dtype == "float16"


@pytest.mark.parametrize("options", [OPTIONS, {"cell": "gru", "rocket_dim": 2, "patch": 2}])
def test_building_a_network_compiles_nothing_for_its_shapes(compiled, options):
    def make(specification):
        with seeded(0):
            build(specification)

    first = Specification(
        "default", ["numeric", "categorical"], [0, 3], True, **SIZES, **LENGTHS, **options
    )
    make(first)  # the seeds of dropout have the same shape
    assert compiled(lambda: make(replace(first, units=11, latent_dim=6, max_steps=8))) == []


def test_a_fit_compiles_only_its_training_step(compiled):
    SequenceAutoencoder(**TINY).fit(ragged())
    other = SequenceAutoencoder(**TINY | {"units": 9, "latent_dim": 4})
    assert compiled(lambda: other.fit(ragged())) == ["_run"]


# Seeds


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
        models = default(["numeric"], latent_dim=2, max_steps=3, units=4)
        return [*models.encoder.get_weights(), float(keras.random.normal(()))]


@pytest.mark.parametrize("seed", [0, None])
def test_global_states_are_unchanged(seed):
    assert draws_after(lambda: weights(seed)) == draws_after(lambda: None)


def test_the_seed_determines_weights_and_draws():
    first, again, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not any(weight.any() for weight in weights(None)[:2]), "weights that will be assigned"


def test_a_fit_changes_no_global_state():
    def fit():
        x = np.random.default_rng(0).normal(size=(8, 4))
        SequenceAutoencoder(latent_dim=2, units=4, max_epochs=1, random_state=0).fit(x)

    assert draws_after(fit) == draws_after(lambda: None)
    keras.utils.set_random_seed(11)
    fit()
    from keras.src.utils.rng_utils import get_random_seed

    assert get_random_seed() == 11
