"""The masked loss and metrics, and building, saving and showing autoencoders."""

import keras
import numpy as np
import pytest

from forks import server_with_keras
from network.keras.ragged import CASES, STEPS
from refold.errors import ParameterError
from refold.layers import LSTM
from refold.models import autoencoder, default

LOSSES = {
    "mse": lambda y, p: (y - p) ** 2,
    "mae": lambda y, p: np.abs(y - p),
    "binary_crossentropy": lambda y, p: -(y * np.log(p) + (1 - y) * np.log(1 - p)),
    "huber": lambda y, p: np.where(np.abs(y - p) < 1, 0.5 * (y - p) ** 2, np.abs(y - p) - 0.5),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_is_that_by_hand(loss):
    case = CASES["binary" if loss == "binary_crossentropy" else "numeric"]
    models = case.build()
    x, _ = case.data()
    models.autoencoder.compile(keras.optimizers.SGD(0.0), loss, metrics=["mae"])
    y_pred = models.autoencoder.predict(x, verbose=0)
    observed = ~np.isnan(x)
    by_hand = LOSSES[loss](x[observed], y_pred[observed]).mean()
    mae = np.abs(x[observed] - y_pred[observed]).mean()
    history = models.autoencoder.fit(x, x, batch_size=len(x), verbose=0).history
    assert history["loss"][0] == pytest.approx(by_hand, rel=1e-5)
    assert history["mae"][0] == pytest.approx(mae, rel=1e-5)
    assert models.autoencoder.evaluate(x, x, batch_size=len(x), verbose=0) == pytest.approx(
        [by_hand, mae], rel=1e-5
    )


def test_metrics_count_each_observed_value_once_over_batches():
    case = CASES["missing values"]
    models = default(["numeric"] * 2, latent_dim=2, max_steps=STEPS, units=4)
    _, y = case.data()
    x = np.where(np.isnan(y), np.where(np.isnan(y).all(-1, keepdims=True), np.nan, 0.0), y)
    models.autoencoder.compile("adam", "mse", metrics=["mae"])
    y_pred = models.autoencoder.predict(x, verbose=0)
    _, mae = models.autoencoder.evaluate(x, y, batch_size=5, verbose=0)
    assert mae == pytest.approx(np.nanmean(np.abs(y - y_pred)), rel=1e-5)


def test_sample_weights_are_used():
    case = CASES["numeric"]
    models = case.build()
    x, _ = case.data()
    models.autoencoder.compile("adam", "mse")
    weights = np.random.default_rng(0).random(len(x)).astype("float32")
    y_pred = models.autoencoder.predict(x, verbose=0)
    observed = ~np.isnan(x)
    errors = np.where(observed, (np.nan_to_num(x) - y_pred) ** 2, 0.0)
    by_hand = (errors * weights[:, None, None]).sum() / observed.sum()
    given = models.autoencoder.evaluate(x, x, sample_weight=weights, batch_size=len(x), verbose=0)
    assert given == pytest.approx(by_hand, rel=1e-5)


def test_each_column_type_has_its_own_loss():
    case = CASES["mixed"]
    models = case.build()
    x, y = case.data()
    models.autoencoder.compile("adam")
    p = models.autoencoder.predict(x, verbose=0)
    observed = ~np.isnan(y[..., 0])
    y, p = y[observed], p[observed]
    numeric = (y[:, 0] - p[:, 0]) ** 2
    categorical = -np.log(p[np.arange(len(y)), 1 + y[:, 1].astype(int)])
    binary = -(y[:, 2] * np.log(p[:, 4]) + (1 - y[:, 2]) * np.log(1 - p[:, 4]))
    by_hand = np.mean([numeric, categorical, binary])
    x, y = case.data()
    loss = models.autoencoder.evaluate(x, y, batch_size=len(x), verbose=0)
    assert loss == pytest.approx(by_hand, rel=1e-5)
    assert np.allclose(p[:, 1:4].sum(axis=1), 1.0, atol=1e-6)


def test_an_elementwise_loss_does_not_fit_categorical_columns():
    case = CASES["mixed"]
    models = case.build()
    x, y = case.data()
    models.autoencoder.compile("adam", "mse")
    with pytest.raises(ParameterError, match="targets have 3 features and outputs 5"):
        models.autoencoder.evaluate(x, y, verbose=0)


def test_compiling_again_without_a_loss_forgets_the_old_one():
    case = CASES["numeric"]
    models = case.build()
    x, _ = case.data()
    losses = []
    for loss in ("mse", "mae", None):
        models.autoencoder.compile("adam", loss)
        losses.append(models.autoencoder.evaluate(x, x, batch_size=len(x), verbose=0))
    assert losses[2] == pytest.approx(losses[0])
    assert losses[1] != pytest.approx(losses[0])


def save(case, folder, *, trained):
    """Save the models of a case, trained or not compiled, and their predictions."""
    folder.mkdir()
    models = case.build()
    x, y = case.data()
    if trained:
        models.autoencoder.compile("adam")
        models.autoencoder.fit(x, y, verbose=0)
    codes = models.encoder.predict(x, verbose=0)
    np.savez(
        folder / "expected.npz",
        x=x,
        encoder=codes,
        autoencoder=models.autoencoder.predict(x, verbose=0),
        decoder=models.decoder.predict(codes, verbose=0),
    )
    for model in models[:3]:
        model.save(folder / f"{['encoder', 'decoder', 'autoencoder'][models.index(model)]}.keras")


def test_saved_models_load_in_a_fresh_process(tmp_path):
    names = ["deep", "mixed", "own"]
    for name in names:
        save(CASES[name], tmp_path / name, trained=name == "mixed")
    script = f"""
import warnings
warnings.simplefilter("error", UserWarning)
import refold.models, keras, numpy as np
for folder in {[str(tmp_path / name) for name in names]}:
    expected = np.load(folder + "/expected.npz")
    for name, given in (("encoder", "x"), ("autoencoder", "x"), ("decoder", "encoder")):
        model = keras.models.load_model(folder + "/" + name + ".keras")
        y = model.predict(expected[given], verbose=0)
        assert np.array_equal(y, expected[name]), (folder, name)
        print(type(model).__name__)
"""
    done = server_with_keras().run(script)
    assert done.stdout.split().count("Autoencoder") == len(names)


def test_a_saved_model_still_knows_its_columns(tmp_path):
    _, y = CASES["mixed"].data()
    x, code = keras.Input((None, 3)), keras.Input((4,))
    repeated = keras.layers.RepeatVector(STEPS)(code)
    outputs = LSTM(5, return_sequences=True, activation="sigmoid")(repeated)
    model = autoencoder(keras.Model(x, LSTM(4)(x)), keras.Model(code, outputs)).autoencoder
    model.columns = ("numeric", "categorical", "binary"), (0, 3, 0)
    model.compile("adam")
    given = np.nan_to_num(y)
    expected = model.evaluate(given, y, batch_size=len(y), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.columns == model.columns
    assert loaded.evaluate(given, y, batch_size=len(y), verbose=0) == expected


def test_stacked_decoders_use_every_layer():
    decoder = default(["numeric"], latent_dim=3, max_steps=STEPS, units=4, depth=3).decoder
    assert decoder.get_layer("head").input[0] is decoder.get_layer("decoder_3").output
    code = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    before = decoder.predict(code, verbose=0)
    for layer in (decoder.get_layer("decoder_2"), decoder.get_layer("decoder_3")):
        weights = layer.get_weights()
        layer.set_weights([2 * w for w in weights])
        assert np.abs(decoder.predict(code, verbose=0) - before).max() > 1e-4
        layer.set_weights(weights)


def test_decoding_continues_past_the_trained_length():
    models = CASES["numeric"].build()
    code = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    longer = models.unroll.predict([code, np.zeros((2, STEPS + 5, 1))], verbose=0)
    assert longer.shape == (2, STEPS + 5, 3)
    assert np.allclose(longer[:, :STEPS], models.decoder.predict(code, verbose=0), atol=1e-6)


def pair(code=4, decoder_in=4, shape=(STEPS, 2)):
    x, c = keras.Input(shape), keras.Input((decoder_in,))
    out = LSTM(2, return_sequences=True)(keras.layers.RepeatVector(STEPS)(c))
    return keras.Model(x, LSTM(code)(x)), keras.Model(c, out)


def models_of(*, code=4, decoder_in=4, flat=False, outputs=1):
    encoder, decoder = pair(code, decoder_in)
    if flat:
        x = keras.Input((4,))
        encoder = keras.Model(x, keras.layers.Dense(4)(x))
    if outputs == 2:
        encoder = keras.Model(encoder.inputs, [encoder.outputs[0], encoder.outputs[0] + 1.0])
    return encoder, decoder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ("encoder", pair()[1]), r"^encoder must be a keras.Model. Got str"),
        (lambda: (keras.Sequential([LSTM(4)]), pair()[1]), "encoder must be a Functional model"),
        (lambda: models_of(outputs=2), "encoder must have one input and one output. Got 1 and 2"),
        (lambda: models_of(decoder_in=5), r"same shape.* Got \(None, 4\) and \(None, 5\)"),
        (lambda: models_of(flat=True), r"input and the decoder's output must have shape"),
    ],
)
def test_models_that_do_not_fit_together_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        autoencoder(*make())
