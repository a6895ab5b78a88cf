"""The linear initialization of numeric columns: as good as PCA, also for little or ragged data."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, nmse
from refold.sequences import Scaler, Sequences
from refold.training.initialization._numeric_columns import fit_linear_initialization
from small_data import fit_without_training


def walks(n, steps=20, columns=2, seed=0, lengths=None):
    """Draw smooth random series as sums of sines and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)[None, :, None, None] / steps
    waves = np.sin(2 * np.pi * (1 + np.arange(6)) * time + np.arange(columns)[:, None])
    amplitudes = rng.normal(size=(n, 1, 1, 6)) / (1 + np.arange(6))
    values = (waves * amplitudes).sum(axis=-1) + 0.1 * rng.normal(size=(n, steps, columns))
    if lengths is None:
        return Sequences.from_list(list(values))
    return Sequences.from_list([row[:length] for row, length in zip(values, lengths, strict=True)])


def reconstructed(init, scaled, columns=(0, 1)):
    """Encode and decode standardized values with an initialization that is told the lengths."""
    steps = len(init.decoder_bias)
    rows = []
    for series in scaled.to_list():
        filled = np.zeros((steps, len(columns)))
        filled[: len(series)] = np.nan_to_num(np.asarray(series).reshape(-1, len(columns)))[:steps]
        code = np.einsum("tc,tcd->d", filled, init.encoder) + init.encoder_bias
        rows.append((np.einsum("d,dtc->tc", code, init.decoder) + init.decoder_bias)[: len(series)])
    return Sequences.from_list(rows)


def errors(train_split, test_split, latent_dim):
    """Return the held-out error of an initialization, and of principal components."""
    scaler = Scaler.fit(train_split, mode="features")
    columns = list(range(train_split.schema.num_columns))
    scaled, steps = scaler.transform(train_split), int(train_split.lengths.max())
    init = fit_linear_initialization(scaled, columns, latent_dim, steps, seed=0)
    decoded = reconstructed(init, scaler.transform(test_split), columns)
    decoded = scaler.inverse_transform(decoded.convert_to_schema(test_split.schema))
    by_pca = PCABaseline(latent_dim).fit(train_split).reconstruct(test_split)
    return nmse(test_split, decoded, scaler), nmse(test_split, by_pca, scaler)


def test_for_equal_lengths_the_initialization_is_that_of_principal_components():
    error, pca_error = errors(walks(200), walks(100, seed=1), 8)
    assert error == pytest.approx(pca_error, rel=0.01)
    error, pca_error = errors(walks(12), walks(200, seed=1), 11)  # as many components as there are
    assert error < 1.05 * pca_error


def test_for_ragged_data_it_is_at_least_as_good_as_principal_components():
    ratios = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        splits = [walks(k, seed=k + 1000 * seed, lengths=rng.integers(3, 21, k)) for k in (12, 200)]
        error, pca_error = errors(*splits, latent_dim=6)
        ratios.append(error / pca_error)
    assert np.median(ratios) < 1.02
    assert np.mean(ratios) < 1.05


def test_missing_values_do_not_count_as_zeros():
    rng = np.random.default_rng(0)
    splits = []
    for full in (walks(300), walks(100, seed=1)):
        holes = full.values.copy()
        holes[rng.random(holes.shape) < 0.3] = np.nan
        splits.append(full.with_values(holes))
    error, pca_error = errors(*splits, latent_dim=6)
    assert error < 0.9 * pca_error


def pulses(n, *, seed=0, noise=0.1):
    """Return pulses of one shape at random times, with noise."""
    rng = np.random.default_rng(seed)
    pulse = np.exp(-(((np.arange(60) - rng.uniform(10, 50, (n, 1))) / 4) ** 2))
    return Sequences.from_list(list(pulse + noise * rng.standard_normal(pulse.shape)))


@pytest.mark.parametrize(("latent_dim", "ratio"), [(4, 0.95), (12, 0.5)])
def test_pulses_at_random_times_need_fewer_sequences(latent_dim, ratio):
    error, pca_error = errors(pulses(20), pulses(200, seed=1, noise=0), latent_dim)
    assert error < ratio * pca_error


def test_training_improves_on_the_initialization():
    """Components need many dimensions for varying frequencies."""
    rng = np.random.default_rng(0)
    frequencies = rng.uniform(0.1, 0.6, (250, 1))
    waves = np.sin(frequencies * np.arange(30) + rng.uniform(-1, 1, (250, 1)))
    data = Sequences.from_list(list(waves))
    options = {"units": 16, "max_epochs": 40, "refit": False, "latent_steps": 0, "random_state": 0}
    ae = SequenceAutoencoder(2, **options).fit(data[:200])
    error = nmse(data[200:], ae.reconstruct(data[200:]), ae.scaler_)
    baseline = PCABaseline(2).fit(data[:200])
    assert error < 0.6 * nmse(data[200:], baseline.reconstruct(data[200:]), ae.scaler_)


@pytest.mark.parametrize(("n", "ratio"), [(150, 0.5), (12, 1.01)])
def test_codes_by_length_are_better_if_there_are_enough_series(n, ratio):
    """With a dimension for the length, the linear maps of the others may depend on it."""
    rng = np.random.default_rng(0)
    training, test = (
        walks(k, seed=seed, lengths=rng.integers(3, 21, k)) for seed, k in enumerate((n, 150))
    )
    by_length, without_length = (
        nmse(test, ae.inverse_transform(ae.transform(test), test.lengths), ae.error_scaler_)
        for ae in (
            fit_without_training(training, latent_dim=6 + dim, length_dim=dim) for dim in (1, 0)
        )
    )
    assert by_length < ratio * without_length
