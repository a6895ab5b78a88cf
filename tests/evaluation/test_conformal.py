"""Conformal p-values: computed by hand, and uniform for normal scores."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from refold.evaluation import (
    adjusted_p_values,
    conformal_margins,
    conformal_p_values,
    least_calibration,
)


def test_by_hand():
    found = conformal_p_values(np.array([5.0, 3.0, 0.0, np.nan]), np.array([3.0, 1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(found, [1 / 5, 3 / 5, 1.0, np.nan])
    residuals = np.array([[1.0, np.nan], [3.0, 5.0], [2.0, np.nan]])
    assert conformal_margins(residuals, 0.25).tolist() == [3.0, np.inf]
    assert conformal_margins(residuals, 0.5).tolist() == [2.0, 5.0]
    assert conformal_margins(np.empty((0, 2)), 0.5).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("alpha", "count"), [(0.5, 1), (0.1, 9), (0.05, 19), (0.01, 99), (0.03, 33)]
)
def test_the_least_number_of_calibration_scores(alpha, count):
    assert least_calibration(alpha) == count
    smallest = conformal_p_values(np.array([1.0]), np.zeros(count))[0]
    assert smallest <= alpha + 1e-12
    assert conformal_p_values(np.array([1.0]), np.zeros(count - 1))[0] > alpha


def test_adjusted_p_values_are_those_of_scipy_also_by_counts():
    values = np.random.default_rng(0).integers(1, 40, 500) / 40
    expected = false_discovery_control(values)
    np.testing.assert_allclose(adjusted_p_values(values), expected, rtol=1e-12)
    different, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    backward = adjusted_p_values(different[::-1], counts[::-1])[::-1]
    np.testing.assert_allclose(backward[index], expected, rtol=1e-12)
    assert adjusted_p_values(np.zeros(0)).shape == (0,)
