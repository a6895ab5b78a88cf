"""Anomalies and drift: the rate of false alarms, anomalous sequences and steps, the tests."""

import dataclasses
from copy import deepcopy

import numpy as np
import pytest
from scipy import special, stats

from refold.errors import DataError, ParameterError
from refold.model import ReferenceStatistics
from refold.model._anomalies import (
    ErrorsAndFeatures,
    anomaly_p_values,
    build_calibration,
    measure_drift,
)
from refold.sequences import as_sequences, write
from small_data import fit_without_training, read_as_mapped, sines


@pytest.fixture(scope="module")
def ae(uncalibrated):
    return deepcopy(uncalibrated).calibrate(sines(199, seed=1))


def test_the_rate_of_false_alarms_is_alpha(ae):
    detection = ae.detect(sines(500, seed=2), alpha=0.2)
    # The number of false alarms is random, and so is the calibration.
    low, high = stats.betabinom(500, 40, 160).ppf([0.001, 0.999])
    assert low <= detection.anomalous.sum() <= high


def test_the_anomalous_step_has_the_largest_score(ae):
    series = sines(1, seed=7).to_list()[0].copy()
    series[6] += 6.0
    detection = ae.detect([series])
    assert detection.step_scores[0].argmax() == 6
    assert detection.step_p_values[0][6] < 0.01
    reasons = detection.explain(0)
    assert reasons[0][:2] == (6, "x0")
    assert reasons[0].share >= reasons[1].share


@pytest.mark.parametrize("scale", ["features", "sequence"])
def test_gaps_empty_sequences_and_scales(scale):
    rng = np.random.default_rng(0)
    waves = 6 * np.arange(15)[:, None] / 15 + rng.uniform(0, 6, (150, 1, 1)) + [0, np.pi / 2]
    series = list(np.sin(waves) + 0.05 * rng.normal(size=waves.shape))
    for i in (0, 120):
        series[i + 3][0, 0], series[i + 5] = np.nan, np.zeros((0, 2))
    data = as_sequences(series, names=["left", "right"])
    ae = fit_without_training(data[:60], latent_dim=4, scale=scale).calibrate(data[60:120])
    anomaly = data[120].copy()
    anomaly[4, 1] += 3
    detection = ae.detect([*data[120:].to_list(), np.full((3, 2), 1e37), anomaly], alpha=0.05)
    assert np.isfinite(detection.scores).all()
    assert detection.explain(5) == []
    assert detection.anomalous[-2]
    if scale == "features":  # columns can be named
        assert detection.explain(31)[0][:2] == (4, "right")


def test_discoveries_among_many_sequences(ae):
    detection = ae.detect([*sines(30, seed=4).to_list(), *[[9.0] * 15] * 5], alpha=0.05)
    expected = stats.false_discovery_control(detection.p_values)
    assert np.array_equal(detection.adjusted_p_values, expected)
    assert detection.discoveries[-5:].all()
    assert set(np.flatnonzero(detection.discoveries)) <= set(np.flatnonzero(detection.anomalous))


def test_scores_and_p_values_by_hand():
    mean, std, precision = np.zeros(1), np.ones(1), np.full((1, 1), 2.0)
    reference = ReferenceStatistics(mean, mean, std, precision, np.array([2.0, 4.0]))
    value_errors, features = np.array([[1.0], [np.nan], [3.0]]), np.array([[-2.0], [0.0]])
    # distances are 8 and 0: the precision times the squares of the features
    normal = ErrorsAndFeatures(value_errors, np.array([4.0, 2.0]), features, features)
    calibration = build_calibration(normal, reference, None)
    assert calibration.step_scores.tolist() == [1, 3]
    assert calibration.scores.tolist() == [1, 4]
    # except for rounding, the last score equals one of the calibration
    p_values = anomaly_p_values(np.array([2.0, 4.5, 1.0 + 1e-6]), calibration.scores)
    np.testing.assert_allclose(p_values, [2 / 3, 1 / 3, 1.0])


def test_huge_values_are_anomalous_and_do_not_change_other_sequences(ae):
    normal = sines(1, seed=7).to_list()[0].astype(float)
    spike = normal.copy()
    spike[3] = -2e38
    without_spike, with_spike = ae.detect([normal]), ae.detect([spike, normal], alpha=0.05)
    assert np.isfinite(with_spike.scores).all()
    assert with_spike.p_values[0] == 1 / 200
    assert with_spike.explain(0)[0].step == 3
    pair = with_spike.score_components[1], without_spike.score_components[0]
    np.testing.assert_allclose(*pair, rtol=1e-4)


def test_bad_input_of_detection(uncalibrated, ae, tmp_path):
    expected = r"at least 99 calibration .* Got 0\. Fit with calibration_fraction=0\.2, or"
    with pytest.raises(ParameterError, match=expected):
        uncalibrated.detect(sines(2))
    with pytest.raises(ParameterError, match=r"Got 199\. Ask for a rate of at least alpha=0\.005"):
        ae.detect(sines(2), alpha=0.001)
    with pytest.raises(ParameterError, match=r"^alpha must be a rate of false alarms above 0"):
        ae.detect(sines(2), alpha=0)
    with pytest.raises(DataError, match="no sequence to calibrate with"):
        ae.calibrate(sines(1)[:0])
    # ``calibration_fraction`` must leave training sequences in memory
    with pytest.raises(ParameterError, match=r"calibration_fraction=0\.9 of 2 sequences leaves no"):
        fit_without_training(sines(2), calibration_fraction=0.9)
    write(sines(30), tmp_path / "sines.parquet")
    with pytest.raises(ParameterError, match="sequences in memory, and these are too large"):
        fit_without_training(read_as_mapped(tmp_path / "sines.parquet"), calibration_fraction=0.5)


def test_drift_is_found_in_shifted_sequences_and_not_in_new_ones(uncalibrated):
    """It needs errors of sequences that were not trained on."""
    new = sines(150, seed=4)
    shifted = [series + 2 for series in new.to_list()]
    drift_of_new, drift_of_shifted = uncalibrated.drift(new), uncalibrated.drift(shifted)
    assert drift_of_shifted.p_value < 1e-6 < 0.01 < drift_of_new.p_value
    assert drift_of_shifted.num_sequences == 150
    assert str(drift_of_shifted).startswith(f"p = {drift_of_shifted.p_value:.2g}, ")
    codes = uncalibrated.code_drift(uncalibrated.transform(shifted))
    np.testing.assert_array_equal(codes.code_p_values, drift_of_shifted.code_p_values)
    assert codes.error_p_value is None
    model = dataclasses.replace(uncalibrated.model_, held_out_errors=None)
    with pytest.raises(ParameterError, match="drift needs the errors of sequences that were not"):
        model.drift(new)
    calibrated = model.calibrate(sines(30, seed=2))
    assert calibrated.detect(new, alpha=0.1).drift.p_value == calibrated.drift(new).p_value


def test_larger_errors_are_drift_and_smaller_ones_are_not():
    rng = np.random.default_rng(0)
    codes, held_out = rng.normal(size=(300, 2)), np.sort(rng.exponential(size=200))
    errors = rng.exponential(size=300)
    larger = measure_drift(codes[:150], codes[150:], 2 * errors, held_out)
    smaller = measure_drift(codes[:150], codes[150:], errors / 3, held_out)
    assert larger.error_p_value < 1e-4 < 0.5 < smaller.error_p_value
    assert "0 of 2 code dimensions differ, and errors are larger" in str(larger)


def test_statistics_and_p_values_are_those_of_the_literature():
    rng = np.random.default_rng(1)
    new, training = rng.normal(size=(80, 3)).round(1), rng.normal(0.4, size=(150, 3)).round(1)
    drift = measure_drift(new, training, new[:, 0], np.sort(training[:, 0]).astype(np.float32))
    expected = [stats.ks_2samp(new[:, i], training[:, i]).statistic for i in range(3)]
    np.testing.assert_allclose(drift.code_statistics, expected)
    asymptotic = special.kolmogorov(np.sqrt(80 * 150 / 230) * drift.code_statistics)
    np.testing.assert_allclose(drift.code_p_values, asymptotic, rtol=0.02)
    assert drift.p_value == pytest.approx(4 * min(*drift.code_p_values, drift.error_p_value))
