"""Baseline forecasts, and errors of forecasts computed by hand."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.evaluation import (
    ForecastAccuracy,
    forecast_errors,
    last_value,
    pick_season,
    seasonal_naive,
)
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences, split_at

NAN = float("nan")


def test_the_last_observed_value_of_each_column():
    before = as_sequences([np.array([[1.0, NAN], [2.0, 5.0], [NAN, 6.0]]), np.array([[3.0, NAN]])])
    found = last_value(before, 2).to_list()
    assert found[0].tolist() == [[2.0, 6.0], [2.0, 6.0]]
    assert np.array_equal(found[1], [[3.0, NAN], [3.0, NAN]], equal_nan=True)
    assert np.isnan(last_value(as_sequences([[1.0], []]), 2).to_list()[1]).all()


def test_the_last_season_is_repeated():
    before = as_sequences([[9.0, 1.0, 2.0, 3.0], [7.0]])
    found = seasonal_naive(before, 5, 3).to_list()
    assert found[0].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    assert found[1].tolist() == [7.0] * 5  # shorter than a season
    # missing values of the last season come from the season before
    assert seasonal_naive(as_sequences([[4.0, 5.0, NAN, 6.0]]), 2, 2)[0].ravel().tolist() == [4, 6]


@pytest.mark.parametrize("season", [2, 5, 12])
def test_seasons_are_found(season):
    rng = np.random.default_rng(season)
    pattern = rng.normal(size=season)
    series = np.tile(pattern, 40)[: 8 * season] + 0.05 * rng.normal(size=(10, 8 * season))
    assert pick_season(as_sequences(list(series))) == season


def test_random_walks_have_no_season():
    walks = np.random.default_rng(0).normal(size=(50, 60)).cumsum(axis=1)
    assert pick_season(as_sequences(list(walks))) is None
    assert pick_season(as_sequences([[1.0, 2.0], [1.0]])) is None
    # a season is within each sequence
    assert pick_season(as_sequences([[0.0, 1.0] * 5, [5.0, 7.0] * 5])) == 2


def test_errors_by_hand():
    series = as_sequences([[1.0, -1.0, 2.0, 0.0], [1.0, -1.0, 0.0, -2.0]])
    before, after = split_at(series, 2)
    scaler = Scaler.fit(as_sequences([[1.0, -1.0]]))  # errors of zero and one
    found = forecast_errors(before, after, after.with_values(after.values + 1.0), scaler, season=2)
    assert found.model == 4 / 8
    assert found.last_value == (3**2 + 1**2 + 1**2 + 1**2) / 8
    assert found.seasonal_naive == (1 + 1 + 1 + 1) / 8
    assert str(found) == (
        "NMSE 0.5, last value 1.5, linear continuation 8.5, seasonal naive (2 steps) 0.5"
    )


def test_categorical_columns_have_an_accuracy():
    schema = Schema((Column("x", "numeric"), Column("on", "binary")))
    values = np.array([[1.0, 0.0], [-1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    series = Sequences(values, [0, 4], schema=schema)
    before, after = split_at(series, 2)
    found = forecast_errors(before, after, after, Scaler.fit(series), season=2)
    assert found.accuracy == ForecastAccuracy(1.0, 0.5, 0.0)
    assert str(found).endswith("; accuracy 100 %, last value 50.0 %, seasonal naive (2 steps) 0 %")
    words = as_sequences(["abab", "baba"])
    before, after = split_at(words, 2)
    found = forecast_errors(before, after, after, Scaler.fit(words), season=2)
    assert (found.measure, found.model, found.last_value) == ("1 - accuracy", 0.0, 0.5)
    assert str(found) == "accuracy 100 %, last value 50.0 %, seasonal naive (2 steps) 100 %"


@pytest.mark.parametrize(("steps", "season"), [(0, 1), (1, 0)])
def test_bad_arguments(steps, season):
    with pytest.raises(ParameterError, match="must be a positive integer"):
        seasonal_naive(as_sequences([[1.0]]), steps, season)


def test_no_sequence():
    with pytest.raises(DataError, match="no sequence"):
        pick_season(as_sequences([[1.0]])[[]])
