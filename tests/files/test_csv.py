"""CSV: delimiters, decimal commas, types of cells, an index of pandas, and errors with lines."""

import io

import numpy as np
import pytest

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences import read, read_labels, write
from sequences.equal import assert_equal

nan = np.nan
NUMERIC = {"column_types": "numeric"}


def read_text(text, **options):
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), **{"format": "csv"} | options)


def categories(text, **options):
    return [column.categories for column in read_text(text, **options).schema.columns]


# Cells


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_the_delimiter_is_found(delimiter, suffix):
    rows = [["id", "time", "x", "word"], ["a", "0", "1.5", "to"], ["a", "1", "", "be"]]
    found = read_text("".join(delimiter.join(row) + "\n" for row in rows), format=suffix)
    assert found.schema.names == ("x", "word")
    assert found.schema.columns[1].categories == ("be", "to")
    np.testing.assert_array_equal(found.values, [[1.5, 1], [nan, 0]])


LONG = "a" * 2_200_000  # longer than a block of Arrow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('id;x\n1;"a, b"\n1;c, d\n', ("a, b", "c, d")),
        ("id,x\n1,a;b\n1,c\n", ("a;b", "c")),
        ("id;x,y\n1;a\n1;b\n", ("a", "b")),
        (f"id;x\n1;b\n1;{LONG}\n", (LONG, "b")),
        ('id,x\n1,"a\nb"\n1,"say ""hi"""\n1,"NA"\n1,\n', ("NA", "a\nb", 'say "hi"')),
        ('id,x\n1,5" pipe\n1,"a ""b"" c"\n', ('5" pipe', 'a "b" c')),
        ('id,x\n"NA","null"\n"null",NA\n"N/A",b\n', ("b", "null")),
        ('id,x\na,"NA"\na,"null"\n', ("NA", "null")),
    ],
    ids=range(8),
)
def test_categories_keep_delimiters_quotes_and_words(text, expected):
    assert categories(text) == [expected]


def test_requested_categories_keep_their_spelling():
    text = "id,zip,code,on,key\n1,007,1,true,1\n1,7,NA,false,12345678901234567\n1,,2.0,true,\n"
    expected = [("007", "7"), (1, 2), ("false", "true"), ("1", "12345678901234567")]
    assert categories(text, column_types="categorical") == expected
    assert categories("id;x\n1;1,2\n1;2,3\n", column_types="categorical") == [("1,2", "2,3")]
    assert categories('id,x\na,"1"\na,"NA"\na,NA\n', column_types="categorical") == [("1", "NA")]


def test_decimal_commas_are_read_if_commas_do_not_separate_cells():
    found = read_text("id;time;x;y\n1;0,5;0,25;1\n1;1,5;-1,5e2;2\n1;2,5;NA;3\n")
    np.testing.assert_array_equal(found[0], [[0.25, 1], [-150, 2], [nan, 3]])
    # Excel writes semicolons if the comma is the decimal mark, so these are decimals, too.
    assert read_text("id;x\n1;1,234\n1;2,500\n")[0][:, 0].tolist() == [1.234, 2.5]


def test_numbers_with_a_plus_or_words_for_missing():
    text = 'id,time,x,y,on\n1,0,-0.3,1,TRUE\n1,1,+1.5,NA,NA\n1,2,nan, 3,FALSE\n2,NA,,"",\n'
    back = read_text(text)
    assert back.lengths.tolist() == [3, 0]
    assert [column.type for column in back.schema.columns] == ["numeric", "numeric", "binary"]
    np.testing.assert_array_equal(back[0], [[-0.3, 1, 1], [1.5, nan, nan], [nan, 3, 0]])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_with_any_line_ends_and_a_byte_order_mark(end):
    back = read_text(end.join(["\ufeffid,time,x", "1,0,", "1,1,0.5", "", "2,0,2", ""]))
    assert (back.ids.tolist(), back.lengths.tolist()) == ([1, 2], [2, 1])
    np.testing.assert_array_equal(back.values[:, 0], [nan, 0.5, 2])


def test_ids_with_leading_zeros_are_distinct():
    assert read_text("user,x\n007,1\n7,2\n", id="user").ids.tolist() == ["007", "7"]
    assert read_text("id,x\n-7,1\n0,2\n").ids.tolist() == [-7, 0]
    assert read_text('id,x\n"NA",1\n"null",2\n').ids.tolist() == ["NA", "null"]


def test_a_row_without_time_and_values_is_an_empty_sequence():
    back = read_text("id,time,x,y\na,0,1,u\nb,,,\nc,0,2,v\n")
    assert (back.ids.tolist(), back.lengths.tolist()) == (["a", "b", "c"], [1, 0, 1])
    # Without times, an empty row counts as a step.
    assert read_text("id,x\na,1\nb,\n").lengths.tolist() == [1, 1]


def test_times_can_be_dates_and_are_sorted_on_request():
    back = read_text("id,time,x\n1,2024-01-01,4\n2,2023-01-01,5\n1,2024-01-02,3\n")
    assert back.values[:, 0].tolist() == [4, 3, 5]
    text = "id,time,x\na,2024-01-02,2\nb,,\na,2024-01-01,1\n"
    with pytest.raises(DataError, match=r"line 4, after .* in line 2\. Sort .* with sort=True"):
        read_text(text)
    assert [one[:, 0].tolist() for one in read_text(text, sort=True)] == [[1.0, 2.0], []]


# Columns


@pytest.mark.parametrize(
    "text",
    [
        ",id,x\n0,a,1\n1,a,2\n2,b,3\n",
        "Unnamed: 0,id,x\n0,a,1\n1,a,2\n2,b,3\n",
        '"","id","x"\n"1","a",1\n"2","a",2\n"3","b",3\n',
    ],
)
def test_an_index_is_ignored_with_a_warning(text):
    with pytest.warns(UserWarning, match=r"The first column \('.*'\) numbers the rows"):
        found = read_text(text)
    assert (found.schema.names, found.lengths.tolist()) == (("x",), [2, 1])
    assert_equal(read_text(text, columns=["x"]), found)
    assert read_text("Unnamed: 0,id\n7,a\n3,a\n").schema.names == ("Unnamed: 0",)


def test_tsv_is_written_and_read(tmp_path):
    sequences = read_text("id,time,x\n7,0,0.5\n7,1,\n8,,\n")
    write(sequences, tmp_path / "data.tsv")
    assert (tmp_path / "data.tsv").read_text().startswith('"id"\t"time"\t"x"\n7\t0\t0.5\n')
    assert_equal(read(tmp_path / "data.tsv"), sequences)
    (tmp_path / "who.tsv").write_text("id\twho\n7\tann\n8\tbob\n")
    assert read_labels(tmp_path / "who.tsv", "who", sequences).tolist() == ["ann", "bob"]


# Errors

BIG = "".join(f"{i // 9},{i}.5\n" for i in range(200_000))  # more than a block of Arrow
EMPTY = "id,time,x\na,0,1\nb,,\n\nc,1,2\n"
QUOTE = "the quote that begins a cell is"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,x\n1,0.5\n\n1,abc\n1,2\n", {}, "line 4, column 'x': 'abc' is not a number, but 2 of"),
        ("id,x\n1,a\n1,b\n", NUMERIC, "line 2, column 'x': 'a' is not a number. Fix"),
        ('id,x,y\n1,"a\nb",1\n1,c,2\n2,d,u\n', {}, "line 5, column 'y': 'u' is not a number"),
        ("id;x\n1;1,5\n1;few\n1;3\n", {}, "line 3, column 'x': 'few' is not a number, but 2 of"),
        ("id,x\n1,2\n1,2,3\n", {}, "line 3 has 3 fields, but the header has 2"),
        ("id;x\n1;2\n1;2;3\n", {}, "line 3 has 3 fields, but the header has 2"),
        ("id,time,x\n1,0,1\n1,1", {}, "line 3 has 2 fields, .* may be cut short"),
        ("id,x,x\n1,2,3\n", {}, "column 'x' twice in its header"),
        ("id,x\n", {}, "has columns .id, x., but no rows"),
        ("\n\n", {}, "is empty: it holds only blank lines"),
        ("0.5,0.7,0.1\n0.2,0.1,0.3\n", {}, r"no header: its first line .*, such as '0\.5'"),
        (",id,x\n7,a,1\n3,a,2\n", {}, "first column without a name, which does not number the"),
        ("user,x\n1,2\n", {}, "has no column 'id' that tells its sequences apart.*are user, x"),
        ("id,x\n1,2\n", {"id": "user"}, "has no id column 'user'"),
        ("id,x\n1,2\n", {"time": "when"}, "has no time column 'when'"),
        ("id,x\n1,2\n", {"columns": ["x", "y"]}, "has no column 'y'"),
        ("id,x\n1,2\n", {"column_types": {"y": "binary"}}, "column_types names the column 'y'"),
        ("id,time,x\n1,0,1\n1,,1\n", {}, "line 3 has no time"),
        ("id,time,x\n1,10,1\n1,9,1\n", {}, "Id 1 has the time '9' in line 3, after '10' in line 2"),
        ("id,time,x\n1,0,1\n1,0,1\n", {}, "Id 1 has the time '0' in line 3, after '0' in line 2"),
        ("id,x\n1,1\n,1\n", {}, "Line 3 has no id"),
        ("id,x\na,1\nNA,1\n", {}, "Line 3 has no id"),
        ("id,time,x\na,,\n\nb,1,1\nb,0,1\n", {}, "the time '0' in line 5, after '1' in line 4"),
        ("id,x\n1,inf\n", {}, "infinite value at sequence 0"),
        ("id,x\n1,2024-01-01\n1,NA\n", {}, "'x' holds dates"),
        (b"id,x\n1,a\n1,\xe9\n", {}, "line 3: byte 0xe9 is not UTF-8"),
        ("id;x\n1;1,5\n1;2.5\n", {}, "line 2, .* '1,5' has a decimal comma, but '2.5' in line 3"),
        ("id\tx\n1\t1,234\n1\t2,500\n", {}, "line 2, .* '1,234' may have a decimal comma"),
        ("id;x;y\n1;7;.5\n1;1,234;.5\n", {}, "line 3, .* '1,234' may have a decimal comma"),
        (EMPTY + ",2,3\n", {}, "Line 6 has no id in column 'id'"),
        (EMPTY + "c,soon,3\n", {}, "text such as 'soon', in line 6"),
        (EMPTY + "c,,3\n", {}, "line 6 has no time"),
        (EMPTY + "c,1,3\n", {}, "time '1' in line 6, after '1' in line 5"),
        (EMPTY + "c,2,inf\n", {}, r"sequence 1 \(id 'c'\), step 1, column 'x' \(line 6\)"),
        (EMPTY + '"c\nd",2,inf\n', {}, r"sequence 2 .*column 'x' \(line 7\)"),
        ('id,x\n1,2\n1,"3\n2,4\n', {}, f"line 3: {QUOTE}"),
        ('id,"x\n1,2\n1,3\n', {}, f"line 1: {QUOTE}"),
        ('id,x\n1,"a\nb"\n1,"c""\n2,d\n', {}, f"line 4: {QUOTE}"),
        ('id;x\r\n1;2\r\n1;"3\r\n2;4\r\n', {}, f"line 3: {QUOTE}"),
        (f'id,x\n{BIG}7,"1\n{BIG}', {}, f"line 200002: {QUOTE}"),
    ],
    ids=range(40),
)
def test_errors_have_their_position(text, options, message):
    with pytest.raises((FileFormatError, SchemaError, DataError), match=f"^The stream.*{message}"):
        read_text(text, **options)
