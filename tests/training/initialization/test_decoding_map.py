"""The decoding map: principal components, or a regression on their codes."""

import numpy as np
import pytest

from refold.sequences import Sequences
from refold.training.initialization._decoding_map import decode, linear_codec, needs_no_regression
from refold.training.initialization._numeric_columns import linear_initialization
from refold.training.initialization._principal_components import principal_components


def pulses(n, *, seed=0, num_steps=60):
    """Return noisy pulses of one shape at random times."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(10, num_steps - 10, (n, 1))
    pulse = np.exp(-(((np.arange(num_steps) - middle) / 4) ** 2))
    return (pulse + 0.1 * rng.standard_normal(pulse.shape))[..., None]


def found_in(values, observed, n_components=12):
    full = np.full(len(values), values.shape[1])
    found = principal_components(values, full, n_components, seed=0, observed=observed)
    return found, needs_no_regression(values, full, observed, found, seed=0)


def error(codec, way, held, wanted=None):
    return float(
        ((decode(codec.encode(held), way) - (held if wanted is None else wanted)) ** 2).sum()
    )


def test_a_regression_overfits_few_series_without_gaps():
    values, held = pulses(24), pulses(300, seed=1)
    seen = np.full(values.shape, True)
    found, by_themselves = found_in(values, seen)
    codec = linear_codec(values, seen, found)
    assert by_themselves
    assert error(codec, codec.by_components, held) < 0.95 * error(codec, codec.by_regression, held)


def test_a_regression_is_better_with_gaps():
    rng = np.random.default_rng(2)
    whole, wanted = pulses(60), pulses(300, seed=1)
    seen, held = rng.random(whole.shape) < 0.6, wanted * (rng.random(wanted.shape) < 0.6)
    found, by_themselves = found_in(whole * seen, seen)
    codec = linear_codec(whole * seen, seen, found)
    assert not by_themselves
    assert error(codec, codec.by_regression, held, wanted) < error(
        codec, codec.by_components, held, wanted
    )


def test_a_single_gap_needs_the_regression():
    values = pulses(24)
    seen = np.full(values.shape, True)
    seen[3, 7] = False
    assert not found_in(values * seen, seen)[1]


def test_for_plain_components_both_maps_are_equal():
    values = np.random.default_rng(0).standard_normal((2000, 6, 2))
    seen = np.full(values.shape, True)
    found, by_themselves = found_in(values, seen, 3)
    codec = linear_codec(values, seen, found)
    assert found.mixture is None
    assert not by_themselves
    np.testing.assert_allclose(codec.by_components, codec.by_regression, atol=1e-6)


@pytest.mark.parametrize("gaps", [False, True])
def test_the_initialization_uses_the_better_map(gaps):
    values = pulses(24 if not gaps else 60)
    seen = np.random.default_rng(2).random(values.shape) < (0.6 if gaps else 1.0)
    start = linear_initialization(
        Sequences.from_list(list(np.where(seen, values, np.nan))), [0], 12, 60, seed=0
    )
    filled = np.where(seen, values, 0.0)
    codec = linear_codec(filled, seen, found_in(filled, seen)[0])
    taken = codec.by_regression if gaps else codec.by_components
    np.testing.assert_allclose(start.decoder, taken[:-1], atol=1e-5)
    np.testing.assert_allclose(start.decoder_bias, taken[-1], atol=1e-5)
