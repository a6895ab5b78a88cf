import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from refold.errors import DataError, SchemaError
from refold.sequences import Column, Sequences


def kinds_of(sequences):
    return [column.type for column in sequences.schema.columns]


def test_arrays_of_differing_length():
    arrays = [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.ones((1, 2))]
    sequences = Sequences.from_list(arrays)
    assert sequences.lengths.tolist() == [3, 0, 1]
    assert sequences.schema.names == ("x0", "x1")
    assert sequences.schema.layout == "array"
    for before, after in zip(arrays, sequences.to_list(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_series():
    sequences = Sequences.from_list([[1.0, 2.5], np.array([3]), []])
    assert sequences.schema.layout == "series"
    assert [series.tolist() for series in sequences] == [[1.0, 2.5], [3.0], []]


def test_tokens_strings_and_words():
    tokens = Sequences.from_list([["view", "buy"], [], ["view"]])
    assert tokens.schema.columns == (Column("token", "categorical", ("buy", "view")),)
    assert tokens.schema.layout == "tokens"
    assert tokens.to_list() == [["view", "buy"], [], ["view"]]

    text = Sequences.from_list(["abba", "", "\0b"])
    assert text.schema.layout == "characters"
    assert text.to_list() == ["abba", "", "\0b"]

    words = Sequences.from_list([["good", "day"]], layout="words")
    assert words.schema.layout == "words"
    assert words.to_list() == [["good", "day"]]


def test_integers_are_categories_only_on_request():
    assert kinds_of(Sequences.from_list([[3, 5, 3]])) == ["numeric"]
    labels = Sequences.from_list([[3, 5, 3], [9]], column_types="categorical")
    assert labels.schema.columns[0].categories == (3, 5, 9)
    assert labels.values[:, 0].tolist() == [0, 1, 0, 2]
    assert labels.to_list() == [[3, 5, 3], [9]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1], "binary"),
        ([0.0, 1.0, float("nan")], "binary"),
        ([True, True], "binary"),
        ([True, None], "binary"),
        ([0, 0], "numeric"),
        ([1, 1], "numeric"),
        ([0, 1, 2], "numeric"),
        ([None, None], "numeric"),
        (["0", "1"], "categorical"),
    ],
)
def test_inferred_column_type(values, kind):
    assert kinds_of(Sequences.from_list([values])) == [kind]


@pytest.mark.parametrize("column_types", ["numeric", ["numeric", "numeric"], {"x0": "numeric"}])
def test_column_types_can_be_overridden(column_types):
    sequences = Sequences.from_list([[[0, 1.5], [1, 2.5]]], column_types=column_types)
    assert kinds_of(sequences) == ["numeric", "numeric"]


def test_mixed_columns_and_missing_entries():
    sequences = Sequences.from_list([[[1.5, "a"], [None, "b"]], [[2.5, None]]])
    assert kinds_of(sequences) == ["numeric", "categorical"]
    np.testing.assert_array_equal(sequences.values, [[1.5, 0], [np.nan, 1], [2.5, np.nan]])
    assert sequences[0][0].tolist() == [1.5, "a"]
    assert sequences[1].tolist() == [[2.5, None]]


def test_numbers_as_text_are_read_on_request():
    sequences = Sequences.from_list([["1", " 2.5 "], ["", "-3e2"]], column_types="numeric")
    np.testing.assert_array_equal(sequences.values[:, 0], [1, 2.5, np.nan, -300])


def test_one_table_per_sequence_gives_the_names():
    frame = pd.DataFrame({"speed": [1.0, 2.0], "gear": ["low", "high"]})
    sequences = Sequences.from_list([frame, frame[:1]])
    assert sequences.schema.names == ("speed", "gear")
    assert sequences.lengths.tolist() == [2, 1]
    with pytest.raises(SchemaError, match=r"Sequence 1 has the columns .*'gear', 'speed'"):
        Sequences.from_list([frame, frame[["gear", "speed"]]])


def test_one_arrow_table_per_sequence():
    table = pa.table({"speed": [1.0, None], "gear": ["low", "high"]})
    sequences = Sequences.from_list([table, table[:1]])
    assert sequences.schema.names == ("speed", "gear")
    np.testing.assert_array_equal(sequences.values, [[1, 1], [np.nan, 0], [1, 1]])


def test_masked_entries_are_missing():
    masked = np.ma.masked_array([[1, 2], [3, 4]], [[False, True], [False, False]])
    expected = [[1, np.nan], [3, 4]]
    np.testing.assert_array_equal(Sequences.from_list([masked]).values, expected)
    np.testing.assert_array_equal(Sequences.from_array(masked[None], [2]).values, expected)
    assert Sequences.from_list([np.ma.masked_array(["a", "b"], [0, 1])]).to_list() == [["a", None]]


def test_precision_is_kept():
    assert Sequences.from_list([np.float32([1.5])]).values.dtype == np.float32
    assert Sequences.from_list([np.array([0.1])])[0][0] == 0.1
    assert Sequences.from_list([[2**40 + 1]])[0][0] == 2**40 + 1


def test_schema_of_a_fitted_model():
    fitted = Sequences.from_list(["abc"]).schema
    again = Sequences.from_list(["cb"], schema=fitted, ids=["new"])
    assert again.schema == fitted
    assert again.values[:, 0].tolist() == [2, 1]
    assert again.ids.tolist() == ["new"]


BAD = [
    ([], {}, "Got an empty list. Expected at least one sequence"),
    ("abc", {}, "Expected a list of sequences. Got one str"),
    ([1.0, 2.0], {}, "Got the number 1.0 for sequence 0"),
    ([np.array(3)], {}, "Got a value of type ndarray for sequence 0"),
    ([None], {}, "Got a value of type NoneType for sequence 0"),
    ([b"ab"], {}, "Got a value of type bytes for sequence 0"),
    ([np.zeros((2, 3)), np.zeros(3)], {}, "Sequence 1 has no feature axis"),
    ([np.zeros((2, 0))], {}, "Sequence 0 has no features"),
    ([np.zeros((1, 2, 3))], {}, "sequence 0 has 3 dimensions"),
    (["ab", ["a"]], {}, "Sequence 1 is a list, but sequence 0 is a str"),
    ([[[1, 2], [3]]], {}, "steps of sequence 0 have differing numbers of features"),
    ([[{}]], {}, "Got a value of type dict at sequence 0, step 0, column 'x0'"),
    ([[1j]], {}, "column 'x0' holds complex128 values"),
    ([np.array(["2024-01-01"], "M8[D]")], {}, "'x0' holds dates or durations"),
    ([[1.0], [2.0, np.inf]], {}, "infinite value at sequence 1, step 1, column 'x0'. Expected fi"),
    ([[10**400]], {"column_types": "numeric"}, "infinite value at sequence 0, step 0"),
    ([[1.5]], {"column_types": "categorical"}, "Got 1.5 at sequence 0, step 0"),
    ([[0, 2]], {"column_types": "binary"}, "Got 2 at sequence 0, step 1, column 'x0'"),
    ([[0]], {"column_types": "number"}, "The column type 'number' is unknown"),
    ([[0]], {"column_types": "Numeric"}, r"unknown \(did you mean 'numeric'\?\)\. Expected one of"),
    ([[0]], {"column_types": {"a": "binary"}}, r"'a', which does not exist\. The"),
    ([[[0]]], {"column_types": {"y": "binary"}}, "names the column 'y', which does not exist"),
    ([[0]], {"column_types": ["numeric"] * 2}, "column_types has 2 entries for 1 columns"),
    (["ab"], {"column_types": {"tokn": "categorical"}}, r"exist \(did you mean 'token'\?\)\. The"),
    ([[0]], {"names": ["a", "b"]}, "names has 2 entries for 1 features"),
    ([[0]], {"ids": [1, 2]}, r"one entry per sequence, shape \(1,\). Got \(2,\)"),
    (
        [np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((4, 2))],
        {},
        r"Sequence 2 has 2 features \(shape \(4, 2\)\), but sequence 0 has 3 features",
    ),
    (
        [[[1.0, 2.0]], [[3.0, 4.0], [5.0, "bad"]]],
        {},
        "Got the text 'bad' at sequence 1, step 1, column 'x1', where the other entries are",
    ),
    (
        [["1"], ["2", "two"]],
        {"column_types": "numeric", "ids": ["p", "q"]},
        r"Got the text 'two' at sequence 1 \(id 'q'\), step 1, column 'x0'. Expected a number",
    ),
]


@pytest.mark.parametrize(("data", "options", "message"), BAD)
def test_bad_input(data, options, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_list(data, **options)


def test_repeated_ids_are_refused_at_once():
    message = r"ids must differ\. Got 'a', 'c' more than once, first for the sequences 0 and 2\."
    ids = ["a", "b", "a", "c", "c"]
    with pytest.raises(DataError, match=message):
        Sequences.from_list([[1.0]] * 5, ids=ids)
    with pytest.raises(DataError, match=message):
        Sequences.from_array(np.ones((5, 2)), ids=ids)
    with pytest.raises(DataError, match=message):
        Sequences.from_padded(np.ones((5, 2)), ids=ids)
    with pytest.raises(DataError, match=message):
        Sequences.from_aeon(np.ones((5, 1, 2)), ids=ids)
    with pytest.raises(DataError, match=message):
        Sequences.from_tslearn(np.ones((5, 2, 1)), ids=ids)
    with pytest.raises(DataError, match="Got 0, 1, 2, 3, 4 and 1 others more than once"):
        Sequences.from_list([[1.0]] * 12, ids=[*range(6)] * 2)


def test_a_sample_with_replacement_repeats_ids():
    drawn = Sequences.from_list([[1.0], [2.0]], ids=["a", "b"])[[0, 0, 1]]
    assert drawn.with_values(drawn.values + 1).align(drawn.schema).ids.tolist() == ["a", "a", "b"]
