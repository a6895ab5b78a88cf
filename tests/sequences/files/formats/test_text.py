"""CSV, JSON lines and plain text of other programs, and errors with their line."""

import io

import numpy as np
import pytest

from refold.errors import DataError, FileFormatError, RefoldError, SchemaError
from refold.sequences import Sequences, read


def read_text(text: str | bytes, form: str, **options) -> Sequences:
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), format=form, **options)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_with_any_line_ends_and_a_byte_order_mark(end):
    text = end.join(["\ufeffid,time,x", "1,0,", "1,1,0.5", "", "2,0,2", ""])
    back = read_text(text, "csv")
    assert back.ids.tolist() == [1, 2]
    assert back.lengths.tolist() == [2, 1]
    np.testing.assert_array_equal(back.values[:, 0], [np.nan, 0.5, 2])


def test_csv_ids_with_leading_zeros_are_distinct():
    back = read_text("user,x\n007,1\n7,2\n", "csv", id="user")
    assert back.ids.tolist() == ["007", "7"]
    assert read_text("id,x\n-7,1\n0,2\n", "csv").ids.tolist() == [-7, 0]


def test_csv_marks_an_empty_sequence():
    back = read_text("id,time,x,y\na,0,1,u\nb,,,\nc,0,2,v\n", "csv")
    assert back.ids.tolist() == ["a", "b", "c"]
    assert back.lengths.tolist() == [1, 0, 1]
    # Without times, an empty row counts as a step.
    assert read_text("id,x\na,1\nb,\n", "csv").lengths.tolist() == [1, 1]


def test_csv_categories_with_line_breaks_and_quotes():
    back = read_text('id,x\n1,"a\nb"\n1,"say ""hi"""\n1,"NA"\n1,\n', "csv")
    assert back[0][:, 0].tolist() == ["a\nb", 'say "hi"', "NA", None]


def test_csv_column_types():
    text = "id,a,b,c\n1,true,0,3\n1,false,1,4\n"
    column_types = [column.type for column in read_text(text, "csv").schema.columns]
    assert column_types == ["binary", "binary", "numeric"]
    back = read_text(text, "csv", columns=["c"], column_types="categorical")
    assert back.schema.columns[0].categories == (3, 4)


def test_csv_categories_keep_their_spelling():
    text = "id,zip,code,on,key\n1,007,1,true,1\n1,7,NA,false,12345678901234567\n1,,2.0,true,\n"
    back = read_text(text, "csv", column_types="categorical")
    labels = [column.categories for column in back.schema.columns]
    assert labels == [("007", "7"), (1, 2), ("false", "true"), ("1", "12345678901234567")]


def test_csv_quoted_words_for_missing_values_are_categories_and_ids():
    back = read_text('id,x\n"NA","null"\n"null",NA\n"N/A",b\n', "csv")
    assert back.ids.tolist() == ["NA", "null", "N/A"]
    assert back.schema.columns[0].categories == ("b", "null")
    assert back[1].tolist() == [[None]]
    text = 'id,code\na,"1"\na,"2"\na,"NA"\na,NA\n'
    back = read_text(text, "csv", column_types="categorical")
    assert back[0][:, 0].tolist() == ["1", "2", "NA", None]
    assert read_text('id,x\na,"NA"\na,"null"\n', "csv").schema.columns[0].categories == (
        "NA",
        "null",
    )
    with pytest.raises(DataError, match="Line 3 has no id"):
        read_text("id,x\na,1\nNA,1\n", "csv")


def test_csv_numbers_with_a_plus_or_words_for_missing():
    text = 'id,time,x,y,on\n1,0,-0.3,1,TRUE\n1,1,+1.5,NA,NA\n1,2,nan, 3,FALSE\n2,NA,,"",\n'
    back = read_text(text, "csv")
    assert back.lengths.tolist() == [3, 0]
    assert [column.type for column in back.schema.columns] == ["numeric", "numeric", "binary"]
    nan = np.nan
    np.testing.assert_array_equal(back[0], [[-0.3, 1, 1], [1.5, nan, nan], [nan, 3, 0]])
    with pytest.raises(SchemaError, match="'x' holds dates"):
        read_text("id,x\n1,2024-01-01\n1,NA\n", "csv")


def test_csv_categories_are_aligned_with_a_schema():
    text = "id,code,on\n1,1,true\n1,2,maybe\n1,N5,false\n"
    fitted = read_text(text, "csv", column_types={"code": "categorical"}).schema
    aligned = read_text("id,code,on\n1,2,false\n1,1,true\n", "csv").align(fitted)
    assert aligned.values.tolist() == [[1, 0], [0, 2]]


def test_csv_times_can_be_dates():
    back = read_text("id,time,x\n1,2024-01-01,4\n2,2023-01-01,5\n1,2024-01-02,3\n", "csv")
    assert back.values[:, 0].tolist() == [4, 3, 5]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,x\n1,0.5\n\n1,abc\n1,2\n", {}, "line 4, column 'x': 'abc' is not a number, but 2 of"),
        (
            "id,x\n1,a\n1,b\n",
            {"column_types": "numeric"},
            "line 2, column 'x': 'a' is not a number. Fix",
        ),
        ('id,x,y\n1,"a\nb",1\n1,c,2\n2,d,u\n', {}, "line 5, column 'y': 'u' is not a number"),
        ("id,x\n1,2\n1,2,3\n", {}, "line 3 has 3 fields, but the header has 2"),
        ("id,time,x\n1,0,1\n1,1", {}, "line 3 has 2 fields, .* may be cut short"),
        ("id,x,x\n1,2,3\n", {}, "column 'x' twice in its header"),
        ("id,x\n", {}, "has columns .id, x., but no rows"),
        ("\n\n", {}, "is empty: it holds only blank lines"),
        ("user,x\n1,2\n", {}, "has no column 'id' that tells its sequences apart.*are user, x"),
        ("id,x\n1,2\n", {"id": "user"}, "has no id column 'user'"),
        ("id,x\n1,2\n", {"time": "when"}, "has no time column 'when'"),
        ("id,x\n1,2\n", {"columns": ["x", "y"]}, "has no column 'y'"),
        ("id,x\n1,2\n", {"column_types": {"y": "binary"}}, "column_types names the column 'y'"),
        ("id,time,x\n1,0,1\n1,,1\n", {}, "line 3 has no time"),
        ("id,time,x\n1,10,1\n1,9,1\n", {}, "Id 1 has the time '9' in line 3, after '10' in line 2"),
        (
            "id,time,x\n1,2024-01-02,1\n1,2024-01-01,1\n",
            {},
            "the time '2024-01-01' in line 3, after '2024-01-02' in line 2. Sort the table",
        ),
        ("id,time,x\n1,0,1\n1,0,1\n", {}, "Id 1 has the time '0' twice, in lines 2 and 3"),
        ("id,x\n1,1\n,1\n", {}, "Line 3 has no id"),
        ("id,time,x\na,,\n\nb,1,1\nb,0,1\n", {}, "the time '0' in line 5, after '1' in line 4"),
        ("id,x\n1,inf\n", {}, "infinite value at sequence 0"),
        (b"id,x\n1,a\n1,\xe9\n", {}, "line 3: byte 0xe9 is not UTF-8"),
    ],
)
def test_csv_errors_have_their_position(text, options, message):
    with pytest.raises((FileFormatError, DataError), match=f"The stream.*{message}"):
        read_text(text, "csv", **options)


def test_jsonl_forms():
    rows = read_text("[[1, 2], [3, null]]\n\n[]\n", "jsonl")
    assert rows.schema.layout == "array"
    assert rows.lengths.tolist() == [2, 0]
    np.testing.assert_array_equal(rows[0], [[1, 2], [3, np.nan]])
    series = read_text("[]\n[1, 2.5]", "jsonl")
    assert series.schema.layout == "series"
    assert [values.tolist() for values in series] == [[], [1, 2.5]]
    assert read_text('"ab"\n""\n', "jsonl").to_list() == ["ab", ""]
    assert read_text('"to be"\n""\n', "jsonl", unit="words").to_list() == [["to", "be"], []]
    assert read_text('["a b", "c"]\n', "jsonl").schema.layout == "tokens"
    assert read_text('["a b", "c"]\n', "jsonl", unit="words").schema.layout == "words"
    table = read_text('[[1, "a"], [2, "b"]]\n', "jsonl")
    assert [column.type for column in table.schema.columns] == ["numeric", "categorical"]


def test_jsonl_objects():
    text = '{"user": "u", "x": [1, 2], "y": ["a", "b"], "z": 3}\n{"user": "v", "x": [], "y": []}\n'
    back = read_text(text, "jsonl", id="user", columns=["x", "y"])
    assert back.ids.tolist() == ["u", "v"]
    assert back.schema.names == ("x", "y")
    assert back.lengths.tolist() == [2, 0]
    one = read_text('{"id": 3, "x": [1, 2]}\n', "jsonl")
    assert (one.schema.layout, one.ids.tolist()) == ("series", [3])
    word = read_text('{"id": 3, "word": "abba"}\n', "jsonl")
    assert (word.to_list(), word.schema.names) == (["abba"], ("word",))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("[1]\n[1,\n", {}, "line 2 is not JSON: Expecting value at character 4"),
        ("[1]\n\n[1, 2", {}, "line 3 is not JSON: .* cut short"),
        ("[\n  [1, 2]\n]\n", {}, "line 1 is not JSON.* one whole sequence per line"),
        ("[" * 100_000 + "\n", {}, "line 1 is not JSON"),
        ("\n \n", {}, "is empty: it holds only blank lines"),
        ("[1]\n5\n", {}, "line 2 is 5. Expected a list, a string or an object"),
        (
            '[1]\n{"x": [1]}\n',
            {},
            "line 2 is an object of named lists, but line 1 is a list",
        ),
        ('"ab"\n[]\n', {}, "line 2 is an empty list, but line 1 is a string"),
        ("[[1, 2], [3]]\n", {}, "line 1, step 1 has 1 features, but line 1 begins with 2"),
        ("[[1, 2]]\n[[1, 2, 3]]\n", {}, "line 2, step 0 has 3 features, but line 1 begins with 2"),
        ("[[], []]\n", {}, "line 1, step 0 has no features"),
        ("[[1], 2]\n", {}, "line 1, step 1 is not a list"),
        ("[1, [2]]\n", {}, "line 1: entry 1 is a list. Expected a number, a token or null"),
        ("[1]\n", {"id": "user"}, "without names. Leave id= and columns="),
        ('{"x": [1]}\n', {"id": "user"}, "has no id 'user'. Its keys are x"),
        ('{"x": [1]}\n', {"columns": ["y"]}, "line 1 lacks 'y'. It has x"),
        ('{"id": 1, "x": [1]}\n{"x": [1]}\n', {}, "line 2: the id 'id' must be text or an integer"),
        ('{"id": 1}\n', {}, "line 1 has no feature columns besides the id"),
        ('{"x": [1], "y": [1, 2]}\n', {}, "line 1 has lists of different lengths: 'x' 1, 'y' 2"),
        ('{"x": [1], "y": 2}\n', {}, "line 1: 'y' must be a list, one entry per step"),
        ('{"x": [{"a": 1}]}\n', {}, "line 1, 'x': entry 0 is an object"),
        (
            '{"t": "to be"}\n{"t": ["or"]}\n',
            {"unit": "words"},
            "line 2: 't' must be a string, as b",
        ),
        ('{"t": ["to"]}\n{"t": "be"}\n', {}, "line 2: 't' must be a list, one entry per step"),
        (
            '"ab"\n',
            {"column_types": "numeric"},
            "holds strings, whose steps are categorical. Leave column_types=",
        ),
        (
            '{"t": "ab"}\n',
            {"column_types": "binary"},
            "holds strings, whose steps are categorical. Leave",
        ),
        (
            r'"\ud83d\ude00"' "\n" r'{"\ud83d": 1}' "\n",
            {},
            r"line 2 holds \\ud83d, half of a surrogate pair",
        ),
        ('[1]\n[2, "a"]\n', {}, "text 'a' at sequence 1, step 1"),
        ("[1, Infinity]\n", {}, "infinite value at sequence 0, step 1"),
        (b'["a"]\n["\xff"]\n', {}, "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_jsonl_errors_have_their_position(text, options, message):
    with pytest.raises(RefoldError, match=f"The stream.*{message}"):
        read_text(text, "jsonl", **options)


def test_text_lines():
    assert read_text(" a\n\nb\r\nc", "txt").to_list() == [" a", "", "b", "c"]
    assert read_text("\n", "txt").to_list() == [""]
    # Only a line feed ends a line. Other line separators of Unicode are characters.
    assert read_text("a\u2028b\x0bc\n", "txt").to_list() == ["a\u2028b\x0bc"]
    assert read_text("to  be\n\nor\n", "txt", unit="words").to_list() == [["to", "be"], [], ["or"]]
    with pytest.raises(FileFormatError, match="line 2: byte 0xff is not UTF-8"):
        read_text(b"a\n\xff\n", "txt")


def test_errors_keep_their_class():
    with pytest.raises(SchemaError, match="column_types names the column"):
        read_text('{"x": [1]}\n', "jsonl", column_types={"y": "binary"})
