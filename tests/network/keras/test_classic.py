"""The classic models agree with plain Keras models; tests/test_examples.py trains them."""

import keras
import numpy as np
import pytest
from keras import Input, Model
from keras.layers import LSTM, Dense, RepeatVector, Reshape, TimeDistributed

from refold.errors import ParameterError
from refold.models import classic


def keras_reshape():
    inputs, code = Input((10, 5)), Input((20,))
    decoded = LSTM(5, return_sequences=True)(Reshape((10, 2))(code))
    return Model(inputs, LSTM(20)(inputs)), Model(code, decoded)


def keras_dense():
    inputs, code = Input((10, 5)), Input((20,))
    decoded = Reshape((10, 5))(LSTM(50)(Reshape((10, 2))(code)))
    return Model(inputs, LSTM(20)(inputs)), Model(code, decoded)


def keras_repeat():
    inputs, code = Input((9, 1)), Input((2,))
    decoded = LSTM(100, activation="relu", return_sequences=True)(RepeatVector(9)(code))
    decoded = TimeDistributed(Dense(1))(decoded)
    return Model(inputs, LSTM(2, activation="relu")(inputs)), Model(code, decoded)


@pytest.fixture(autouse=True)
def _seed():
    # With relu, both units of the second answer's encoder are dead for half of the seeds.
    keras.utils.set_random_seed(1)


@pytest.mark.parametrize(
    ("build", "build_keras", "shape", "num_parameters"),
    [
        (classic.make_reshape_models, keras_reshape, (10, 5), 2080 + 160),
        (classic.make_dense_models, keras_dense, (10, 5), 2080 + 10600),
        (classic.make_repeat_models, keras_repeat, (9, 1), 32 + 41200 + 101),
    ],
)
def test_weights_and_results_agree_with_plain_keras(build, build_keras, shape, num_parameters):
    models, (encoder, decoder) = build(), build_keras()
    assert models.autoencoder.count_params() == num_parameters
    encoder.set_weights(models.encoder.get_weights())
    decoder.set_weights(models.decoder.get_weights())
    x = np.random.default_rng(0).random((7, *shape), dtype="float32")
    expected = Model(encoder.inputs, decoder(encoder.outputs[0])).predict(x, verbose=0)
    np.testing.assert_allclose(models.autoencoder.predict(x, verbose=0), expected, atol=1e-6)


def test_composite_model_has_two_decoders(tmp_path):
    models = classic.make_composite_models()
    assert models.autoencoder.count_params() == 32 + 2 * 41301
    ramp = np.arange(1, 10, dtype="float32") / 10
    lengths = np.array([[9], [7], [5], [3]])  # of ramps that are padded with zeros
    x = np.where(np.arange(9) < lengths, ramp, 0)[..., None]
    models.autoencoder.compile(optimizer="adam", loss="mse")
    fitted = models.autoencoder.fit(x, [x, x[:, 1:]], epochs=60, verbose=0)
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    models.autoencoder.save(tmp_path / "both.keras")
    outputs_of_both = keras.models.load_model(tmp_path / "both.keras").predict(x, verbose=0)
    code = models.encoder.predict(x, verbose=0)
    for decoder, outputs, n in zip(
        (models.decoder, models.predictor), outputs_of_both, (9, 8), strict=True
    ):
        assert decoder.output_shape == (None, n, 1)
        np.testing.assert_allclose(decoder.predict(code, verbose=0), outputs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("reshape", {"latent_dim": 21}, "latent_dim must be a multiple .* 10, .* Got 21"),
        ("dense", {"steps": -1}, "steps must be a positive integer. Got -1"),
        ("composite", {"steps": 1}, "steps must be an integer of at least 2. Got 1"),
    ],
)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(ParameterError, match=message):
        getattr(classic, f"make_{name}_models")(**arguments)
