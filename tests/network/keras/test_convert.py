"""Conversion of Keras models to our LSTM: same results, names and training."""

import keras
import numpy as np
import pytest

import refold
from refold import kernels
from refold.errors import ParameterError
from refold.layers import LSTM, convert

B, T, F, H = 4, 6, 3, 5
FASTEST = "scan" if kernels.variant() is None else "fused"


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sequential():
    return keras.Sequential(
        [
            keras.Input((None, F)),
            keras.layers.Masking(),
            keras.layers.LSTM(H, name="reader"),
            keras.layers.Dense(2),
        ]
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((None, F)), keras.layers.LSTM(F, return_sequences=True)], name="inner"
    )
    shared = keras.layers.LSTM(F, return_sequences=True, name="shared")
    x = keras.Input((T, F))
    hidden = inner(shared(shared(x)))
    both = keras.layers.Bidirectional(keras.layers.LSTM(H, dropout=0.3, seed=1), merge_mode="sum")
    return keras.Model(x, {"code": both(hidden), "sequence": hidden}, name="outer")


def distributed():
    return keras.Sequential(
        [
            keras.Input((2, T, F)),
            keras.layers.TimeDistributed(keras.Sequential([keras.layers.LSTM(H)])),
            keras.layers.Flatten(),
        ]
    )


def of_the_question():
    return refold.models.classic.repeat(steps=T, features=F, latent_dim=4).autoencoder


MODELS = [sequential, nested, distributed, of_the_question]


def lstms(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.LSTM)]


def close(a, b, atol):
    for one, other in zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=atol)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_predictions_and_a_training_step_are_those_of_the_model(make):
    model = make()
    before = list(model._flatten_layers())
    ours = convert(model)
    assert [type(layer) for layer in lstms(ours)] == [LSTM] * len(lstms(model))
    assert [layer.name for layer in lstms(ours)] == [layer.name for layer in lstms(model)]
    assert type(ours) is type(model)
    assert ours.name == model.name
    x = normal(B, *((2, T, F) if make is distributed else (T, F)))
    expected = model.predict(x, verbose=0)
    close(ours.predict(x, verbose=0), expected, atol=1e-5)
    assert {layer.engine_used for layer in lstms(ours)} == {FASTEST}

    target = keras.tree.map_structure(np.zeros_like, expected)
    losses = []
    for trained in (model, ours):
        trained.compile(keras.optimizers.SGD(0.1), "mse")
        losses.append(trained.train_on_batch(x, target))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    close(ours.get_weights(), model.get_weights(), atol=1e-5)
    assert list(model._flatten_layers()) == before
    weights = model.get_weights()
    ours.set_weights([np.zeros_like(weight) for weight in weights])
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_compiled_model_stays_compiled_and_its_optimizer_starts_anew():
    model = sequential()
    x, y = normal(B, T, F), normal(B, 2)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    ours = convert(model)
    assert int(ours.optimizer.iterations) == 0
    np.testing.assert_allclose(
        ours.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-5
    )


def test_an_engine_can_be_changed_later():
    ours = convert(convert(sequential(), engine="scan"), engine="auto")
    assert [layer.engine for layer in lstms(ours)] == ["auto"]
    models = refold.models.default(["numeric"], latent_dim=2, max_steps=4, units=8)
    scans = convert(models.autoencoder, engine="scan")
    assert {layer.engine for layer in lstms(scans)} == {"scan"}
    x = normal(B, 4, 1)
    close(scans.predict(x, verbose=0), models.autoencoder.predict(x, verbose=0), atol=1e-5)


def test_a_converted_model_is_saved_and_loaded(tmp_path):
    ours, x = convert(nested(), engine="scan"), normal(B, T, F)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    assert [layer.engine for layer in lstms(again)] == ["scan"] * len(lstms(ours))
    close(again.predict(x, verbose=0), ours.predict(x, verbose=0), atol=0)
    model = sequential()
    convert(model).save_weights(tmp_path / "ours.weights.h5")
    model.load_weights(tmp_path / "ours.weights.h5")


def test_a_model_that_is_not_built_can_be_converted():
    ours = convert(keras.Sequential([keras.layers.LSTM(H), keras.layers.Dense(1)]))
    assert not ours.built
    assert ours(normal(B, T, F)).shape == (B, 1)


def test_layers_of_other_classes_are_copied():
    class Doubled(keras.layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    class Own(keras.layers.LSTM):
        """A subclass of the LSTM, which may behave differently."""

    model = keras.Sequential(
        [
            keras.Input((T, F)),
            Doubled(4),
            Own(H, return_sequences=True),
            keras.layers.LSTM(H),
        ]
    )
    ours = convert(model)
    assert [type(layer) for layer in ours.layers] == [Doubled, Own, LSTM]
    x = normal(B, T, F)
    close(ours(x), model(x), atol=1e-5)


def test_other_state_of_layers_is_copied():
    scale = keras.layers.Normalization()
    x = 3.0 * normal(20, T, F) + 2.0
    scale.adapt(x)
    model = keras.Sequential([keras.Input((T, F)), scale, keras.layers.LSTM(H)])
    close(convert(model).predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


# What cannot be converted


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.LSTM(H)

    def call(self, inputs):
        return self.inner(inputs)


def without_lstm():
    return keras.Sequential([keras.Input((F,)), keras.layers.Dense(2)])


def around_a_subclassed_model():
    x = keras.Input((T, F))
    return keras.Model(x, Subclassed()(x))


class DoubledFunctional(keras.Model):
    def __init__(self, units, **options):
        x = keras.Input((T, F))
        super().__init__(x, keras.layers.LSTM(units)(x), **options)
        self.units = units

    def call(self, inputs, **options):
        return 2 * super().call(inputs, **options)

    def get_config(self):
        return {"units": self.units}


def shared_with_a_wrapper():
    x, layer = keras.Input((T, F)), keras.layers.LSTM(F, return_sequences=True)
    return keras.Model(x, keras.layers.TimeDistributed(layer)(keras.ops.stack([layer(x), x], 1)))


def with_a_loss_that_keras_does_not_know():
    model = sequential()
    model.compile("adam", loss=own_loss)
    return model


def own_loss(y, y_pred):
    return keras.ops.mean(y - y_pred)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_lstm, "has no keras.layers.LSTM, so there is nothing to convert"),
        (Subclassed, "is a subclassed model, Subclassed, and convert takes Sequential"),
        (around_a_subclassed_model, "is created in the code of another layer or model"),
        (lambda: DoubledFunctional(H), "is a DoubledFunctional, a subclass whose own code"),
        (shared_with_a_wrapper, "shares a layer that Keras would copy as several"),
        (with_a_loss_that_keras_does_not_know, "Keras cannot clone model .*: .*own_loss"),
        (lambda: keras.layers.LSTM(H), "takes a keras.Model. Got LSTM; put a single layer"),
    ],
)
def test_models_that_cannot_be_converted_give_the_reason(make, message):
    with pytest.raises(ParameterError, match=message) as raised:
        convert(make())
    assert len(str(raised.value).splitlines()) == 1


def test_an_unknown_engine_is_refused():
    with pytest.raises(
        ParameterError, match=r"^engine must be one of 'auto', 'fused', 'scan'\. Got 'fast'"
    ):
        convert(sequential(), engine="fast")
