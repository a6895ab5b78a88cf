"""Windows of series, merging their values, and splits at a step."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences, as_sequences, split_at, windows

SERIES = [np.arange(10.0)[:, None] + [[0, 100]], np.arange(4.0)[:, None] + [[50, 150]]]


def test_every_step_is_in_a_window_and_every_window_is_whole():
    cut = windows(SERIES, 4, 3)
    assert cut.starts.tolist() == [0, 3, 6, 0]
    assert cut.series.tolist() == [0, 0, 0, 1]
    assert cut.lengths.tolist() == [10, 4]
    for window, start, series in zip(cut.sequences, cut.starts, cut.series, strict=True):
        assert np.array_equal(window, SERIES[series][start : start + 4])


@pytest.mark.parametrize(
    ("steps", "length", "stride", "starts"),
    [
        (10, 4, 4, [0, 4, 6]),
        (8, 4, 4, [0, 4]),
        (4, 4, 1, [0]),
        (5, 4, 1, [0, 1]),
        (12, 8, None, [0, 2, 4]),
        (3, 1, None, [0, 1, 2]),
    ],
)
def test_where_windows_start(steps, length, stride, starts):
    assert windows([np.zeros(steps)], length, stride).starts.tolist() == starts


def test_ids_contain_series_and_position():
    series = Sequences.from_list(SERIES, ids=["a", "b"])
    assert windows(series, 4, 4).sequences.ids.tolist() == ["a[0:4]", "a[4:8]", "a[6:10]", "b[0:4]"]


def test_column_types_gaps_and_categories_are_kept():
    words = Sequences.from_list(["abcab", "cab"])
    assert windows(words, 3, 1).sequences.to_list() == ["abc", "bca", "cab", "cab"]
    gap = np.array([1.0, np.nan, 3.0])
    assert np.array_equal(windows([gap], 2, 1).sequences[1], gap[1:], equal_nan=True)


@pytest.mark.parametrize(("length", "stride"), [(4, 1), (4, 3), (3, 3), (1, 1)])
def test_merging_undoes_windows(length, stride):
    cut = windows([one[:, 0] for one in SERIES], length, stride)
    back = cut.merge(cut.sequences.to_list())
    assert all(np.array_equal(a, b[:, 0]) for a, b in zip(back, SERIES, strict=True))


def test_overlapping_windows_are_averaged():
    cut = windows([np.zeros(4)], 3, 1)
    assert cut.merge(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))[0].tolist() == [1, 3, 4, 6]


def test_no_series_has_no_window():
    cut = windows(Sequences.from_list([[1.0]])[:0], 3)
    assert len(cut.sequences) == 0
    assert cut.merge([]) == []


@pytest.mark.parametrize(
    ("length", "stride", "message"),
    [
        (0, None, "length must be a positive integer. Got 0"),
        (2.5, None, "length must be a positive integer. Got 2.5"),
        (4, 0, "stride must be from 1 to 4, the steps of a window"),
        (4, 5, "so that windows cover all steps. Got 5"),
    ],
)
def test_bad_arguments(length, stride, message):
    with pytest.raises(ParameterError, match=message):
        windows(SERIES, length, stride)


def test_a_window_longer_than_a_series():
    series = Sequences.from_list(SERIES, ids=["a", "b"])
    with pytest.raises(DataError, match=r"sequence 1 \(id 'b'\) has 4 steps, fewer than the 5"):
        windows(series, 5)


@pytest.mark.parametrize(
    "values", [[[1.0, 2.0, 3.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]]]
)
def test_merging_needs_one_number_per_step(values):
    with pytest.raises(DataError, match="Expected 3 numbers for each of 2 windows"):
        windows([np.zeros(4)], 3, 1).merge(values)


# Splits


def test_both_parts_together_are_the_sequence():
    sequences = as_sequences(["abcd", "", "ef"])
    before, after = split_at(sequences, [3, 0, 2])
    assert (before.to_list(), after.to_list()) == (["abc", "", "ef"], ["d", "", ""])
    assert before.schema == sequences.schema
    assert np.array_equal(after.ids, sequences.ids)


def test_one_position_for_all_sequences():
    before, _ = split_at(as_sequences([[1.0, 2.0], [3.0, 4.0]]), 1)
    assert before.lengths.tolist() == [1, 1]


@pytest.mark.parametrize("at", [3, -1])
def test_a_position_beyond_the_end_is_refused(at):
    with pytest.raises(DataError, match=f"Sequence 1 has 2 steps and cannot be split after {at}"):
        split_at(as_sequences([[1.0, 2.0, 3.0], [4.0, 5.0]]), [1, at])
