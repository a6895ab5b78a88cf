import warnings

import numpy as np
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Column, Schema, Sequences, mark_missing, read, write


def test_categories_get_the_fitted_indices():
    fitted = Sequences.from_list([["c", "a", "b"]]).schema
    aligned = Sequences.from_list([["c", "b"], [None]]).align(fitted)
    assert aligned.schema == fitted
    np.testing.assert_array_equal(aligned.values[:, 0], [2, 1, np.nan])


def test_unknown_categories_are_counted_in_one_warning():
    fitted = Sequences.from_list([[["a", "x"]], [["b", "y"]]]).schema
    data = Sequences.from_list([[["a", "z"]], [["q", "z"]], [["q", "y"]]])
    with pytest.warns(
        UserWarning, match=r"2 entries of column 'x0' \('q'\); 2 entries of"
    ) as caught:
        aligned = data.align(fitted)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(aligned.values, [[0, 2], [2, 2], [2, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned.align(fitted)


def test_integers_become_the_fitted_categories():
    fitted = Sequences.from_list([[10, 20]], column_types="categorical").schema
    aligned = Sequences.from_list([[20, 10, 20]]).align(fitted)
    assert aligned.values[:, 0].tolist() == [1, 0, 1]
    assert aligned.to_list() == [[20, 10, 20]]
    with pytest.raises(SchemaError, match="numeric values, but the model was fitted on integer"):
        Sequences.from_list([[0.5]]).align(fitted)


def test_columns_are_matched_by_name():
    fitted = Schema((Column("speed", "numeric"), Column("on", "binary")))
    data = Sequences.from_list([[[1.0, 5.0], [0.0, 6.0]]], names=["on", "speed"])
    assert data.align(fitted).values.tolist() == [[5.0, 1.0], [6.0, 0.0]]
    unnamed = Sequences.from_list([[[5.0, 1.0]]])
    assert unnamed.align(fitted).values.tolist() == [[5.0, 1.0]]


def test_binary_and_numeric_columns_can_be_converted():
    numeric = Schema((Column("x0", "numeric"),), "series")
    binary = Schema((Column("x0", "binary"),), "series")
    assert Sequences.from_list([[0, 1]]).align(numeric).schema == numeric
    assert Sequences.from_list([[0, 0]]).align(binary).schema == binary
    with pytest.raises(DataError, match=r"Got 7 at sequence 1, step 0, column 'x0'. A binary"):
        Sequences.from_list([[0, 0], [7]]).align(binary)


def test_only_empty_sequences_fit_any_schema():
    fitted = Sequences.from_list([np.zeros((2, 3))]).schema
    assert Sequences.from_list([[], []]).align(fitted).values.shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        ([[[1.0, 2.0, 3.0]]], None, "have 3 features, but the model was fitted on 2"),
        ([[[1.0, 2.0]]], ["speed", "off"], "lack 'on' and have 'off', unlike those"),
        (
            [[[1.0, "a"]]],
            ["speed", "on"],
            "'on' holds text categories, but the model was fitted on bin",
        ),
    ],
)
def test_another_schema_is_refused(data, names, message):
    fitted = Schema((Column("speed", "numeric"), Column("on", "binary")))
    with pytest.raises(SchemaError, match=message):
        Sequences.from_list(data, names=names).align(fitted)


def test_categories_are_compared_as_text_if_one_side_is_text():
    sleep = Sequences.from_list([["1", "2", "N5"]]).schema
    for column_types in (None, "categorical"):
        aligned = Sequences.from_list([[2, 1], []], column_types=column_types).align(sleep)
        assert aligned.to_list() == [["2", "1"], []]
    answers = Sequences.from_list([["No", "TRUE", "False"]]).schema
    assert Sequences.from_list([[True, False]]).align(answers).to_list() == [["TRUE", "False"]]
    codes = Sequences.from_list([[1, 2]], column_types="categorical").schema
    with pytest.warns(UserWarning, match=r"1 entry of column 'token' \('N5'\)"):
        aligned = Sequences.from_list([["2", "N5"]]).align(codes)
    assert aligned.values[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("fitted", "data"), [(["ab"], [[1, 2]]), ([["1", "2"]], [[5, 7]]), ([[1, 2]], ["ab"])]
)
def test_text_and_numbers_cannot_be_aligned(fitted, data):
    schema = Sequences.from_list(fitted).schema
    with pytest.raises(SchemaError, match="but the model was fitted on"):
        Sequences.from_list(data).align(schema)


def test_default_names_in_another_order_are_names_too():
    fitted = Sequences.from_array(np.arange(12.0)[None, None]).schema
    order = sorted(range(12), key=str)
    data = [[[float(i) for i in order]]]
    mixed = Sequences.from_list(data, names=[f"x{i}" for i in order])
    assert mixed.align(fitted).values[0].tolist() == list(range(12))


# Numbers that stand for a missing value


def test_only_numeric_columns_are_changed():
    rows = [[-1.0, 0.0, 5.0], [2.5, 1.0, -1.0], [-1.0, 1.0, 5.0]]
    column_types = ["numeric", "binary", "categorical"]
    sequences = Sequences.from_list([np.array(rows)], column_types=column_types)
    marked = mark_missing(sequences, -1)
    assert np.isnan(marked.values[:, 0]).tolist() == [True, False, True]
    np.testing.assert_array_equal(marked.values[:, 1:], sequences.values[:, 1:])
    assert marked.schema.columns == sequences.schema.columns
    assert not np.isnan(sequences.values).any()


def test_binary_columns_of_other_data():
    marked = mark_missing(Sequences.from_list([[0, 1, 1]]), [-9, 1])
    other = Sequences.from_list([[0, -9, 1]])
    np.testing.assert_array_equal(other.align(marked.schema)[0], [0, np.nan, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_have_the_precision_of_the_data(dtype):
    values = np.array([1e20, 0.1, 999.9], dtype)
    marked = mark_missing(Sequences.from_list([values]), [1e20, 999.9])
    assert np.isnan(marked.values[:, 0]).tolist() == [True, False, True]
    assert marked.values.dtype == dtype


def test_the_schema_remembers_the_numbers(tmp_path):
    schema = Schema((Column("a", "numeric"),), missing=(-9999,))
    assert Schema.from_dict(schema.to_dict()) == schema
    marked = mark_missing(Sequences.from_list([[1.5, -9999.0]]), [-9999])
    write(marked, tmp_path / "a.parquet")
    again = read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(again[0], [1.5, np.nan])


@pytest.mark.parametrize("values", ["-99999", [np.nan], [np.inf], [[1.0]], [None], {}, [1, "a"]])
def test_bad_numbers(values):
    with pytest.raises(ParameterError, match="must be a finite number or a list of them"):
        mark_missing(Sequences.from_list([[1.0]]), values)
