"""Codes in other tools' tables, and back to the bit."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from refold.errors import DataError, SchemaError
from refold.sequences import codes_from_arrow, codes_to_arrow

CODES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
IDS = np.array(["a", "b", "c", "d", "é"])


TOOLS = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "pandas by id": lambda table: table.to_pandas().set_index("id"),
    "polars": pl.from_arrow,
    "duckdb": lambda table: duckdb.from_arrow(table),
    "chunks": lambda table: pa.concat_tables([table[:2], table[2:]]),
    "dict": lambda table: {"id": IDS, "code": CODES.tolist()},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_codes_come_back_to_the_bit(tool):
    codes, ids = codes_from_arrow(TOOLS[tool](codes_to_arrow(CODES, IDS)))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, CODES)
    assert ids.tolist() == IDS.tolist()


def test_the_types_are_what_other_tools_take_for_vectors():
    table = codes_to_arrow(CODES)
    assert table["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert duckdb.from_arrow(table).types == ["BIGINT", "FLOAT[3]"]
    assert pl.from_arrow(table).schema["code"] == pl.Array(pl.Float32, 3)
    assert isinstance(table.to_pandas()["code"][0], np.ndarray)


def test_duckdb_finds_neighbours():
    codes = codes_to_arrow(CODES, IDS)
    found = duckdb.sql(
        "select b.id from codes a, codes b where a.id = 'c' "
        "order by array_distance(a.code, b.code) limit 2"
    ).fetchall()
    distances = np.linalg.norm(CODES - CODES[2], axis=1)
    assert codes.num_rows == 5
    assert [row[0] for row in found] == IDS[np.argsort(distances)[:2]].tolist()


def test_other_names_no_ids_and_no_rows():
    table = pa.table({"vector": [[1, 2], [3, 4]], "who": [7, 8]})
    codes, ids = codes_from_arrow(table, id="who", code="vector")
    assert codes.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert ids.tolist() == [7, 8]
    assert codes_from_arrow(table, code="vector")[1].tolist() == [0, 1]
    assert codes_from_arrow(codes_to_arrow(np.zeros((0, 3))))[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            {"code": [[1.0], [1.0, 2.0]]},
            DataError,
            r"of row 1 has 2 entries, but that of row 0 has 1",
        ),
        ({"code": [[1.0], None]}, DataError, r"^Row 1 has no code in column 'code'"),
        ({"code": [[1.0, 2.0], [1.0, None]]}, DataError, r"^The code of row 1 has a missing"),
        ({"code": ["a"]}, SchemaError, r"'code' holds string. Expected lists of numbers"),
        ({"code": [["a"]]}, SchemaError, r"holds list<.*string>. Expected lists of numbers"),
        ({"code": [[1.0], "a"]}, SchemaError, r"holds lists and something else"),
        ({"x": [1]}, SchemaError, r"no column 'code'.* Its columns are 'x'"),
        (pd.DataFrame({"id": [None], "code": [[1.0]]}), DataError, r"^Sequence 0 has no id"),
        (3, DataError, r"Expected a pandas, polars or Arrow table"),
    ],
)
def test_what_holds_no_codes_is_refused(table, error, message):
    with pytest.raises(error, match=message):
        codes_from_arrow(table)


@pytest.mark.parametrize(
    ("codes", "ids", "message"),
    [
        ([1.0, 2.0], None, r"must have shape \(n_sequences, width\).* Got \(2,\)"),
        ([[1.0], [1.0, 2.0]], None, "must be an array of numbers"),
        (np.zeros((2, 0)), None, r"Got \(2, 0\)"),
        ([[1.0]], [1, 2], r"one entry per sequence, shape \(1,\)"),
    ],
)
def test_what_is_no_array_of_codes_is_refused(codes, ids, message):
    with pytest.raises(DataError, match=message):
        codes_to_arrow(codes, ids)
