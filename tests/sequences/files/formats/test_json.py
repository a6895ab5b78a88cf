"""JSON files, and JSON lines with one event per line."""

import io

import numpy as np
import pytest

from refold.errors import ParameterError, RefoldError
from refold.sequences import column_names, read, read_labels, write
from sequences.equal import assert_equal

EVENTS = """{"id": "a", "time": 1, "x": 0.5, "page": "view"}
{"id": "b", "time": 0, "page": "buy"}

{"id": "a", "time": 2, "x": 1, "page": null}
"""


def read_text(text, suffix, **options):
    return read(io.BytesIO(text.encode()), format=suffix, **options)


def test_lines_of_single_values_are_steps():
    found = read_text(EVENTS, "jsonl")
    assert found.ids.tolist() == ["a", "b"]
    assert found.schema.names == ("x", "page")
    assert found.to_list()[0].tolist() == [[0.5, "view"], [1.0, None]]
    assert np.isnan(found.values[2, 0])
    renamed = EVENTS.replace('"id"', '"who"').replace('"time"', '"at"')
    assert read_text(renamed, "jsonl", id="who", time="at", columns=["x"]).schema.names == ("x",)


def test_an_array_of_records_gives_the_same_sequences():
    records = "[" + ",\n".join(filter(None, EVENTS.splitlines())) + "]"
    assert_equal(read_text(records, "json"), read_text(EVENTS, "jsonl"))
    # some .json files contain JSON lines
    assert_equal(read_text(EVENTS, "json"), read_text(EVENTS, "jsonl"))


def test_tables_by_columns():
    by_list = '{"id": ["a", "a", "b"], "x": [0.5, 1.5, 2.5]}'
    by_row = '{"id": {"0": "a", "1": "a", "2": "b"}, "x": {"0": 0.5, "1": 1.5, "2": 2.5}}'
    found = read_text(by_list, "json")
    assert found.lengths.tolist() == [2, 1]
    assert_equal(read_text(by_row, "json"), found)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("[[0.5, 1.5], [2.5]]", [2, 1]),
        ("[[[0.5, 1], [1.5, 2]],\n [[2.5, 3]]]", [2, 1]),
        ('["abba", ""]', [4, 0]),
        ('[{"x": [1, 2], "y": [3, 4]}, {"x": [], "y": []}]', [2, 0]),
        ('{"id": "a", "x": [1, 2, 3]}', [3]),
        ("[1, 2]\n[3]\n", [2, 1]),
    ],
)
def test_an_array_of_sequences(text, lengths):
    assert read_text(text, "json").lengths.tolist() == lengths


def test_a_text_per_object_is_a_sequence_unless_ids_repeat():
    once = '{"id": 1, "page": "view"}\n{"id": 2, "page": "buy"}\n'
    assert read_text(once, "jsonl").lengths.tolist() == [4, 3]
    assert read_text(once, "jsonl", layout="long").lengths.tolist() == [1, 1]
    assert read_text(once.replace("2", "1"), "jsonl").lengths.tolist() == [2]


def test_unsorted_events_are_sorted_on_request():
    text = '{"id": 1, "time": "2024-01-02", "x": 2}\n{"id": 1, "time": "2024-01-01", "x": 1}\n'
    assert read_text(text, "jsonl", sort=True)[0][:, 0].tolist() == [1, 2]
    with pytest.raises(RefoldError, match=r"in line 2, after '2024-01-02' in line 1\. .*sort=True"):
        read_text(text, "jsonl")


@pytest.mark.parametrize(
    ("suffix", "text", "options", "message"),
    [
        (
            "jsonl",
            '{"id": 1, "x": 1}\n{"id": 1, "x": "a"}\n',
            {},
            "line 2: 'x' is text, but line 1",
        ),
        (
            "jsonl",
            '{"id": 1, "x": 1}\n{"id": 1, "x": [1]}\n',
            {},
            "line 2: 'x' is a list. Expected",
        ),
        ("jsonl", '{"id": 1, "x": 1}\n\n{"x": 2}\n', {}, "Line 3 has no id in column 'id'"),
        ("jsonl", '{"id": 1, "x": 1}\n{"id": 1, "x": NaN}\n{"id": 1, "x": 1e999}\n', {}, "line 3"),
        ("jsonl", '{"u": 1, "x": 1}\n', {}, "no column 'id' .* Name one with id=; its .* u, x"),
        ("jsonl", "[1, 2]\n", {"sort": True}, "sort= needs files with one object per step"),
        ("jsonl", '{"x": [1]}\n', {"time": "t"}, "time= needs files with one object per step"),
        ("jsonl", '[1]\n[2, "a"]\n', {}, r"sequence 1, step 1, column 'x0' \(line 2\)"),
        ("json", '[[1],\n [2, "a"]]', {}, r"step 1, column 'x0' \(entry 1, line 2\)"),
        ("json", '[{"id": 1, "x": 1},\n {"id": 1, "x": "a"}]', {}, "entry 1, line 2: 'x' is text"),
        ("json", "[[1],\n [2 3]]", {}, "line 2 is not JSON: .* at character 5"),
        ("json", "[[1],\n [2]\n", {}, "line 3 is not JSON: .* cut short"),
        ("json", "[[1] [2]]", {}, "line 1 is not JSON: Expecting ',' delimiter at character 6"),
        ("json", "[" * 100_000, {}, "line 1 is not JSON"),
        ("json", "[]", {}, "holds an empty array"),
        ("json", "[1, 2]", {}, "entry 0, line 1 is 1. Expected a list, a string or an object"),
        ("json", "5", {}, "holds 5. Expected an array of sequences or of records"),
        ("json", " \n", {}, "is empty: it holds only blank lines"),
        ("json", '{"id": [1, 2], "x": [1]}', {}, "'x' has other rows than 'id', which has 2"),
        ("json", '{"data": [[1, 2]]}', {}, "line 1, 'data': entry 0 is a list"),
        ("json", r'["\ud83d"]', {}, r"holds \\ud83d, half of a surrogate pair"),
    ],
)
def test_errors_have_their_position(suffix, text, options, message):
    with pytest.raises(RefoldError, match=f"^The stream.*{message}"):
        read_text(text, suffix, **options)


def test_json_cannot_be_written(tmp_path):
    with pytest.raises(ParameterError, match=r"\.json files can be read, but not written"):
        write([[1.0]], tmp_path / "data.json")


def test_labels_and_names_of_events(tmp_path):
    records = '[{"id": 1, "x": 1, "who": "ann"},\n {"id": 2, "x": 2, "who": "bob"}]'
    (tmp_path / "data.json").write_text(records)
    sequences = read(tmp_path / "data.json", columns=["x"])
    assert read_labels(tmp_path / "data.json", "who", sequences).tolist() == ["ann", "bob"]
    assert column_names(tmp_path / "data.json") == ["id", "x", "who"]
