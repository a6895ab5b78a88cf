"""Encoders, decoders and autoencoders of all architectures that read ragged data."""

import jax
import keras
import numpy as np
import pytest

from network.keras.ragged import CASES, STEPS
from refold import SequenceAutoencoder
from refold.errors import ParameterError
from refold.layers import LSTM
from refold.models import decode_autoregressively, join_encoder_and_decoder, make_default_models

TOLERANCE = 1e-5
# The number of rows, and a batch size that leaves one row over. All tests use the same sizes,
# because each shape is compiled for each model.
ROWS, BATCH = 13, 4


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def models(case):
    return case.build()


@pytest.fixture
def data(case):
    return case.data(ROWS)


def encode(models, x, **options):
    return models.encoder.predict(x, verbose=0, **options)


def decode(models, codes, x):
    """Decode; an autoregressive decoder is given the previous steps."""
    teacher_forced = len(models.decoder.inputs) == 2
    return models.decoder.predict([codes, x] if teacher_forced else codes, verbose=0)


# Properties of all architectures


def test_codes_do_not_depend_on_padding_and_are_what_the_autoencoder_decodes(models, data):
    x, _ = data
    codes = encode(models, x)
    wider = np.pad(x, ((0, 0), (0, 9), (0, 0)), constant_values=np.nan)
    order = np.random.default_rng(0).permutation(len(x))
    for results in (
        encode(models, wider),
        encode(models, x, batch_size=1),
        encode(models, x, batch_size=BATCH),
        encode(models, x[order])[np.argsort(order)],
    ):
        assert np.abs(results - codes).max() < TOLERANCE * codes.std(axis=0).min()
    decoded = decode(models, codes, x)
    reconstructed = models.autoencoder.predict(x, batch_size=BATCH, verbose=0)
    is_real = ~np.isnan(x).all(axis=-1)
    assert np.max(np.abs(decoded[:, :STEPS] - reconstructed)[is_real]) < TOLERANCE
    assert np.isfinite(reconstructed).all()


def test_an_empty_batch_has_a_finite_gradient(models, data):
    x, y = (np.full_like(array, np.nan) for array in data)
    variables = [v.value for v in models.autoencoder.trainable_variables]
    non_trainable = [v.value for v in models.autoencoder.non_trainable_variables]

    def loss_of(variables):
        y_pred, _ = models.autoencoder.stateless_call(variables, non_trainable, x, training=True)
        return models.autoencoder.compute_loss(x=x, y=y, y_pred=y_pred)

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(variables)
    assert float(loss) == 0.0
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_a_copy_from_the_configuration_has_the_same_layers_and_weights(models):
    for model in (models.encoder, models.decoder):
        config = keras.saving.serialize_keras_object(model)
        loaded = keras.saving.deserialize_keras_object(config)
        assert [w.shape for w in loaded.weights] == [w.shape for w in model.weights]
        for layer, copy in zip(model.layers, loaded.layers, strict=True):
            if type(layer).__module__.startswith("refold."):  # Keras numbers its own anew
                assert copy.get_config() == layer.get_config()


def test_training_the_autoencoder_trains_encoder_and_decoder(tmp_path):
    models, (x, y) = CASES["own"].build(), CASES["own"].data(ROWS)
    codes = encode(models, x)
    decoded = decode(models, codes, x)
    models.autoencoder.compile("adam")
    history = models.autoencoder.fit(x, y, epochs=3, batch_size=BATCH, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    trained = encode(models, x)
    assert np.abs(trained - codes).max() > 1e-5
    assert np.abs(decode(models, codes, x) - decoded).max() > 1e-5
    # tests/test_repository.py loads a model in a fresh process
    models.encoder.save(tmp_path / "encoder.keras")
    encoder = keras.models.load_model(tmp_path / "encoder.keras")
    assert np.array_equal(encoder.predict(x, verbose=0), trained)


def test_losses_and_metrics_are_means_over_observed_values_and_use_weights():
    models, (x, _) = CASES["numeric"].build(), CASES["numeric"].data()
    models.autoencoder.compile(keras.optimizers.SGD(0.0), "huber", metrics=["mae"])
    y_pred = models.autoencoder.predict(x, verbose=0)
    errors = np.abs(x - y_pred)
    huber = np.nan_to_num(np.where(errors < 1, 0.5 * errors**2, errors - 0.5))
    num_observed, mae = np.count_nonzero(~np.isnan(x)), np.nanmean(errors)
    history = models.autoencoder.fit(x, x, batch_size=len(x), verbose=0).history
    expected = [huber.sum() / num_observed, mae]
    assert [history["loss"][0], history["mae"][0]] == pytest.approx(expected, rel=1e-5)
    _, in_batches = models.autoencoder.evaluate(x, x, batch_size=5, verbose=0)
    assert in_batches == pytest.approx(mae, rel=1e-5)
    weights = np.random.default_rng(0).random(len(x)).astype("float32")
    options = {"sample_weight": weights, "batch_size": len(x), "verbose": 0}
    loss, _ = models.autoencoder.evaluate(x, x, **options)
    assert loss == pytest.approx((huber.sum(axis=(1, 2)) @ weights) / num_observed, rel=1e-5)


def test_each_column_type_has_its_own_loss():
    models = CASES["mixed"].build()
    x, y = CASES["mixed"].data()
    models.autoencoder.compile("adam")
    loss = models.autoencoder.evaluate(x, y, batch_size=len(x), verbose=0)
    observed = ~np.isnan(y[..., 0])
    targets, p = y[observed], models.autoencoder.predict(x, verbose=0)[observed]
    numeric = (targets[:, 0] - p[:, 0]) ** 2
    categorical = -np.log(p[np.arange(len(targets)), 1 + targets[:, 1].astype(int)])
    binary = -np.log(np.where(targets[:, 2] == 1, p[:, 4], 1 - p[:, 4]))
    assert loss == pytest.approx(np.mean([numeric, categorical, binary]), rel=1e-5)
    models.autoencoder.compile("adam", "mse")
    with pytest.raises(ParameterError, match="targets have 3 features and outputs 5"):
        models.autoencoder.evaluate(x, y, verbose=0)


# A user's own models


def encoder_and_decoder(code=4, decoder_in=4, shape=(STEPS, 2), activation="tanh", outputs=2):
    x, c = keras.Input(shape), keras.Input((decoder_in,))
    layer = LSTM(outputs, return_sequences=True, activation=activation)
    return keras.Model(x, LSTM(code)(x)), keras.Model(c, layer(keras.layers.RepeatVector(STEPS)(c)))


def test_a_saved_model_still_knows_its_columns(tmp_path):
    _, y = CASES["mixed"].data()
    parts = encoder_and_decoder(shape=(None, 3), activation="sigmoid", outputs=5)
    model = join_encoder_and_decoder(*parts).autoencoder
    model.columns = ("numeric", "categorical", "binary"), (0, 3, 0)
    model.compile("adam")
    expected = model.evaluate(np.nan_to_num(y), y, batch_size=len(y), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.columns == model.columns
    assert loaded.evaluate(np.nan_to_num(y), y, batch_size=len(y), verbose=0) == expected


def with_two_outputs():
    encoder, decoder = encoder_and_decoder()
    code = encoder.outputs[0]
    return keras.Model(encoder.inputs, [code, code + 1.0]), decoder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ("encoder", None), r"^encoder must be a Functional keras.Model.* Got str"),
        (with_two_outputs, r"with one input and one output. Got .* with 1 and 2"),
        (
            lambda: encoder_and_decoder(decoder_in=5),
            r"into \(batch, latent_dim\).* Got .* \(None, 5\) into",
        ),
    ],
)
def test_models_that_do_not_fit_together_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        join_encoder_and_decoder(*make())


@keras.saving.register_keras_serializable("tests")
class Scaled(keras.layers.Layer):
    def __init__(self, factor=1, **options):
        super().__init__(**options)
        self.factor = factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor}

    def call(self, x):
        return x * self.factor


@keras.saving.register_keras_serializable("tests")
class Forgetful(Scaled):
    """A layer with weights whose size is not in its configuration."""

    def get_config(self):
        return {"name": self.name}

    def build(self, shape):
        del shape
        self.extra = self.add_weight(shape=(self.factor,), initializer="ones")


class Unregistered(Scaled):
    pass


def fit_with(layer, *, in_decoder=False):
    def architecture(*, steps, features, outputs, latent_dim):
        x, code = keras.Input((steps, features)), keras.Input((latent_dim,))
        flat = keras.layers.Flatten()(x)
        hidden = keras.layers.Dense(latent_dim)(flat if in_decoder else layer(flat))
        back = keras.layers.Dense(steps * outputs)(layer(code) if in_decoder else code)
        decoder = keras.Model(code, keras.layers.Reshape((steps, outputs))(back))
        return keras.Model(x, hidden), decoder

    x = np.random.default_rng(0).normal(size=(8, 4))
    options = {"latent_dim": 2, "max_epochs": 1, "random_state": 0}
    return SequenceAutoencoder(architecture=architecture, **options).fit(x)


@pytest.mark.parametrize(
    ("make", "role", "reason"),
    [
        (lambda: Unregistered(2), "encoder", "Could not locate class 'Unregistered'"),
        (lambda: Forgetful(3), "decoder", "its copy has other weights"),
    ],
)
def test_own_models_that_could_not_be_loaded_are_refused(make, role, reason):
    message = rf"architecture's {role} could not be.*{reason}.*register_keras_serializable\(\)"
    with pytest.raises(ParameterError, match=message) as raised:
        fit_with(make(), in_decoder=role == "decoder")
    assert "\n" not in str(raised.value)


def test_registered_models_are_trained():
    assert fit_with(Scaled(2.0)).transform(np.ones((2, 4))).shape == (2, 2)


CODES = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


def test_decoded_steps_are_the_predictions_from_the_decoded_steps():
    keras.utils.set_random_seed(1)
    sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8, "decoder": "autoregressive"}
    types = {"column_types": ["numeric", "categorical", "binary"], "num_categories": [0, 3, 0]}
    decoder = make_default_models(**types, **sizes, depth=2).decoder
    rng = np.random.default_rng(1)
    for weight in decoder.trainable_weights:  # so that previous steps have a large effect
        weight.assign(weight + 0.5 * rng.normal(size=weight.shape))
    decoded = decode_autoregressively(decoder, CODES, STEPS)
    steps = np.asarray(decoder.get_layer("head").likeliest(decoded))
    predicted = decoder.predict([CODES, steps], verbose=0)
    assert np.abs(predicted - decoded).max() < TOLERANCE
    # other steps change the outputs of later steps only
    changed = steps.copy()
    changed[:, 3:] = np.roll(steps[:, 3:], 1, axis=0)
    changed_outputs = decoder.predict([CODES, changed], verbose=0)
    assert np.array_equal(changed_outputs[:, :4], predicted[:, :4])
    assert np.abs(changed_outputs[:, 4:] - predicted[:, 4:]).max() > 0.01


def test_other_decoders_are_refused():
    parallel = make_default_models(["numeric"], latent_dim=4, max_steps=STEPS, units=4)
    with pytest.raises(ParameterError, match="needs an autoregressive decoder"):
        decode_autoregressively(parallel.decoder, CODES, STEPS)
    with pytest.raises(ParameterError, match="decoder must be 'parallel' or 'autoregressive'"):
        make_default_models(["numeric"], latent_dim=4, max_steps=STEPS, decoder="forward")
    options = {"decoder": "autoregressive", "cell": "gru"}
    with pytest.raises(ParameterError, match=r"an autoregressive decoder needs .*cell='lstm'"):
        make_default_models(["binary"], latent_dim=4, max_steps=STEPS, **options)
