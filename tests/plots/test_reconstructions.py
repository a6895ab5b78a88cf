import numpy as np
import pytest

from refold.errors import DataError
from refold.plots import reconstruction, reconstructions
from refold.sequences import Column, Schema, Sequences


def frames(ax):
    """Return the positions of the frames around wrong entries: (step, row below the gap)."""
    return [tuple(np.mean(line.get_xydata()[:4], axis=0)) for line in ax.lines]


def test_numeric_columns_are_pairs_of_lines():
    x = np.random.default_rng(0).normal(size=(12, 3))
    ax = reconstruction(x, x[:10] + 0.1)
    assert len(ax.lines) == 6
    np.testing.assert_allclose(ax.lines[2].get_ydata(), x[:, 1], rtol=1e-6)
    np.testing.assert_allclose(ax.lines[3].get_ydata(), x[:10, 1] + 0.1, rtol=1e-6)


def test_only_the_features_with_the_largest_variance_are_drawn():
    x = np.random.default_rng(0).normal(size=(50, 8)) * [1, 9, 1, 8, 1, 7, 1, 6]
    ax = reconstruction(x, x)
    assert len(ax.lines) == 8
    np.testing.assert_allclose(ax.lines[0].get_ydata(), x[:, 1], rtol=1e-6)
    assert ax.get_ylabel() == "4 of 8 columns"
    x[:, 3] = np.nan  # never observed, so it has no line
    lines = reconstruction(x, x).lines
    np.testing.assert_allclose(lines[6].get_ydata(), x[:, 7], rtol=1e-6)
    np.testing.assert_allclose(lines[4].get_ydata(), x[:, 5], rtol=1e-6)


def test_binary_columns_are_strips_and_errors_are_framed():
    x = np.eye(4)
    same = reconstruction(x, x, column_types="binary")
    assert len(same.images) == 2
    assert len(same.lines) == 0
    wrong = x.copy()
    wrong[2, 3] = 1.0
    assert frames(reconstruction(x, wrong, column_types="binary")) == [(2.0, 4 + 1 + 3)]


def test_an_extra_step_is_framed_and_an_empty_sequence_is_named():
    x = np.eye(3)
    assert len(frames(reconstruction(x[:2], x, column_types="binary"))) == 3
    ax = reconstructions([x, x[:0]], [x, x[:0]], column_types="binary")[1]
    assert {text.get_text() for text in ax.texts} == {"empty"}


def test_missing_values_are_neither_drawn_nor_framed():
    gaps = np.array([[1.0], [np.nan], [0.0]])
    assert frames(reconstruction(gaps, np.ones((3, 1)), column_types="binary")) == [(2.0, 1 + 1)]
    schema = Schema((Column("page", "categorical", ("a", "b")),))
    pages = Sequences(gaps, [0, 3], schema=schema)
    ax = reconstructions(pages, pages.with_values(np.array([[1.0], [1.0], [0.0]])))[0]
    assert frames(ax) == []
    assert ax.images[0].get_array().mask.tolist() == [[False, True, False]] * 2


def test_categorical_columns_are_strips_with_a_row_for_each_category():
    ax = reconstruction("hello", "hollo")
    assert ax.images[0].get_array().shape == (4, 5)  # categories e, h, l, o at 5 steps
    ax = reconstruction("hello", "hell")
    assert ax.images[1].get_array().shape == (4, 4)


def test_each_sequence_has_axes_named_by_its_id():
    x = [np.arange(5.0), np.arange(7.0), np.arange(3.0), np.arange(2.0)]
    sequences = Sequences.from_list(x, ids=["a", "b", "c", "d"])
    axes = reconstructions(sequences, x)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "a  ·  5 steps",
        "b  ·  7 steps",
        "c  ·  3 steps",
        "d  ·  2 steps",
    ]


def test_draws_on_the_given_axes():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert reconstruction(np.arange(5.0), np.arange(5.0), ax) is ax


def test_numbers_of_sequences_must_agree():
    x = [np.arange(5.0), np.arange(7.0)]
    with pytest.raises(DataError, match="Got 1 reconstructions for 2 originals"):
        reconstructions(x, x[:1])
    with pytest.raises(DataError, match="0 axes for 2 sequences"):
        reconstructions(x, x, axes=[])
