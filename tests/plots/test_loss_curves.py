import sys

import numpy as np
import pytest

from refold.errors import ParameterError
from refold.plots import loss_curves


def test_draws_both_losses_and_marks_the_best_epoch():
    ax = loss_curves({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.0]})
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["training"][:, 1], [3.0, 2.0, 1.0])
    np.testing.assert_array_equal(lines["validation"][:, 0], [1, 2, 3])
    np.testing.assert_array_equal(lines["best: 1.5"], [[2, 1.5]])


def test_a_refit_has_its_own_curve():
    history = {
        "epoch": [1, 2, 3, 1, 2],
        "phase": ["validated"] * 3 + ["refit"] * 2,
        "loss": [3.0, 2.0, 1.0, 2.5, 1.5],
        "val_loss": [3.0, 1.5, 2.0, None, None],
    }
    lines = {line.get_label(): line.get_xydata() for line in loss_curves(history).lines}
    np.testing.assert_array_equal(lines["training"], [[1, 3.0], [2, 2.0], [3, 1.0]])
    np.testing.assert_array_equal(lines["refit on all data"], [[1, 2.5], [2, 1.5]])
    np.testing.assert_array_equal(lines["validation"][:, 0], [1, 2, 3])


def test_a_history_without_validation_has_one_curve():
    ax = loss_curves({"loss": [2.0, 1.0]})
    assert [line.get_label() for line in ax.lines] == ["training"]


def test_missing_entries_are_gaps():
    ax = loss_curves({"loss": [None, 1.0, 0.5], "val_loss": [2.0, None, 1.0]})
    assert np.isnan(ax.lines[0].get_ydata()[0])


def test_draws_on_the_given_axes():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert loss_curves({"loss": [1.0, 0.5]}, ax) is ax


def test_a_history_without_losses_is_refused():
    with pytest.raises(ParameterError, match=r"losses under 'loss'.*\['accuracy'\]"):
        loss_curves({"accuracy": [1.0]})


def test_pyplot_keeps_nothing():
    loss_curves({"loss": [1.0, 0.5]})
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_the_initialization_is_epoch_0_and_can_be_the_best():
    history = {"epoch": [1, 2], "loss": [3.0, 2.0], "val_loss": [3.0, 1.5]}
    lines = {
        line.get_label(): line.get_xydata() for line in loss_curves(history, initial_loss=2.0).lines
    }
    np.testing.assert_array_equal(lines["initial weights: 2"], [[0, 2.0]])
    np.testing.assert_array_equal(lines["best: 1.5"], [[2, 1.5]])
    lines = {
        line.get_label(): line.get_xydata() for line in loss_curves(history, initial_loss=1.0).lines
    }
    np.testing.assert_array_equal(lines["best: 1"], [[0, 1.0]])
