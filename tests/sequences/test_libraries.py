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


def equal(a: Sequences, b: Sequences) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.offsets, b.offsets)


def test_aeon_arrays_and_lists():
    X = make_example_3d_numpy(n_cases=5, n_channels=2, n_timepoints=7, return_y=False)
    sequences = Sequences.from_aeon(X, names=["a", "b"], ids=list("vwxyz"))
    assert sequences.schema.names == ("a", "b")
    assert sequences.ids.tolist() == list("vwxyz")
    np.testing.assert_array_equal(sequences[3], X[3].T)
    np.testing.assert_array_equal(sequences.to_aeon(), X)
    equal(Sequences.from_aeon(list(X)), sequences)
    X[0, :, 5:] = X[1, 1, 6] = np.nan  # padding in an array, missing values in a list
    assert Sequences.from_aeon(X).lengths.tolist() == [5, 7, 7, 7, 7]
    assert Sequences.from_aeon(list(X)).lengths.tolist() == [7] * 5


def test_tslearn_data_sets():
    rng = np.random.default_rng(0)
    X = to_time_series_dataset([rng.normal(size=(length, 2)) for length in (4, 2, 5)])
    sequences = Sequences.from_tslearn(X)
    assert sequences.lengths.tolist() == [4, 2, 5]
    back = sequences.to_tslearn()
    np.testing.assert_array_equal(back, X)
    assert [ts_size(series) for series in back] == [4, 2, 5]


def test_integer_labels_are_numbers_empty_sequences_are_kept_and_text_is_refused():
    codes = Sequences.from_list([[7, 9], [9, None]], column_types="categorical")
    np.testing.assert_array_equal(codes.to_aeon(), [[[7, 9]], [[9, np.nan]]])
    assert codes[:0].to_aeon() == []
    assert [case.shape for case in Sequences.from_list([[], [1.0]]).to_aeon()] == [(1, 0), (1, 1)]
    with pytest.raises(SchemaError, match="categories of column 'token' are text, and aeon takes"):
        Sequences.from_list(["ab"]).to_aeon()


def test_swapped_axes_are_found_by_the_padding():
    X = np.ones((3, 5, 4))
    X[1, :, 2:] = np.nan
    swapped = r"1 of 3 cases miss their last channels.*from_aeon takes"
    with pytest.warns(UserWarning, match=swapped) as seen:
        Sequences.from_tslearn(X)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match=r"Expected \(n_cases, n_channels, .*from_array takes"):
        Sequences.from_aeon(X.transpose(0, 2, 1))
    X[:, :, 3] = np.nan  # a channel that is missing in all cases is not padding
    assert Sequences.from_tslearn(X).lengths.tolist() == [5, 5, 5]


def test_sktime_layouts_give_the_same_sequences():
    panel = load_japanese_vowels(split="train", return_type="nested_univ")[0].iloc[:6]
    nested = Sequences.from_sktime(panel)
    assert nested.schema.names[:2] == ("dim_0", "dim_1")
    np.testing.assert_array_equal(nested[2][:, 1], panel.iloc[2, 1])
    for mtype in ("pd-multiindex", "df-list"):
        equal(Sequences.from_sktime(convert_to(panel, mtype)), nested)
    cut = nested.to_padded()[:, :7].transpose(0, 2, 1)
    np.testing.assert_array_equal(Sequences.from_sktime(cut).to_aeon(), cut)
    frame = nested.to_sktime()
    valid, message, _ = check_is_mtype(frame, "pd-multiindex", "Panel", return_metadata=True)
    assert valid, message
    equal(Sequences.from_sktime(frame), nested)


def test_sktime_names_ids_column_types_and_times():
    months = pd.period_range("2020-01", periods=3, freq="M")
    index = pd.MultiIndex.from_product([["b", "a"], months])
    frame = pd.DataFrame({"time": range(6), "mood": list("uvuvuv")}, index=index)
    sequences = Sequences.from_sktime(frame)
    assert sequences.ids.tolist() == ["b", "a"]
    assert sequences.schema.names == ("time", "mood")
    assert sequences.schema.columns[1].categories == ("u", "v")
    with pytest.raises(DataError, match="column 'time'"):
        Sequences.from_sktime(frame, column_types={"time": "binary"})
    cells = nested(A, TEXT, A.to_numpy(), np.array(["a", "a"]), index=["p", "q"])
    assert Sequences.from_sktime(cells).ids.tolist() == ["p", "q"]
    assert Sequences.from_sktime(cells)[0].tolist() == [[1.0, "a"], [2.0, "b"]]


def nested(*cells, index=None):
    frame = pd.DataFrame({"x": [None, None], "y": [None, None]}, dtype=object, index=index)
    for i, cell in enumerate(cells):
        frame.iat[i // 2, i % 2] = cell
    return frame


A, B, TEXT = pd.Series([1.0, 2.0]), pd.Series([1.0]), pd.Series(["a", "b"])


DESCENDING = pd.DataFrame({"x": [1.0, 2.0]}, index=[1, 0])


@pytest.mark.parametrize(
    ("of", "X", "message"),
    [
        ("aeon", [np.ones((2, 5)), np.ones((3, 6))], r"of shape \(6, 3\) for sequence 1, but"),
        ("aeon", np.ones(5), r"Got a ndarray of shape \(5,\). Expected aeon's layout: an array"),
        ("tslearn", [[1.0]], r"Got a list. Expected tslearn's layout.*from_list takes lists"),
        (
            "sktime",
            nested(A, A, A, B, index=["o", "P"]),
            r"Sequence 1 \(id 'P'\) has 2 steps in",
        ),
        ("sktime", nested(A, A, A, 3.0), "Column 'y' cannot be read. Can only convert"),
        ("sktime", pd.DataFrame({"x": [1.0]}), "1 rows and 1 columns .* Put a single series into"),
        ("sktime", [np.ones((2, 3))], "Entry 0 of the list is a ndarray.*Sequences.from_aeon"),
        ("sktime", [DESCENDING], "Entry 0 of the list has an index that does not ascend"),
    ],
)
def test_data_of_another_layout(of, X, message):
    with pytest.raises(DataError, match=message):
        getattr(Sequences, f"from_{of}")(X)
