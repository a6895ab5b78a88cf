"""Bad files give one line with the name of the file when they are opened."""

import datetime
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileFormatError, ParameterError, RefoldError, SchemaError
from refold.sequences import FileAccessError, Sequences, read, write
from refold.sequences.files import _joined_parts
from small_data import mapped

GOOD = {"id": ["a", "a", "b"], "time": [0, 1, 0], "x": [1.0, 2.0, 3.0]}


def put(path, group_rows=None, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)
    return path


def folder_with(tmp_path, **columns):
    """Return a folder whose second file has these columns."""
    put(tmp_path / "data" / "a.parquet", **GOOD)
    put(tmp_path / "data" / "b.parquet", **columns)
    return tmp_path / "data"


def refused(path, error, match, **options):
    with pytest.raises(error, match=match) as caught:
        mapped(path, **options)
    assert "\n" not in str(caught.value)


def test_a_folder_without_parquet_files(tmp_path):
    refused(tmp_path, FileFormatError, "holds no Parquet file .*, only nothing. Convert the data")
    for name in "abcd":
        (tmp_path / f"{name}.csv").touch()
    refused(tmp_path, FileFormatError, r"only a\.csv, b\.csv, c\.csv, \.\.\.\. Convert the data")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "b.parquet is empty: it holds no bytes. Write it again, or move it elsewhere"),
        (b"PAR1", "b.parquet is damaged: .* move it elsewhere"),
        (b"PAR1" + bytes(100), "b.parquet is damaged: .* move it elsewhere"),
        (b"PAR1" + bytes(100) + b"PAR1", "b.parquet is damaged: .* move it elsewhere"),
        (b"id,x\n", "b.parquet is not a parquet file. It seems to be text. Write it again, or"),
    ],
)
def test_one_bad_file(tmp_path, content, match):
    folder = folder_with(tmp_path, **GOOD)
    (folder / "b.parquet").write_bytes(content)
    refused(folder, FileFormatError, match)
    refused(folder / "b.parquet", FileFormatError, match.partition(". Write")[0].split(" .*")[0])


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_changed_bytes_never_cause_an_unexpected_error(tmp_path, at):
    write([list(np.random.default_rng(0).normal(size=300))] * 9, tmp_path / "x.parquet")
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[int(at * len(data))] ^= 0xFF
    (tmp_path / "x.parquet").write_bytes(data)
    refused(tmp_path / "x.parquet", RefoldError, r"x\.parquet is damaged.* Write it again\.$|meta")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"id": ["c"], "time": [0]}, r"b.parquet has no column 'x', which .*a.parquet has. All"),
        ({"id": ["c"], "x": [0.0]}, r"b.parquet has no column 'time', which .*a.parquet has. All"),
        ({"time": [0], "x": [0.0]}, r"b.parquet has no column 'id', which .*a.parquet has. All"),
        (
            {"id": ["c"], "time": [0], "x": [0.0], "y": [0.0]},
            "b.parquet has the column 'y', which .*a.parquet does not have. .* with columns=",
        ),
        (
            {"id": ["c"], "time": [0], "x": [5]},
            r"b.parquet holds int64 in column 'x', but .*a.parquet holds double. All files of a",
        ),
        (
            {"id": [5], "time": [0], "x": [5.0]},
            r"b.parquet holds int64 in column 'id', but .*a.parquet holds string. All files of a",
        ),
    ],
)
def test_one_file_of_another_schema(tmp_path, columns, match):
    refused(folder_with(tmp_path, **columns), SchemaError, match)


def test_unused_columns_may_differ(tmp_path):
    folder = folder_with(tmp_path, y=["?"], x=[4.0], time=[0], id=["c"])
    assert mapped(folder, columns="x").lengths.tolist() == [2, 1, 1]


def test_files_that_refold_wrote_with_contradictions(tmp_path):
    for name, kind in (("a", "numeric"), ("b", "categorical")):
        write(
            Sequences.from_list([[1, 2]], column_types=kind, names=["x"]),
            tmp_path / f"{name}.parquet",
        )
    match = (
        r"of column 'x' that it is categorical and numeric. Pass column_types=\{'x': \.\.\.\}|int64"
    )
    refused(tmp_path, SchemaError, match)


def test_no_rows(tmp_path):
    empty = pa.table(GOOD).slice(0, 0).to_pydict()
    types = pa.schema({"id": pa.string(), "time": pa.int64(), "x": pa.float64()})
    pq.write_table(pa.table(empty, types), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", FileFormatError, "has columns .id, time, x., but no rows")
    refused(tmp_path, FileFormatError, "has columns .id, time, x., but no rows")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": [1.0]}, {}, "has no column 'id' .* Name one with id="),
        ({"x": [1.0]}, {"id": "user"}, "has no id column 'user'. Its columns are x"),
        ({"id": [1], "x": [1.0]}, {"time": "t"}, "has no time column 't'"),
        ({"id": [1], "x": [1.0]}, {"columns": ["y"]}, "has no column 'y'. It has id, x"),
        ({"id": [1]}, {}, "has no feature columns besides id"),
        ({"id": [1], "x": [[1.0]], "t": [1]}, {"time": "t"}, "one row per sequence. Leave time="),
        (
            {"id": [1], "x": [1]},
            {"column_types": {"y": "numeric"}},
            "column_types names the column 'y'",
        ),
        ({"id": [1], "x": [1]}, {"column_types": "real"}, "The column type 'real' is unknown"),
        (
            {"id": [[1]], "x": [1]},
            {},
            "holds list<.*>. Expected ids|one row per sequence|has lists",
        ),
        ({"id": [1, None], "x": [1, 2]}, {}, "Row 1 has no id in column 'id'"),
        ({"id": [1, float("nan")], "x": [1, 2]}, {}, "Row 1 has no id in column 'id'"),
        ({"id": [1, None], "x": [[1], [2]]}, {}, "(Row|Sequence) 1 has no id"),
        ({"id": [1, 1], "time": [5, 5], "x": [1, 2]}, {}, "time '5' twice, in rows 0 and 1"),
        ({"id": [1, 1], "time": [6, 5], "x": [1, 2]}, {}, "time '5' in row 1, after '6' in row 0"),
        (
            {"id": [0, 1, 1], "time": [None, 6, 5], "x": [None, 1, 2]},
            {},
            "time '5' in row 2, after '6' in row 1",
        ),
        ({"id": [1, 1], "time": [6, None], "x": [1, 2]}, {}, "row 1 has no time"),
        ({"id": [1, 1], "time": [6, None], "x": [1, None]}, {}, "row 1 has no time"),
        ({"id": [1, 1], "time": [None, 6], "x": [None, 1]}, {}, "row 0 has no time"),
        (
            {"id": [1, 1], "time": ["6", "x"], "x": [1, 1]},
            {},
            "it holds text such as 'x', in row 1",
        ),
        (
            {"id": [1, 1], "time": ["6", "2020-01-01"], "x": [1, 1]},
            {},
            "numbers and dates|'2020-01-01', in row 1",
        ),
        ({"id": [1, 1], "time": [True, False], "x": [1, 1]}, {}, "it holds bool values"),
        ({"id": [1, 2, 1], "x": [1, 2, 3]}, {}, "rows of id 1 are not together: row 2"),
        ({"id": [3, 9], "x": [0, float("inf")]}, {}, "infinite value at .* .id 9.,.* column 'x'"),
        (
            {"id": [1], "x": [["a"]]},
            {"column_types": "numeric"},
            "text 'a' at .*, step 0, column 'x'",
        ),
        ({"id": [1, 2], "x": ["1", "a"]}, {"column_types": "numeric"}, "text 'a' at .* .id 2."),
        (
            {"id": [1, 2], "x": [1, 7]},
            {"column_types": "binary"},
            "Got 7 at .* .id 2.,.* column 'x'",
        ),
        (
            {"id": [1], "x": [1.5]},
            {"column_types": "categorical"},
            "Got 1.5 at .* .id 1.,.* column 'x'",
        ),
        ({"id": [1], "x": [[1]], "y": [[1, 2]]}, {}, "has 1 steps in column 'x', but 2 in"),
        ({"x": [[1]], "y": [1]}, {"columns": ["x", "y"]}, "Column 'y' has the type int64. Expect"),
        ({"x": [[[1]]], "y": [[1]]}, {}, "Column 'x' has the type list.* Expected lists of"),
        ({"x": [[[1]], [[1, 2]]]}, {}, "has a step of 2 features .* but others have 1"),
        ({"x": [[[1], None]]}, {}, "has a step of 0 features .* but others have 1"),
        ({"x": [[[[1]]]]}, {}, "has the type list.*not supported"),
        ({"x": [[{"a": 1}]]}, {}, "Column 'x' has the type list.* Expected lists of"),
        ({"id": [1], "x": [datetime.date(2024, 1, 1)]}, {}, "Column 'x' holds dates, times or"),
        (
            {"id": [1], "x": [[1.0, 2.0]]},
            {"sort": True},
            "one row per sequence.* Leave sort= out|folder",
        ),
        ({"id": [1], "x": [b"a"]}, {}, "Column 'x' has the type binary, which is not supported"),
    ],
)
@pytest.mark.parametrize("group_rows", [1, 9])
def test_tables(tmp_path, columns, options, message, group_rows):
    path = put(tmp_path / "table.parquet", group_rows, **columns)
    match = rf"table\.parquet:? .*({message})"
    for call in (read, mapped):
        with pytest.raises((DataError, FileFormatError), match=match) as caught:
            call(path, **options)
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("table.parquet") == 1


def test_errors_name_the_file_of_a_row(tmp_path):
    twice = {"id": ["b", "c"], "time": [0, 0], "x": [1.0, 1.0]}
    match = r"b.parquet: Id 'b' has the time '0' twice, in row 2 of .*a.parquet and row 0\. Each s"
    refused(folder_with(tmp_path, **twice), DataError, match)
    early = {"id": ["c", "a"], "time": [0, 0], "x": [1.0, 1.0]}
    match = r"b.parquet: Id 'a' has the time '0' in row 1, after '1' in row 1 of .*a.parquet\. Sort"
    refused(folder_with(tmp_path, **early), DataError, match)
    apart = {"id": ["c", "a"], "time": [0, 5], "x": [1.0, 1.0]}
    folder = folder_with(tmp_path, **apart)
    assert mapped(folder).lengths.tolist() == [3, 1, 1]
    infinite = {"id": ["c", "d"], "time": [0, 5], "x": [1.0, np.inf]}
    refused(folder_with(tmp_path, **infinite), DataError, r"b.parquet: .* at row 1 \(id 'd'\)")


@pytest.mark.parametrize(("widths", "others"), [((2, 3), 2), ((3, 2), 3)])
def test_steps_of_another_width_in_a_later_part(tmp_path, monkeypatch, widths, others):
    monkeypatch.setattr("refold.sequences.files._parquet_files.PART_BYTES", 1)
    path = put(tmp_path / "x.parquet", x=[[[1.0] * width] for width in widths])
    match = rf"x\.parquet: The steps from row 1 on have {widths[1]} features .* have {others}\. All"
    refused(path, DataError, match)


def test_rows_in_too_many_places(tmp_path, monkeypatch):
    monkeypatch.setattr("refold.sequences.files._parquet_files.PART_BYTES", 1)
    columns = {"id": ["a", "b"] * 9, "time": np.repeat(np.arange(9), 2), "x": np.arange(18.0)}
    path = put(tmp_path / "x.parquet", **columns)
    assert mapped(path).lengths.tolist() == [9, 9]
    monkeypatch.setattr(_joined_parts, "MAX_EXTRA_PIECES", 15)
    os.utime(path, ns=(0, 0))  # so that it is not in the cache
    match = r"The rows of 2 ids lie in 1\d places, too many to join. Sort the data by column 'id'"
    refused(path, DataError, match)


def test_a_file_that_changes_is_read_again(tmp_path):
    path = put(tmp_path / "x.parquet", **GOOD)
    before = mapped(path)
    put(path, **{name: values[:1] for name, values in GOOD.items()})
    assert len(mapped(path)) == 1
    assert before.values.tolist() == [[1.0], [2.0], [3.0]]


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = put(tmp_path / "x.parquet", **GOOD)
    convert = _joined_parts._LongPieces.convert
    monkeypatch.setattr(
        _joined_parts._LongPieces,
        "convert",
        lambda *args: os.utime(path, ns=(0, 0)) or convert(*args),
    )
    refused(path, FileAccessError, r"x\.parquet has changed while it was read\. Read it again")


def test_indices_out_of_bounds(tmp_path):
    found = mapped(put(tmp_path / "x.parquet", **GOOD))
    with pytest.raises(IndexError, match="index 2 is out of bounds"):
        found[[2]]
    assert found[[True, False]].ids.tolist() == ["a"]
    assert len(found[[]]) == len(found[[False, False]]) == 0


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "1"])
def test_memory_bytes(tmp_path, size):
    path = put(tmp_path / "x.parquet", **GOOD)
    with pytest.raises(ParameterError, match=r"memory_bytes must be a positive integer\. Got"):
        read(path, memory_bytes=size)
