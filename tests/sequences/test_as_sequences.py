import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Sequences, as_sequences, concatenate, fingerprints


class Tensor:
    """A stand-in for arrays of other libraries."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype=dtype)


ragged = np.empty(2, dtype=object)
ragged[:] = [np.ones((2, 3)), np.ones((1, 3))]


@pytest.mark.parametrize(
    ("x", "lengths"),
    [
        ([np.ones((2, 3)), np.ones((1, 3))], [2, 1]),
        ((np.ones((2, 3)), np.ones((1, 3))), [2, 1]),
        (iter([np.ones((2, 3)), np.ones((1, 3))]), [2, 1]),
        (ragged, [2, 1]),
        ([Tensor(np.ones((2, 3))), Tensor(np.ones((1, 3)))], [2, 1]),
        (np.ones((2, 4, 3)), [4, 4]),
        (Tensor(np.ones((2, 4, 3))), [4, 4]),
        (np.array([[1.0, 2.0], [1.0, np.nan]]), [2, 1]),
        (np.array(["ab", "a"]), [2, 1]),
        ([["a", "b"], ["a"]], [2, 1]),
        (pd.Series(["ab", "a"]), [2, 1]),
        (pl.Series([[1.0, 2.0], [3.0]]), [2, 1]),
        (pl.DataFrame({"id": [1, 2], "x": [[1.0, 2.0], [3.0]]}), [2, 1]),
    ],
)
def test_accepted_data(x, lengths):
    assert as_sequences(x).lengths.tolist() == lengths


def test_sequences_are_returned_unchanged():
    sequences = Sequences.from_list(["ab"])
    assert as_sequences(sequences) is sequences
    assert as_sequences(["b"], schema=sequences.schema).schema == sequences.schema


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "Got an empty list"),
        ("abc", "Expected a list of sequences, an array or a table. Got a str"),
        (5, "Got a int; put a single sequence into a list"),
        ({"x": [1]}, "Got a dict"),
        (np.zeros(4), r"Got an array of shape \(4,\)"),
        (np.float64(3), r"Got an array of shape \(\)"),
        (pd.DataFrame({"id": [1], "x": [1.0]}), "Sequences.from_table"),
        (pd.DataFrame({"id": [1], "x": [1.0], "y": ["a"]}), "no list column"),
    ],
)
def test_bad_input(x, message):
    with pytest.raises(DataError, match=message):
        as_sequences(x)


def test_concatenate():
    both = concatenate([Sequences.from_list([["a", "b"]]), Sequences.from_list([["c"], ["a"]])])
    assert both.to_list() == [["a", "b"], ["c"], ["a"]]
    assert both.ids.tolist() == [0, 1, 2]
    named = [Sequences.from_list([[1.0]], ids=[name]) for name in "pq"]
    assert concatenate(named).ids.tolist() == ["p", "q"]
    mixed = concatenate([Sequences.from_list([[0, 1]]), Sequences.from_list([[5.0]])])
    assert mixed.schema.columns[0].type == "numeric"


def test_concatenate_keeps_unknown_categories():
    fitted = Sequences.from_list(["a"]).schema
    with pytest.warns(UserWarning, match="1 entry"):
        unknown = Sequences.from_list(["z"], schema=fitted)
    both = concatenate([unknown, Sequences.from_list(["b"])])
    assert both.to_list() == ["\ufffd", "b"]


SERIES, LABELS = Sequences.from_list([[1.0]]), as_sequences([[2, 3]], column_types="categorical")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "Got an empty list"),
        (
            [SERIES, as_sequences([[[1.0, 2.0]]])],
            r"Set 1 has the columns \('x0', 'x1'\), but set 0",
        ),
        (
            [SERIES, as_sequences([["a"]], names=["x0"])],
            "categorical in one set and numeric in ano",
        ),
        ([LABELS, as_sequences([["a"]])], "are text in one set, integers in another"),
    ],
)
def test_sets_that_cannot_be_concatenated(parts, message):
    with pytest.raises(DataError, match=message):
        concatenate(parts)


def test_sparse_and_complex_data():
    with pytest.raises(DataError, match=r"Sparse data is not supported: got a csr_matrix of shape"):
        as_sequences(scipy.sparse.csr_matrix(np.eye(3)))
    with pytest.raises(DataError, match="Complex data not supported: column 'x0' holds complex128"):
        as_sequences(np.ones((2, 3), complex))


def test_columns_of_arrays_and_arrow_arrays():
    arrays = [np.ones((2, 3)), np.zeros((1, 3))]
    found = as_sequences(pd.Series(arrays))
    assert (found.lengths.tolist(), found.schema.num_columns) == ([2, 1], 3)
    assert as_sequences([pa.array(["a", "b"]), pa.array(["b"])]).to_list() == [["a", "b"], ["b"]]
    gaps = as_sequences([pa.array([1.0, None]), pa.array([2.0])])
    np.testing.assert_array_equal(gaps.values[:, 0], [1, np.nan, 2])


def test_ids_of_several_types_and_columns_of_several():
    frame = pd.DataFrame({"id": [1, "a"], "x": [[1.0], [2.0]], "y": [1, "b"]})
    assert Sequences.from_arrow(frame, columns=["x"]).ids.tolist() == ["1", "a"]
    with pytest.raises(SchemaError, match="Column 'y' holds values of several types"):
        Sequences.from_arrow(frame, columns=["y"])


def test_sequences_are_not_converted_again():
    with pytest.raises(ParameterError, match="x is a Sequences already"):
        as_sequences(as_sequences([[1.0]]), names=["level"])


def test_fingerprints_depend_only_on_values_and_lengths():
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    values = np.array([0.0, 1.0, -0.0, 1.0, 1.0, 0.0, np.nan, nan], np.float32)[:, None]
    found = fingerprints(Sequences(values, [0, 2, 4, 6, 6, 7, 8, 8], ids=list("abcdefg")))
    same = (found[:, None] == found).astype(int)
    assert same.sum(axis=1).tolist() == [2, 2, 1, 2, 2, 2, 2]
    assert found.dtype == np.uint64
    assert fingerprints(Sequences(values[:0], [0])).shape == (0,)
