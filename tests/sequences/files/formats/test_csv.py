"""CSV with other delimiters, decimal commas, or an index of pandas."""

import io

import numpy as np
import pytest

from refold.errors import FileFormatError, RefoldError, SchemaError
from refold.sequences import read, read_labels, write
from sequences.equal import assert_equal


def read_text(text, **options):
    options.setdefault("format", "csv")
    return read(io.BytesIO(text.encode()), **options)


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
    ("text", "message"),
    [
        ("id;x\n1;1,5\n1;2.5\n", "line 2, column 'x': '1,5' has a decimal comma, but '2.5' in l"),
        ("id\tx\n1\t1,234\n1\t2,500\n", "line 2, column 'x': '1,234' may have a decimal comma"),
        ("id;x;y\n1;7;.5\n1;1,234;.5\n", "line 3, column 'x': '1,234' may have a decimal comma"),
        ("id;x\n1;1,5\n1;few\n1;3\n", "line 3, column 'x': 'few' is not a number, but 2 of the 3"),
        ("id;x\n1;2\n1;2;3\n", "line 3 has 3 fields, but the header has 2"),
        ("0.5,0.7,0.1\n0.2,0.1,0.3\n", r"no header: its first line holds numbers, such as '0\.5'"),
    ],
)
def test_ambiguous_numbers(text, message):
    with pytest.raises(FileFormatError, match=f"^The stream.* ?{message}"):
        read_text(text)


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


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b,,\n\nc,1,2\n,2,3\n", "Line 6 has no id in column 'id'"),
        ("b,,\n\nc,1,2\nc,soon,3\n", "text such as 'soon', in line 6"),
        ("b,,\n\nc,1,2\nc,,3\n", "line 6 has no time"),
        ("b,,\n\nc,1,2\nc,1,3\n", "time '1' twice, in lines 5 and 6"),
        ("b,,\n\nc,1,2\nc,2,inf\n", r"sequence 1 \(id 'c'\), step 1, column 'x' \(line 6\)"),
        ('b,,\n"c",1,2\n"c\nd",2,inf\n', r"sequence 2 .*column 'x' \(line 6\)"),
    ],
)
def test_errors_have_the_line_of_the_file_also_after_an_empty_sequence(rows, message):
    with pytest.raises(RefoldError, match=message):
        read_text(f"id,time,x\na,0,1\n{rows}")
