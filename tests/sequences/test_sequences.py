"""The container: construction from any input, indexing, round trips, sets, windows and splits."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import (
    Column,
    Schema,
    Sequences,
    as_sequences,
    concatenate,
    fingerprints,
    split_at,
    windows,
)
from sequences.equal import assert_equal

NAN = np.nan


def test_accepted_data():
    arrays = [np.ones((2, 3)), np.ones((1, 3))]
    for x in (
        np.array([*arrays, None], dtype=object)[:2],
        jnp.ones((2, 4, 3))[:, :2].at[1, 1].set(NAN),
        pd.Series(["ab", "a"]),
        pd.Series(arrays),
        pl.Series([[1.0, 2.0], [3.0]]),
    ):
        assert as_sequences(x).lengths.tolist() == [2, 1]


def test_sequences_are_not_converted_again():
    sequences = Sequences.from_list(["ab"])
    assert as_sequences(sequences) is sequences
    again = as_sequences(["b"], schema=sequences.schema)
    assert again.values[:, 0].tolist() == [1]
    with pytest.raises(ParameterError, match="x is a Sequences already"):
        as_sequences(sequences, names=["level"])
    with pytest.raises(DataError, match="Sparse data is not supported: got a csr_matrix of"):
        as_sequences(scipy.sparse.csr_matrix(np.eye(3)))


def test_arrays_that_do_not_match_are_refused():
    zeros = np.zeros((3, 1))
    with pytest.raises(DataError, match=r"rise from 0 to the number of steps, 3, .* Got \[0, 2\]"):
        Sequences(zeros, [0, 2])
    two_columns = Schema((Column("x", "numeric"), Column("y", "numeric")))
    with pytest.raises(DataError, match="Got 1 columns for 2 columns of the schema"):
        Sequences(zeros, [0, 3], schema=two_columns)
    one_category = Schema((Column("x", "categorical", ("a",)),))
    with pytest.raises(DataError, match=r"Got 2 at sequence 0, .*index of a category, 0 to 0"):
        Sequences(zeros + 2, [0, 1, 3], schema=one_category)


def test_indexing_copies_one_or_several():
    arrays = [np.arange(2.0 * i).reshape(i, 2) for i in range(10)]
    growing = Sequences.from_list(arrays, names=["a", "b"])
    assert (len(growing), growing.shape, growing.ndim) == (10, (10,), 1)
    assert repr(growing) == "Sequences(n=10, lengths=0 to 9, 2 numeric)"
    assert repr(growing[:0]) == "Sequences(n=0, columns=2)"
    np.testing.assert_array_equal(growing[np.int64(-8)], arrays[2])
    with pytest.raises(IndexError, match="one axis and take one index"):
        growing[1, 2]
    growing[2][:] = 7.0
    assert not (growing.values == 7.0).all(axis=1).any()
    for key, indices in (
        (slice(None, None, -3), [9, 6, 3, 0]),
        (np.array([-1, 4, 4]), [9, 4, 4]),
        (np.arange(10) > 7, [8, 9]),
        (([3, 1], Ellipsis), [3, 1]),  # as scikit-learn's splitters index
        ([], []),
    ):
        selected = growing[key]
        assert selected.ids.tolist() == indices
        for i, sequence in zip(indices, selected, strict=True):
            np.testing.assert_array_equal(sequence, arrays[i])


def test_ids_that_are_text_are_an_index():
    storms = Sequences.from_list([[1.0], [2.0], [3.0]], ids=["Katrina-2005", "Ike-2008", "3"])
    assert storms["Katrina-2005"].tolist() == [1.0]
    for key in (["3", "Ike-2008"], np.array(["3", "Ike-2008"]), pd.Index(["3", "Ike-2008"])):
        assert storms[key].ids.tolist() == ["3", "Ike-2008"]
    assert storms[2].tolist() == [3.0]
    with pytest.raises(DataError, match=r"id 'Katrina'\. The nearest: 'Katrina-2005'\."):
        storms["Katrina"]
    with pytest.raises(DataError, match=r"id 'x'\. The ids are 'Katrina-2005', 'Ike-2008', '3'\."):
        storms[["3", "x"]]
    with pytest.raises(DataError, match=r"ids are integers; sequences\[0\] is the first"):
        storms.with_ids([1, 2, 3])["1"]
    with pytest.raises(DataError, match=r"ids must differ\. Got 'a' more than once"):
        storms.with_ids(["a", "a", "b"])["a"]


@st.composite
def draw_arrays(draw):
    num_features = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    numbers = st.floats(-1e6, 1e6, width=32) | st.just(NAN)
    return [draw(hnp.arrays(dtype, (n, num_features), elements=numbers)) for n in lengths]


TOKENS = st.lists(st.lists(st.text(max_size=2) | st.none(), max_size=4), min_size=1, max_size=4)
STRINGS = st.lists(st.text(max_size=6), min_size=1, max_size=5)
INTEGERS = st.lists(st.lists(st.integers(-9, 9), max_size=4), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(draw_arrays() | TOKENS | STRINGS | INTEGERS, st.booleans())
def test_to_other_forms_and_back(data, is_categorical):
    is_array = isinstance(data[0], np.ndarray)
    column_types = "numeric" if is_array else ("categorical" if is_categorical else None)
    layout = "characters" if isinstance(data[0], str) and is_categorical else None
    sequences = Sequences.from_list(data, column_types=column_types, output_layout=layout)
    if is_array or (is_categorical and sequences.lengths.sum()):
        for before, after in zip(data, sequences.to_list(), strict=True):
            np.testing.assert_array_equal(after, before)
    again = Sequences.from_list(sequences.to_list(), schema=sequences.schema)
    np.testing.assert_array_equal(again.values, sequences.values)
    assert_equal(concatenate([sequences[:1], sequences[1:]]), sequences)
    assert_equal(Sequences.from_arrow(sequences.to_arrow()), sequences)
    if is_array:
        padded = sequences.to_padded(-1.0)
        again = Sequences.from_array(padded, sequences.lengths, column_types="numeric")
        assert_equal(again, sequences)
    with_steps = sequences[sequences.lengths > 0]
    if len(with_steps):
        table = with_steps.to_table()
        mixed = np.random.default_rng(0).permutation(table["id"].to_numpy())
        interleaved = table.take(np.argsort(np.argsort(mixed, kind="stable")))
        again = Sequences.from_table(interleaved, id="id", time="time")
        assert_equal(again[np.argsort(again.ids)], with_steps)


def test_unknown_and_missing_categories():
    values = np.array([[0.0], [2.0], [NAN]], np.float32)

    def decode(labels, layout):
        schema = Schema((Column("token", "categorical", labels),), layout)
        return Sequences(values, [0, 3], schema=schema)[0]

    assert decode(("a", "b"), "tokens") == decode(("a", "b"), "words") == ["a", "<unknown>", None]
    assert decode(("a", "b"), "characters") == "a\ufffd\ufffd"
    assert decode((5, 6), "tokens") == [5, None, None]
    np.testing.assert_array_equal(decode((5, 6), "array"), [[5.0], [NAN], [NAN]])
    schema = Schema((Column("token", "categorical", ("a", "b")),), "tokens")
    sequences = Sequences(values, [0, 3], schema=schema)
    assert_equal(Sequences.from_arrow(sequences.to_arrow()), sequences)
    extended = concatenate([sequences, Sequences.from_list([["c"]])])
    assert extended.to_list() == [["a", "<unknown>", None], ["c"]]


def test_concatenated_sets_keep_ids_that_differ_and_need_the_same_columns():
    sets = [Sequences.from_list([[1.0]], ids=[name]) for name in "pq"]
    assert concatenate(sets).ids.tolist() == ["p", "q"]
    assert concatenate([sets[0], sets[0]]).ids.tolist() == [0, 1]
    with pytest.raises(SchemaError, match=r"Set 1 has the columns \('x0', 'x1'\), but set "):
        concatenate([sets[0], as_sequences([[[1.0, 2.0]]])])
    with pytest.raises(SchemaError, match="numeric values in one set and text categories in ano"):
        concatenate([sets[0], as_sequences([["a"]], names=["x0"])])


def test_fingerprints_depend_only_on_values_and_lengths():
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    values = np.array([0.0, 1.0, -0.0, 1.0, 1.0, 0.0, NAN, nan], np.float32)[:, None]
    hashes = fingerprints(Sequences(values, [0, 2, 4, 6, 6, 7, 8, 8], ids=list("abcdefg")))
    same = (hashes[:, None] == hashes).astype(int)
    assert same.sum(axis=1).tolist() == [2, 2, 1, 2, 2, 2, 2]


STAIRS = [np.arange(10.0), np.arange(50.0, 54.0)]


def test_every_step_is_in_a_window_and_a_short_series_is_one():
    cut = windows(Sequences.from_list(STAIRS, ids=["a", "b"]), 4, 3)
    assert cut.starts.tolist() == [0, 3, 6, 0]
    assert cut.series.tolist() == [0, 0, 0, 1]
    assert cut.lengths.tolist() == [10, 4]
    assert cut.sequences.ids.tolist() == ["a[0:4]", "a[3:7]", "a[6:10]", "b"]
    expected = {"who": ["a", "a", "a", "b"], "start": [0, 3, 6, 0], "end": [4, 7, 10, 4]}
    assert cut.to_table("who").to_pydict() == expected
    again = windows(cut.sequences, 4, 3).sequences
    assert again.ids.tolist() == cut.sequences.ids.tolist()
    assert [len(window) for window in windows(STAIRS, 5).sequences] == [5] * 6 + [4]
    for window, start, series in zip(cut.sequences, cut.starts, cut.series, strict=True):
        assert np.array_equal(window, STAIRS[series][start : start + 4])
    assert windows([np.zeros(10)], 4, 4).starts.tolist() == [0, 4, 6]
    assert windows([np.zeros(12)], 8).starts.tolist() == [0, 2, 4]


def test_merging_undoes_windows_and_averages_where_they_overlap():
    cut = windows(STAIRS, 4, 3)
    back = cut.merge(cut.sequences.to_list())
    assert all(np.array_equal(a, b) for a, b in zip(back, STAIRS, strict=True))
    cut = windows([np.zeros(4)], 3, 1)
    assert cut.merge(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))[0].tolist() == [1, 3, 4, 6]
    with pytest.raises(DataError, match=r"each step of 2 windows, 6 in all\. Got 6 for 2"):
        cut.merge([[1.0, 2.0], [1.0] * 4])
    with pytest.raises(ParameterError, match=r"step must be an integer from 1 to 4\. Got 5"):
        windows(STAIRS, 4, 5)


def test_joining_averages_numbers_and_takes_other_values_from_the_middle_of_a_window():
    rows = [[("a", 0), ("b", 1), ("c", 2), ("d", 3)]]
    series = Sequences.from_list(rows, column_types=["categorical", "numeric"])
    cut = windows(series, 3, 1)
    assert cut.join(cut.sequences).to_list()[0].tolist() == series.to_list()[0].tolist()
    shifted = cut.sequences.values.copy()
    shifted[:3, 0], shifted[:3, 1] = [3, 1, 0], [4, 5, 6]  # of the first window
    joined = cut.join(cut.sequences.with_values(shifted))
    assert [row[0] for row in joined.to_list()[0]] == ["d", "b", "c", "d"]
    assert [row[1] for row in joined.to_list()[0]] == [4, 3, 4, 3]


def test_both_parts_of_a_split_together_are_the_sequence():
    sequences = as_sequences(["abcd", "", "ef"])
    before, after = split_at(sequences, [3, 0, 2])
    assert (before.to_list(), after.to_list()) == (["abc", "", "ef"], ["d", "", ""])
    assert np.array_equal(after.ids, sequences.ids)
