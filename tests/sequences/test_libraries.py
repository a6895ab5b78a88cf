"""The layouts of aeon, sktime and tslearn, from and to these packages."""

import numpy as np
import pandas as pd
import pytest
from aeon.testing.data_generation import make_example_3d_numpy
from sktime.datasets import load_japanese_vowels
from sktime.datatypes import check_is_mtype, convert_to
from tslearn.utils import to_time_series_dataset, ts_size

from refold.errors import DataError, SchemaError
from refold.sequences import Sequences


def test_aeon_arrays_and_lists():
    X = make_example_3d_numpy(n_cases=5, n_channels=2, n_timepoints=7, return_y=False)
    sequences = Sequences.from_aeon(X, names=["a", "b"], ids=list("vwxyz"))
    assert sequences.schema.names == ("a", "b")
    assert sequences.ids.tolist() == list("vwxyz")
    np.testing.assert_array_equal(sequences[3], X[3].T)
    np.testing.assert_array_equal(sequences.to_aeon(), X)
    np.testing.assert_array_equal(Sequences.from_aeon(list(X)).values, sequences.values)
    assert Sequences.from_aeon(X[:, 0]).lengths.tolist() == [7] * 5
    X[0, :, 5:] = X[1, 1, 6] = np.nan  # padding in an array, missing values in a list
    assert Sequences.from_aeon(X).lengths.tolist() == [5, 7, 7, 7, 7]
    assert Sequences.from_aeon(list(X)).lengths.tolist() == [7] * 5


def test_tslearn_data_sets_are_arrays_padded_with_nan():
    rng = np.random.default_rng(0)
    X = to_time_series_dataset([rng.normal(size=(length, 2)) for length in (4, 2, 5)])
    sequences = Sequences.from_array(X)
    assert sequences.lengths.tolist() == [4, 2, 5]
    back = sequences.to_padded()
    np.testing.assert_array_equal(back, X)
    assert [ts_size(series) for series in back] == [4, 2, 5]


def test_integer_labels_are_numbers_empty_sequences_are_kept_and_text_is_refused():
    labels = Sequences.from_list([[7, 9], [9, None]], column_types="categorical")
    np.testing.assert_array_equal(labels.to_aeon(), [[[7, 9]], [[9, np.nan]]])
    assert labels[:0].to_aeon() == []
    assert [case.shape for case in Sequences.from_list([[], [1.0]]).to_aeon()] == [(1, 0), (1, 1)]
    with pytest.raises(SchemaError, match="categories of column 'token' are text, and aeon takes"):
        Sequences.from_list(["ab"]).to_aeon()


def test_sktime_panels():
    panel = load_japanese_vowels(split="train", return_type="nested_univ")[0].iloc[:6]
    sequences = Sequences.from_sktime(convert_to(panel, "pd-multiindex"))
    assert sequences.schema.names[:2] == ("dim_0", "dim_1")
    np.testing.assert_array_equal(sequences[2][:, 1], panel.iloc[2, 1])
    frame = sequences.to_sktime()
    valid, message, _ = check_is_mtype(frame, "pd-multiindex", "Panel", return_metadata=True)
    assert valid, message
    np.testing.assert_array_equal(Sequences.from_sktime(frame).values, sequences.values)
    months = pd.period_range("2020-01", periods=3, freq="M")
    index = pd.MultiIndex.from_product([["b", "a"], months])
    frame = pd.DataFrame({"time": range(6), "mood": list("uvuvuv")}, index=index)
    sequences = Sequences.from_sktime(frame, column_types={"time": "count"})
    assert sequences.ids.tolist() == ["b", "a"]
    assert [column.type for column in sequences.schema.columns] == ["count", "categorical"]
    assert sequences.schema.names == ("time", "mood")


@pytest.mark.parametrize(
    ("library", "X", "message"),
    [
        ("aeon", [np.ones((2, 5)), np.ones((3, 6))], r"of shape \(6, 3\) for sequence 1, but"),
        ("aeon", np.ones(5), r"Got a ndarray of shape \(5,\). Expected aeon's layout: an array"),
        ("sktime", pd.DataFrame({"x": [1.0]}), "Got a DataFrame. Expected .*convert_to"),
        ("sktime", np.ones((2, 3, 4)), "Got a ndarray. Expected a pandas frame whose index is"),
    ],
)
def test_data_of_another_layout(library, X, message):
    with pytest.raises(DataError, match=message):
        getattr(Sequences, f"from_{library}")(X)
