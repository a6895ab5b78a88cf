"""The classic models agree with plain Keras models, and run as in the question."""

import keras
import numpy as np
import pytest
from keras import Input, Model
from keras.layers import LSTM, Dense, RepeatVector, Reshape, TimeDistributed

from forks import server_with_keras
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
    assert column_types(models.encoder) == column_types(encoder)
    assert column_types(models.decoder) == column_types(decoder)
    assert models.encoder.count_params() == encoder.count_params()
    assert models.decoder.count_params() == decoder.count_params()
    assert models.autoencoder.count_params() == PARAMETERS[name]
    for ours, theirs in zip(
        models.encoder.layers + models.decoder.layers, encoder.layers + decoder.layers, strict=True
    ):
        mine, reference = ours.get_config(), theirs.get_config()
        for key in ("units", "activation", "return_sequences", "target_shape", "n"):
            assert mine.get(key) == reference.get(key), (ours.name, key)
    encoder.set_weights(models.encoder.get_weights())
    decoder.set_weights(models.decoder.get_weights())
    x = np.random.default_rng(0).random((7, *shape), dtype="float32")
    autoencoder = Model(encoder.inputs, decoder(encoder.outputs[0]))
    expected = autoencoder.predict(x, verbose=0)
    np.testing.assert_allclose(models.autoencoder.predict(x, verbose=0), expected, atol=1e-6)
    decoded = models.decoder.predict(models.encoder.predict(x, verbose=0), verbose=0)
    np.testing.assert_allclose(decoded, expected, atol=1e-6)


@pytest.mark.parametrize("build", [classic.reshape, classic.dense])
def test_question_code_trains_and_shares_weights(build):
    data = question_data()
    assert data.shape == (1200, 10, 5)
    models = build(output_activation="sigmoid")
    before = models.encoder.predict(data[:5], verbose=0)
    models.autoencoder.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = models.autoencoder.fit(data, data, batch_size=100, epochs=6, verbose=0).history
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert 0 <= history["accuracy"][-1] <= 1
    after = models.encoder.predict(data[:5], verbose=0)
    assert after.shape == (5, 20)
    assert np.abs(after - before).max() > 1e-3
    assert models.autoencoder.predict(data[:5], verbose=0).min() >= 0


def test_the_literal_code_of_the_question_stays_finite():
    data = question_data()
    models = classic.reshape()
    models.autoencoder.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = models.autoencoder.fit(data, data, batch_size=100, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]


def test_second_answer_trains():
    x = ramps()
    models = classic.repeat()
    models.autoencoder.compile(optimizer="adam", loss="mse")
    history = models.autoencoder.fit(x, x, epochs=60, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    assert models.encoder.predict(x, verbose=0).shape == (4, 2)


def test_next_element_is_plain_keras_with_two_decoders():
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
    for decoder, n in ((models.decoder, 9), (models.predictor, 8)):
        assert column_types(decoder) == ["InputLayer", "RepeatVector", "LSTM", "TimeDistributed"]
        assert decoder.output_shape == (None, n, 1)
    x = ramps()
    models.autoencoder.compile(optimizer="adam", loss="mse")
    before = models.encoder.predict(x, verbose=0)
    fitted = models.autoencoder.fit(x, [x, x[:, 1:]], epochs=60, verbose=0)
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    assert np.abs(models.encoder.predict(x, verbose=0) - before).max() > 1e-3
    reconstruction, following = models.autoencoder.predict(x, verbose=0)
    code = models.encoder.predict(x, verbose=0)
    np.testing.assert_allclose(models.decoder.predict(code, verbose=0), reconstruction, atol=1e-6)
    np.testing.assert_allclose(models.predictor.predict(code, verbose=0), following, atol=1e-6)


@pytest.mark.parametrize("build", [classic.reshape, classic.dense, classic.repeat])
def test_stacked_encoder_uses_every_lstm(build):
    models = build(encoder_units=(12, 8))
    stack = models.encoder.layers[1:]
    assert [layer.units for layer in stack] == [12, 8, models.encoder.output_shape[-1]]
    assert [layer.return_sequences for layer in stack] == [True, True, False]
    x = np.random.default_rng(0).random((6, *models.encoder.input_shape[1:]), dtype="float32")
    before = models.encoder.get_weights()
    models.autoencoder.compile(optimizer="sgd", loss="mse")
    models.autoencoder.fit(x, x, epochs=2, verbose=0)
    for old, new in zip(before, models.encoder.get_weights(), strict=True):
        assert np.abs(old - new).max() > 0


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


def test_models_share_nothing():
    first, second = classic.reshape(), classic.reshape()
    x = question_data(n=20)
    before = second.encoder.get_weights()
    first.autoencoder.compile(optimizer="adam", loss="mse")
    first.autoencoder.fit(x, x, verbose=0)
    for old, new in zip(before, second.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_saved_models_load_in_a_fresh_process_that_imported_refold(tmp_path):
    expected = {}
    for name, (build, _, shape) in PAIRS.items():
        models = build()
        x = np.random.default_rng(0).random((3, *shape), dtype="float32")
        np.save(tmp_path / f"{name}-x.npy", x)
        for part in ("encoder", "autoencoder"):
            getattr(models, part).save(tmp_path / f"{name}-{part}.keras")
            expected[f"{name}-{part}"] = getattr(models, part).predict(x, verbose=0)
    program = (
        "import refold.models, keras, pathlib, numpy as np\n"
        f"for path in pathlib.Path({str(tmp_path)!r}).glob('*.keras'):\n"
        "    x = np.load(path.with_name(path.stem.split('-')[0] + '-x.npy'))\n"
        "    model = keras.models.load_model(path)\n"
        "    np.save(path.with_suffix('.npy'), model.predict(x, verbose=0))\n"
    )
    server_with_keras().run(program)
    for stem, y in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{stem}.npy"), y)


def test_next_element_is_saved_and_loaded(tmp_path):
    models = classic.next_element()
    models.autoencoder.save(tmp_path / "both.keras")
    loaded = keras.models.load_model(tmp_path / "both.keras")
    for got, expected in zip(
        loaded.predict(ramps()), models.autoencoder.predict(ramps()), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_names_are_readable_in_summary():
    lines = []
    classic.reshape().decoder.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "code_to_steps" in text
    assert "decoder_lstm" in text
    assert "160" in text


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
        (classic.next_element, {"steps": 1}, "steps must be at least 2"),
    ],
)
def test_bad_arguments_are_named(build, arguments, message):
    with pytest.raises(ParameterError, match=message):
        build(**arguments)
