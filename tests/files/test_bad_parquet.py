"""Bad Parquet files give one line with the name of the file, in memory and larger than memory."""

import datetime
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileFormatError, RefoldError, SchemaError
from refold.files import parts
from refold.sequences import FileAccessError, Sequences, read, write
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


# Files of a folder


def test_a_folder_without_parquet_files(tmp_path):
    refused(tmp_path, FileFormatError, "holds no Parquet file .*, only nothing. Convert the data")
    for name in "abcd":
        (tmp_path / f"{name}.csv").touch()
    refused(tmp_path, FileFormatError, r"only a\.csv, b\.csv, c\.csv, \.\.\.\. Convert the data")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "b.parquet is (cut short: it holds only 0|empty: it holds no) bytes. Write it again"),
        (b"PAR1", "b.parquet is damaged: .* Write it again"),
        (b"PAR1" + bytes(100) + b"PAR1", "b.parquet is damaged: .* Write it again"),
        (b"id,x\n", "b.parquet is not a parquet file. It seems to be text. Write it again"),
    ],
)
def test_one_bad_file(tmp_path, content, match):
    folder = folder_with(tmp_path, **GOOD)
    (folder / "b.parquet").write_bytes(content)
    refused(folder, FileFormatError, f"{match}, or move it elsewhere")
    refused(folder / "b.parquet", FileFormatError, match.partition(" Write")[0])


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_changed_bytes_never_cause_an_unexpected_error(tmp_path, at):
    write([list(np.random.default_rng(0).normal(size=300))] * 9, tmp_path / "x.parquet")
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[int(at * len(data))] ^= 0xFF
    (tmp_path / "x.parquet").write_bytes(data)
    refused(tmp_path / "x.parquet", RefoldError, r"x\.parquet is damaged.* Write it again\.$|meta")


OTHERS = {"id": ["c"], "time": [0], "x": [0.0]}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"x": None}, r"b.parquet has no column 'x', which .*a.parquet has. All"),
        ({"time": None}, r"b.parquet has no column 'time', which .*a.parquet has. All"),
        ({"y": [0]}, "b.parquet has the column 'y', which .*a.parquet does not.* with columns="),
        ({"x": [5]}, r"b.parquet holds int64 in column 'x', but .*a.parquet holds double. All"),
        ({"id": [5]}, r"b.parquet holds int64 in column 'id', but .*a.parquet holds string. All"),
    ],
)
def test_one_file_of_another_schema(tmp_path, changes, match):
    columns = {name: cells for name, cells in (OTHERS | changes).items() if cells is not None}
    refused(folder_with(tmp_path, **columns), SchemaError, match)


def test_unused_columns_may_differ(tmp_path):
    folder = folder_with(tmp_path, y=["?"], x=[4.0], time=[0], id=["c"])
    assert mapped(folder, columns="x").lengths.tolist() == [2, 1, 1]


def test_files_that_refold_wrote_with_contradictions(tmp_path):
    for name, kind in (("a", "numeric"), ("b", "categorical")):
        sequences = Sequences.from_list([[1, 2]], column_types=kind, names=["x"])
        write(sequences, tmp_path / f"{name}.parquet")
    match = r"column 'x' that it is categorical and numeric. Pass column_types=\{'x': ...\}|int64"
    refused(tmp_path, SchemaError, match)


@pytest.mark.parametrize(
    ("others", "match"),
    [
        (
            {"id": ["b", "c"], "time": [0, 0]},
            r"Id 'b' has the time '0' twice, in row 2 of .*a.*row 0",
        ),
        (
            {"id": ["c", "a"], "time": [0, 0]},
            r"time '0' in row 1, after '1' in row 1 of .*a.parquet",
        ),
        ({"id": ["c", "d"], "time": [0, 5], "x": [1.0, np.inf]}, r".* at row 1 \(id 'd'\)"),
    ],
)
def test_errors_name_the_file_of_a_row(tmp_path, others, match):
    refused(
        folder_with(tmp_path, **{"x": [1.0, 1.0]} | others), DataError, rf"b.parquet: .*{match}"
    )


# Rows


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": [1.0]}, {}, "has no column 'id' .* Name one with id="),
        ({"x": [1.0]}, {"id": "user"}, "has no id column 'user'. Its columns are x"),
        ({"id": [1], "x": [1.0]}, {"time": "t"}, "has no time column 't'"),
        ({"id": [1], "x": [1.0]}, {"columns": ["y"]}, "has no column 'y'. It has id, x"),
        ({"id": [1], "x": [1.0]}, {"columns": ["id"]}, "'id' has the ids of the sequences, and"),
        ({"id": [1]}, {}, "has no feature columns besides id"),
        ({"id": pa.array([], "i8"), "x": pa.array([], "f8")}, {}, "has columns .id, x., but no r"),
        ({"id": [1], "x": [[1.0]], "t": [1]}, {"time": "t"}, "one row per sequence.* Leave time="),
        ({"id": [1], "x": [[1.0]]}, {"time_gaps": True}, "time_gaps=True needs a long table"),
        ({"id": [1], "x": [[1.0]]}, {"sort": True}, "one row per sequence.* Leave sort="),
        (
            {"id": [1], "x": [1]},
            {"column_types": {"y": "numeric"}},
            "column_types names the column",
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
        ({"id": [1, 1], "time": [5, 5], "x": [1, 2]}, {}, "time '5' in row 1, after '5' in row 0"),
        ({"id": [1, 1], "time": [6, 5], "x": [1, 2]}, {}, "time '5' in row 1, after '6' in row 0"),
        (
            {"id": [0, 1, 1], "time": [None, 6, 5], "x": [None, 1, 2]},
            {},
            "row 2, after '6' in row 1",
        ),
        ({"id": [1, 1], "time": [6, None], "x": [1, None]}, {}, "row 1 has no time"),
        ({"id": [1, 1], "time": [None, 6], "x": [None, 1]}, {}, "row 0 has no time"),
        ({"id": [1, 1], "time": ["6", "x"], "x": [1, 1]}, {}, "holds text such as 'x', in row 1"),
        (
            {"id": [1, 1], "time": ["6", "2020-01-01"], "x": [1, 1]},
            {},
            "numbers and dates|in row 1",
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
        ({"id": [1], "x": [1.5]}, {"column_types": "categorical"}, "Got 1.5 at .* .id 1.,.* 'x'"),
        ({"id": [1], "x": [[1]], "y": [[1, 2]]}, {}, "has 1 steps in column 'x', but 2 in"),
        ({"x": [[1]], "y": [1]}, {"columns": ["x", "y"]}, "'y' has the type int64. Expected lists"),
        ({"x": [[[1]]], "y": [[1]]}, {}, "Column 'x' has the type list.* Expected lists of"),
        ({"x": [[[1]], [[1, 2]]]}, {}, "has a step of 2 features .* but others have 1"),
        ({"x": [[[1], None]]}, {}, "has a step of 0 features .* but others have 1"),
        ({"x": [[[[1]]]]}, {}, "has the type list.*not supported"),
        ({"id": [1], "x": [datetime.date(2024, 1, 1)]}, {}, "Column 'x' holds dates, times or"),
        ({"id": [1], "x": [b"a"]}, {}, "Column 'x' has the type binary, which is not supported"),
    ],
    ids=range(38),
)
def test_tables(tmp_path, columns, options, message):
    path = put(tmp_path / "table.parquet", 1, **columns)
    for call in (read,) if "sort" in options else (read, mapped):
        with pytest.raises(
            (DataError, FileFormatError), match=f"parquet:? .*({message})"
        ) as caught:
            call(path, **options)
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("table.parquet") == 1


@pytest.mark.parametrize(("widths", "others"), [((2, 3), 2), ((3, 2), 3)])
def test_steps_of_another_width_in_a_later_part(tmp_path, monkeypatch, widths, others):
    monkeypatch.setattr("refold.files.parquet.PART_BYTES", 1)
    path = put(tmp_path / "x.parquet", x=[[[1.0] * width] for width in widths])
    match = rf"x\.parquet: The steps from row 1 on have {widths[1]} features .* have {others}\. All"
    refused(path, DataError, match)


def test_rows_of_an_id_that_lie_in_parts_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("refold.files.parquet.PART_BYTES", 1)
    path = put(tmp_path / "x.parquet", id=[1, 2, 1], x=[1.0, 2.0, 3.0])
    match = r"x\.parquet: The rows of id 1 are not together: row 2 comes after rows of another id"
    refused(path, DataError, match)


def test_rows_in_too_many_places(tmp_path, monkeypatch):
    monkeypatch.setattr("refold.files.parquet.PART_BYTES", 1)
    columns = {"id": ["a", "b"] * 9, "time": np.repeat(np.arange(9), 2), "x": np.arange(18.0)}
    path = put(tmp_path / "x.parquet", **columns)
    assert mapped(path).lengths.tolist() == [9, 9]
    monkeypatch.setattr(parts, "MAX_EXTRA_PIECES", 15)
    os.utime(path, ns=(0, 0))  # so that it is not in the cache
    match = r"The rows of 2 ids lie in 1\d places, too many to join. Sort the data by column 'id'"
    refused(path, DataError, match)


def test_a_file_that_changes(tmp_path, monkeypatch):
    path = put(tmp_path / "x.parquet", **GOOD)
    before = mapped(path)
    put(path, **{name: values[:1] for name, values in GOOD.items()})
    assert len(mapped(path)) == 1
    assert before.values.tolist() == [[1.0], [2.0], [3.0]]

    put(path, **GOOD)

    def convert(*args, original=parts._LongPieces.convert):
        os.utime(path, ns=(0, 0))
        return original(*args)

    monkeypatch.setattr(parts._LongPieces, "convert", convert)
    refused(path, FileAccessError, r"x\.parquet has changed while it was read\. Read it again")
