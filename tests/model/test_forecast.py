"""Forecasts, their bounds, and errors."""

import copy

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import betabinom

from refold import SequenceAutoencoder
from refold.errors import ParameterError, SchemaError
from refold.model import Forecast
from refold.sequences import Sequences, as_sequences, split_at
from small_data import TINY, fit_without_training

TINY = TINY | {"latent_dim": 4, "max_epochs": 3, "refit": False}


def draw_waves(n, seed, steps=40):
    """Return noisy sines of one period with random phases."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    clean = np.sin(2 * np.pi * np.arange(steps) / 8 + phase)
    return as_sequences(list(clean + 0.1 * rng.normal(size=clean.shape)))


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY, forecast_steps=5).fit(draw_waves(60, 0))


@pytest.fixture(scope="module")
def calibrated(fitted):
    return copy.deepcopy(fitted).calibrate(draw_waves(99, 1))


@pytest.fixture(scope="module")
def mixed():
    """Return sequences of a numeric and a categorical column, with gaps."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(60, 12)).cumsum(axis=1)
    numbers[rng.random((60, 12)) < 0.1] = np.nan
    labels = np.array(["up", "down"])[(np.arange(60 * 12) // 2) % 2]
    columns = {"number": pa.array(numbers.ravel(), from_pandas=True), "label": labels}
    return Sequences.from_table({"id": np.repeat(np.arange(60), 12), **columns}, id="id")


def test_forecasts_of_sines_are_better_than_baselines(fitted):
    errors = fitted.forecast_errors(draw_waves(100, 2))
    assert errors.season == 8
    assert errors.model < 0.05 < errors.last_value
    assert errors.model < errors.seasonal_naive
    assert errors.num_sequences == 100
    with pytest.warns(UserWarning, match=r"^\d+ of 60 sequences are among those") as warning_list:
        fitted.forecast_errors(draw_waves(60, 0))
    assert len(warning_list) == 1


def test_forecasting_does_not_change_the_reconstruction(fitted):
    without_forecast, series = SequenceAutoencoder(**TINY).fit(draw_waves(60, 0)), draw_waves(20, 2)
    codes = fitted.transform(series)
    assert np.array_equal(codes, without_forecast.transform(series))
    decoded = (ae.decode(codes, [40] * 20) for ae in (fitted, without_forecast))
    assert np.array_equal(*decoded)
    with pytest.raises(ParameterError, match=r"not to forecast\. Fit one with forecast_steps=10"):
        without_forecast.forecast(series)


def test_a_forecast_depends_on_the_last_steps_of_its_sequence_alone(fitted):
    ragged, _ = split_at(draw_waves(4, 3), [40, 13, 25, 1])
    together = fitted.forecast(ragged).values
    one_by_one = [fitted.forecast(ragged[[i]]).values[0] for i in range(4)]
    assert np.allclose(np.concatenate(together), np.concatenate(one_by_one), atol=1e-5)
    for five, two in zip(together, fitted.forecast(ragged, 2).values, strict=True):
        assert np.array_equal(five[:2], two)
    longer = draw_waves(2, 4, steps=200)  # of which the last 35 steps are read
    last = split_at(longer, 200 - 35)[1]
    assert np.allclose(fitted.forecast(longer).values, fitted.forecast(last).values)


def test_the_coverage_of_bounds_is_that_of_alpha(calibrated):
    before, after = split_at(draw_waves(400, 5), 35)
    forecast = calibrated.forecast(before, alpha=0.3)
    truth = after.values.reshape(400, 5)
    outside = ((truth < forecast.lower[..., 0]) | (truth > forecast.upper[..., 0])).sum(axis=0)
    # The number of 400 new values beyond a quantile of 99 others has a beta-binomial distribution.
    assert (outside <= betabinom(400, 30, 70).ppf(1 - 1e-4)).all()
    assert (outside > 0).all()


def test_clipped_forecasts_lie_within_their_bounds(calibrated):
    series = draw_waves(20, 6)
    series = series.with_values(series.values * 3)
    greatest = calibrated.scaler_.data_max_[0]
    free, clipped = calibrated.forecast(series), calibrated.forecast(series, clip=True)
    assert np.concatenate(free.values).max() > greatest
    assert np.concatenate(clipped.values).max() == greatest
    values = clipped.sequences.values.reshape(20, 5, 1)
    assert ((clipped.lower <= values) & (values <= clipped.upper)).all()


def test_forecasts_of_words():
    words = ["abcabcabcabc", "bcabcabcabca", "cabcabcabcab"] * 20
    options = TINY | {"units": 16, "learning_rate": 0.01}
    ae = SequenceAutoencoder(**options, forecast_steps=3).fit(words)
    assert ae.forecast(["abcabcabc", "bcabcabca"]).values == ["abc", "bca"]
    with pytest.raises(ParameterError, match="no column is numeric"):
        ae.forecast(words, alpha=0.1)


def test_mixed_columns_with_gaps(mixed):
    ae = fit_without_training(mixed, forecast_steps=2, calibration_fraction=0.4)
    forecast = ae.forecast(mixed)
    rows = forecast.to_table()
    assert rows.column_names == ["id", "step", "number", "number_lower", "number_upper", "label"]
    assert rows.num_rows == 2 * 60
    assert set(rows["label"].to_pylist()) <= {"up", "down"}
    assert np.isfinite(forecast.lower[..., 0]).all()
    assert np.isnan(forecast.lower[..., 1]).all()
    normal = mixed[:20].with_values(np.nan_to_num(mixed[:20].values) + np.array([0.1, 0]))
    normal.values[11 : 15 * 12 : 12, 0] = np.nan  # the last step of 15 sequences
    forecast = ae.calibrate(normal).forecast(mixed[:1])
    assert np.isposinf(forecast.upper[0, -1, 0])
    assert np.isfinite(forecast.upper[0, 0, 0])
    assert forecast.to_table()["number_upper"].null_count == 1


def test_bad_arguments_of_a_fit():
    with pytest.raises(ParameterError, match="the longest has 40 steps"):
        fit_without_training(draw_waves(10, 0), forecast_steps=40)
    with pytest.raises(ParameterError, match="scale='sequence' uses the level"):
        fit_without_training(draw_waves(10, 0), forecast_steps=3, scale="sequence")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 6}, "steps must be an integer from 1 to 5. Got 6."),
        ({"alpha": 2}, "alpha must be a share of values outside the bounds"),
        ({"alpha": 0.001}, r"needs at least 999 calibration sequences, .*\. Got 99\."),
    ],
)
def test_bad_arguments_of_a_forecast(calibrated, options, message):
    with pytest.raises(ParameterError, match=message):
        calibrated.forecast(draw_waves(2, 1), **options)


def test_bounds_need_enough_calibration_sequences(fitted):
    ae, new = copy.deepcopy(fitted), draw_waves(2, 1)
    assert ae.forecast(new).lower is None
    assert ae.calibrate(draw_waves(5, 1)).forecast(new).lower is None
    assert ae.forecast(new, alpha=0.2).alpha == 0.2
    ae.calibrate(split_at(draw_waves(5, 1), 5)[0])  # none is longer than the forecast
    with pytest.raises(ParameterError, match=r"at least 4 calibration .* Got 0\. Fit with calib"):
        ae.forecast(new, alpha=0.2)


def test_a_column_with_the_name_of_a_bound_is_refused():
    values = np.zeros((20, 2, 2))
    forecast = Forecast(as_sequences(values, names=["x", "x_lower"]), 0.1, values - 1, values + 1)
    with pytest.raises(SchemaError, match="'x_lower' has the name of a bound"):
        forecast.to_table()
