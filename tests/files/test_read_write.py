"""All formats: written files are read with the same contents, files of other programs, labels."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.datasets import japanese_vowels, moving_ones, ramps
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Column, Schema, Sequences, read, read_labels, write
from small_data import read_as_mapped


def mixed() -> Sequences:
    """Return all column types, missing and unknown entries, text ids and an empty sequence."""
    nan = np.nan
    columns = (
        Column("level", "numeric"),
        Column("on", "binary"),
        Column("event", "categorical", ("buy", "view")),
        Column("code", "categorical", (7, 30)),
    )
    values = np.array([[0.1, 0, 1, 0], [nan, 1, 2, 1], [2, nan, nan, nan], [nan, nan, nan, nan]])
    return Sequences(values, [0, 2, 2, 4], ["a", "7", "c d"], Schema(columns))


CASES = {
    "ramps": ramps(),
    "vowels": japanese_vowels().test[5:9],
    "mixed": mixed(),
    "characters": Sequences.from_list(["abba", "", "bé"]),
    "words": Sequences.from_list([["to", "be"], [], ["or"]], output_layout="words"),
    "tokens": Sequences.from_list([["a", "b c"], [], ['"quoted", too\n']], ids=["u", "v", "w"]),
    "integer tokens": Sequences.from_list([[5, 7, 5], [], [9]], column_types="categorical"),
    "odd numbers": Sequences.from_list([[1e-45, 3.4e38, -0.1, 1 / 3], [2.0**60 + 2**9]]),
    "single precision": Sequences.from_list([np.float32([0.1, 1e-45, 3.4e38, np.nan]), []]),
}
LOSSLESS = [("npz", None), ("parquet", None), ("parquet", "long")]


def assert_same_values(actual: Sequences, expected: Sequences, dtype: type = np.float64) -> None:
    np.testing.assert_array_equal(actual.offsets, expected.offsets)
    np.testing.assert_array_equal(actual.values.astype(dtype), expected.values.astype(dtype))
    np.testing.assert_array_equal(actual.ids, expected.ids)


@pytest.mark.parametrize(("suffix", "layout"), LOSSLESS)
@pytest.mark.parametrize("name", CASES)
def test_parquet_and_npz_keep_everything(tmp_path, name, suffix, layout):
    path = tmp_path / f"file.{suffix}"
    write(CASES[name], path, layout=layout)
    loaded = read(path)
    assert_same_values(CASES[name], loaded)
    assert loaded.schema == CASES[name].schema
    assert loaded.values.dtype == CASES[name].values.dtype
    assert loaded.ids.dtype.kind == CASES[name].ids.dtype.kind


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("name", ["ramps", "vowels", "odd numbers"])
def test_decimal_text_keeps_numbers_and_empty_sequences(tmp_path, name, suffix):
    write(CASES[name], tmp_path / f"file.{suffix}")
    loaded = read(tmp_path / f"file.{suffix}", column_types="numeric")
    assert_same_values(CASES[name], loaded, CASES[name].values.dtype)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_decimal_text_keeps_categories_and_ids(tmp_path, suffix):
    path = tmp_path / f"file.{suffix}"
    write(mixed(), path)
    types = {column.name: column.type for column in mixed().schema.columns}
    loaded = read(path, column_types=types)
    assert (loaded.ids.tolist(), loaded.lengths.tolist()) == (["a", "7", "c d"], [2, 0, 2])
    rows = [[None if cell != cell else cell for cell in row] for row in loaded[0].tolist()]
    assert rows == [[0.1, 0, "view", 7], [None, 1, "<unknown>", 30]]


@pytest.mark.parametrize(
    ("suffix", "name"),
    [("jsonl", name) for name in ("characters", "tokens", "integer tokens")]
    + [("txt", "characters"), ("txt", "words")],
)
def test_text_keeps_categories(tmp_path, suffix, name):
    path = tmp_path / f"file.{suffix}"
    write(CASES[name], path)
    column_types = "categorical" if name == "integer tokens" else None
    loaded = read(path, column_types=column_types, text_unit="words" if name == "words" else None)
    assert loaded.to_list() == CASES[name].to_list()
    assert loaded.schema == CASES[name].schema
    assert loaded.ids.tolist() == CASES[name].ids.tolist()


@pytest.mark.parametrize("name", ["ramps", "vowels"])
def test_npy_is_padded_with_nan(tmp_path, name):
    sequences = CASES[name]
    write(sequences, tmp_path / "file.npy")
    padded = np.load(tmp_path / "file.npy")
    assert padded.ndim == (2 if sequences.schema.layout == "series" else 3)
    assert padded.shape[:2] == (len(sequences), sequences.lengths.max())
    loaded = read(tmp_path / "file.npy", column_types="numeric")
    assert_same_values(sequences.with_ids(np.arange(len(sequences))), loaded)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        # Only a line feed ends a line. Other line separators of Unicode are characters.
        (" a\n\nb\r\nc\u2028\x0b", None, [" a", "", "b", "c\u2028\x0b"]),
        ("\n", None, [""]),
        ("to  be\n\nor\n", "words", [["to", "be"], [], ["or"]]),
    ],
)
def test_lines_of_text(text, unit, expected):
    assert read(io.BytesIO(text.encode()), format="txt", text_unit=unit).to_list() == expected


def test_jsonl_shows_short_decimals_whole_numbers_and_missing_characters():
    buffer = io.BytesIO()
    write(ramps()[2:], buffer, format="jsonl")
    write(moving_ones(1, seed=1), buffer, format="jsonl", layout="list")
    first, _, third = buffer.getvalue().decode().splitlines()
    assert first == '{"id": 2, "x0": [0.2, 0.4, 0.6, 0.8]}'
    assert third.startswith('{"id": 0, "x0": [1, 0, 0,')
    with_missing = Sequences.from_list(["ab", "b"]).with_values(np.float32([[0], [np.nan], [1]]))
    write(with_missing, buffer := io.BytesIO(), format="jsonl")
    assert buffer.getvalue() == b'["a", null]\n["b"]\n'


def test_a_stream_needs_a_format_which_has_priority_over_the_suffix(tmp_path):
    with pytest.raises(ParameterError, match="A stream needs format=, one of: parquet, csv"):
        read(io.BytesIO(b"ab"))
    with pytest.raises(ParameterError, match=r"The format 'xlsx' is unknown\. Known: parquet, "):
        write(ramps(), io.BytesIO(), format="xlsx")
    write(ramps(), tmp_path / "data.bin", format="npz")
    assert_same_values(ramps(), read(tmp_path / "data.bin", format="npz"))


@pytest.mark.parametrize(
    ("sequences", "suffix", "options", "error", "message"),
    [
        (ramps()[[0, 0]], "csv", {}, DataError, "ids must differ. Got 0 more than once"),
        (["ab"], "npy", {}, SchemaError, r"'token' is categorical, and an \.npy file holds"),
        ([[1.0], [2.0, np.nan]], "npy", {}, DataError, "id 1 ends in a step with everything miss"),
        (ramps(), "txt", {}, SchemaError, r"\.txt file holds characters or words; .* 'series'"),
        ([["a", "b c"]], "txt", {}, DataError, r"'b c' would be ambiguous in a \.txt file"),
        (["a\nb"], "txt", {}, DataError, r"The token '\\n' would be ambiguous"),
        ([["a", None]], "txt", {}, DataError, "Sequence 0, step 1 is missing or unknown"),
        (CASES["mixed"], "jsonl", {"id": "on"}, SchemaError, "has the name of the id column, 'on'"),
        ([[1.0], []], "ts", {}, DataError, "with steps, but that with id 1 is empty"),
    ],
)
def test_sequences_that_a_format_cannot_store_change_no_file(
    tmp_path, sequences, suffix, options, error, message
):
    path = tmp_path / f"old.{suffix}"
    path.write_text("old")
    with pytest.raises(error, match=message):
        write(sequences, path, **options)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_npz_files_of_other_programs(tmp_path):
    x = np.arange(12.0).reshape(2, 3, 2)
    np.savez_compressed(tmp_path / "x.npz", anything=x)
    np.testing.assert_array_equal(read(tmp_path / "x.npz")[1], x[1])
    np.savez(tmp_path / "lengths.npz", x=np.asfortranarray(x), lengths=[1, 0])
    assert read(tmp_path / "lengths.npz").lengths.tolist() == [1, 0]


def test_files_that_pandas_wrote(tmp_path):
    frame = pd.DataFrame({"user": ["u", "u", "v"], "when": [1, 2, 1], "x": [0.25, 0.5, 1.0]})
    frame.to_parquet(tmp_path / "frame.parquet")
    frame.to_csv(tmp_path / "frame.csv", index=False)
    for path in (tmp_path / "frame.parquet", tmp_path / "frame.csv"):
        loaded = read(path, id="user", time="when", columns=["x"])
        assert loaded.ids.tolist() == ["u", "v"]
        np.testing.assert_array_equal(loaded[0], [[0.25], [0.5]])
    lists = pd.DataFrame({"id": [3, 4], "x": [[1.0, 2.0], []], "note": ["not", "read"]})
    lists.to_parquet(tmp_path / "lists.parquet")
    assert [series.tolist() for series in read(tmp_path / "lists.parquet")] == [[1.0, 2.0], []]

    # the index of a sorted frame is not a feature
    path = tmp_path / "sorted.parquet"
    frame = pd.DataFrame({"id": [2, 3, 1], "time": [0, 0, 0], "x": [1.0, 2.0, 3.0]})
    frame.sort_values("id").to_parquet(path)
    in_memory = Sequences.from_table(frame.sort_values("id"), "id", "time")
    for sequences in (read(path), read_as_mapped(path), in_memory):
        assert sequences.schema.names == ("x",)
    assert read(path, columns=["__index_level_0__"]).schema.names == ("__index_level_0__",)


# Labels

SEQUENCES = Sequences.from_list([[1.0, 2.0], [3.0], [4.0, 5.0]], ids=["a", "b", "c"])
NAMES = ["ann", "bob", "ann"]
CSV = "id,time,x0,who\na,0,1,ann\na,1,2,\nb,0,3,bob\nc,0,4,ann\nc,1,5,ann\n"
JSONL = """{"id": "a", "x0": [1, 2], "who": "ann"}
{"id": "b", "x0": [3], "who": "bob"}
{"id": "c", "x0": [4, 5], "who": "ann"}
"""


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_labels_are_read_from_the_file_of_the_sequences(tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    if suffix == "parquet":
        names = pa.array([NAMES[i] for i in (0, 0, 1, 2, 2)])
        pq.write_table(SEQUENCES.to_table().append_column("who", names), path)
    else:
        path.write_text(CSV if suffix == "csv" else JSONL)
    assert read_labels(path, "who", SEQUENCES[[2, 1]]).tolist() == ["ann", "bob"]
    assert read(path, columns=["x0"]).values[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_labels_of_integers_and_files_without_ids(tmp_path):
    path, series = tmp_path / "labels.csv", Sequences.from_list([[1.0]] * 3)
    path.write_text("who\n7\n8\n7\n")
    assert read_labels(path, "who", series).tolist() == [7, 8, 7]
    path.write_text(f"user;who\n2;{2**63}\n0;7\n1;8\n")
    assert read_labels(path, "who", series, id="user").tolist() == ["7", "8", str(2**63)]
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": [2.0, 1.0, 0.0], "who": pa.array([2**63, 8, 7], "u8")}), path)
    assert read_labels(path, "who", series).tolist() == ["7", "8", str(2**63)]


@pytest.mark.parametrize(
    ("text", "label", "error", "message"),
    [
        ("id,who\na,1\nb,2\n", "who", DataError, "no 'who' for the sequence with id 'c'. Give"),
        ("id,who\na,1\na,2\nb,1\n", "who", DataError, "id 'a' has two labels, 1 and 2"),
        ("id,who\na,1\n", "id", SchemaError, "The label column 'id' is the id"),
        ("id,who\na,1\n", "age", SchemaError, "no column 'age'. It has 'id', 'who'"),
    ],
)
def test_bad_labels(tmp_path, text, label, error, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(error, match=message):
        read_labels(tmp_path / "labels.csv", label, SEQUENCES)


def test_files_without_labels(tmp_path):
    for suffix in ("npz", "parquet"):
        write(SEQUENCES, tmp_path / f"data.{suffix}")
    with pytest.raises(ParameterError, match=r"data\.npz has no labels, as \.npz files have no"):
        read_labels(tmp_path / "data.npz", "x0", SEQUENCES)
    with pytest.raises(SchemaError, match=r"data\.parquet: Column 'x0' holds lists"):
        read_labels(tmp_path / "data.parquet", "x0", SEQUENCES)
