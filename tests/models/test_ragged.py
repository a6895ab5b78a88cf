"""What holds for every architecture that reads ragged data."""

import jax
import numpy as np
import pytest

from models.ragged import CASES, STEPS

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=[name for name in CASES if name != "binary"])
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def models(case):
    return case.build()


def encode(models, x, **options):
    return models.encoder.predict(x, verbose=0, **options)


def decode(models, codes, x):
    """Decode; an autoregressive decoder is given what came before each step."""
    told = len(models.decoder.inputs) == 2
    return models.decoder.predict([codes, x] if told else codes, verbose=0)


def differ(codes, others, reference):
    """Greatest difference, in deviations of the codes."""
    return np.max(np.abs(codes - others)) / reference.std(axis=0).min()


def test_more_padding_changes_no_code(case, models):
    x, _ = case.data()
    codes = encode(models, x)
    wider = np.pad(x, ((0, 0), (0, 9), (0, 0)), constant_values=np.nan)
    assert differ(codes, encode(models, wider), codes) < TOLERANCE


def test_batch_size_changes_no_code(case, models):
    x, _ = case.data()
    codes = encode(models, x)
    for batch_size in (1, 5):
        assert differ(codes, encode(models, x, batch_size=batch_size), codes) < TOLERANCE


def test_order_changes_no_code(case, models):
    x, _ = case.data()
    codes = encode(models, x)
    order = np.random.default_rng(0).permutation(len(x))
    assert differ(codes[order], encode(models, x[order]), codes) < TOLERANCE


def test_no_row_is_dropped(case, models):
    x, _ = case.data(n=13)
    assert encode(models, x, batch_size=4).shape == (13, 4)
    assert len(models.autoencoder.predict(x, batch_size=4, verbose=0)) == 13


def test_a_real_step_of_zeros_is_not_padding(case, models):
    x, _ = case.data()
    x = x[~np.isnan(x[:, 2]).all(axis=-1)]
    x[:, 3:] = np.nan
    zeros = x.copy()
    zeros[:, 3] = 0.0
    codes = encode(models, x)
    assert np.all(np.abs(encode(models, zeros) - codes).max(axis=1) > 1e-4)


def test_decoding_the_code_is_autoencoding(case, models):
    x, y = case.data()
    decoded = decode(models, encode(models, x), x)
    reconstructed = models.autoencoder.predict(x, verbose=0)
    real = ~np.isnan(x).all(axis=-1)
    assert np.max(np.abs(decoded[:, :STEPS] - reconstructed)[real]) < TOLERANCE
    assert np.isfinite(reconstructed).all()
    assert reconstructed.shape[:2] == y.shape[:2]


def test_no_sample_leaks_into_another(case, models):
    x, _ = case.data(n=4)
    x = np.nan_to_num(x)
    variables = [v.value for v in models.autoencoder.trainable_variables]
    others = [v.value for v in models.autoencoder.non_trainable_variables]

    def outputs(x):
        y, _ = models.autoencoder.stateless_call(variables, others, x, training=True)
        return y[1].sum()

    gradient = np.asarray(jax.jit(jax.grad(outputs))(x))
    assert np.abs(gradient[1]).max() > 0
    assert not gradient[[0, 2, 3]].any()


def test_empty_sequences_give_a_finite_loss_and_gradient(case, models):
    others = [v.value for v in models.autoencoder.non_trainable_variables]

    @jax.jit
    @jax.value_and_grad
    def loss(variables, x, y):
        y_pred, _ = models.autoencoder.stateless_call(variables, others, x, training=True)
        return models.autoencoder.compute_loss(x=x, y=y, y_pred=y_pred)

    variables = [v.value for v in models.autoencoder.trainable_variables]
    x, y = case.data(n=8)
    value, gradients = loss(variables, x, y)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    x[:], y[:] = np.nan, np.nan
    value, gradients = loss(variables, x, y)
    assert float(value) == 0.0
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.isfinite(encode(models, x)).all()


def test_training_the_autoencoder_trains_encoder_and_decoder(case):
    models = case.build()
    x, y = case.data()
    codes = encode(models, x)
    decoded = decode(models, codes, x)
    models.autoencoder.compile("adam")
    history = models.autoencoder.fit(x, y, epochs=3, batch_size=5, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.abs(encode(models, x) - codes).max() > 1e-5
    assert np.abs(decode(models, codes, x) - decoded).max() > 1e-5
