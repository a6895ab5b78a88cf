"""The linear initialization of numeric columns: as good as PCA, also for little or ragged data."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, nmse
from refold.models import Specification, build
from refold.network.keras.build import inference_with
from refold.sequences import Scaler, Sequences
from refold.training.initialization._initial_weights import set_linear_initialization
from refold.training.initialization._numeric_columns import (
    decode,
    linear_codec,
    linear_initialization,
)
from refold.training.initialization._principal_components import principal_components


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
    start = linear_initialization(scaled, columns, latent_dim, steps, seed=0)
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


# Principal components


def pulses(n, *, seed=0, num_steps=60, noise=0.1):
    """Return pulses of one shape at random times, with noise."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(10, num_steps - 10, (n, 1))
    pulse = np.exp(-(((np.arange(num_steps) - middle) / 4) ** 2))
    return (pulse + noise * rng.standard_normal(pulse.shape))[..., None]


def components(series, n_components, observed=None):
    lengths = np.full(len(series), series.shape[1])
    observed = np.full(series.shape, True) if observed is None else observed
    return principal_components(series, lengths, n_components, seed=0, observed=observed)


def error(series, mean, loadings):
    centred = series.reshape(len(series), -1) - mean
    left = centred - centred @ loadings.T @ loadings
    return float((left**2).sum())


@pytest.mark.parametrize(
    ("given", "held", "n_components", "ratio"),
    [
        (pulses(20), pulses(200, seed=1, noise=0), 4, 0.95),
        (pulses(20), pulses(200, seed=1, noise=0), 12, 0.95),
        (pulses(8, noise=0), pulses(200, seed=1, noise=0), 16, 0.7),
    ],
    ids=["few components", "many components", "more components than sequences"],
)
def test_shifted_pulses_need_fewer_sequences(given, held, n_components, ratio):
    ours = components(given, n_components)
    pca = PCA(min(n_components, len(given) - 1), random_state=0).fit(given.reshape(len(given), -1))
    theirs = error(held, pca.mean_, pca.components_)
    assert error(held, ours.mean, ours.loadings) < ratio * theirs


# In a network


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


# The decoding map


@pytest.mark.parametrize("gaps", [False, True])
def test_the_initialization_uses_the_better_map(gaps):
    """A regression overfits few series without gaps, and is needed with gaps."""
    rng, wanted = np.random.default_rng(2), pulses(300, seed=1)
    values = pulses(60 if gaps else 24)
    seen = rng.random(values.shape) < (0.6 if gaps else 1.0)
    start = linear_initialization(
        Sequences.from_list(list(np.where(seen, values, np.nan))), [0], 12, 60, seed=0
    )
    filled = np.where(seen, values, 0.0)
    codec = linear_codec(filled, seen, components(filled, 12, seen))
    maps = {True: codec.by_regression, False: codec.by_components}
    np.testing.assert_allclose(start.decoder, maps[gaps][:-1], atol=1e-5)
    np.testing.assert_allclose(start.decoder_bias, maps[gaps][-1], atol=1e-5)
    held = wanted * (rng.random(wanted.shape) < (0.6 if gaps else 1.0))
    ours, other = (
        ((decode(codec.encode(held), way) - wanted) ** 2).sum()
        for way in (maps[gaps], maps[not gaps])
    )
    assert ours < (1.0 if gaps else 0.95) * other


# Codes by length


@pytest.mark.parametrize(("n", "ragged"), [(150, True), (60, False), (12, True)])
def test_codes_by_length_are_better_on_ragged_series(n, ragged):
    rng = np.random.default_rng(0)
    given, others = (
        walks(k, seed=seed, lengths=rng.integers(3, 21, k) if ragged else None)
        for seed, k in enumerate((n, 150))
    )
    scaler = Scaler.fit(given, mode="features")
    given, others = scaler.transform(given), scaler.transform(others)
    start = linear_initialization(given, [0, 1], 6, 20, seed=0, by_length=True)
    assert (start.lengthwise is not None) == (n == 150)
    sizes = {"latent_dim": 7, "max_steps": 20, "units": 8, "depth": 1, "dropout": 0.0}
    lengths = {"length_mean": 11.0, "length_deviation": 5.0, "length_dim": 1, "by_length": True}
    net = build(Specification("default", ["numeric"] * 2, [0, 0], False, **sizes, **lengths))
    assert set_linear_initialization(net, given, seed=0)
    packed = inference_with(net)
    ours = packed.head.values(packed.decode(packed.encode(others), others.offsets))
    plain = reconstructed(linear_initialization(given, [0, 1], 6, 20, seed=0), others).values
    if n == 150:
        assert ((ours - others.values) ** 2).mean() < 0.9 * ((plain - others.values) ** 2).mean()
    else:
        np.testing.assert_allclose(ours, plain, atol=1e-3)
