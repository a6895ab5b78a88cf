"""Bad Parquet files give one line with the name of the file, in memory and larger than memory."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences import Sequences, column_names, read, write
from small_data import read_as_mapped

VALID_COLUMNS = {"id": ["a", "a", "b"], "time": [0, 1, 0], "x": [1.0, 2.0, 3.0]}


def write_table(path, group_rows=None, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)
    return path


def folder_of_files(tmp_path, **columns):
    """Return a folder of two files: one is valid, and the second one has these columns."""
    write_table(tmp_path / "data" / "a.parquet", **VALID_COLUMNS)
    write_table(tmp_path / "data" / "b.parquet", **columns)
    return tmp_path / "data"


def assert_refused(path, error, match, **options):
    with pytest.raises(error, match=match) as caught:
        read_as_mapped(path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "b.parquet is (cut short: it holds only 0|empty: it holds no) bytes"),
        (b"PAR1" + bytes(100) + b"PAR1", "b.parquet is damaged: .* Write it again"),
        (b"id,x\n", r"b.parquet is not a parquet file: it begins with b'id,x\\n'. Write"),
    ],
)
def test_one_bad_file(tmp_path, content, match):
    folder = folder_of_files(tmp_path, **VALID_COLUMNS)
    (folder / "b.parquet").write_bytes(content)
    assert_refused(folder, FileFormatError, match)
    assert_refused(folder / "b.parquet", FileFormatError, match)


SECOND_FILE = {"id": ["c"], "time": [0], "x": [0.0]}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"time": None}, "a.parquet: id, x beside id, time, x. All"),
        ({"y": [0]}, "a.parquet: id, time, x, y beside id, time, x. .*choose the columns with col"),
        ({"id": [5]}, r"a.parquet: .*Field id .* string vs int64. All"),
    ],
)
def test_one_file_of_another_schema(tmp_path, changes, match):
    columns = {name: cells for name, cells in (SECOND_FILE | changes).items() if cells is not None}
    folder = folder_of_files(tmp_path, **columns)
    assert_refused(folder, SchemaError, r"b.parquet has other columns or types than .*" + match)


def test_unused_columns_may_differ_and_numbers_are_of_the_wider_type(tmp_path):
    folder = folder_of_files(tmp_path, y=["?"], x=[4], time=[0], id=["c"])
    for sequences in (read_as_mapped(folder, columns="x"), read(folder, columns="x")):
        assert sequences.lengths.tolist() == [2, 1, 1]
        assert sequences.values[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_files_that_refold_wrote_with_contradictions(tmp_path):
    for name, column_type in (("a", "numeric"), ("b", "categorical")):
        sequences = Sequences.from_list([[1, 2]], column_types=column_type, names=["x"])
        write(sequences, tmp_path / f"{name}.parquet")
    match = r"Column 'x' holds integer categories in one set .* Pass column_types=\{'x': ...\}"
    assert_refused(tmp_path, SchemaError, match)
    (column,) = read_as_mapped(tmp_path, column_types="categorical").schema.columns
    assert column.categories == (1, 2)


@pytest.mark.parametrize(
    ("second_columns", "match"),
    [
        ({"id": ["b", "c"], "time": [0, 0]}, "id 'b' .*in row 2 of .*a.parq.*in row 0 of .*b.parq"),
        ({"id": ["c", "a"], "time": [0, 0]}, "id 'a' are not .* in row 1 of .*b.parquet or later"),
        ({"id": ["c", "d"], "time": [0, 5], "x": [1.0, np.inf]}, r"row 1 of .*b.parq.* \(id"),
    ],
)
def test_errors_name_the_file_of_a_row(tmp_path, second_columns, match):
    folder = folder_of_files(tmp_path, **{"x": [1.0, 1.0]} | second_columns)
    assert_refused(folder, DataError, match)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"id": [1], "x": [1.0]}, {"columns": ["y"]}, "has no column 'y'. It has 'id', 'x'"),
        ({"id": [1], "x": [1.0]}, {"columns": ["id"]}, "'id' has the ids of the sequences, and"),
        ({"id": pa.array([], "i8"), "x": pa.array([], "f8")}, {}, "has columns .id, x., but no r"),
        ({"id": [1], "x": [[1.0]]}, {"sort": True}, "one row per sequence.* sort= does not apply"),
        ({"id": [[1]], "x": [1]}, {}, "holds list<.*>. Expected ids|has one row per seq|has lists"),
        ({"id": [1, None], "x": [1, 2]}, {}, "Row 1 has no id in column 'id'"),
        ({"id": [1, None], "x": [[1], [2]]}, {}, "(Row|Sequence) 1 has no id"),
        ({"id": [0, 1, 1], "time": [None, 6, 5], "x": [None, 1, 2]}, {}, "row 2, after '6' in row"),
        ({"id": [1, 1], "time": [6, None], "x": [1, None]}, {}, "row 1 has no time"),
        ({"id": [1, 2, 1], "x": [1, 2, 3]}, {}, "rows of id 1 are not together: .*row 2"),
        ({"id": [3, 9], "x": [0, float("inf")]}, {}, "infinite value at .* .id 9.,.* column 'x'"),
        ({"id": [1], "x": [[1]], "y": [[1, 2]]}, {}, "has 1 steps in column 'x', but 2 in"),
        ({"x": [[[1]], [[1, 2]]]}, {}, "has a step of 2 features .* but others have 1"),
    ],
    ids=range(13),
)
def test_bad_tables_in_memory_and_mapped(tmp_path, columns, options, message):
    path = write_table(tmp_path / "table.parquet", 1, **columns)
    for call in (read,) if "sort" in options else (read, read_as_mapped):
        match = f"parquet:? .*({message})"
        with pytest.raises((DataError, FileFormatError), match=match) as caught:
            call(path, **options)
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("table.parquet") == 1


def test_column_names_of_a_damaged_file_and_a_folder_without_files(tmp_path):
    (tmp_path / "a.csv").touch()
    assert_refused(tmp_path, FileFormatError, "holds no Parquet file .* Convert the data")
    path = write_table(tmp_path / "x.parquet", **VALID_COLUMNS)
    assert column_names(path) == ["id", "time", "x"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileFormatError, match=r"x\.parquet is damaged: .* Write it again"):
        column_names(path)
