"""CSV, long and wide: delimiters, decimal commas, types of cells, an index, errors with lines."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileFormatError, RefoldError, SchemaError
from refold.sequences import read, read_labels, write
from sequences.equal import assert_equal

nan = np.nan


def read_text(text, **options):
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), **{"format": "csv"} | options)


def categories(text, **options):
    return [column.categories for column in read_text(text, **options).schema.columns]


@pytest.mark.parametrize(("delimiter", "suffix"), [(",", "tsv"), (";", "csv"), ("|", "csv")])
def test_the_delimiter_is_found(delimiter, suffix):
    text = "id,time,x,word\na,0,1.5,to\na,1,,be\n".replace(",", delimiter)
    sequences = read_text(text, format=suffix)
    assert sequences.schema.names == ("x", "word")
    assert sequences.schema.columns[1].categories == ("be", "to")
    np.testing.assert_array_equal(sequences.values, [[1.5, 1], [nan, 0]])


LONG_CATEGORY = "a" * 2_200_000  # longer than a block of Arrow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('id;x\n1;"a, b"\n1;c, d\n', ("a, b", "c, d")),
        ("id,x\n1,a;b\n1,c\n", ("a;b", "c")),
        ("id;x,y\n1;a\n1;b\n", ("a", "b")),
        (f"id;x\n1;b\n1;{LONG_CATEGORY}\n", (LONG_CATEGORY, "b")),
        ('id,x\n1,"a\nb"\n1,"say ""hi"""\n1,"NA"\n1,\n', ("NA", "a\nb", 'say "hi"')),
        ('id,x\n1,5" pipe\n1,"a ""b"" c"\n', ('5" pipe', 'a "b" c')),
        ('id,x\n"NA","null"\n"null",NA\n"N/A",b\n', ("b", "null")),
    ],
    ids=range(7),
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
    sequences = read_text("id;time;x;y\n1;0,5;0,25;1\n1;1,5;-1,5e2;2\n1;2,5;NA;3\n")
    np.testing.assert_array_equal(sequences[0], [[0.25, 1], [-150, 2], [nan, 3]])
    # Excel writes semicolons if the comma is the decimal mark, so these are decimals, too.
    assert read_text("id;x\n1;1,234\n1;2,500\n")[0][:, 0].tolist() == [1.234, 2.5]
    assert read_text("id;x;y\n1;1,5;.5\n1;1,234;.5\n")[0][:, 0].tolist() == [1.5, 1.234]


def test_numbers_with_a_plus_words_for_missing_and_other_line_ends():
    text = 'id,time,x,y,on\n1,0,-0.3,1,TRUE\n1,1,+1.5,NA,NA\n1,2,nan, 3,FALSE\n2,NA,,"",\n'
    loaded = read_text("\ufeff" + text.replace("\n", "\r\n"))
    assert loaded.lengths.tolist() == [3, 0]
    assert [column.type for column in loaded.schema.columns] == ["numeric", "numeric", "binary"]
    np.testing.assert_array_equal(loaded[0], [[-0.3, 1, 1], [1.5, nan, nan], [nan, 3, 0]])


def test_ids_keep_leading_zeros_and_times_can_be_dates():
    assert read_text("user,x\n007,1\n7,2\n", id="user").ids.tolist() == ["007", "7"]
    assert read_text("id,x\n-7,1\n0,2\n").ids.tolist() == [-7, 0]
    assert read_text('id,x\n"NA",1\n"null",2\n').ids.tolist() == ["NA", "null"]
    text = "id,time,x\na,2024-01-02,2\nb,,\na,2024-01-01,1\n"
    with pytest.raises(DataError, match=r"line 4, after .* in line 2\. Sort .* with sort=True"):
        read_text(text)
    assert [values[:, 0].tolist() for values in read_text(text, sort=True)] == [[1.0, 2.0], []]


@pytest.mark.parametrize(
    "text",
    ["Unnamed: 0,id,x\n0,a,1\n1,a,2\n2,b,3\n", '"","id","x"\n"1","a",1\n"2","a",2\n"3","b",3\n'],
)
def test_an_index_is_ignored_with_a_warning(text):
    match = r"The first column \('.*'\) has no name, like an index of pandas\. It is left out"
    with pytest.warns(UserWarning, match=match):
        sequences = read_text(text)
    assert (sequences.schema.names, sequences.lengths.tolist()) == (("x",), [2, 1])
    assert_equal(read_text(text, columns=["x"]), sequences)


def test_tsv_is_written_and_read(tmp_path):
    sequences = read_text("id,time,x\n7,0,0.5\n7,1,\n8,,\n")
    write(sequences, tmp_path / "data.tsv")
    assert (tmp_path / "data.tsv").read_text().startswith('"id"\t"time"\t"x"\n7\t0\t0.5\n')
    assert_equal(read(tmp_path / "data.tsv"), sequences)
    (tmp_path / "who.tsv").write_text("id\twho\n7\tann\n8\tbob\n")
    assert read_labels(tmp_path / "who.tsv", "who", sequences).tolist() == ["ann", "bob"]


WITH_EMPTY_SEQUENCE = "id,time,x\na,0,1\nb,,\n\nc,1,2\n"
QUOTE_MESSAGE = "the quote that begins a cell is"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,x\n1,0.5\n\n1,abc\n1,2\n", {}, "line 4, column 'x': 'abc' is not a number, but 2 of"),
        ('id,x,y\n1,"a\nb",1\n1,c,2\n2,d,u\n', {}, "line 5, column 'y': 'u' is not a number"),
        ("id,x\n1,2\n1,2,3\n", {}, "line 3 has 3 fields, but the header has 2"),
        ("id,time,x\n1,0,1\n1,1", {}, "line 3 has 2 fields, .* may be cut short"),
        ("\n\n", {}, "is empty: it holds only blank lines"),
        ("user,x\n1,2\n", {}, "has no column 'id' that tells its sequences apart.*are 'user', 'x'"),
        ("id,x\na,1\nNA,1\n", {}, "Line 3 has no id"),
        ("id;x\n1;1,5\n1;2.5\n", {}, "line 2, .* '1,5' has a decimal comma, but '2.5' in line 3"),
        ("id\tx\n1\t1,234\n1\t2,500\n", {}, "line 2, .* '1,234' may have a decimal comma"),
        ("id;x;y\n1;7;.5\n1;1,234;.5\n", {}, "line 3, .* '1,234' may have a decimal comma"),
        (WITH_EMPTY_SEQUENCE + "c,soon,3\n", {}, "text such as 'soon', in line 6"),
        (WITH_EMPTY_SEQUENCE + '"c\nd",2,inf\n', {}, r"at line 7 \(id 'c\\nd'\), column 'x'"),
        ('id,x\n1,"a\nb"\n1,"c""\n2,d\n', {}, f"line 4: {QUOTE_MESSAGE}"),
        ('id;x\r\n1;2\r\n1;"3\r\n2;4\r\n', {}, f"line 3: {QUOTE_MESSAGE}"),
        ('id,x,a\n1,2,5" pipe\n1,3,"open\n1,4,z\n', {}, f"line 3: {QUOTE_MESSAGE}"),
    ],
    ids=range(15),
)
def test_errors_have_their_position(text, options, message):
    with pytest.raises((FileFormatError, SchemaError, DataError), match=f"^The stream.*{message}"):
        read_text(text, **options)


# Wide tables: one row per sequence and one column per step

AS_CATEGORIES = {"column_types": "categorical"}


def read_wide(text, **options):
    return read_text(text, **{"layout": "wide"} | options)


def test_empty_cells_at_the_end_are_not_steps():
    sequences = read_wide("id,t0,t1,t2,t3\na,1,2,3,4\nb,5,,6,\nc,,,,\n")
    assert (sequences.ids.tolist(), sequences.lengths.tolist()) == (["a", "b", "c"], [4, 3, 0])
    np.testing.assert_array_equal(sequences.to_list()[1], [5, np.nan, 6])
    assert sequences.schema.layout == "series"


def test_wide_arrow_tables_and_records_give_the_same_sequences(tmp_path):
    table = pa.table({"id": ["a", "b"], "t0": [1.0, 3.0], "t1": [2.0, None]})
    pq.write_table(table, tmp_path / "wide.parquet")
    sequences = read(tmp_path / "wide.parquet", layout="wide")
    assert [values.tolist() for values in sequences.to_list()] == [[1, 2], [3]]
    assert_equal(read(tmp_path / "wide.parquet", memory_bytes=1, layout="wide"), sequences)
    records = b'[{"id": "a", "t0": 1.0, "t1": 2.0}, {"id": "b", "t0": 3.0, "t1": null}]'
    assert_equal(read(io.BytesIO(records), format="json", layout="wide"), sequences)
    assert_equal(read(tmp_path, layout="wide"), sequences)


def test_the_steps_are_the_numbered_columns_or_all_except_the_id():
    sequences = read_wide("who,mon,tue\n7,1,2\n8,3,\n", id="who")
    assert (sequences.ids.tolist(), sequences.lengths.tolist()) == ([7, 8], [2, 1])
    dates = "2020-01-30,2020-01-31,2020-02-01,2020-02-02"
    assert read_wide(f"id,{dates}\n1,1,2,3,4\n").lengths.tolist() == [4]
    with pytest.warns(UserWarning, match=r"the 2 columns 't0' to 't1'\. 'label' is left out"):
        sequences = read_wide("label,t0,t1\nwalk,1,2\nrun,3,4\n")
    assert [values.tolist() for values in sequences.to_list()] == [[1, 2], [3, 4]]
    assert read_wide("label,t0,t1\n9,1,2\n", columns=["t1", "t0"]).to_list()[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("id,t0,t1\n1,view,buy\n2,buy,\n", {}, [["view", "buy"], ["buy"]]),
        ("id,t0,t1\n1,2,3\n2,4,\n", AS_CATEGORIES, [[2, 3], [4]]),
        ("id,t0,t1\n1,2,b\n2,4,\n", AS_CATEGORIES, [["2", "b"], ["4"]]),
    ],
)
def test_categories_of_wide_tables_are_one_feature(text, options, expected):
    sequences = read_wide(text, **options)
    assert (sequences.to_list(), sequences.schema.names) == (expected, ("token",))


WIDE_TABLE = "id,t0,t1\n1,2,3\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,t1,t10,t2\n1,2,3,4\n", {}, "column 't2' comes after 't10', so the steps are"),
        ("id,x0,x1,y0,y1\n1,2,3,4,5\n", {}, "column 'y0' comes after 'x1', so the steps are"),
        ("id,mon,tue\n1,2,wet\n", {}, "the text 'wet' at line 2, step 1, .* where a number"),
        (WIDE_TABLE + "1,2,inf\n", {}, "line 3, step 1, column 'x0'"),
        (WIDE_TABLE + ",2,4\n", {}, "Line 3 has no id in column 'id'"),
        (WIDE_TABLE, {"time_gaps": True}, "a wide table, which has no times. Leave time_gaps="),
        ("id,t0\n1,2\n", {"layout": "tall"}, "layout must be 'long' or 'wide'. Got 'tall'"),
        ("label,t0\na,2\n", {"layout": None}, "column 'id' .* whole sequence, pass layout='wide'"),
    ],
)
def test_bad_wide_tables(text, options, message):
    with pytest.raises(RefoldError, match=message):
        read_wide(text, **options)
