"""The figure of a series and its forecast."""

import numpy as np
import pytest

from refold import datasets, plots
from refold.errors import DataError
from refold.model import Forecast
from refold.sequences import Sequences, as_sequences, split_at


@pytest.fixture(scope="module")
def sines():
    return datasets.noisy_sines(60, seed=0)


@pytest.fixture(scope="module")
def ahead(sines):
    """Return a forecast of five steps with bounds; the figure does not need a fitted model."""
    values = np.random.default_rng(0).normal(size=(60, 5, 1))
    steps = Sequences.from_list(list(values), ids=sines.ids).align(sines.schema)
    return Forecast(steps, 0.1, values - 1, values + 1)


def test_a_line_continues_within_its_band(sines, ahead):
    before, after = split_at(sines, sines.lengths - 5)
    ax = plots.forecast(before, ahead, truth=after, index=-1)
    length = len(before[-1])
    past, came, next_, _ = ax.get_lines()
    assert np.array_equal(past.get_ydata(), before[-1])
    assert np.array_equal(came.get_ydata(), after[-1])
    assert np.array_equal(next_.get_ydata(), [before[-1][-1], *ahead.values[-1]])
    assert next_.get_xdata().tolist() == list(range(length - 1, length + 5))
    assert len(ax.collections) == 1
    assert "bounds of 90 %" in ax.get_title(loc="left")


def test_on_given_axes(sines, ahead):
    import matplotlib.pyplot as plt

    ax = plt.figure().add_subplot()
    assert plots.forecast(split_at(sines, sines.lengths - 5)[0], ahead, ax) is ax
    plt.close("all")


@pytest.mark.parametrize("index", [60, -61])
def test_an_unknown_sequence_is_refused(sines, ahead, index):
    with pytest.raises(DataError, match=f"index {index}"):
        plots.forecast(sines, ahead, index=index)


def test_a_forecast_is_needed_for_each_sequence(sines, ahead):
    with pytest.raises(DataError, match="Got 60 forecasts"):
        plots.forecast(sines[:3], ahead)


def test_categorical_columns_are_refused():
    words = as_sequences(["abab", "baba"])
    with pytest.raises(DataError, match="without numeric columns"):
        plots.forecast(words, Forecast(words))
