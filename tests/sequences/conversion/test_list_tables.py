import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from refold.errors import DataError, SchemaError
from refold.sequences import Sequences


@pytest.mark.parametrize(
    "type_", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.int32())]
)
def test_list_columns(type_):
    table = pa.table({"id": ["a", "b", "c"], "x": pa.array([[1, 2], [], [3]], type_)})
    sequences = Sequences.from_arrow(table)
    assert sequences.ids.tolist() == ["a", "b", "c"]
    assert [series.tolist() for series in sequences] == [[1, 2], [], [3]]


def test_several_columns_and_null():
    table = pa.table(
        {
            "x": [[1.0, None], None, [3.0]],
            "on": [[True, False], None, [None]],
            "event": [["u", None], None, ["v"]],
        }
    )
    sequences = Sequences.from_arrow(table)
    assert sequences.lengths.tolist() == [2, 0, 1]
    assert [column.type for column in sequences.schema.columns] == [
        "numeric",
        "binary",
        "categorical",
    ]
    np.testing.assert_array_equal(sequences.values[1], [np.nan, 0, np.nan])
    assert Sequences.from_arrow(table, columns=["on"]).schema.names == ("on",)


def test_fixed_size_and_nested_lists():
    fixed = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2))
    assert Sequences.from_arrow(pa.table({"x": fixed})).lengths.tolist() == [2, 2]
    nested = Sequences.from_arrow(pa.table({"x": [[[1.0, 2.0], [3.0, 4.0]], [], None]}))
    assert nested.lengths.tolist() == [2, 0, 0]
    assert nested.schema.num_columns == 2


def test_slices_chunks_and_list_views():
    table = pa.table({"x": [[1.0], [2.0, 3.0], None]})
    joined = pa.concat_tables([table[1:], table[:1]])
    assert [series.tolist() for series in Sequences.from_arrow(joined)] == [[2, 3], [], [1]]
    views = pa.array([[1.0, 2.0], [3.0]], pa.list_view(pa.float64()))
    assert Sequences.from_arrow(views).lengths.tolist() == [2, 1]


def test_columns_of_text_are_characters():
    sequences = Sequences.from_arrow(pa.table({"id": [5, 6], "word": ["abba", None]}))
    assert sequences.to_list() == ["abba", ""]
    assert sequences.ids.tolist() == [5, 6]
    assert sequences.schema.names == ("word",)


@pytest.mark.parametrize(
    "column",
    [pd.Series([["a"], ["b", "a"]]), pl.Series([["a"], ["b", "a"]]), pa.array([["a"], ["b", "a"]])],
)
def test_a_single_column(column):
    assert Sequences.from_arrow(column).to_list() == [["a"], ["b", "a"]]


UNEVEN = {"x": [[1.0, 2.0], [3.0]], "y": [[1.0, 2.0], [3.0, 4.0]]}
INFINITE = {"id": ["p", "q"], "x": [[1.0], [2.0, float("inf")]]}
BAD = [
    (UNEVEN, {}, "Sequence 1 has 1 steps in column 'x', but 2 in 'y'"),
    ({"x": [1.0]}, {}, "no list column. Expected one row per sequence"),
    ({"x": ["a"], "y": ["b"]}, {}, "no list column"),
    ({"x": [[1.0]]}, {"columns": ["y"]}, "no column 'y', which columns="),
    ({"x": [[1.0]]}, {"id": "who"}, "no column 'who', which id="),
    (
        {"x": [[1.0]], "y": [1.0]},
        {"columns": ["x", "y"]},
        "'y' has the type double. Expected lists",
    ),
    ({"x": pa.array([], pa.list_(pa.int8()))}, {}, "has no rows"),
    (INFINITE, {}, r"infinite value at sequence 1 \(id 'q'\), step 1, column 'x'"),
    ({"id": [None, "q"], "x": [[1.0], [2.0]]}, {}, "Sequence 0 has no id"),
]


@pytest.mark.parametrize(("table", "options", "message"), BAD)
def test_bad_input(table, options, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_arrow(pa.table(table), **options)


def test_to_arrow_needs_a_free_name():
    with pytest.raises(SchemaError, match="would have two columns named 'x0'"):
        Sequences.from_list([[1.0]]).to_arrow(id="x0")
