"""Tables with one row per sequence and one column per step."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import ParameterError, RefoldError, SchemaError
from refold.sequences import data_warnings, read, step_columns
from sequences.equal import assert_equal

WIDE = "id,t0,t1,t2,t3\na,1,2,3,4\nb,5,,6,\nc,,,,\n"
CATEGORICAL = {"column_types": "categorical"}


def read_text(text, **options):
    return read(io.BytesIO(text.encode()), format="csv", **{"layout": "wide"} | options)


def test_empty_cells_at_the_end_are_not_steps():
    found = read_text(WIDE)
    assert (found.ids.tolist(), found.lengths.tolist()) == (["a", "b", "c"], [4, 3, 0])
    np.testing.assert_array_equal(found.to_list()[1], [5, np.nan, 6])
    assert found.schema.layout == "series"


def test_arrow_tables_and_records_give_the_same_sequences(tmp_path):
    table = pa.table({"id": ["a", "b"], "t0": [1.0, 3.0], "t1": [2.0, None]})
    pq.write_table(table, tmp_path / "wide.parquet")
    found = read(tmp_path / "wide.parquet", layout="wide")
    assert [one.tolist() for one in found.to_list()] == [[1, 2], [3]]
    assert_equal(read(tmp_path / "wide.parquet", memory_bytes=1, layout="wide"), found)
    records = b'[{"id": "a", "t0": 1.0, "t1": 2.0}, {"id": "b", "t0": 3.0, "t1": null}]'
    assert_equal(read(io.BytesIO(records), format="json", layout="wide"), found)
    with pytest.raises(ParameterError, match="is a folder, but layout='wide' reads one file"):
        read(tmp_path, layout="wide")


def test_the_steps_are_the_numbered_columns_or_all_except_the_id():
    found = read_text("who,mon,tue\n7,1,2\n8,3,\n", id="who")
    assert (found.ids.tolist(), found.lengths.tolist()) == ([7, 8], [2, 1])
    dates = "2020-01-30,2020-01-31,2020-02-01,2020-02-02"
    assert read_text(f"id,{dates}\n1,1,2,3,4\n").lengths.tolist() == [4]
    assert step_columns(["who", "0.0", "0.5", "1"]) == ["0.0", "0.5", "1"]
    with pytest.warns(UserWarning, match=r"the 2 columns 't0' to 't1'\. 'label' is left out"):
        found = read_text("label,t0,t1\nwalk,1,2\nrun,3,4\n")
    assert [one.tolist() for one in found.to_list()] == [[1, 2], [3, 4]]
    assert read_text("label,t0,t1\n9,1,2\n", columns=["t1", "t0"]).to_list()[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("id,t0,t1\n1,view,buy\n2,buy,\n", {}, [["view", "buy"], ["buy"]]),
        ("id,t0,t1\n1,2,3\n2,4,\n", CATEGORICAL, [[2, 3], [4]]),
        (
            "id,t0,t1\n1,2,b\n2,4,\n",
            {"column_types": {"token": "categorical"}},
            [["2", "b"], ["4"]],
        ),
    ],
)
def test_categories_are_one_feature(text, options, expected):
    found = read_text(text, **options)
    assert (found.to_list(), found.schema.names) == (expected, ("token",))


STEPS = "id,t0,t1\n1,2,3\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,t1,t10,t2\n1,2,3,4\n", {}, "column 't2' after 't10', so the steps are not in"),
        ("id,x0,x1,y0,y1\n1,2,3,4,5\n", {}, "several series of .* columns, such as 'x0' and 'y0'"),
        ("id,mon,tue\n1,2,wet\n", {}, "Column 'tue' holds text, 'wet' in line 2, but others hold"),
        (STEPS + "1,2,inf\n", {}, r"sequence 1, step 1, column 'x0' \(line 3\)"),
        (STEPS + ",2,4\n", {}, "Line 3 has no id in column 'id'"),
        ("id,t0,t1\n", {}, "has columns .id, t0, t1., but no rows"),
        ("id\n1\n", {}, "has no step columns besides id"),
        (STEPS, {"time": "t0"}, "a wide table, which has no times. Leave time="),
        (STEPS, {"time_gaps": True}, "time_gaps=True needs a long table"),
        (STEPS, {"columns": ["t7"]}, "has no column 't7'. It has id, t0, t1"),
        (STEPS, {"column_types": ["numeric"] * 2}, "column_types has 2 entries, and a wide table"),
        ("id,t0\n1,2\n", {"layout": "tall"}, "layout must be 'long' or 'wide'. Got 'tall'"),
    ],
)
def test_bad_tables(text, options, message):
    with pytest.raises(RefoldError, match=message):
        read_text(text, **options)


def test_a_wide_table_must_be_declared():
    with pytest.raises(SchemaError, match=r"no column 'id' .* whole sequence, pass layout='wide'"):
        read_text("label" + WIDE[2:], layout=None)
    (warning,) = data_warnings(read_text(WIDE, layout=None))
    assert "at most one step" in warning
    assert "pass layout='wide' if a row is a whole sequence" in warning
