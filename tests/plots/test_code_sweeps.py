"""Latent dimensions: bars in the order of their effects, and sweeps."""

import numpy as np
import pytest

from refold.diagnosis import LatentDimensions
from refold.errors import DataError, ParameterError
from refold.plots import latent_dimensions, strips_of, sweep
from refold.sequences import Column, Schema, Sequences

FOUND = LatentDimensions(("0", "1", "2"), np.ones(3), np.array([[0.1], [0.4], [0.2]]))
WAVES = Sequences.from_list(
    [np.stack([np.zeros(5), k * np.arange(5.0)], axis=1) for k in (1, 2, 3)], names=["a", "b"]
)


def test_dimensions_are_sorted_by_effect_and_rocket_features_have_a_color():
    ax = latent_dimensions(FOUND, rocket_dim=1, latent_dim=3)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "0"]
    places = {round(bar.get_x() + 0.4): bar.get_height() for bar in ax.patches}
    assert places == {0: 0.4, 1: 0.2, 2: 0.1}
    assert len({bar.get_facecolor() for bar in ax.patches}) == 2
    assert latent_dimensions(FOUND).get_legend() is None


def test_a_sweep_draws_a_line_for_each_value_of_the_most_affected_column():
    ax = sweep(WAVES, deviations=(-1, 0, 1))
    assert ax.get_ylabel() == "b"
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), 3 * np.arange(5.0))
    assert len({line.get_color() for line in ax.lines}) == 3
    assert sweep(WAVES, deviations=(-1, 0, 1), column=0).get_ylabel() == "a"


def test_categorical_sequences_are_adjacent_strips():
    words = Sequences.from_list(["ab", "", "b"])
    strips, starts = strips_of(words)
    assert starts.tolist() == [0, 3, 5]
    np.testing.assert_array_equal(strips[0], [1, 0, np.nan, np.nan, np.nan, 0])
    ax = sweep(words, deviations=(-1, 0, 1))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["-1.0", "0", "+1.0"]
    assert ax.images[0].get_array().shape == (2, 6)


def test_the_given_categorical_column_is_drawn():
    columns = (Column("on", "binary"), Column("page", "categorical", ("a", "b")))
    values = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    decoded = Sequences(values, [0, 1, 2, 3], schema=Schema(columns))
    for column, strips in ((0, [[1, 0, 1]]), (1, [[1, 0, 0], [0, 1, 1]])):
        ax = sweep(decoded, deviations=(-1, 0, 1), column=column)
        assert ax.images[0].get_array()[:, ::2].tolist() == strips


def test_bad_arguments_are_refused():
    with pytest.raises(DataError, match="Got 3 sequences for 7 values"):
        sweep(WAVES)
    with pytest.raises(ParameterError, match="no column 2"):
        sweep(WAVES, deviations=(-1, 0, 1), column=2)


def test_the_length_dimension_has_a_color_and_a_name():
    ax = latent_dimensions(FOUND, rocket_dim=1, length_dim=1, latent_dim=3)
    assert len({bar.get_facecolor() for bar in ax.patches}) == 3
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["ROCKET features", "learned", "length"]
