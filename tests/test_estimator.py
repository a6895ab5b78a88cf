"""The behavior of `SequenceAutoencoder`."""

import functools
import pickle

import keras
import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder, Sequences
from refold.errors import DataError, ParameterError
from refold.layers import LSTM, PaddingMask
from refold.network.keras.build import to_keras_network
from refold.sequences import Scaler
from small_data import TINY, fit_without_training

TINY = TINY | {"max_epochs": 2, "refit": False}
# Validation would need another compiled program.
UNVALIDATED = TINY | {"validation_fraction": 0}


def draw_ragged_sequences(n=24, features=2, seed=0, longest=6):
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, (length % (longest + 1), features)) for length in range(n)]


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY).fit(draw_ragged_sequences())


def test_codes_have_one_size_and_sequences_their_own_lengths(fitted):
    codes = fitted.transform(draw_ragged_sequences())
    assert codes.shape == (24, 3)
    assert codes.dtype == np.float32
    assert np.array_equal(codes, fitted.encode(draw_ragged_sequences()))
    decoded = fitted.inverse_transform(X=codes)
    assert isinstance(decoded, list)
    assert all(b.ndim == 2 and b.shape[1] == 2 for b in decoded)
    assert [len(b) for b in fitted.decode(codes, np.arange(24) % 7)] == [i % 7 for i in range(24)]


def test_keras_models_agree_with_the_estimator(fitted):
    sequences = Sequences.from_list(draw_ragged_sequences())
    x = fitted.encoder_inputs(sequences)
    codes = fitted.transform(sequences)
    assert (np.isnan(x[..., 0]).sum(axis=1) == 6 - sequences.lengths).all()
    for inputs in (x, fitted.encoder_inputs(draw_ragged_sequences(), 20)):
        assert np.allclose(fitted.encoder_.predict(inputs, verbose=0), codes, atol=1e-6)
    assert fitted.autoencoder_.predict(x, verbose=0).shape == (24, 6, 2)
    assert (fitted.max_steps_, fitted.n_features_in_) == (6, 2)
    models = [fitted.encoder_, fitted.decoder_]
    variables = [*models[0].trainable_variables, *models[1].trainable_variables]
    variables += to_keras_network(fitted.model_.network).length_predictor.trainable_variables
    assert fitted.n_parameters_ == sum(variable.value.size for variable in variables)


def test_errors_are_measured_in_units_of_the_training_data():
    ae = fit_without_training(draw_ragged_sequences(), scale=None)
    expected = Scaler.fit(Sequences.from_list(draw_ragged_sequences()))
    np.testing.assert_allclose(ae.error_scaler_.mean_, expected.mean_, rtol=1e-5)
    np.testing.assert_allclose(ae.error_scaler_.scale_, expected.scale_, rtol=1e-5)
    assert np.array_equal(ae.scaler_.scale_, [1, 1])


def test_the_seed_makes_fits_reproducible():
    # binary data has no linear initialization, so codes depend on the random weights
    data = [sequence > 5 for sequence in draw_ragged_sequences()]
    options = [TINY | {"refit": True, "random_state": seed} for seed in (0, 0, 1)]
    codes = [SequenceAutoencoder(**settings).fit_transform(data) for settings in options]
    assert np.array_equal(*codes[:2])
    assert np.abs(codes[2] - codes[0]).max() > 1e-3


def test_moving_ones_are_reconstructed_exactly():
    """A short training on the question's sequences reconstructs most of them."""
    train, test = (refold.datasets.moving_ones(n, seed=n) for n in (600, 200))
    options = {"latent_dim": 4, "units": 32, "max_epochs": 40, "latent_steps": 0}
    ae = SequenceAutoencoder(**options, refit=False, random_state=0).fit(train)
    assert ae.score(test) > 0.95


@pytest.mark.parametrize(
    ("sequences", "unseen"),
    [
        (["abba", "cab", "", "b"] * 6, "baz"),
        ([["go", "stop", "stop", "go"], ["wait", "go", "stop"], [], ["stop"]] * 6, ["run", "go"]),
    ],
    ids=["characters", "tokens"],
)
def test_categorical_sequences_keep_their_type(sequences, unseen):
    ae = SequenceAutoencoder(**TINY).fit(sequences)
    decoded = ae.reconstruct(sequences)
    assert all(type(b) is type(s) for b, s in zip(decoded, sequences, strict=True))
    assert {x for s in decoded for x in s} <= {x for s in sequences for x in s}
    assert 0.0 <= ae.score(sequences) <= 1.0
    assert np.isfinite(ae.features(ae.transform(sequences))).all()
    with pytest.warns(UserWarning, match=r"[Uu]nknown"):
        assert np.isfinite(ae.transform([unseen])).all()


def test_missing_values_differ_from_any_value(fitted):
    sequences = draw_ragged_sequences()
    rng = np.random.default_rng(3)
    for sequence in sequences:
        sequence[rng.random(sequence.shape) < 0.2] = np.nan
    sequences[7][:] = np.nan  # real steps without observed values
    # Without validation, the trained weights are kept.
    ae = SequenceAutoencoder(**UNVALIDATED).fit(sequences)
    assert ae.encoder_.input_shape == (None, None, 4)
    assert all(np.isfinite(b).all() for b in ae.reconstruct(sequences))
    missing, mean = np.full((1, 2), np.nan), ae.scaler_.mean_[None]
    assert np.abs(ae.transform([missing]) - ae.transform([mean])).max() > 1e-4
    gap = draw_ragged_sequences()[5].copy()
    gap[1, 0] = np.nan
    with pytest.warns(UserWarning, match="1 value is missing, and the model was fitted on data"):
        assert np.isfinite(fitted.transform([gap])).all()


def test_scale_by_sequence_keeps_level_and_spread():
    rng = np.random.default_rng(0)
    ragged = draw_ragged_sequences()
    sequences = [rng.normal(0, 100) + rng.uniform(0.3, 15) * (s - 5) for s in ragged]
    ae = fit_without_training(sequences, scale="sequence")
    codes = ae.transform(sequences)
    assert codes.shape == (24, 3 + 2 * 2)
    decoded = ae.decode(codes, [6] * 24)
    pairs = [(b.mean(), s.mean()) for b, s in zip(decoded, sequences, strict=True) if len(s)]
    assert np.corrcoef(np.transpose(pairs))[0, 1] > 0.98
    assert len(ae.get_feature_names_out()) == 7


# Other architectures


@pytest.mark.parametrize("architecture", ["repeat", "reshape", "dense"])
def test_classic_architectures(architecture, tmp_path):
    x = refold.datasets.random_one_hot(60, steps=4, categories=3, seed=0)
    ae = SequenceAutoencoder(**UNVALIDATED | {"latent_dim": 8}, architecture=architecture).fit(x)
    assert ae.transform(x).shape == (60, 8)
    assert [b.shape for b in ae.reconstruct(x[:2])] == [(4, 3)] * 2
    assert np.isfinite(ae.features(ae.transform(x))).all()
    ae.save(tmp_path / "classic.refold")
    for loaded in (refold.load(tmp_path / "classic.refold"), pickle.loads(pickle.dumps(ae))):  # noqa: S301
        assert np.array_equal(loaded.encode(x), ae.transform(x))
    assert ae.decode(ae.transform(x[:1]), [2])[0].shape == (2, 3)
    with pytest.raises(DataError, match=r"sequence 1 has length 9, and architecture="):
        ae.transform([np.eye(3), np.eye(3)[[0] * 9]])
    with pytest.raises(DataError, match=r"writes at most 4 steps\. Got the length 5"):
        ae.decode(ae.transform(x[:1]), [5])
    with pytest.raises(ParameterError, match=r"num_steps is 20, but this encoder reads 4 steps"):
        ae.encoder_inputs(x, 20)


def test_architectures_refuse_what_they_cannot_read():
    full = [np.random.default_rng(0).normal(size=(5, 2))] * 6
    gaps = [np.array([[1.0], [np.nan]])] * 3 + [np.array([[2.0]])] * 3
    for architecture, data, message in (
        ("repeat", draw_ragged_sequences(), "sequence 0 has length 0"),
        ("repeat", ["abc", "b"] * 4, "does not support categorical"),
        ("repeat", gaps, r"not support .* missing values"),
        ("reshape", full, "latent_dim must be a multiple"),
        ("default", [np.zeros((0, 2))] * 5, "sequences are empty"),
        (lambda **sizes: custom_models(**sizes | {"latent_dim": 5}), full, r"width 3\. Got 5"),
        (lambda **_: None, full, "must return an encoder and a decoder"),
    ):
        with pytest.raises((DataError, ParameterError), match=message):
            SequenceAutoencoder(**TINY, architecture=architecture).fit(data)


def custom_models(*, steps, features, outputs, latent_dim, masked=True):
    """Build an encoder that wraps another, and a decoder."""
    x, code = keras.Input((None, features)), keras.Input((latent_dim,))
    lstm = LSTM(latent_dim)
    inner = keras.Model(x, lstm(PaddingMask()(x) if masked else x))
    y = keras.Input((None, features))
    encoder = keras.Model(y, keras.layers.Dense(latent_dim)(inner(y)))
    repeated = keras.layers.RepeatVector(steps)(code)
    return encoder, keras.Model(code, LSTM(outputs, return_sequences=True)(repeated))


def test_a_custom_architecture_that_wraps_an_encoder(tmp_path):
    ae = SequenceAutoencoder(**UNVALIDATED, architecture=custom_models).fit(draw_ragged_sequences())
    codes = ae.transform(draw_ragged_sequences())
    assert codes.shape == (24, 3)
    ae.save(tmp_path / "own.refold")
    loaded = refold.SequenceAutoencoder.load(tmp_path / "own.refold")
    assert np.array_equal(loaded.transform(draw_ragged_sequences()), codes)
    assert loaded.architecture == "custom"
    with pytest.raises(ParameterError, match=r"architecture must be one of .* or a callable"):
        loaded.fit(draw_ragged_sequences())
    with pytest.warns(UserWarning, match="1 of 25 sequences is longer than the longest"):
        longer = ae.transform([*draw_ragged_sequences(), np.ones((50, 2))])[:-1]  # masks still work
    assert np.abs(longer - codes).max() / codes.std(axis=0).min() < 1e-5


def test_an_encoder_without_a_mask_refuses_longer_sequences():
    full = [s for s in draw_ragged_sequences() if len(s)]
    unmasked = functools.partial(custom_models, masked=False)
    ae = SequenceAutoencoder(**UNVALIDATED, architecture=unmasked)
    with pytest.raises(DataError, match="has length 7, and architecture='custom' reads 1 to 6 st"):
        ae.fit(full).transform([*full, np.ones((7, 2))])
