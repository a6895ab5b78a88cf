"""The classic models agree with plain Keras models, and run as in the question."""

import keras
import numpy as np
import pytest
from keras import Input, Model
from keras.layers import LSTM, Dense, RepeatVector, Reshape, TimeDistributed

from refold.errors import ParameterError
from refold.models import classic


def question_data(n=1200, steps=10, symbols=5, seed=0):
    """Return one-hot rows followed by zeros, as in the question's array of shape (1200, 10, 5)."""
    rng = np.random.default_rng(seed)
    rows = np.eye(symbols, dtype="float32")[rng.integers(symbols, size=(n, steps))]
    lengths = rng.integers(0, steps + 1, size=n)
    return rows * (np.arange(steps) < lengths[:, None])[..., None]


def ramps():
    """Return four ramps of unequal length, padded with zeros to 9 steps."""
    x = np.zeros((4, 9, 1), "float32")
    for i, length in enumerate([9, 7, 5, 3]):
        x[i, :length, 0] = np.arange(1, length + 1) / 10
    return x


def plain_reshape():
    inputs, code = Input((10, 5)), Input((20,))
    decoded = LSTM(5, return_sequences=True)(Reshape((10, 2))(code))
    return Model(inputs, LSTM(20)(inputs)), Model(code, decoded)


def plain_dense():
    inputs, code = Input((10, 5)), Input((20,))
    decoded = Reshape((10, 5))(LSTM(50)(Reshape((10, 2))(code)))
    return Model(inputs, LSTM(20)(inputs)), Model(code, decoded)


def plain_repeat():
    inputs, code = Input((9, 1)), Input((2,))
    decoded = LSTM(100, activation="relu", return_sequences=True)(RepeatVector(9)(code))
    decoded = TimeDistributed(Dense(1))(decoded)
    return Model(inputs, LSTM(2, activation="relu")(inputs)), Model(code, decoded)


PAIRS = {
    "reshape": (classic.reshape, plain_reshape, (10, 5)),
    "dense": (classic.dense, plain_dense, (10, 5)),
    "repeat": (classic.repeat, plain_repeat, (9, 1)),
}
PARAMETERS = {"reshape": 2080 + 160, "dense": 2080 + 10600, "repeat": 32 + 41200 + 101}


def column_types(model):
    return [
        next(cls.__name__ for cls in type(layer).__mro__ if cls.__module__.startswith("keras."))
        for layer in model.layers
    ]


@pytest.fixture(autouse=True)
def _seed():
    # With relu, both units of the second answer's encoder are dead for half of the seeds.
    keras.utils.set_random_seed(1)


@pytest.mark.parametrize("name", PAIRS)
def test_layers_weights_and_results_agree_with_plain_keras(name):
    build, plain, shape = PAIRS[name]
    models, (encoder, decoder) = build(), plain()
    assert models.autoencoder.count_params() == PARAMETERS[name]
    for ours, theirs in ((models.encoder, encoder), (models.decoder, decoder)):
        assert column_types(ours) == column_types(theirs)
        for mine, reference in zip(ours.layers, theirs.layers, strict=True):
            for key in ("units", "activation", "return_sequences", "target_shape", "n"):
                assert mine.get_config().get(key) == reference.get_config().get(key), key
        theirs.set_weights(ours.get_weights())
    x = np.random.default_rng(0).random((7, *shape), dtype="float32")
    expected = Model(encoder.inputs, decoder(encoder.outputs[0])).predict(x, verbose=0)
    np.testing.assert_allclose(models.autoencoder.predict(x, verbose=0), expected, atol=1e-6)
    decoded = models.decoder.predict(models.encoder.predict(x, verbose=0), verbose=0)
    np.testing.assert_allclose(decoded, expected, atol=1e-6)


def test_next_element_is_plain_keras_with_two_decoders(tmp_path):
    models = classic.next_element()
    inputs = Input((9, 1))
    code = LSTM(2, activation="relu")(inputs)
    outputs = [
        TimeDistributed(Dense(1))(
            LSTM(100, activation="relu", return_sequences=True)(RepeatVector(n)(code))
        )
        for n in (9, 8)
    ]
    plain = Model(inputs, outputs)
    assert models.autoencoder.count_params() == plain.count_params() == 32 + 2 * 41301
    x = ramps()
    models.autoencoder.compile(optimizer="adam", loss="mse")
    fitted = models.autoencoder.fit(x, [x, x[:, 1:]], epochs=60, verbose=0)
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    models.autoencoder.save(tmp_path / "both.keras")
    both = keras.models.load_model(tmp_path / "both.keras").predict(x, verbose=0)
    code = models.encoder.predict(x, verbose=0)
    for decoder, written, n in zip((models.decoder, models.predictor), both, (9, 8), strict=True):
        assert column_types(decoder) == ["InputLayer", "RepeatVector", "LSTM", "TimeDistributed"]
        assert decoder.output_shape == (None, n, 1)
        np.testing.assert_allclose(decoder.predict(code, verbose=0), written, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "output", "data", "loss"),
    [
        (classic.reshape, "sigmoid", question_data(), "binary_crossentropy"),
        (classic.dense, "sigmoid", question_data(), "binary_crossentropy"),
        (classic.reshape, "tanh", question_data(), "binary_crossentropy"),  # as in the question
        (classic.repeat, None, ramps(), "mse"),
    ],
)
def test_the_code_of_the_question_trains_and_shares_weights(build, output, data, loss):
    models = build(output_activation=output)
    before = models.encoder.predict(data[:4], verbose=0)
    models.autoencoder.compile(loss=loss, optimizer="adam", metrics=["accuracy"])
    epochs = 6 if len(data) > 4 else 60
    history = models.autoencoder.fit(data, data, batch_size=100, epochs=epochs, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert np.abs(models.encoder.predict(data[:4], verbose=0) - before).max() > 1e-3
    if output == "sigmoid":
        assert models.autoencoder.predict(data[:4], verbose=0).min() >= 0


@pytest.mark.parametrize("build", [classic.reshape, classic.dense, classic.repeat])
def test_stacked_encoder_uses_every_lstm(build):
    models = build(encoder_units=(12, 8))
    stack = models.encoder.layers[1:]
    assert [layer.units for layer in stack] == [12, 8, models.encoder.output_shape[-1]]
    assert [layer.return_sequences for layer in stack] == [True, True, False]


@pytest.mark.parametrize(
    ("code_steps", "shape"), [(1, (1, 20)), (5, (5, 4)), (10, (10, 2)), (20, (20, 1))]
)
@pytest.mark.parametrize("build", [classic.reshape, classic.dense])
def test_code_is_read_in_any_shape(build, code_steps, shape):
    models = build(code_steps=code_steps)
    assert models.decoder.layers[1].output.shape[1:] == shape
    assert models.decoder.output_shape == (None, 10, 5)
    assert models.autoencoder.output_shape == (None, 10, 5)


def test_activations_are_arguments():
    models = classic.dense(encoder_activation="relu", output_activation="sigmoid")
    assert models.encoder.layers[-1].activation is keras.activations.relu
    assert models.decoder.get_layer("decoder_lstm").activation is keras.activations.sigmoid
    models = classic.repeat(activation="tanh", output_activation="sigmoid")
    assert models.decoder.get_layer("decoder_lstm").activation is keras.activations.tanh
    dense = models.decoder.get_layer("each_step").layer
    assert dense.activation is keras.activations.sigmoid


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (classic.reshape, {"latent_dim": 21}, "latent_dim must be a multiple .* 10. Got 21"),
        (classic.dense, {"code_steps": 3}, "latent_dim must be a multiple .* 3. Got 20"),
        (classic.reshape, {"code_steps": 4}, "A code of 4 steps cannot write 10 steps"),
        (classic.reshape, {"latent_dim": 0}, "latent_dim must be a positive integer. Got 0"),
        (classic.dense, {"steps": -1}, "steps must be a positive integer. Got -1"),
        (classic.repeat, {"units": "many"}, "units must be a positive integer. Got 'many'"),
        (classic.repeat, {"encoder_units": (8, 0)}, r"encoder_units\[1\] must be a positive"),
        (classic.next_element, {"steps": 1}, "steps must be an integer of at least 2. Got 1"),
    ],
)
def test_bad_arguments_are_named(build, arguments, message):
    with pytest.raises(ParameterError, match=message):
        build(**arguments)
