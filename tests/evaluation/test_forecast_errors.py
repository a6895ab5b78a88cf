"""Baseline forecasts and errors of forecasts computed by hand, and conformal calibration."""

import numpy as np
import pytest

from refold import evaluation
from refold.errors import DataError
from refold.evaluation import adjusted_p_values, forecast_errors, pick_season, seasonal_naive
from refold.evaluation._forecast_errors import linear_continuation
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences, split_at

NAN = float("nan")


def test_naive_forecasts_by_hand():
    before = as_sequences([np.array([[1.0, NAN], [2.0, 5.0], [NAN, 6.0]]), np.array([[3.0, NAN]])])
    last = seasonal_naive(before, 2, 1).to_list()
    assert last[0].tolist() == [[2.0, 6.0], [2.0, 6.0]]
    assert np.array_equal(last[1], [[3.0, NAN], [3.0, NAN]], equal_nan=True)
    lines = linear_continuation(before, 2).to_list()
    assert lines[0].tolist() == [[3.0, 7.0], [4.0, 8.0]]
    assert lines[1][:, 0].tolist() == [3.0, 3.0]


def test_the_last_season_is_repeated():
    forecasts = seasonal_naive(as_sequences([[9.0, 1.0, 2.0, 3.0], [7.0], []]), 5, 3).to_list()
    assert forecasts[0].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    assert forecasts[1].tolist() == [7.0] * 5  # shorter than a season
    assert np.isnan(forecasts[2]).all()
    # missing values of the last season come from the season before
    assert seasonal_naive(as_sequences([[4.0, 5.0, NAN, 6.0]]), 2, 2)[0].ravel().tolist() == [4, 6]


@pytest.mark.parametrize("season", [2, 12])
def test_seasons_are_found(season):
    rng = np.random.default_rng(season)
    series = np.tile(rng.normal(size=season), 8) + 0.05 * rng.normal(size=(10, 8 * season))
    assert pick_season(as_sequences(list(series))) == season


def test_random_walks_have_no_season():
    walks = np.random.default_rng(0).normal(size=(50, 60)).cumsum(axis=1)
    assert pick_season(as_sequences(list(walks))) is None
    # a season is within each sequence
    assert pick_season(as_sequences([[0.0, 1.0] * 5, [5.0, 7.0] * 5])) == 2


def test_errors_by_hand():
    series = as_sequences([[1.0, -1.0, 2.0, 0.0], [1.0, -1.0, 0.0, -2.0]])
    before, after = split_at(series, 2)
    scaler = Scaler.fit(as_sequences([[1.0, -1.0]]))  # errors of zero and one
    errors = forecast_errors(before, after, after.with_values(after.values + 1.0), scaler, season=2)
    assert errors.model == 4 / 8
    assert errors.last_value == (3**2 + 1**2 + 1**2 + 1**2) / 8
    assert errors.seasonal_naive == (1 + 1 + 1 + 1) / 8
    text = "NMSE 0.5, last value 1.5, linear continuation 8.5, seasonal naive (2 steps) 0.5"
    assert str(errors) == text


def test_errors_by_column_and_step():
    level = np.random.default_rng(0).normal(size=(30, 1)) * np.ones((30, 8))
    noise = np.random.default_rng(1).normal(size=(30, 8))
    series = as_sequences(np.stack([level, noise], axis=2), names=["level", "noise"])
    before, after = split_at(series, 5)
    forecast = after.with_values(after.values + np.array([1.0, 0.0]))
    errors = forecast_errors(before, after, forecast, Scaler.fit(series))
    assert errors.by_step["model"][:, 0] == pytest.approx(1.0)
    assert (errors.by_step["last_value"][:, 0] == 0).all()
    steps = "at 3 of 6 steps (level)"
    expected = f"Worse than the last value {steps}; than the linear continuation {steps}."
    assert errors.worse == expected
    rows = errors.to_table().to_pylist()
    assert [(row["column"], row["step"]) for row in rows[2:4]] == [("level", 3), ("noise", 1)]
    by_hand = np.sqrt(np.mean((noise[:, 4] - noise[:, 5]) ** 2))
    assert rows[3]["last_value"] == pytest.approx(by_hand)


def test_categorical_columns_have_an_accuracy():
    schema = Schema((Column("x", "numeric"), Column("on", "binary")))
    values = np.array([[1.0, 0.0], [-1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    series = Sequences(values, [0, 4], schema=schema)
    before, after = split_at(series, 2)
    errors = forecast_errors(before, after, after, Scaler.fit(series), season=2)
    assert errors.accuracy == {"model": 1.0, "last_value": 0.5, "seasonal_naive": 0.0}
    assert str(errors).endswith("; accuracy 100 %, last value 50.0 %, seasonal naive (2 steps) 0 %")
    words = as_sequences(["abab", "baba"])
    errors = forecast_errors(*split_at(words, 2), split_at(words, 2)[1], Scaler.fit(words))
    assert (errors.measure, errors.model, errors.last_value) == ("1 - accuracy", 0.0, 0.5)


def test_a_category_that_is_unknown_before_is_wrong_and_a_short_forecast_is_refused():
    schema = Schema((Column("x", "numeric"), Column("on", "categorical", ("a", "b"))))
    before = Sequences(np.array([[1.0, NAN], [2.0, NAN]]), [0, 2], schema=schema)
    after = Sequences(np.array([[3.0, 0.0], [4.0, 0.0]]), [0, 2], schema=schema)
    errors = forecast_errors(before, after, after, Scaler.fit(after))
    assert errors.by_step["last_value"][:, 1].tolist() == [1.0, 1.0]
    with pytest.raises(DataError, match="forecast of sequence 0 has 1 steps, but 2 true steps"):
        forecast_errors(before, after, split_at(after, 1)[0], Scaler.fit(after))


def test_conformal_p_values_and_margins_by_hand():
    scores, normal = np.array([5.0, 3.0, 0.0, NAN]), np.array([3.0, 1.0, 2.0, 4.0])
    p_values = evaluation.conformal_p_values(scores, normal)
    np.testing.assert_array_equal(p_values, [1 / 5, 3 / 5, 1.0, NAN])
    residuals = np.array([[1.0, NAN], [3.0, 5.0], [2.0, NAN]])
    assert evaluation.conformal_margins(residuals, 0.25).tolist() == [3.0, np.inf]
    assert evaluation.conformal_margins(np.empty((0, 2)), 0.5).tolist() == [np.inf, np.inf]
    assert [*map(evaluation.min_calibration_sequences, (0.5, 0.1, 0.03))] == [1, 9, 33]
    # gaps do not count in adjusted p-values
    values = np.array([0.03, 0.01, 0.5])
    with_gap = adjusted_p_values(np.insert(values, 1, NAN))
    np.testing.assert_array_equal(with_gap, np.insert(adjusted_p_values(values), 1, NAN))
