"""The linear initialization is as good as principal components, also for little data."""

import warnings

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, nmse
from refold.sequences import Scaler, Sequences
from refold.training.initialization._linear_weights import (
    has_linear_path,
    set_linear_initialization,
)
from refold.training.initialization._numeric_columns import linear_initialization
from training.small import (
    CASES,
    batches,
    network,
    part,
    same,
    sequences,
    settings,
    train,
    weights,
)


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
    baseline = PCABaseline(latent_dim).fit(train_split)
    return nmse(test_split, back, scaler), nmse(
        test_split, baseline.reconstruct(test_split), scaler
    )


@pytest.mark.parametrize("latent_dim", [1, 4, 8])
def test_for_equal_lengths_the_initialization_is_that_of_principal_components(latent_dim):
    ours, theirs = errors(walks(200), walks(100, seed=1), latent_dim)
    assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize(
    "n", [12, pytest.param(30, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.slow)]
)
def test_for_ragged_data_it_is_at_least_as_good_as_principal_components(n):
    ratios = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        given = [walks(k, seed=k + 1000 * seed, lengths=rng.integers(3, 21, k)) for k in (n, 200)]
        ours, theirs = errors(*given, latent_dim=6)
        ratios.append(ours / theirs)
    assert np.median(ratios) < 1.02
    assert np.mean(ratios) < 1.05


def test_codes_with_more_dimensions_than_sequences():
    scaled = Scaler.fit(walks(12), mode="features").transform(walks(12))
    start = linear_initialization(scaled, [0, 1], 16, 20, seed=0)
    assert start.share < 1
    ours, theirs = errors(walks(12), walks(200, seed=1), 11)
    assert ours < 1.05 * theirs


def test_missing_values_do_not_count_as_zeros():
    rng = np.random.default_rng(0)
    given = []
    for full in (walks(300), walks(100, seed=1)):
        holes = full.values.copy()
        holes[rng.random(holes.shape) < 0.3] = np.nan
        given.append(full.with_values(holes))
    ours, theirs = errors(*given, latent_dim=6)
    assert ours < 0.9 * theirs


def test_codes_are_standardized():
    scaled = Scaler.fit(walks(50), mode="features").transform(walks(50))
    start = linear_initialization(scaled, [0, 1], 5, 20, seed=0)
    flat = scaled.values.reshape(50, 20, 2)
    codes = np.einsum("ntc,tcd->nd", flat, start.encoder) + start.encoder_bias
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(codes.std(axis=0, ddof=1), 1.0, rtol=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        [np.zeros((4, 1))] * 3,
        [np.ones((1, 1))],
        [np.ones((5, 1)), np.zeros((0, 1))],
        [np.full((3, 1), np.nan), np.ones((2, 1))],
        [np.arange(4.0)[:, None], 1e6 * np.arange(4.0)[:, None]],
    ],
    ids=["constant", "one", "empty", "missing", "large"],
)
def test_few_and_unusual_sequences_give_finite_weights(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        start = linear_initialization(Sequences.from_list(values), [0], 3, 5, seed=0)
    for array in [*vars(start).values()][:7]:
        assert np.isfinite(array).all()


def test_a_constant_level_does_not_count_as_variance():
    scaled = Scaler.fit(walks(50), mode="features").transform(walks(50))
    start = linear_initialization(scaled, [0, 1], 16, 20, seed=0)
    raised = linear_initialization(scaled.with_values(scaled.values + 1e3), [0, 1], 16, 20, seed=0)
    np.testing.assert_allclose(raised.residual, start.residual, rtol=0.05)
    assert raised.share == pytest.approx(start.share, rel=0.1)


def test_constant_data_explains_no_share():
    for value in (0.0, 0.1, 1013.0):
        constant = Sequences.from_list([np.full((n, 1), value) for n in (3, 5, 5, 4)])
        assert linear_initialization(constant, [0], 2, 5, seed=0).share == 1.0


# In a network


def test_an_initialized_network_agrees_with_its_linear_path():
    case = CASES["numeric"]
    net, data = network(case), sequences(case)
    assert has_linear_path(net)
    assert set_linear_initialization(net, data, seed=0)
    columns = list(range(data.schema.num_columns))
    start = linear_initialization(data, columns, 4, 7, seed=0)
    expected = reconstructed(start, data, columns)
    x, _ = case.data(24)
    got = np.asarray(net.models.autoencoder.predict(x, verbose=0))
    for row, (one, length) in enumerate(zip(expected.to_list(), data.lengths, strict=True)):
        np.testing.assert_allclose(
            got[row, :length], np.asarray(one).reshape(length, len(columns)), atol=1e-4
        )


def trained(*, refit, **changes):
    case, held_out = CASES["numeric"], [2, 5, 11]
    data, net = sequences(case), network(case)
    rows = np.setdiff1d(np.arange(24), held_out)

    def part_of(phase):
        return part(data, rows, held_out) if phase == "validated" else part(data)

    def begin(phase):
        return set_linear_initialization(net, data[rows] if phase == "validated" else data, seed=0)

    given = settings(**changes)
    outcome = train(net, part_of, batches(data), given, initialize=begin, refit=refit)
    return net, outcome, data, rows


@pytest.mark.parametrize("refit", [False, True])
def test_an_initialization_that_training_does_not_improve_is_kept(refit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        net, outcome, data, rows = trained(refit=refit, learning_rate=1e3, max_epochs=4)
    assert outcome.epoch == 0
    alone = network(CASES["numeric"])
    set_linear_initialization(alone, data if refit else data[rows], seed=0)
    assert same(weights(net), weights(alone))


def test_training_improves_on_the_initialization():
    """Components need many dimensions for varying frequencies."""
    rng = np.random.default_rng(0)
    frequencies = rng.uniform(0.1, 0.6, (250, 1))
    waves = np.sin(frequencies * np.arange(30) + rng.uniform(-1, 1, (250, 1)))
    data = Sequences.from_list(list(waves))
    options = {"units": 16, "max_epochs": 40, "refit": False, "latent_steps": 0, "random_state": 0}
    ae = SequenceAutoencoder(2, **options)
    ae.fit(data[:200])
    ours = nmse(data[200:], ae.reconstruct(data[200:]), ae.scaler_)
    baseline = PCABaseline(2).fit(data[:200])
    assert ours < 0.6 * nmse(data[200:], baseline.reconstruct(data[200:]), ae.scaler_)
