"""Numbers that stand for a missing value."""

import numpy as np
import pytest

from refold.errors import ParameterError
from refold.sequences import Column, Schema, Sequences, mark_missing, read, write


def test_only_numeric_columns_are_changed():
    rows = [[-1.0, 0.0, 5.0], [2.5, 1.0, -1.0], [-1.0, 1.0, 5.0]]
    column_types = ["numeric", "binary", "categorical"]
    sequences = Sequences.from_list([np.array(rows)], column_types=column_types)
    marked = mark_missing(sequences, -1)
    assert np.isnan(marked.values[:, 0]).tolist() == [True, False, True]
    np.testing.assert_array_equal(marked.values[:, 1:], sequences.values[:, 1:])
    assert marked.schema.columns == sequences.schema.columns
    assert not np.isnan(sequences.values).any()


def test_binary_columns_of_other_data():
    marked = mark_missing(Sequences.from_list([[0, 1, 1]]), [-9, 1])
    other = Sequences.from_list([[0, -9, 1]])
    np.testing.assert_array_equal(other.align(marked.schema)[0], [0, np.nan, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_have_the_precision_of_the_data(dtype):
    values = np.array([1e20, 0.1, 999.9], dtype)
    marked = mark_missing(Sequences.from_list([values]), [1e20, 999.9])
    assert np.isnan(marked.values[:, 0]).tolist() == [True, False, True]
    assert marked.values.dtype == dtype


def test_the_schema_remembers_the_numbers(tmp_path):
    schema = Schema((Column("a", "numeric"),), missing=(-9999,))
    assert Schema.from_dict(schema.to_dict()) == schema
    marked = mark_missing(Sequences.from_list([[1.5, -9999.0]]), [-9999])
    write(marked, tmp_path / "a.parquet")
    again = read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(again[0], [1.5, np.nan])


@pytest.mark.parametrize("values", ["-99999", [np.nan], [np.inf], [[1.0]], [None], {}, [1, "a"]])
def test_bad_numbers(values):
    with pytest.raises(ParameterError, match="must be a finite number or a list of them"):
        mark_missing(Sequences.from_list([[1.0]]), values)
