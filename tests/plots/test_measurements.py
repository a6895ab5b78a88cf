"""Figures of losses and errors show the values of their arguments."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from refold import ErrorCurve
from refold.errors import DataError, ParameterError
from refold.evaluation import errors_by_position
from refold.model import Forecast
from refold.plots import (
    anomalous_steps,
    error_by_feature,
    error_by_position,
    error_by_size,
    forecast,
    loss_curves,
)
from refold.sequences import Sequences

WORDS = Sequences.from_list(["abba", "cab", "b", "ca"])
BACK = ["abbb", "cab", "c", "ca"]
CURVE = ErrorCurve((2, 8, 32), (0.4, 0.2, 0.1), (0.5, 0.3, 0.12), "NMSE", 100, 10)


def curves(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def texts(labels):
    return [label.get_text() for label in labels]


def test_figures_are_drawn_on_axes_of_the_caller_and_pyplot_keeps_none():
    x = np.ones(8)
    for draw, *data in (
        (anomalous_steps, [x], x),
        (forecast, [x], Forecast(Sequences.from_list([x]))),
        (error_by_size, CURVE),
    ):
        ax = Figure().add_subplot()
        assert draw(*data, ax) is ax
        assert draw(*data) is not ax
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_losses_the_initialization_and_the_best_epoch():
    history = {
        "epoch": [1, 2, 3, 1, 2],
        "phase": ["validated"] * 3 + ["refit"] * 2,
        "loss": [3.0, 2.0, 1.0, 2.5, 1.5],
        "val_loss": [3.0, 1.5, 2.0, None, None],
    }
    expected = {
        "training": [[1, 3.0], [2, 2.0], [3, 1.0]],
        "refit on all data": [[1, 2.5], [2, 1.5]],
        "validation": [[1, 3.0], [2, 1.5], [3, 2.0]],
        "initial weights: 2": [[0, 2.0]],
        "best: 1.5": [[2, 1.5]],
    }
    lines = curves(loss_curves(history, initial_loss=2.0))
    assert {name: line.tolist() for name, line in lines.items()} == expected
    assert curves(loss_curves(history, initial_loss=1.0))["best: 1"].tolist() == [[0, 1.0]]
    assert list(curves(loss_curves({"loss": [2.0, 1.0]}))) == ["training"]
    with pytest.raises(ParameterError, match=r"losses under 'loss'.*\['accuracy'\]"):
        loss_curves({"accuracy": [1.0]})


def test_bars_of_features():
    errors = {"Refold": np.array([0.1, np.nan]), "PCA": np.array([0.2, 0.4])}
    ax = error_by_feature(errors, ["height", "speed"])
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.0, 0.2, 0.4]
    assert texts(ax.get_legend().get_texts()) == ["Refold", "PCA"]


def test_lines_along_the_sequence():
    errors = errors_by_position(WORDS, BACK)
    ax = error_by_position({"Refold": errors}, column_type="categorical")
    np.testing.assert_array_equal(ax.lines[0].get_xydata()[:, 1], errors.categorical)
    assert ax.get_ylabel() == "share of wrong values"
    assert ax.get_legend() is None


def test_errors_by_size_are_at_their_sizes():
    ax = error_by_size(CURVE)
    np.testing.assert_array_equal(curves(ax)["Refold"], [[2, 0.4], [8, 0.2], [32, 0.1]])
    assert texts(ax.get_xticklabels()) == ["2", "8", "32"]
    assert ax.get_yscale() == "linear"
    assert error_by_size(replace(CURVE, errors=(0.4, 0.02, 0.001))).get_yscale() == "log"


def test_bad_errors_are_refused():
    with pytest.raises(DataError, match="no error to draw"):
        error_by_feature({}, ["a"])
    with pytest.raises(DataError, match="Got 1 errors of PCA for 2 features"):
        error_by_feature({"PCA": [0.1]}, ["a", "b"])
    differing = {"a": errors_by_position(WORDS, BACK), "b": errors_by_position(WORDS[1:], BACK[1:])}
    with pytest.raises(DataError, match="groups of b differ"):
        error_by_position(differing)
