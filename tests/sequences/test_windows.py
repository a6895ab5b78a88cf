"""Windows of series, merging their values, and splits at a step."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences, as_sequences, split_at, windows

SERIES = [np.arange(10.0)[:, None] + [[0, 100]], np.arange(4.0)[:, None] + [[50, 150]]]


def test_every_step_is_in_a_window_and_every_window_is_whole():
    cut = windows(Sequences.from_list(SERIES, ids=["a", "b"]), 4, 3)
    assert cut.starts.tolist() == [0, 3, 6, 0]
    assert cut.series.tolist() == [0, 0, 0, 1]
    assert cut.lengths.tolist() == [10, 4]
    assert cut.sequences.ids.tolist() == ["a[0:4]", "a[3:7]", "a[6:10]", "b[0:4]"]
    for window, start, series in zip(cut.sequences, cut.starts, cut.series, strict=True):
        assert np.array_equal(window, SERIES[series][start : start + 4])
    words = windows(Sequences.from_list(["abcab", "cab"]), 3, 1)
    assert words.sequences.to_list() == ["abc", "bca", "cab", "cab"]
    assert (cut.overlap, windows(SERIES[:1], 5, 5).overlap) == (True, False)


@pytest.mark.parametrize(
    ("steps", "length", "stride", "starts"),
    [
        (10, 4, 4, [0, 4, 6]),
        (8, 4, 4, [0, 4]),
        (4, 4, 1, [0]),
        (12, 8, None, [0, 2, 4]),
        (3, 1, None, [0, 1, 2]),
    ],
)
def test_where_windows_start(steps, length, stride, starts):
    assert windows([np.zeros(steps)], length, stride).starts.tolist() == starts


@pytest.mark.parametrize(("length", "stride"), [(4, 1), (4, 3), (3, 3), (1, 1)])
def test_merging_undoes_windows(length, stride):
    cut = windows([one[:, 0] for one in SERIES], length, stride)
    back = cut.merge(cut.sequences.to_list())
    assert all(np.array_equal(a, b[:, 0]) for a, b in zip(back, SERIES, strict=True))


def test_overlapping_windows_are_averaged_and_no_series_has_no_window():
    cut = windows([np.zeros(4)], 3, 1)
    assert cut.merge(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))[0].tolist() == [1, 3, 4, 6]
    cut = windows(Sequences.from_list([[1.0]])[:0], 3)
    assert len(cut.sequences) == 0
    assert cut.merge([]) == []


@pytest.mark.parametrize(
    ("length", "stride", "message"),
    [
        (0, None, "length must be a positive integer. Got 0"),
        (2.5, None, "length must be a positive integer. Got 2.5"),
        (4, 0, "stride must be an integer from 1 to 4. Got 0"),
        (4, 5, "stride must be an integer from 1 to 4. Got 5"),
        (5, None, "sequence 1 has 4 steps, fewer than the 5"),
    ],
)
def test_bad_arguments(length, stride, message):
    with pytest.raises((ParameterError, DataError), match=message):
        windows(SERIES, length, stride)


@pytest.mark.parametrize("values", [[[1.0, 2.0, 3.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0] * 4]])
def test_merging_needs_one_number_per_step(values):
    with pytest.raises(DataError, match="Expected 3 numbers for each of 2 windows"):
        windows([np.zeros(4)], 3, 1).merge(values)


def test_both_parts_of_a_split_together_are_the_sequence():
    sequences = as_sequences(["abcd", "", "ef"])
    before, after = split_at(sequences, [3, 0, 2])
    assert (before.to_list(), after.to_list()) == (["abc", "", "ef"], ["d", "", ""])
    assert before.schema == sequences.schema
    assert np.array_equal(after.ids, sequences.ids)
    assert split_at(as_sequences([[1.0, 2.0], [3.0, 4.0]]), 1)[0].lengths.tolist() == [1, 1]
    for at in (3, -1):
        message = f"Sequence 1 has 2 steps and cannot be split after {at}"
        with pytest.raises(DataError, match=message):
            split_at(as_sequences([[1.0, 2.0, 3.0], [4.0, 5.0]]), [1, at])
