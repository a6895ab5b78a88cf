import warnings

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences


def test_whole_array():
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    sequences = Sequences.from_array(x)
    assert sequences.lengths.tolist() == [5] * 4
    np.testing.assert_array_equal(sequences.to_padded(), x)


def test_lengths():
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    sequences = Sequences.from_array(x, lengths=[5, 0, 2], names=["a", "b"])
    assert sequences.lengths.tolist() == [5, 0, 2]
    assert sequences.schema.names == ("a", "b")
    np.testing.assert_array_equal(sequences[2], x[2, :2])


def test_trailing_nan_is_padding_and_leading_nan_is_not():
    x = np.ones((2, 4, 2))
    x[0, 2:] = np.nan
    x[0, 0] = np.nan
    x[1, 3, 0] = np.nan
    assert Sequences.from_array(x).lengths.tolist() == [2, 4]


def test_rows_of_two_axes_are_series():
    sequences = Sequences.from_array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
    assert sequences.schema.layout == "series"
    assert [series.tolist() for series in sequences] == [[1, 2], [3, 4, 5]]


def test_text_and_integer_rows():
    text = Sequences.from_array(np.array([["a", "b"], ["b", "b"]]))
    assert text.to_list() == [["a", "b"], ["b", "b"]]
    objects = np.array([["a", "b"], ["b", None]], dtype=object)
    assert Sequences.from_array(objects).to_list() == [["a", "b"], ["b"]]
    integers = Sequences.from_array(np.array([[7, 8], [8, 8]]), column_types="categorical")
    assert integers.to_list() == [[7, 8], [8, 8]]


def test_padded_with_zeros():
    x = np.zeros((3, 4, 2))
    x[0] = 1.0
    x[1, :2] = 2.0
    sequences = Sequences.from_padded(x)
    assert sequences.lengths.tolist() == [4, 2, 0]


def test_padded_in_front():
    x = np.array([[0, 0, 1, 2], [3, 4, 5, 6], [0, 0, 0, 0]])
    sequences = Sequences.from_padded(x, padding="pre")
    assert [series.tolist() for series in sequences] == [[1, 2], [3, 4, 5, 6], []]


def test_padded_with_other_values():
    assert Sequences.from_padded([[1, -1], [2, 3]], -1).lengths.tolist() == [1, 2]
    assert Sequences.from_padded([[1, np.nan], [2, 3]], np.nan).lengths.tolist() == [1, 2]
    tokens = np.array([["a", "<pad>"], ["b", "a"]])
    assert Sequences.from_padded(tokens, "<pad>").to_list() == [["a"], ["b", "a"]]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            [[1, 0, 1, 0], [1, 1, 1, 1]],
            "as padding in 1 sequences, but 1 sequences have such steps between real ones",
        ),
        ([[1, 0, 0], [1, 1, 0]], "No sequence fills the 3 steps"),
        ([[0, 0, 1], [1, 1, 1]], "pass padding='pre'"),
    ],
)
def test_a_warning_if_padding_could_be_data(x, message):
    with pytest.warns(UserWarning, match=message) as caught:
        Sequences.from_padded(x)
    assert caught[0].filename == __file__


def test_no_warning_if_padding_is_clear():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sequences.from_padded([[1, 2, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (np.zeros(3), None, r"Expected an array of shape .* Got \(3,\)"),
        (np.zeros((0, 2, 1)), None, "without sequences"),
        ([[1, 2], [3]], None, "differ in length and do not form an array. Use Sequences.from_list"),
        (np.zeros((2, 3)), [1], r"one integer per sequence, shape \(2,\)"),
        (np.zeros((2, 3)), [1.0, 2.0], "Got float64"),
        (np.zeros((2, 3)), [1, 4], "Sequence 1 has the length 4. Expected 0 to 3"),
        (np.zeros((2, 3)), [-1, 3], "Sequence 0 has the length -1"),
    ],
)
def test_bad_input(x, lengths, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_array(x, lengths)


def test_unknown_side():
    with pytest.raises(ParameterError, match=r"'post' or 'pre'. Got 'left'"):
        Sequences.from_padded([[0]], padding="left")
