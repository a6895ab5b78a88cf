"""Principal components of few sequences, which are better than PCA for shifted patterns."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from refold.training.data._time_warps import random_delays, time_warped
from refold.training.initialization._principal_components import (
    _MIXTURES,
    _decompose,
    _directions,
    _parts,
    _surrogates,
    principal_components,
)


def shifted_pulses(n, *, seed=0, num_steps=60):
    """Return pulses of one shape at random times."""
    rng = np.random.default_rng(seed)
    steps, middle = np.arange(num_steps), rng.uniform(10, num_steps - 10, (n, 1))
    return np.exp(-(((steps - middle) / 4) ** 2))[..., None]


def noise(n, *, seed=0, num_steps=12, num_columns=2):
    """Return independent values of unequal variance."""
    rng = np.random.default_rng(seed)
    power = np.linspace(0.1, 2, num_steps * num_columns).reshape(num_steps, num_columns)
    return rng.standard_normal((n, num_steps, num_columns)) * power


def full(series):
    return np.full(len(series), series.shape[1])


def error(series, mean, loadings):
    centred = series.reshape(len(series), -1) - mean
    left = centred - centred @ loadings.T @ loadings
    return float((left**2).sum())


def errors(given, held, n_components):
    """Return our held-out error, and that of plain principal components."""
    ours = principal_components(given, full(given), n_components, seed=0)
    pca = PCA(n_components, random_state=0).fit(given.reshape(len(given), -1))
    return error(held, ours.mean, ours.loadings), error(held, pca.mean_, pca.components_)


def noisy_pulses(n, *, seed=0):
    series = shifted_pulses(n, seed=seed)
    return series + 0.1 * np.random.default_rng([seed, 1]).standard_normal(series.shape)


@pytest.mark.parametrize("n_components", [4, 12])
def test_shifted_pulses_need_fewer_sequences(n_components):
    ours, theirs = errors(noisy_pulses(20), shifted_pulses(200, seed=1), n_components)
    assert ours < 0.95 * theirs


def test_there_can_be_more_components_than_sequences():
    given, held = shifted_pulses(8), shifted_pulses(200, seed=1)
    ours = principal_components(given, full(given), 16, seed=0)
    pca = PCA(7).fit(given.reshape(8, -1))
    assert error(held, ours.mean, ours.loadings) < 0.7 * error(held, pca.mean_, pca.components_)


def test_codes_of_held_out_sequences_stay_small():
    given, held = shifted_pulses(8), shifted_pulses(200, seed=1)
    mean, loadings, deviation, *_ = principal_components(given, full(given), 16, seed=0)
    codes = (held.reshape(200, -1) - mean) @ loadings.T / deviation
    assert np.sqrt((codes**2).mean(axis=0)).max() < 10


def test_gaps_do_not_count_as_zeros():
    given = noisy_pulses(30)
    holes = np.random.default_rng(0).random(given.shape) < 0.4
    filled = np.where(holes, 0.0, given)
    found = principal_components(filled, full(given), 4, seed=0, observed=~holes)
    held = shifted_pulses(100, seed=1)
    pca = PCA(4).fit(filled.reshape(30, -1))
    assert error(held, found.mean, found.loadings) < 1.02 * error(held, pca.mean_, pca.components_)


def test_the_estimated_error_is_that_of_new_sequences():
    given, held = noisy_pulses(40), noisy_pulses(400, seed=1)
    found = principal_components(given, full(given), 6, seed=0)
    assert found.held_out_error == pytest.approx(
        error(held, found.mean, found.loadings) / 400, rel=0.3
    )


@pytest.mark.parametrize("n", [40, 400])
def test_without_temporal_structure_they_are_hardly_worse(n):
    ours, theirs = errors(noise(n), noise(300, seed=1), 4)
    assert ours < 1.01 * theirs


def test_many_sequences_give_plain_principal_components():
    given = noise(2000)
    ours = principal_components(given, full(given), 3, seed=0)
    pca = PCA(3).fit(given.reshape(2000, -1))
    np.testing.assert_allclose(np.abs(ours.loadings @ pca.components_.T), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(ours.deviation**2, pca.explained_variance_, rtol=1e-5)


@pytest.mark.parametrize(
    "series",
    [np.zeros((5, 4, 1)), np.ones((5, 4, 2)), noise(1), noise(2), noise(3), np.zeros((4, 1, 1))],
    ids=["zeros", "constant", "one", "two", "three", "one step"],
)
def test_little_data_gives_finite_components(series):
    found = principal_components(series, full(series), 6, seed=0)
    assert found.loadings.shape == (6, series[0].size)
    assert all(np.isfinite(part).all() for part in found[:3])
    assert (found.deviation > 0).all()
    products = found.loadings @ found.loadings.T
    there = found.loadings.any(axis=1)
    np.testing.assert_allclose(products, np.diag(there.astype(float)), atol=1e-6)


def test_the_same_seed_gives_the_same_components():
    given = shifted_pulses(20)
    once, again = (principal_components(given, full(given), 4, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once.loadings, again.loadings)


@pytest.mark.parametrize("num_steps", [1, 12])  # one step has only two real frequencies
def test_surrogates_keep_the_power_and_the_dependence_of_columns(num_steps):
    given = np.repeat(noise(4000, num_steps=num_steps, num_columns=1), 2, axis=2)
    made = _surrogates(given, np.random.default_rng(0))
    np.testing.assert_allclose(made[..., 0], made[..., 1], atol=1e-12)
    # The zeros after a series get half of its power.
    assert 2 * (made**2).mean() == pytest.approx((given**2).mean(), rel=0.05)


def test_a_warp_stays_within_its_sequence():
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 5, 12])
    series = np.where(np.arange(12)[:, None] < lengths[:, None, None], 1.0, 0.0)
    np.testing.assert_allclose(
        time_warped(series, lengths, 50 * random_delays(lengths, 12, rng)), series
    )


def test_random_delays_are_zero_at_both_ends():
    waves = random_delays(np.full(4000, 30), 30, np.random.default_rng(0))
    np.testing.assert_allclose(waves[:, [0, -1]], 0, atol=1e-12)
    assert waves[:, 5:25].std() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("n_components", [3, 40])
def test_decompositions_by_rows_and_by_covariances_agree(n_components):
    series = np.random.default_rng(0).standard_normal((25, 10, 3)).cumsum(axis=1)
    parts = _parts(series, np.full(25, 10), _MIXTURES, seed=0)
    found = list(_directions(parts, n_components, seed=0))
    assert len(found) == len(_MIXTURES)
    for rows, directions in zip(parts.rows(), found, strict=True):
        _, wanted = _decompose(rows, n_components, seed=0)
        assert directions.shape == wanted.shape
        np.testing.assert_allclose(directions.T @ directions, wanted.T @ wanted, atol=1e-9)
