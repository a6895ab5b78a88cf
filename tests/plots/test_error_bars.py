"""Bars and lines of errors show the given arrays."""

import numpy as np
import pytest

from refold.errors import DataError
from refold.evaluation import errors_by_length, errors_by_position
from refold.plots import error_by_feature, error_by_length, error_by_position
from refold.sequences import Sequences

WORDS = Sequences.from_list(["abba", "cab", "b", "ca"])
BACK, OTHER = ["abbb", "cab", "c", "ca"], ["aaaa", "aaa", "a", "aa"]


def test_bars_of_features():
    errors = {"Refold": np.array([0.1, np.nan]), "PCA": np.array([0.2, 0.4])}
    ax = error_by_feature(errors, ["height", "speed"])
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.0, 0.2, 0.4]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Refold", "PCA"]


def test_bars_of_lengths():
    groups = {name: errors_by_length(WORDS, back) for name, back in (("R", BACK), ("P", OTHER))}
    ax = error_by_length(groups, column_type="categorical")
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([*groups["R"].categorical, *groups["P"].categorical])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "3", "4"]
    assert ax.get_ylabel() == "share of wrong values"


def test_groups_of_several_lengths_have_both_ends():
    found = errors_by_length(WORDS, BACK, num_groups=2)
    ax = error_by_length({"Refold": found}, column_type="categorical")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1–2", "3–4"]
    assert ax.get_legend() is None


def test_lines_along_the_sequence():
    found = errors_by_position(WORDS, BACK)
    ax = error_by_position({"Refold": found}, column_type="categorical")
    np.testing.assert_array_equal(ax.lines[0].get_xydata()[:, 1], found.categorical)


def test_draws_on_the_given_axes():
    from matplotlib.figure import Figure

    for draw in (error_by_length, error_by_position):
        ax = Figure().add_subplot()
        one = {
            "x": (errors_by_length if draw is error_by_length else errors_by_position)(WORDS, BACK)
        }
        assert draw(one, ax, column_type="categorical") is ax
    ax = Figure().add_subplot()
    assert error_by_feature({"x": [1.0]}, ["a"], ax) is ax


def test_bad_arguments_are_refused():
    with pytest.raises(DataError, match="no error to draw"):
        error_by_feature({}, ["a"])
    with pytest.raises(DataError, match="Got 1 errors of PCA for 2 features"):
        error_by_feature({"PCA": [0.1]}, ["a", "b"])
    with pytest.raises(DataError, match="There is no method to draw errors of"):
        error_by_length({})
    two = {"a": errors_by_length(WORDS, BACK), "b": errors_by_length(WORDS[:2], BACK[:2])}
    with pytest.raises(DataError, match="groups of b differ"):
        error_by_length(two)
