"""JSON lines and JSON files: the forms of sequences, events, and errors with their place."""

import io
import json
import math

import numpy as np
import pytest

from refold.errors import RefoldError
from refold.sequences import column_names, read, read_labels
from sequences.equal import assert_equal

EVENTS = """{"id": "a", "time": 1, "x": 0.5, "page": "view"}
{"id": "b", "time": 0, "page": "buy"}

{"id": "a", "time": 2, "x": 1, "page": null}
"""


def read_text(text, suffix="jsonl", **options):
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), format=suffix, **options)


def test_lines_are_rows_series_strings_or_tokens():
    rows = read_text("\ufeff[[1, 2], [3, null]]\n\n[]\n")
    assert (rows.schema.layout, rows.lengths.tolist()) == ("array", [2, 0])
    np.testing.assert_array_equal(rows[0], [[1, 2], [3, np.nan]])
    series = read_text(f"[]\n{json.dumps([1, math.nan, 2.5])}")
    assert series.schema.layout == "series"
    np.testing.assert_array_equal(series[1], [1, np.nan, 2.5])
    assert read_text('"ab"\n""\n').to_list() == ["ab", ""]
    assert read_text('"to be"\n""\n', text_unit="words").to_list() == [["to", "be"], []]
    assert read_text('["a b", "c"]\n').schema.layout == "tokens"
    table = read_text('[[1, "a"], [2, "b"]]\n')
    assert [column.type for column in table.schema.columns] == ["numeric", "categorical"]


def test_objects_of_named_lists():
    text = '{"user": "u", "x": [1, 2], "y": ["a", "b"], "z": 3}\n{"user": "v", "x": [], "y": []}\n'
    loaded = read_text(text, id="user", columns=["x", "y"])
    assert (loaded.ids.tolist(), loaded.lengths.tolist()) == (["u", "v"], [2, 0])
    assert loaded.schema.names == ("x", "y")
    series = read_text('{"id": 3, "x": [1, 2]}\n')
    assert (series.schema.layout, series.ids.tolist()) == ("series", [3])
    words = read_text('{"id": 3, "word": "abba"}\n')
    assert (words.to_list(), words.schema.names) == (["abba"], ("word",))


def test_lines_of_single_values_are_steps():
    sequences = read_text(EVENTS)
    assert (sequences.ids.tolist(), sequences.schema.names) == (["a", "b"], ("x", "page"))
    assert sequences.to_list()[0].tolist() == [[0.5, "view"], [1.0, None]]
    assert np.isnan(sequences.values[2, 0])
    renamed = EVENTS.replace('"id"', '"who"').replace('"time"', '"at"')
    assert read_text(renamed, id="who", time="at", columns=["x"]).schema.names == ("x",)
    unsorted = '{"id": 1, "time": "2024-01-02", "x": 2}\n{"id": 1, "time": "2024-01-01", "x": 1}\n'
    assert read_text(unsorted, sort=True)[0][:, 0].tolist() == [1, 2]


def test_a_text_per_object_is_a_sequence_unless_ids_repeat():
    records = '{"id": 1, "page": "view"}\n{"id": 2, "page": "buy"}\n'
    assert read_text(records).lengths.tolist() == [4, 3]
    assert read_text(records, layout="long").lengths.tolist() == [1, 1]
    assert read_text(records.replace("2", "1")).lengths.tolist() == [2]


def test_arrays_lines_and_tables_by_columns_give_the_same_sequences(tmp_path):
    records = "[" + ",\n".join(filter(None, EVENTS.splitlines())) + "]"
    assert_equal(read_text(records, "json"), read_text(EVENTS))
    assert_equal(read_text(EVENTS, "json"), read_text(EVENTS))  # some .json files are JSON lines
    lists = read_text('{"id": ["a", "a", "b"], "x": [0.5, 1.5, 2.5]}', "json")
    assert lists.lengths.tolist() == [2, 1]
    by_row = '{"id": {"0": "a", "1": "a", "2": "b"}, "x": {"1": 1.5, "0": 0.5, "2": 2.5}}'
    assert_equal(read_text(by_row, "json"), lists)
    with pytest.raises(RefoldError, match="'x' has other rows than 'id', which has 2"):
        read_text('{"id": [1, 1], "x": [2.5]}', "json")
    (tmp_path / "data.json").write_text(records)
    assert column_names(tmp_path / "data.json") == ["id", "time", "x", "page"]
    table = tmp_path / "labels.json"
    table.write_text('[{"id": "b", "who": "bob"}, {"id": "a", "who": "ann"}]')
    assert read_labels(table, "who", read_text(EVENTS)).tolist() == ["ann", "bob"]


def test_an_array_of_sequences_and_a_single_sequence():
    assert read_text('["abba", ""]', "json").lengths.tolist() == [4, 0]
    assert read_text('"abba"', "json").lengths.tolist() == [4]
    objects = '[{"x": [1, 2], "y": [3, 4]}, {"x": [], "y": []}]'
    assert read_text(objects, "json").lengths.tolist() == [2, 0]
    assert read_text('{"id": "a", "x": [1, 2, 3]}', "json").lengths.tolist() == [3]


CELL_MESSAGE = r"Expected `bool \| int \| float \| str \| null`, got"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("[1]\n[1,\n", {}, "line 2 is not JSON: .* truncated. Expected one whole sequence per"),
        ("[" * 100_000 + "\n", {}, "line 1 is not JSON"),
        ('{"id": 1, "x": 1}\n{"id": 1, "x": 1e999}\n', {}, "line 2 .* out of range"),
        (b'["a"]\n["\xff"]\n', {}, "line 2: byte 0xff is not UTF-8"),
        ("5\n", {}, r"line 1: Expected `str \| object \| array`, got `int`. All"),
        ("[1]\n5\n", {}, "line 2: Expected `array`, got `int`. All need the same form"),
        ("[[1, 2]]\n[[1, 2, 3]]\n", {}, "line 2, step 0 has 3 features. Expected 2, as all"),
        ("[[1, [2]]]\n", {}, rf"line 1: {CELL_MESSAGE} `array` - at `\$\[0\]\[1\]`"),
        ("[1]\n", {"id": "user"}, "holds no objects with names, which id= needs. Leave it out"),
        ('{"x": [1]}\n', {"time": "t"}, "one row per sequence, .* time= does not apply"),
        ('{"x": [1, "a"]}\n', {}, "'x' mixes numbers and text in its lists"),
        ('{"x": [{"a": 1}]}\n', {}, f"line 1, 'x': {CELL_MESSAGE} `object`"),
        ('{"t": ["to"]}\n{"t": "be"}\n', {}, "line 2, 't': Expected `array`, got `str`"),
        ('"ab"\n', {"column_types": "numeric"}, "Got the text 'a' at .* step 0"),
        ('{"id": 1, "x": 1}\n{"id": 1, "x": "a"}\n', {}, "line 2, 'x': Expected `int .*`"),
        ('{"id": 1, "x": 1}\n\n{"x": 2}\n', {}, "Line 3 has no id in column 'id'"),
    ],
    ids=range(16),
)
def test_errors_name_the_line(text, options, message):
    with pytest.raises(RefoldError, match=f"^The stream.*{message}"):
        read_text(text, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[1],\n [2, "a"]]', "entry 1, step 1, column 'x0'"),
        ("[[1],\n [2 3]]", r"line 2 is not JSON: .* \(byte 10\)"),
        ("[[1, NaN],\n [2, 3}]", "line 2 is not JSON"),
        ("[]", "There is no sequence in the list"),
        ("5", r"line 1: Expected `str \| object \| array`, got `int`"),
    ],
)
def test_errors_name_the_entry_of_an_array(text, message):
    with pytest.raises(RefoldError, match=f"^The stream.*{message}"):
        read_text(text, "json")


def test_large_integers_in_lists_are_floats():
    for numbers in ([2**64 + 1, 1], [2**53 + 1, 0.5]):
        loaded = read_text(json.dumps({"id": "a", "x": numbers}))
        assert loaded.values[:, 0].tolist() == [*map(float, numbers)]
    for mixed in ([2**64, True], [2**64, "b"]):
        with pytest.raises(RefoldError, match="mixes numbers and text in its lists"):
            read_text(json.dumps({"id": "a", "x": mixed}))


def test_column_names_and_missing_columns_after_blank_lines(tmp_path):
    path = tmp_path / "blank.jsonl"
    path.write_text('\ufeff\n \n{"id": 1, "x": 2, "y": 3}\n')
    assert column_names(path) == ["id", "x", "y"]
    for columns in (["z"], ["x", "z"]):
        with pytest.raises(RefoldError, match=r"has no column 'z'\. It has 'id', 'x', 'y'\."):
            read(path, columns=columns)
    path.write_text('\n\n{"id": 1\n')
    with pytest.raises(RefoldError, match="line 3 is not JSON"):
        column_names(path)
