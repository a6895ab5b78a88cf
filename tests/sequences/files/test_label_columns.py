"""Label columns from every format that has columns."""

import json

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
    row = [0, 0, 1, 2, 2]
    table = SEQUENCES.to_table().append_column("who", pa.array([NAMES[i] for i in row]))
    pq.write_table(table, path)


def as_csv(path):
    path.write_text("id,time,x0,who\na,0,1,ann\na,1,2,ann\nb,0,3,bob\nc,0,4,ann\nc,1,5,ann\n")


def as_jsonl(path):
    lines = [
        json.dumps({"id": one, "x0": values.tolist(), "who": name})
        for one, values, name in zip(SEQUENCES.ids.tolist(), SEQUENCES, NAMES, strict=True)
    ]
    path.write_text("\n".join(lines))


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


def test_labels_of_integers_and_files_without_ids(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("who\n7\n8\n7\n")
    labels = read_labels(path, "who", Sequences.from_list([[1.0]] * 3))
    assert labels.tolist() == [7, 8, 7]
    path.write_text("user,who\n2,9\n0,7\n1,8\n")
    assert read_labels(path, "who", Sequences.from_list([[1.0]] * 3), id="user").tolist() == [
        7,
        8,
        9,
    ]


@pytest.mark.parametrize(
    ("text", "label", "error", "message"),
    [
        (
            "id,who\na,1\nb,2\n",
            "who",
            DataError,
            "no 'who' for the sequence with id 'c'. Give every",
        ),
        ("id,who\na,1\n", "who", DataError, "with id 'b' and 1 more"),
        ("id,who\na,1\na,2\nb,1\nc,1\n", "who", DataError, "id 'a' has two labels, 1 and 2"),
        ("id,who\na,1\n", "id", SchemaError, "The label column 'id' is the id"),
        ("id,who\na,1\n", "age", SchemaError, "no column 'age'. It has id, who"),
        ("id,who\na,1,2\n", "who", FileFormatError, "line 2 has 3 fields, but the header"),
    ],
)
def test_bad_labels(tmp_path, text, label, error, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_labels(path, label, SEQUENCES)


def test_empty_cells_are_ignored(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,who\na,ann\na,\nb,bob\nc,ann\n")
    assert read_labels(path, "who", SEQUENCES).tolist() == NAMES


@pytest.mark.parametrize("ids", [[1.0, 1.0, 2.0], [1.5, 1.5, 2.0]])
def test_floating_point_ids_match_those_of_the_sequences(tmp_path, ids):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"id": ids, "x0": [1.0, 2.0, 3.0], "who": ["a", "a", "b"]}), path)
    sequences = read(path, columns=["x0"])
    assert sequences.lengths.tolist() == [2, 1]
    assert read_labels(path, "who", sequences).tolist() == ["a", "b"]


def test_the_format_can_be_given(tmp_path):
    as_csv(tmp_path / "readings.log")
    assert read_labels(tmp_path / "readings.log", "who", SEQUENCES, format="csv").tolist() == NAMES


def test_bad_files(tmp_path):
    write(SEQUENCES, tmp_path / "data.npz")
    with pytest.raises(ParameterError, match="npz files have no columns"):
        read_labels(tmp_path / "data.npz", "who", SEQUENCES)
    write(SEQUENCES, tmp_path / "data.parquet")
    with pytest.raises(SchemaError, match="column 'x0' holds lists"):
        read_labels(tmp_path / "data.parquet", "x0", SEQUENCES)
    (tmp_path / "lines.jsonl").write_text("[1, 2]\n")
    with pytest.raises(SchemaError, match="line 1 has no names"):
        read_labels(tmp_path / "lines.jsonl", "who", SEQUENCES)
    (tmp_path / "lines.jsonl").write_text("{")
    with pytest.raises(FileFormatError, match="line 1 is not JSON"):
        read_labels(tmp_path / "lines.jsonl", "who", SEQUENCES)
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "data.parquet").read_bytes()[:-9])
    with pytest.raises(FileFormatError, match="is damaged"):
        read_labels(tmp_path / "cut.parquet", "who", SEQUENCES)
    with pytest.raises(FileAccessError, match="no file"):
        read_labels(tmp_path / "nowhere.csv", "who", SEQUENCES)
