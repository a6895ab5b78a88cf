"""The linear initialization of numeric columns: as good as PCA, also for little or ragged data."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, nmse
from refold.sequences import Scaler, Sequences
from refold.training.initialization._numeric_columns import (
    fit_linear_initialization,
)
from small_data import untrained


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


def reconstructed(start, scaled, columns=(0, 1)):
    """Encode and decode standardized values with an initialization that is told the lengths."""
    steps = len(start.decoder_bias)
    rows = []
    for one in scaled.to_list():
        filled = np.zeros((steps, len(columns)))
        filled[: len(one)] = np.nan_to_num(np.asarray(one).reshape(-1, len(columns)))[:steps]
        code = np.einsum("tc,tcd->d", filled, start.encoder) + start.encoder_bias
        rows.append((np.einsum("d,dtc->tc", code, start.decoder) + start.decoder_bias)[: len(one)])
    return Sequences.from_list(rows)


def errors(train_split, test_split, latent_dim):
    """Return the held-out error of an initialization, and of principal components."""
    scaler = Scaler.fit(train_split, mode="features")
    columns = list(range(train_split.schema.num_columns))
    scaled, steps = scaler.transform(train_split), int(train_split.lengths.max())
    start = fit_linear_initialization(scaled, columns, latent_dim, steps, seed=0)
    back = scaler.inverse_transform(
        reconstructed(start, scaler.transform(test_split), columns).align(test_split.schema)
    )
    theirs = PCABaseline(latent_dim).fit(train_split).reconstruct(test_split)
    return nmse(test_split, back, scaler), nmse(test_split, theirs, scaler)


def test_for_equal_lengths_the_initialization_is_that_of_principal_components():
    ours, theirs = errors(walks(200), walks(100, seed=1), 8)
    assert ours == pytest.approx(theirs, rel=0.01)
    ours, theirs = errors(walks(12), walks(200, seed=1), 11)  # as many components as there are
    assert ours < 1.05 * theirs


def test_for_ragged_data_it_is_at_least_as_good_as_principal_components():
    ratios = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        given = [walks(k, seed=k + 1000 * seed, lengths=rng.integers(3, 21, k)) for k in (12, 200)]
        ours, theirs = errors(*given, latent_dim=6)
        ratios.append(ours / theirs)
    assert np.median(ratios) < 1.02
    assert np.mean(ratios) < 1.05


def test_missing_values_do_not_count_as_zeros():
    rng = np.random.default_rng(0)
    given = []
    for full in (walks(300), walks(100, seed=1)):
        holes = full.values.copy()
        holes[rng.random(holes.shape) < 0.3] = np.nan
        given.append(full.with_values(holes))
    ours, theirs = errors(*given, latent_dim=6)
    assert ours < 0.9 * theirs


def pulses(n, *, seed=0, noise=0.1):
    """Return pulses of one shape at random times, with noise."""
    rng = np.random.default_rng(seed)
    pulse = np.exp(-(((np.arange(60) - rng.uniform(10, 50, (n, 1))) / 4) ** 2))
    return Sequences.from_list(list(pulse + noise * rng.standard_normal(pulse.shape)))


@pytest.mark.parametrize(("latent_dim", "ratio"), [(4, 0.95), (12, 0.5)])
def test_pulses_at_random_times_need_fewer_sequences(latent_dim, ratio):
    ours, theirs = errors(pulses(20), pulses(200, seed=1, noise=0), latent_dim)
    assert ours < ratio * theirs


def test_training_improves_on_the_initialization():
    """Components need many dimensions for varying frequencies."""
    rng = np.random.default_rng(0)
    frequencies = rng.uniform(0.1, 0.6, (250, 1))
    waves = np.sin(frequencies * np.arange(30) + rng.uniform(-1, 1, (250, 1)))
    data = Sequences.from_list(list(waves))
    options = {"units": 16, "max_epochs": 40, "refit": False, "latent_steps": 0, "random_state": 0}
    ae = SequenceAutoencoder(2, **options).fit(data[:200])
    ours = nmse(data[200:], ae.reconstruct(data[200:]), ae.scaler_)
    baseline = PCABaseline(2).fit(data[:200])
    assert ours < 0.6 * nmse(data[200:], baseline.reconstruct(data[200:]), ae.scaler_)


@pytest.mark.parametrize(("n", "ratio"), [(150, 0.5), (12, 1.01)])
def test_codes_by_length_are_better_if_there_are_enough_series(n, ratio):
    """With a dimension for the length, the linear maps of the others may depend on it."""
    rng = np.random.default_rng(0)
    given, others = (
        walks(k, seed=seed, lengths=rng.integers(3, 21, k)) for seed, k in enumerate((n, 150))
    )
    by_length, plain = (
        nmse(others, ae.inverse_transform(ae.transform(others), others.lengths), ae.error_scaler_)
        for ae in (untrained(given, latent_dim=6 + dim, length_dim=dim) for dim in (1, 0))
    )
    assert by_length < ratio * plain
