"""Latent dimensions that hold ROCKET features."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.training._choose_latent_dim import resolve_rocket_dim
from small_data import TINY
from training.small import specification_of

TINY = TINY | {"latent_dim": 6, "max_epochs": 2, "validation_fraction": 0}


def waves(n=80, seed=0):
    """Draw slow and fast noisy waves with random phases."""
    rng = np.random.default_rng(seed)
    fast = np.arange(n) % 2
    time = np.arange(50) / 50
    phases = rng.uniform(0, 2 * np.pi, n)
    values = np.sin(2 * np.pi * (3 + fast)[:, None] * time + phases[:, None])
    return values[:, :, None] + 0.3 * rng.normal(size=(n, 50, 1)), fast


@pytest.fixture(scope="module")
def fitted():
    """Return a model with features in eight of 32 dimensions."""
    return SequenceAutoencoder(**TINY | {"latent_dim": 32}, rocket_dim=8).fit(waves(120)[0])


def test_features_are_standardized_and_nothing_changes_them(fitted):
    series = waves(120)[0]
    numbers = fitted.transform(series)[:, -8:]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(np.corrcoef(numbers.T), np.eye(8), atol=1e-3)
    changes = {"latent_dim": 32, "max_epochs": 5, "rocket_dim": 8}
    longer = SequenceAutoencoder(**TINY | changes).fit(series)
    np.testing.assert_allclose(longer.transform(series)[:, -8:], numbers, atol=1e-4)


def test_the_default_is_at_most_eight_from_32_dimensions():
    def by_rule(X, latent_dim, **changes):
        return specification_of(X, latent_dim, **changes).rocket_dim

    series = waves(12)[0]
    assert [by_rule(series, size) for size in (31, 32, 40, 200)] == [0, 8, 8, 8]
    # A code with room for every value has features only in the remaining dimensions.
    assert [by_rule(series[:, :steps], 32) for steps in (33, 32, 28, 10)] == [8, 0, 4, 8]
    assert by_rule(series[:6], 32) == 4
    assert by_rule(["ab", "ba", "abc"] * 4, 32) == 0
    assert by_rule(series, 32, denoise=0.3) == by_rule(series, 32, variational=True) == 0
    # a size that a share chose has requested features only
    assert (resolve_rocket_dim("auto", 40), resolve_rocket_dim(8, 3)) == (0, 2)
