"""Written files are read with the same contents, for every format."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.datasets import japanese_vowels, moving_ones, ramps
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Column, Schema, Sequences, read, write
from small_data import mapped


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
    "moving ones": moving_ones(40),
    "one moving one": moving_ones(1, seed=1),
    "ramps": ramps(),
    "vowels": japanese_vowels().test[5:9],
    "mixed": mixed(),
    "only empty ones": mixed()[[1]],
    "characters": Sequences.from_list(["abba", "", "bé"]),
    "words": Sequences.from_list([["to", "be"], [], ["or"]], layout="words"),
    "tokens": Sequences.from_list([["a", "b c"], [], ['"quoted", too\n']], ids=["u", "v", "w"]),
    "integer tokens": Sequences.from_list([[5, 7, 5], [], [9]], column_types="categorical"),
    "odd numbers": Sequences.from_list([[1e-45, 3.4e38, -0.1, 1 / 3], [2.0**60 + 2**9]]),
    "single precision": Sequences.from_list([np.float32([0.1, 1e-45, 3.4e38, np.nan]), []]),
}
LOSSLESS = [("npz", None), ("parquet", None), ("parquet", "list"), ("parquet", "long")]


def same_values(one: Sequences, other: Sequences, dtype: type = np.float64) -> None:
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(one.values.astype(dtype), other.values.astype(dtype))
    np.testing.assert_array_equal(one.ids, other.ids)


@pytest.mark.parametrize(("suffix", "layout"), LOSSLESS)
@pytest.mark.parametrize("name", CASES)
def test_parquet_and_npz_keep_everything(tmp_path, name, suffix, layout):
    path = tmp_path / f"file.{suffix}"
    write(CASES[name], path, layout=layout)
    back = read(path)
    same_values(CASES[name], back)
    assert back.schema == CASES[name].schema
    assert back.values.dtype == CASES[name].values.dtype
    assert back.ids.dtype.kind == CASES[name].ids.dtype.kind


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("name", ["moving ones", "ramps", "vowels", "odd numbers"])
def test_decimal_text_keeps_numbers_and_empty_sequences(tmp_path, name, suffix):
    write(CASES[name], tmp_path / f"file.{suffix}")
    back = read(tmp_path / f"file.{suffix}", column_types="numeric")
    same_values(CASES[name], back, CASES[name].values.dtype)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_decimal_text_keeps_categories_and_ids(tmp_path, suffix):
    path = tmp_path / f"file.{suffix}"
    write(mixed(), path)
    column_types = {column.name: column.type for column in mixed().schema.columns}
    back = read(path, column_types=column_types)
    assert back.ids.tolist() == ["a", "7", "c d"]
    assert [[None if v != v else v for v in row] for row in back[0].tolist()] == [
        [0.1, 0, "view", 7],
        [None, 1, "<unknown>", 30],
    ]
    assert back.lengths.tolist() == [2, 0, 2]


@pytest.mark.parametrize("name", ["characters", "words", "tokens", "integer tokens"])
def test_jsonl_keeps_categories(tmp_path, name):
    write(CASES[name], tmp_path / "file.jsonl")
    column_types = "categorical" if name == "integer tokens" else None
    unit = "words" if name == "words" else None
    back = read(tmp_path / "file.jsonl", column_types=column_types, unit=unit)
    assert back.to_list() == CASES[name].to_list()
    assert back.schema == CASES[name].schema
    assert back.ids.tolist() == CASES[name].ids.tolist()


def test_jsonl_shows_short_decimals_and_whole_numbers():
    buffer = io.BytesIO()
    write(ramps()[2:], buffer, format="jsonl")
    write(moving_ones(1, seed=1), buffer, format="jsonl", layout="list")
    first, _, third = buffer.getvalue().decode().splitlines()
    assert first == '{"id": 2, "x0": [0.2, 0.4, 0.6, 0.8]}'
    assert third.startswith('{"id": 0, "x0": [1, 0, 0,')


@pytest.mark.parametrize("name", ["characters", "words"])
def test_text_keeps_lines(tmp_path, name):
    write(CASES[name], tmp_path / "file.txt")
    back = read(tmp_path / "file.txt", unit=name)
    assert back.to_list() == CASES[name].to_list()
    assert back.schema == CASES[name].schema


@pytest.mark.parametrize("name", ["moving ones", "ramps", "vowels"])
def test_npy_is_padded_with_nan(tmp_path, name):
    sequences = CASES[name]
    write(sequences, tmp_path / "file.npy")
    padded = np.load(tmp_path / "file.npy")
    assert padded.ndim == (2 if sequences.schema.layout == "series" else 3)
    assert padded.shape[:2] == (len(sequences), sequences.lengths.max())
    back = read(tmp_path / "file.npy", column_types="numeric")
    np.testing.assert_array_equal(back.lengths, sequences.lengths)
    np.testing.assert_array_equal(back.values, sequences.values)


def test_npz_files_of_other_programs(tmp_path):
    x = np.arange(12.0).reshape(2, 3, 2)
    np.savez_compressed(tmp_path / "x.npz", anything=x)
    np.testing.assert_array_equal(read(tmp_path / "x.npz")[1], x[1])
    np.savez(tmp_path / "lengths.npz", x=np.asfortranarray(x), lengths=[1, 0])
    assert read(tmp_path / "lengths.npz").lengths.tolist() == [1, 0]
    np.testing.assert_array_equal(read(tmp_path / "lengths.npz")[0], x[0, :1])


def test_other_programs_can_read_a_long_file(tmp_path):
    write(CASES["mixed"], tmp_path / "long.parquet", layout="long")
    frame = pd.read_parquet(tmp_path / "long.parquet")
    assert list(frame.columns) == ["id", "time", "level", "on", "event", "code"]
    assert frame["id"].tolist() == ["a", "a", "7", "c d", "c d"]
    assert frame.loc[2].isna().tolist() == [False] + [True] * 5


def test_files_that_pandas_wrote(tmp_path):
    frame = pd.DataFrame({"user": ["u", "u", "v"], "when": [1, 2, 1], "x": [0.25, 0.5, 1.0]})
    frame.to_parquet(tmp_path / "frame.parquet")
    frame.to_csv(tmp_path / "frame.csv", index=False)
    for path in (tmp_path / "frame.parquet", tmp_path / "frame.csv"):
        back = read(path, id="user", time="when", columns=["x"])
        assert back.ids.tolist() == ["u", "v"]
        np.testing.assert_array_equal(back[0], [[0.25], [0.5]])


def test_the_index_of_a_sorted_frame_is_not_a_feature(tmp_path):
    path = tmp_path / "sorted.parquet"
    frame = pd.DataFrame({"id": [2, 3, 1], "time": [0, 0, 0], "x": [1.0, 2.0, 3.0]})
    frame.sort_values("id").to_parquet(path)
    assert pq.read_schema(path).names[-1] == "__index_level_0__"
    assert read(path).schema.names == mapped(path).schema.names == ("x",)
    asked = read(path, columns=["__index_level_0__"])
    assert asked.schema.names == ("__index_level_0__",)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_ids_too_large_for_int64_are_text(tmp_path, empty):
    ids = pa.array([2**63, 5, 2**64 - 1], pa.uint64())
    lengths = [int(i != empty) for i in range(3)]
    cells = pa.array([None if i == empty else i for i in range(3)])
    lists = [[1.0] * length for length in lengths]
    pq.write_table(pa.table({"id": ids, "time": cells, "x": cells}), tmp_path / "long.parquet")
    pq.write_table(pa.table({"id": ids, "x": lists}), tmp_path / "lists.parquet")
    for path in (tmp_path / "long.parquet", tmp_path / "lists.parquet"):
        for back in (read(path), mapped(path)):
            assert back.ids.tolist() == ["9223372036854775808", "5", "18446744073709551615"]
            assert back.lengths.tolist() == lengths
    plain = Sequences.from_list(lists, ids=ids.to_pylist())
    assert plain.ids.tolist() == read(tmp_path / "lists.parquet").ids.tolist()
    text = "".join(f'{{"id": {i}, "x": [1]}}\n' for i in ids.to_pylist())
    assert read(io.BytesIO(text.encode()), format="jsonl").ids.tolist() == plain.ids.tolist()


def test_lists_that_pandas_wrote(tmp_path):
    frame = pd.DataFrame({"id": [3, 4], "x": [[1.0, 2.0], []], "note": ["not", "read"]})
    frame.to_parquet(tmp_path / "lists.parquet")
    back = read(tmp_path / "lists.parquet")
    assert back.ids.tolist() == [3, 4]
    assert [series.tolist() for series in back] == [[1.0, 2.0], []]


def test_a_file_that_was_sorted_and_changed_later(tmp_path):
    write(CASES["mixed"], tmp_path / "long.parquet", layout="long")
    table = pq.read_table(tmp_path / "long.parquet").sort_by("time")
    pq.write_table(table.drop_columns(["level"]), tmp_path / "sorted.parquet")
    back = read(tmp_path / "sorted.parquet")
    assert sorted(back.ids.tolist()) == ["7", "a", "c d"]
    kept = back[back.ids == "a"]
    assert kept[0].tolist() == [[0.0, "view", 7.0], [1.0, "<unknown>", 30.0]]
    assert back[back.ids == "7"].lengths.tolist() == [0]


def test_streams_need_the_format():
    stream = io.BytesIO()
    write(["ab", ""], stream, format="txt")
    assert stream.getvalue() == b"ab\n\n"
    stream.seek(0)
    assert read(stream, format="txt").to_list() == ["ab", ""]
    with pytest.raises(ParameterError, match="A stream needs format=, one of: parquet, csv"):
        read(stream)
    with pytest.raises(ParameterError, match=r"The format 'xlsx' is unknown\. Known: parquet, "):
        write(ramps(), stream, format="xlsx")


def test_a_given_format_has_priority_over_the_suffix(tmp_path):
    write(ramps(), tmp_path / "data.bin", format="npz")
    same_values(ramps(), read(tmp_path / "data.bin", format="npz"))


def test_sequences_that_a_format_cannot_store_are_refused(tmp_path):
    twice = ramps()[[0, 0]]
    with pytest.raises(DataError, match="id 0 belongs to 2 sequences, which the long layout"):
        write(twice, tmp_path / "twice.csv")
    write(twice, tmp_path / "twice.parquet")
    with pytest.raises(SchemaError, match=r"'token' is categorical, and an \.npy file holds"):
        write(["ab"], tmp_path / "labels.npy")
    ending = Sequences.from_list([[1.0], [2.0, np.nan]])
    with pytest.raises(DataError, match="id 1 ends in a step with everything missing"):
        write(ending, tmp_path / "ending.npy")
    with pytest.raises(SchemaError, match=r"\.txt file holds characters or words; .* 'series'"):
        write(ramps(), tmp_path / "ramps.txt")
    with pytest.raises(DataError, match=r"'b c' would be ambiguous in a \.txt file"):
        write([["a", "b c"]], tmp_path / "tokens.txt")
    with pytest.raises(DataError, match=r"The token '\\n' would be ambiguous"):
        write(["a\nb"], tmp_path / "break.txt")
    missing = Sequences.from_list([["a", None]], column_types="categorical")
    with pytest.raises(DataError, match="Sequence 0, step 1 is missing or unknown"):
        write(missing, tmp_path / "missing.txt")
    named = Sequences.from_list([[1.0]], names=["id"])
    with pytest.raises(SchemaError, match="A feature has the name of the id column, 'id'"):
        write(named, tmp_path / "named.jsonl")
    with pytest.raises(ParameterError, match=r"layout for csv: expected 'long'\. Got 'list'"):
        write(ramps(), tmp_path / "ramps.csv", layout="list")
    with pytest.raises(ParameterError, match="layout for npz: expected None"):
        write(ramps(), tmp_path / "ramps.npz", layout="long")
    assert [path.name for path in tmp_path.iterdir()] == ["twice.parquet"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_an_unknown_integer_is_written_as_missing_with_a_warning(tmp_path, suffix):
    sequences = Sequences.from_list([[5, 7]], column_types="categorical")
    unknown = sequences.with_values(np.float32([[0], [2]]))
    with pytest.warns(UserWarning, match="1 unknown entry of column 'token' is written as missing"):
        write(unknown, tmp_path / f"file.{suffix}")
    np.testing.assert_array_equal(
        read(tmp_path / f"file.{suffix}", column_types="categorical").values, [[0], [np.nan]]
    )
    write(unknown, tmp_path / "file.npz")
    same_values(read(tmp_path / "file.npz"), unknown)


def test_a_missing_character_makes_its_line_a_list(tmp_path):
    sequences = Sequences.from_list(["ab", "b"])
    holed = sequences.with_values(np.float32([[0], [np.nan], [1]]))
    write(holed, tmp_path / "holed.jsonl")
    assert (tmp_path / "holed.jsonl").read_text() == '["a", null]\n["b"]\n'
