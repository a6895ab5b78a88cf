"""Lists with one entry per sequence, and arrays whose rows are sequences."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Column, Sequences

NAN = np.nan
TYPES = "column_types"


def column_types_of(sequences):
    return [column.type for column in sequences.schema.columns]


def to_builtin_lists(sequences):
    """Return sequences as lists and strings of Python."""
    return [getattr(form, "tolist", lambda form=form: form)() for form in sequences]


@pytest.mark.parametrize(
    ("data", "layout", "names"),
    [
        ([[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, 6.0]]], "array", ("x0", "x1")),
        ([[1.0, 2.5], [3.0], []], "series", ("x0",)),
        ([["view", "buy"], [], ["view", None]], "tokens", ("token",)),
        (["abba", "", "\0b"], "characters", ("token",)),
    ],
)
def test_the_layout_follows_from_the_data(data, layout, names):
    sequences = Sequences.from_list(data)
    assert sequences.lengths.tolist() == [len(sequence) for sequence in data]
    assert (sequences.schema.layout, sequences.schema.names) == (layout, names)
    assert to_builtin_lists(sequences) == data
    assert Sequences.from_list([["a"]], output_layout="words").schema.layout == "words"


def test_inferred_column_type():
    columns = [0.0, 1.0, NAN], [True, None], [0, 0], [None, None], ["0", "1"]
    types = [
        type_ for values in columns for type_ in column_types_of(Sequences.from_list([values]))
    ]
    assert types == ["binary", "binary", "numeric", "numeric", "categorical"]


def test_mixed_columns_missing_entries_and_numbers_as_text():
    sequences = Sequences.from_list([[[1.5, "a"], [None, "b"]], [[2.5, None]]])
    assert column_types_of(sequences) == ["numeric", "categorical"]
    np.testing.assert_array_equal(sequences.values, [[1.5, 0], [NAN, 1], [2.5, NAN]])
    overridden = Sequences.from_list([[[0, 1.5], [1, 2.5]]], column_types={"x0": "numeric"})
    assert column_types_of(overridden) == ["numeric", "numeric"]
    numbers = Sequences.from_list([["1", " 2.5 "], ["", "-3e2"]], column_types="numeric")
    np.testing.assert_array_equal(numbers.values[:, 0], [1, 2.5, NAN, -300])


@pytest.mark.parametrize("make_table", [pd.DataFrame, pa.table])
def test_one_table_per_sequence(make_table):
    table = make_table({"speed": [1.0, None], "gear": ["low", "high"]})
    sequences = Sequences.from_list([table, table[:1]])
    assert sequences.schema.names == ("speed", "gear")
    np.testing.assert_array_equal(sequences.values, [[1, 1], [NAN, 0], [1, 1]])
    swapped = make_table({"gear": ["low"], "speed": [1.0]})
    with pytest.raises(SchemaError, match=r"columns \('gear', 'speed'\) for sequence 1, but"):
        Sequences.from_list([table, swapped])


def test_arrow_arrays_masked_entries_and_precision():
    gaps = Sequences.from_list([pa.array([1.0, None])])
    np.testing.assert_array_equal(gaps.values[:, 0], [1, NAN])
    masked = np.ma.masked_array([[1, 2], [3, 4]], [[False, True], [False, False]])
    for sequences in (Sequences.from_list([masked]), Sequences.from_array(masked[None], [2])):
        np.testing.assert_array_equal(sequences.values, [[1, NAN], [3, 4]])
    assert Sequences.from_list([np.float32([1.5])]).values.dtype == np.float32
    assert Sequences.from_list([[2**40 + 1]])[0][0] == 2**40 + 1


THREE = np.zeros((2, 3))
NUMBERS = {TYPES: "numeric", "ids": ["p", "Q"]}


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ([], {}, "There is no sequence in the list"),
        ("abc", {}, "Expected a list of sequences, an array or a table. Got a str"),
        ([1.0, 2.0], {}, "Got 1.0 for sequence 0. Expected a str"),
        ([THREE, THREE[:, :2]], {}, r"shape \(2, 2\) for sequence 1, but .* \(2, 3\) for sequence"),
        ([[[1, 2], [3]]], {}, "steps with differing numbers of features for sequence 0"),
        ([[{}]], {}, "Got a dict at sequence 0, step 0, column 'x0', where a number is expected"),
        ([[1j]], {}, "olumn 'x0' holds complex128 values.*Complex data not supported"),
        ([[1.0], [2.0, np.inf]], {}, "infinite value at sequence 1, step 1, column 'x0'. Expected"),
        ([[0]], {TYPES: "Numeric"}, "type 'Numeric' is unknown. Expected one of 'numeric', "),
        ([[0]], {TYPES: {"a": "binary"}}, "names the column 'a', which does not exist. The col"),
        ([[0]], {"names": ["a", "b"]}, "Got 2 names for 1 features"),
        ([["1"], ["2", "two"]], NUMBERS, r"text 'two' at sequence 1 \(id 'Q'\), step 1, column"),
    ],
)
def test_bad_lists(data, options, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_list(data, **options)


def test_ids_differ_except_in_a_sample():
    message = r"ids must differ\. Got 'a', 'c' more than once, first for the sequences 0 and 2\."
    with pytest.raises(DataError, match=message):
        Sequences.from_array(np.ones((5, 2)), ids=["a", "b", "a", "c", "c"])
    large = np.array([2**64 - 1], np.uint64)
    assert Sequences.from_list([[1.0]], ids=large).ids.tolist() == [str(2**64 - 1)]
    drawn = Sequences.from_list([[1.0], [2.0]], ids=["a", "b"])[[0, 0, 1]]
    aligned = drawn.with_values(drawn.values + 1).convert_to_schema(drawn.schema)
    assert aligned.ids.tolist() == ["a", "a", "b"]


def test_arrays_with_lengths_and_with_missing_steps():
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    sequences = Sequences.from_array(x, lengths=[5, 0, 2], names=["a", "b"])
    assert sequences.lengths.tolist() == [5, 0, 2]
    assert sequences.schema.names == ("a", "b")
    np.testing.assert_array_equal(sequences[2], x[2, :2])
    sequences = Sequences.from_array(x, [5, 0, 2], padding_side="pre")
    np.testing.assert_array_equal(sequences[2], x[2, 3:])
    x[0, 2:] = x[0, 0] = x[1, 3, 0] = NAN  # only trailing steps are padding
    assert Sequences.from_array(x).lengths.tolist() == [2, 5, 5]
    assert to_builtin_lists(Sequences.from_array([[1.0, NAN], [3.0, 4.0]])) == [[1], [3, 4]]
    objects = np.array([["a", "b"], ["b", None]], dtype=object)
    assert Sequences.from_array(objects).to_list() == [["a", "b"], ["b"]]
    integers = Sequences.from_array(np.array([[8, 7], [8, 8]]), column_types="categorical")
    assert integers.to_list() == [[8, 7], [8, 8]]
    assert integers.schema.columns == (Column("token", "categorical", (7, 8)),)


@pytest.mark.parametrize(
    ("x", "value", "side", "lists"),
    [
        ([[[1, 1], [2, 0]], [[0, 3], [0, 0]]], 0, "post", [[[1, 1], [2, 0]], [[0, 3]]]),
        ([[0, 0, 1], [3, 4, 5], [0, 0, 0]], 0, "pre", [[1], [3, 4, 5], []]),
        (np.array([["a", "<pad>"], ["b", "a"]]), "<pad>", "post", [["a"], ["b", "a"]]),
    ],
)
def test_padded_arrays(x, value, side, lists):
    sequences = Sequences.from_array(x, padding_value=value, padding_side=side)
    assert to_builtin_lists(sequences) == lists


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1, 0, 1, 0], [1, 1, 1, 1]], "in 1 sequences, but 1 sequences have such steps elsewhere"),
        ([[1, 0, 0], [1, 1, 0]], "in 2 sequences, but no sequence fills the 3 steps"),
        ([[0, 0, 1], [1, 1, 1]], "padding_side='pre' if the padding is in front"),
    ],
)
def test_a_warning_if_padding_could_be_data(x, message):
    with pytest.warns(UserWarning, match=message) as caught:
        Sequences.from_array(x, padding_value=0)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (np.zeros(3), None, r"Got an array of shape \(3,\)\. Expected \(n, T, features\)"),
        ([[1, 2], [3]], None, "differ in length and do not form an array. Use Sequences.from_list"),
        (np.zeros((2, 3)), [1, 4], "Sequence 1 has the length 4. Expected an integer from 0 to 3"),
    ],
)
def test_bad_arrays(x, lengths, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_array(x, lengths)
    with pytest.raises(ParameterError, match=r"'post' or 'pre'. Got 'left'"):
        Sequences.from_array([[0]], padding_side="left")
