"""Properties of all architectures that read ragged data."""

import jax
import numpy as np
import pytest

from network.keras.ragged import COMBINED, STEPS

TOLERANCE = 1e-5
# The number of rows, and a batch size that leaves one row over. All tests use the same sizes,
# because each shape is compiled for each model.
ROWS, BATCH = 13, 4


@pytest.fixture(scope="module", params=COMBINED)
def case(request):
    return COMBINED[request.param]


@pytest.fixture(scope="module")
def models(case):
    return case.build()


@pytest.fixture
def data(case):
    return case.data(ROWS)


@pytest.fixture(scope="module")
def differentiate(models):
    """Return a function for the loss and its gradients by weights and inputs.

    With a row, the gradients are those of the sum of the outputs for this row instead.
    """
    variables = [v.value for v in models.autoencoder.trainable_variables]
    others = [v.value for v in models.autoencoder.non_trainable_variables]

    def outputs(variables, x, y):
        y_pred, _ = models.autoencoder.stateless_call(variables, others, x, training=True)
        return models.autoencoder.compute_loss(x=x, y=y, y_pred=y_pred), y_pred

    @jax.jit
    def pull(x, y, by_loss, by_rows):
        (loss, y_pred), back = jax.vjp(lambda v, x: outputs(v, x, y), variables, x)
        by_outputs = jax.numpy.broadcast_to(by_rows[:, None, None], y_pred.shape)
        return loss, back((by_loss, by_outputs))

    def gradients_of(x, y, row=None):
        by_rows = np.zeros(len(x), "float32")
        if row is not None:
            by_rows[row] = 1.0
        loss, (by_weights, by_inputs) = pull(x, y, np.float32(row is None), by_rows)
        return loss, by_weights, np.asarray(by_inputs)

    return gradients_of


def encode(models, x, **options):
    return models.encoder.predict(x, verbose=0, **options)


def decode(models, codes, x):
    """Decode; an autoregressive decoder is given the previous steps."""
    teacher_forced = len(models.decoder.inputs) == 2
    return models.decoder.predict([codes, x] if teacher_forced else codes, verbose=0)


def differ(codes, others, reference):
    """Return the largest difference in standard deviations of the codes."""
    return np.max(np.abs(codes - others)) / reference.std(axis=0).min()


def test_codes_do_not_depend_on_padding_batches_and_order(models, data):
    x, _ = data
    codes = encode(models, x)
    wider = np.pad(x, ((0, 0), (0, 9), (0, 0)), constant_values=np.nan)
    assert differ(codes, encode(models, wider), codes) < TOLERANCE
    for batch_size in (1, BATCH):
        assert differ(codes, encode(models, x, batch_size=batch_size), codes) < TOLERANCE
    order = np.random.default_rng(0).permutation(len(x))
    assert differ(codes[order], encode(models, x[order]), codes) < TOLERANCE


def test_a_real_step_of_zeros_is_not_padding(models, data):
    x, _ = data
    longer = ~np.isnan(x[:, 2]).all(axis=-1)
    x[:, 3:] = np.nan
    zeros = x.copy()
    zeros[longer, 3] = 0.0
    difference = np.abs(encode(models, zeros) - encode(models, x)).max(axis=1)
    assert np.all(difference[longer] > 1e-4)


def test_the_autoencoder_decodes_the_code_of_the_encoder(models, data):
    x, y = data
    decoded = decode(models, encode(models, x), x)
    reconstructed = models.autoencoder.predict(x, batch_size=BATCH, verbose=0)
    real = ~np.isnan(x).all(axis=-1)
    assert np.max(np.abs(decoded[:, :STEPS] - reconstructed)[real]) < TOLERANCE
    assert np.isfinite(reconstructed).all()
    assert reconstructed.shape[:2] == y.shape[:2]


def test_samples_are_independent(differentiate, data):
    x, y = data
    _, _, gradient = differentiate(np.nan_to_num(x), y, row=1)
    assert np.abs(gradient[1]).max() > 0
    assert not np.delete(gradient, 1, axis=0).any()


def test_empty_sequences_give_a_finite_loss_and_gradient(differentiate, models, data):
    x, y = data
    value, gradients, _ = differentiate(x, y)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    x[:], y[:] = np.nan, np.nan
    value, gradients, _ = differentiate(x, y)
    assert float(value) == 0.0
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.isfinite(encode(models, x)).all()


def test_training_the_autoencoder_trains_encoder_and_decoder(models, data):
    x, y = data
    codes = encode(models, x)
    decoded = decode(models, codes, x)
    before = models.autoencoder.get_weights()
    models.autoencoder.compile("adam")
    try:
        history = models.autoencoder.fit(
            x[:-1], y[:-1], epochs=3, batch_size=(ROWS - 1) // 2, verbose=0
        )
        assert np.isfinite(history.history["loss"]).all()
        assert np.abs(encode(models, x) - codes).max() > 1e-5
        assert np.abs(decode(models, codes, x) - decoded).max() > 1e-5
    finally:
        models.autoencoder.set_weights(before)
