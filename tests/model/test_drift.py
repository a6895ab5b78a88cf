"""Tests of new sequences against the training data."""

import dataclasses

import numpy as np
import pytest
from scipy import special, stats

from model.small import sines
from refold.errors import DataError, ParameterError
from refold.model._drift import drift_between


def test_drift_is_found_in_shifted_sequences_and_not_in_new_ones(bare):
    new = sines(150, seed=4)
    shifted = [one + 2 for one in new.to_list()]
    same, found = bare.drift(new), bare.drift(shifted)
    assert same.p_value > 0.01
    assert found.p_value < 1e-6
    assert found.num_sequences == 150
    assert str(found).startswith(f"p = {found.p_value:.2g}, ")
    codes = bare.code_drift(bare.transform(shifted))
    np.testing.assert_array_equal(codes.code_p_values, found.code_p_values)
    assert codes.error_p_value is None


def test_larger_errors_are_drift_and_smaller_ones_are_not():
    rng = np.random.default_rng(0)
    codes, held_out = rng.normal(size=(300, 2)), np.sort(rng.exponential(size=200))
    errors = rng.exponential(size=300)
    larger, same, smaller = (
        drift_between(codes[:150], codes[150:], factor * errors, held_out)
        for factor in (2, 1, 1 / 3)
    )
    assert larger.error_p_value < 1e-4 < 0.01 < same.error_p_value
    assert smaller.error_p_value > 0.5
    assert "0 of 2 code dimensions differ, and errors are larger" in str(larger)


def test_statistics_and_p_values_are_those_of_the_literature():
    rng = np.random.default_rng(1)
    new, known = rng.normal(size=(80, 3)).round(1), rng.normal(0.4, size=(150, 3)).round(1)
    found = drift_between(new, known, new[:, 0], np.sort(known[:, 0]).astype(np.float32))
    for i in range(3):
        expected = stats.ks_2samp(new[:, i], known[:, i]).statistic
        assert found.code_statistics[i] == pytest.approx(expected)
    size = 80 * 150 / 230
    limit = special.kolmogorov(np.sqrt(size) * found.code_statistics)
    np.testing.assert_allclose(found.code_p_values, limit, rtol=0.02)
    assert found.p_value == pytest.approx(4 * min(*found.code_p_values, found.error_p_value))


def test_false_alarms_are_rare():
    rng = np.random.default_rng(2)
    draws = (drift_between(*rng.normal(size=(2, 60, 8))).p_value for _ in range(200))
    assert np.mean([p <= 0.05 for p in draws]) <= 0.05


def test_drift_needs_held_out_errors_and_sequences(bare):
    new = sines(50, seed=4)
    model = dataclasses.replace(bare.model_, held_out_errors=None)
    with pytest.raises(ParameterError, match="drift needs the errors of sequences that were not"):
        model.drift(new)
    calibrated = model.calibrate(sines(30, seed=2))
    assert calibrated.detect(new, alpha=0.1).drift.p_value == calibrated.drift(new).p_value
    assert len(calibrated.held_out_errors) == 30
    with pytest.raises(DataError, match="There is no code to compare"):
        bare.code_drift(np.empty((0, 4)))
