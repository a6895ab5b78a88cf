"""Label columns from every format that has columns."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileFormatError, ParameterError, SchemaError
from refold.sequences import FileAccessError, Sequences, read, read_labels, write

SEQUENCES = Sequences.from_list([[1.0, 2.0], [3.0], [4.0, 5.0]], ids=["a", "b", "c"])
NAMES = ["ann", "bob", "ann"]


def as_parquet(path):
    pq.write_table(SEQUENCES.to_arrow().append_column("who", pa.array(NAMES)), path)


def as_long_parquet(path):
    names = pa.array([NAMES[i] for i in (0, 0, 1, 2, 2)])
    pq.write_table(SEQUENCES.to_table().append_column("who", names), path)


def as_csv(path):
    path.write_text("id,time,x0,who\na,0,1,ann\na,1,2,\nb,0,3,bob\nc,0,4,ann\nc,1,5,ann\n")


def as_jsonl(path):
    lines = [("a", "[1, 2]", "ann"), ("b", "[3]", "bob"), ("c", "[4, 5]", "ann")]
    path.write_text("\n".join(f'{{"id": "{i}", "x0": {x}, "who": "{w}"}}' for i, x, w in lines))


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(as_parquet, "parquet"), (as_long_parquet, "parquet"), (as_csv, "csv"), (as_jsonl, "jsonl")],
)
def test_labels_are_read_from_the_file_of_the_sequences(tmp_path, make, suffix):
    path = tmp_path / f"data.{suffix}"
    make(path)
    assert read_labels(path, "who", SEQUENCES).tolist() == NAMES
    assert read_labels(path, "who", SEQUENCES[[2, 1]]).tolist() == ["ann", "bob"]
    assert read(path, columns=["x0"]).values[:, 0].tolist() == [1, 2, 3, 4, 5]
    path.rename(tmp_path / "readings.log")
    assert read_labels(tmp_path / "readings.log", "who", SEQUENCES, format=suffix).tolist() == NAMES


def test_labels_of_integers_and_files_without_ids(tmp_path):
    path, series = tmp_path / "labels.csv", Sequences.from_list([[1.0]] * 3)
    path.write_text("who\n7\n8\n7\n")
    assert read_labels(path, "who", series).tolist() == [7, 8, 7]
    path.write_text("user;who\n2;9\n0;7\n1;8\n")
    assert read_labels(path, "who", series, id="user").tolist() == [7, 8, 9]


@pytest.mark.parametrize("ids", [[1.0, 1.0, 2.0], [1.5, 1.5, 2.0]])
def test_floating_point_ids_match_those_of_the_sequences(tmp_path, ids):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"id": ids, "x0": [1.0, 2.0, 3.0], "who": ["a", "a", "b"]}), path)
    sequences = read(path, columns=["x0"])
    assert sequences.lengths.tolist() == [2, 1]
    assert read_labels(path, "who", sequences).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "label", "error", "message"),
    [
        ("id,who\na,1\nb,2\n", "who", DataError, "no 'who' for the sequence with id 'c'. Give"),
        ("id,who\na,1\n", "who", DataError, "with id 'b' and 1 more"),
        ("id,who\na,1\na,2\nb,1\n", "who", DataError, "id 'a' has two labels, 1 and 2"),
        ("id,who\na,1\n", "id", SchemaError, "The label column 'id' is the id"),
        ("id,who\na,1\n", "age", SchemaError, "no column 'age'. It has id, who"),
        ("id,who\na,1,2\n", "who", FileFormatError, "line 2 has 3 fields, but the header"),
    ],
)
def test_bad_labels(tmp_path, text, label, error, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(error, match=message):
        read_labels(tmp_path / "labels.csv", label, SEQUENCES)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("data.npz", None, ParameterError, "npz files have no columns"),
        ("data.parquet", None, SchemaError, "column 'x0' holds lists"),
        ("lines.jsonl", "[1, 2]\n", SchemaError, "line 1 has no names"),
        ("lines.jsonl", '{"id": 1, "x0": [1]}', FileFormatError, "line 1, 'x0': .* Got a list"),
        ("lines.jsonl", "{", FileFormatError, "line 1 is not JSON"),
        ("cut.parquet", "PAR1PAR1", FileFormatError, "is damaged"),
    ],
)
def test_bad_files(tmp_path, name, content, error, message):
    if content is None:
        write(SEQUENCES, tmp_path / name)
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        read_labels(tmp_path / name, "x0", SEQUENCES)
    with pytest.raises(FileAccessError, match="no file"):
        read_labels(tmp_path / "nowhere.csv", "who", SEQUENCES)
