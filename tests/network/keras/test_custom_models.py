"""Custom models that could not be loaded again are refused before training."""

import keras
import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import ParameterError


class Unknown(keras.layers.Layer):
    """A layer with an argument that is not in its configuration."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return x * self.factor


@keras.saving.register_keras_serializable("tests")
class ReferenceStatistics(Unknown):
    def get_config(self):
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable("tests")
class Forgetful(keras.layers.Layer):
    """A layer with weights whose size is not in its configuration."""

    def __init__(self, size=1, **options):
        super().__init__(**options)
        self.size = size

    def get_config(self):
        return {"name": self.name}

    def build(self, shape):
        del shape
        self.extra = self.add_weight(shape=(self.size,), initializer="ones")

    def call(self, x):
        return x * keras.ops.mean(self.extra)


def pair(layer, *, in_decoder=False):
    def architecture(*, steps, features, outputs, latent_dim):
        x, code = keras.Input((steps, features)), keras.Input((latent_dim,))
        flat = keras.layers.Flatten()(x)
        hidden = keras.layers.Dense(latent_dim)(flat if in_decoder else layer(flat))
        back = keras.layers.Dense(steps * outputs)(layer(code) if in_decoder else code)
        decoder = keras.Model(code, keras.layers.Reshape((steps, outputs))(back))
        return keras.Model(x, hidden), decoder

    return architecture


def fit(architecture):
    x = np.random.default_rng(0).normal(size=(8, 4))
    options = {"latent_dim": 2, "max_epochs": 1, "random_state": 0}
    return SequenceAutoencoder(architecture=architecture, **options).fit(x)


def local():
    class Local(keras.layers.Layer):
        def call(self, x):
            return x

    return Local(name="mine")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Unknown(2.0, name="mine"), r"'mine' \(Unknown\)"),
        (local, r"'mine' \(Local\)"),
        (lambda: Forgetful(3, name="mine"), "functions of its layers with"),
        (lambda: keras.layers.Lambda(lambda x: x, name="mine"), r"'mine' \(Lambda\)"),
        (
            lambda: keras.layers.Dense(2, activation=lambda x: x, name="mine"),
            r"'mine' \(Dense\)",
        ),
    ],
)
def test_models_that_cannot_be_loaded_are_refused(make, named):
    for in_decoder, role in ((False, "encoder"), (True, "decoder")):
        with pytest.raises(ParameterError, match=f"architecture's {role} could not be") as raised:
            fit(pair(make(), in_decoder=in_decoder))
        assert raised.match(named)
        assert raised.match(r"@keras.saving.register_keras_serializable\(\)")
        assert "\n" not in str(raised.value)


def test_registered_models_are_trained():
    assert fit(pair(ReferenceStatistics(2.0))).transform(np.ones((2, 4))).shape == (2, 2)
