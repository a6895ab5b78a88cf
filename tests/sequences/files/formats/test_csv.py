"""CSV: delimiters, decimal commas, types of cells, an index of pandas, and errors with lines."""

import io

import numpy as np
import pytest

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences import read, read_labels, write
from sequences.equal import assert_equal


def read_text(text, **options):
    options.setdefault("format", "csv")
    return read(io.BytesIO(text.encode() if isinstance(text, str) else text), **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_the_delimiter_is_found(delimiter, suffix):
    rows = [["id", "time", "x", "word"], ["a", "0", "1.5", "to"], ["a", "1", "", "be"]]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    found = read_text(text, format=suffix)
    assert found.schema.names == ("x", "word")
    assert found.schema.columns[1].categories == ("be", "to")
    np.testing.assert_array_equal(found.values, [[1.5, 1], [np.nan, 0]])


def test_a_comma_within_cells_is_not_a_delimiter():
    found = read_text('id;note\n1;"a, b"\n1;c, d\n')
    assert found.schema.columns[0].categories == ("a, b", "c, d")
    found = read_text("id,note\n1,a;b\n1,c\n")
    assert found.schema.columns[0].categories == ("a;b", "c")


def test_a_row_can_be_longer_than_a_block_of_arrow():
    long = "a" * 2_200_000
    found = read_text(f"id;note\n1;b\n1;{long}\n")
    assert found.schema.columns[0].categories == (long, "b")


def test_decimal_commas_are_read_if_commas_do_not_separate_cells():
    found = read_text("id;time;x;y\n1;0,5;0,25;1\n1;1,5;-1,5e2;2\n1;2,5;NA;3\n")
    np.testing.assert_array_equal(found[0], [[0.25, 1], [-150, 2], [np.nan, 3]])
    # Excel writes semicolons if the comma is the decimal mark, so these are decimals, too.
    assert read_text("id;x\n1;1,234\n1;2,500\n")[0][:, 0].tolist() == [1.234, 2.5]


def test_categories_with_commas_are_not_numbers():
    found = read_text("id;x\n1;1,2\n1;2,3\n", column_types={"x": "categorical"})
    assert found.schema.columns[0].categories == ("1,2", "2,3")


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
    assert found.schema.names == ("x",)
    assert found.lengths.tolist() == [2, 1]
    assert_equal(read_text(text, columns=["x"]), found)


def test_an_unnamed_column_that_is_not_an_index_is_refused():
    with pytest.raises(SchemaError, match="first column without a name, which does not number the"):
        read_text(",id,x\n7,a,1\n3,a,2\n")
    assert read_text("Unnamed: 0,id\n7,a\n3,a\n").schema.names == ("Unnamed: 0",)


def test_tsv_is_written_and_read(tmp_path):
    given = read_text("id,time,x\n7,0,0.5\n7,1,\n8,,\n")
    write(given, tmp_path / "data.tsv")
    assert (tmp_path / "data.tsv").read_text().startswith('"id"\t"time"\t"x"\n7\t0\t0.5\n')
    assert_equal(read(tmp_path / "data.tsv"), given)


def test_labels_are_read_from_other_delimiters(tmp_path):
    (tmp_path / "who.tsv").write_text("id\twho\n1\tann\n2\tbob\n")
    (tmp_path / "who.csv").write_text("id;who\n1;ann\n2;bob\n")
    sequences = read_text("id,x\n2,1\n1,2\n")
    for name in ("who.tsv", "who.csv"):
        assert read_labels(tmp_path / name, "who", sequences).tolist() == ["bob", "ann"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_with_any_line_ends_and_a_byte_order_mark(end):
    text = end.join(["\ufeffid,time,x", "1,0,", "1,1,0.5", "", "2,0,2", ""])
    back = read_text(text)
    assert back.ids.tolist() == [1, 2]
    assert back.lengths.tolist() == [2, 1]
    np.testing.assert_array_equal(back.values[:, 0], [np.nan, 0.5, 2])


def test_ids_with_leading_zeros_are_distinct():
    back = read_text("user,x\n007,1\n7,2\n", id="user")
    assert back.ids.tolist() == ["007", "7"]
    assert read_text("id,x\n-7,1\n0,2\n").ids.tolist() == [-7, 0]


def test_marks_an_empty_sequence():
    back = read_text("id,time,x,y\na,0,1,u\nb,,,\nc,0,2,v\n")
    assert back.ids.tolist() == ["a", "b", "c"]
    assert back.lengths.tolist() == [1, 0, 1]
    # Without times, an empty row counts as a step.
    assert read_text("id,x\na,1\nb,\n").lengths.tolist() == [1, 1]


def test_categories_with_line_breaks_and_quotes():
    back = read_text('id,x\n1,"a\nb"\n1,"say ""hi"""\n1,"NA"\n1,\n')
    assert back[0][:, 0].tolist() == ["a\nb", 'say "hi"', "NA", None]


def test_column_types():
    text = "id,a,b,c\n1,true,0,3\n1,false,1,4\n"
    column_types = [column.type for column in read_text(text).schema.columns]
    assert column_types == ["binary", "binary", "numeric"]
    back = read_text(text, columns=["c"], column_types="categorical")
    assert back.schema.columns[0].categories == (3, 4)


def test_categories_keep_their_spelling():
    text = "id,zip,code,on,key\n1,007,1,true,1\n1,7,NA,false,12345678901234567\n1,,2.0,true,\n"
    back = read_text(text, column_types="categorical")
    labels = [column.categories for column in back.schema.columns]
    assert labels == [("007", "7"), (1, 2), ("false", "true"), ("1", "12345678901234567")]


def test_quoted_words_for_missing_values_are_categories_and_ids():
    back = read_text('id,x\n"NA","null"\n"null",NA\n"N/A",b\n')
    assert back.ids.tolist() == ["NA", "null", "N/A"]
    assert back.schema.columns[0].categories == ("b", "null")
    assert back[1].tolist() == [[None]]
    text = 'id,code\na,"1"\na,"2"\na,"NA"\na,NA\n'
    back = read_text(text, column_types="categorical")
    assert back[0][:, 0].tolist() == ["1", "2", "NA", None]
    assert read_text('id,x\na,"NA"\na,"null"\n').schema.columns[0].categories == (
        "NA",
        "null",
    )
    with pytest.raises(DataError, match="Line 3 has no id"):
        read_text("id,x\na,1\nNA,1\n")


def test_numbers_with_a_plus_or_words_for_missing():
    text = 'id,time,x,y,on\n1,0,-0.3,1,TRUE\n1,1,+1.5,NA,NA\n1,2,nan, 3,FALSE\n2,NA,,"",\n'
    back = read_text(text)
    assert back.lengths.tolist() == [3, 0]
    assert [column.type for column in back.schema.columns] == ["numeric", "numeric", "binary"]
    nan = np.nan
    np.testing.assert_array_equal(back[0], [[-0.3, 1, 1], [1.5, nan, nan], [nan, 3, 0]])
    with pytest.raises(SchemaError, match="'x' holds dates"):
        read_text("id,x\n1,2024-01-01\n1,NA\n")


def test_categories_are_aligned_with_a_schema():
    text = "id,code,on\n1,1,true\n1,2,maybe\n1,N5,false\n"
    fitted = read_text(text, column_types={"code": "categorical"}).schema
    aligned = read_text("id,code,on\n1,2,false\n1,1,true\n").align(fitted)
    assert aligned.values.tolist() == [[1, 0], [0, 2]]


def test_times_can_be_dates():
    back = read_text("id,time,x\n1,2024-01-01,4\n2,2023-01-01,5\n1,2024-01-02,3\n")
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
        (
            "id;x\n1;1,5\n1;2.5\n",
            {},
            "line 2, column 'x': '1,5' has a decimal comma, but '2.5' in l",
        ),
        ("id\tx\n1\t1,234\n1\t2,500\n", {}, "line 2, column 'x': '1,234' may have a decimal comma"),
        (
            "id;x;y\n1;7;.5\n1;1,234;.5\n",
            {},
            "line 3, column 'x': '1,234' may have a decimal comma",
        ),
        (
            "id;x\n1;1,5\n1;few\n1;3\n",
            {},
            "line 3, column 'x': 'few' is not a number, but 2 of the 3",
        ),
        ("id;x\n1;2\n1;2;3\n", {}, "line 3 has 3 fields, but the header has 2"),
        (
            "0.5,0.7,0.1\n0.2,0.1,0.3\n",
            {},
            r"no header: its first line holds numbers, such as '0\.5'",
        ),
        ("id,time,x\na,0,1\nb,,\n\nc,1,2\n,2,3\n", {}, "Line 6 has no id in column 'id'"),
        ("id,time,x\na,0,1\nb,,\n\nc,1,2\nc,soon,3\n", {}, "text such as 'soon', in line 6"),
        ("id,time,x\na,0,1\nb,,\n\nc,1,2\nc,,3\n", {}, "line 6 has no time"),
        ("id,time,x\na,0,1\nb,,\n\nc,1,2\nc,1,3\n", {}, "time '1' twice, in lines 5 and 6"),
        (
            "id,time,x\na,0,1\nb,,\n\nc,1,2\nc,2,inf\n",
            {},
            r"sequence 1 \(id 'c'\), step 1, column 'x' \(line 6\)",
        ),
        (
            'id,time,x\na,0,1\nb,,\n"c",1,2\n"c\nd",2,inf\n',
            {},
            r"sequence 2 .*column 'x' \(line 6\)",
        ),
    ],
)
def test_errors_have_their_position(text, options, message):
    with pytest.raises((FileFormatError, DataError), match=f"^The stream.*{message}"):
        read_text(text, **options)


def test_a_csv_file_is_sorted_on_request():
    text = b"id,time,x\na,2024-01-02,2\nb,,\na,2024-01-01,1\n"
    with pytest.raises(
        DataError, match=r"line 4, after .* in line 2\. Sort the table with sort=True"
    ):
        read_text(text)
    found = read_text(text, sort=True)
    assert [one[:, 0].tolist() for one in found] == [[1.0, 2.0], []]
