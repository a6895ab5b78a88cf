"""Random one-hot sequences, ramps and sines."""

import numpy as np
import pytest

from refold.datasets import moving_ones, noisy_sines, ramps, random_one_hot
from refold.errors import ParameterError


def test_one_hot_has_one_category_per_step_with_equal_frequencies():
    sequences = random_one_hot(4000)
    assert set(sequences.lengths) == {10}
    np.testing.assert_array_equal(sequences.values.sum(axis=1), 1)
    np.testing.assert_allclose(sequences.values.mean(axis=0), 0.2, atol=0.01)


def test_one_hot_in_the_shape_of_moving_ones():
    sequences, ones = random_one_hot(3000, 10, 8, min_steps=0), moving_ones(3000)
    assert set(sequences.lengths) == set(ones.lengths)
    assert sequences.schema == ones.schema
    assert len(np.unique(sequences[sequences.lengths == 3].values.argmax(axis=1))) == 8


def test_one_hot_checks_its_steps():
    with pytest.raises(ParameterError, match="steps must be an integer of at least 12"):
        random_one_hot(3, 10, min_steps=12)


def test_ramps_are_those_of_the_answer():
    series = ramps().to_list()
    np.testing.assert_allclose(series[0], np.arange(1, 10) / 10, rtol=1e-6)
    np.testing.assert_allclose(series[1], np.arange(1, 9) / 10, rtol=1e-6)
    np.testing.assert_allclose(series[2], [0.2, 0.4, 0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(series[3], [0.3, 0.6, 0.9, 1.2], rtol=1e-6)


def test_sines_without_noise_are_sines():
    sines = noisy_sines(50, noise=0.0)
    assert len(set(sines.lengths)) > 20
    for series in sines:
        # A sampled sine follows x[t + 1] = 2 cos(w) x[t] - x[t - 1].
        middle, outer = series[1:-1], series[2:] + series[:-2]
        twice_cosine = (middle @ outer) / (middle @ middle)
        np.testing.assert_allclose(outer, twice_cosine * middle, atol=1e-5)
        assert 0.019 < np.arccos(twice_cosine / 2) / (2 * np.pi) < 0.101


def test_noise_has_the_given_standard_deviation():
    clean, noisy = noisy_sines(100, noise=0.0), noisy_sines(100, noise=0.5)
    np.testing.assert_array_equal(clean.lengths, noisy.lengths)
    assert np.std(noisy.values - clean.values) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_bad_noise_is_refused(noise):
    with pytest.raises(ParameterError, match="noise must be a number of at least 0"):
        noisy_sines(3, noise=noise)


@pytest.mark.parametrize("draw", [noisy_sines, random_one_hot])
def test_a_negative_seed_is_refused(draw):
    with pytest.raises(ParameterError, match=r"seed must be an integer of at least 0\. Got -1"):
        draw(5, seed=-1)
