"""Principal components of few sequences, which are better than PCA for shifted patterns."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from refold.training.initialization._principal_components import principal_components


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
