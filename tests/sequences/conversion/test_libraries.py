"""The layouts of aeon, sktime and tslearn, from and to these packages."""

import numpy as np
import pandas as pd
import pytest
from aeon.testing.data_generation import make_example_3d_numpy, make_example_3d_numpy_list
from sktime.datasets import load_japanese_vowels
from sktime.datatypes import check_is_mtype, convert_to
from tslearn.utils import to_time_series_dataset, ts_size

from refold.errors import DataError, SchemaError
from refold.sequences import Sequences, as_sequences, read, write

RNG = np.random.default_rng(0)


def equal(a: Sequences, b: Sequences) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.offsets, b.offsets)


# aeon


def test_aeon_arrays_and_lists():
    X = make_example_3d_numpy(n_cases=5, n_channels=2, n_timepoints=7, return_y=False)
    sequences = Sequences.from_aeon(X, names=["a", "b"], ids=list("vwxyz"))
    assert sequences.schema.names == ("a", "b")
    assert sequences.ids.tolist() == list("vwxyz")
    np.testing.assert_array_equal(sequences[3], X[3].T)
    np.testing.assert_array_equal(sequences.to_aeon(), X)
    equal(Sequences.from_aeon(list(X)), sequences)

    X = make_example_3d_numpy_list(n_cases=5, n_channels=3, return_y=False)
    for case, back in zip(X, Sequences.from_aeon(X).to_aeon(), strict=True):
        np.testing.assert_array_equal(back, case)


def test_aeon_univariate_arrays():
    sequences = Sequences.from_aeon(np.arange(6.0).reshape(2, 3))
    assert sequences.schema.layout == "series"
    np.testing.assert_array_equal(sequences.to_aeon(), np.arange(6.0).reshape(2, 1, 3))


def test_aeon_padding_in_arrays_and_missing_values_in_lists():
    X = np.ones((3, 2, 4))
    X[0, :, 2:] = X[1, 1, 3] = X[2, :, 0] = np.nan
    assert Sequences.from_aeon(X).lengths.tolist() == [2, 4, 4]
    assert Sequences.from_aeon(list(X)).lengths.tolist() == [4, 4, 4]


def test_aeon_takes_integer_labels_as_numbers_and_refuses_text():
    codes = Sequences.from_list([[7, 9], [9, None]], column_types="categorical")
    np.testing.assert_array_equal(codes.to_aeon(), [[[7, 9]], [[9, np.nan]]])
    np.testing.assert_array_equal(codes.to_tslearn()[:, :, 0], [[7, 9], [9, np.nan]])
    with pytest.raises(
        SchemaError, match="The categories of column 'token' are text, and aeon takes"
    ):
        Sequences.from_list(["ab"]).to_aeon()


def test_no_sequences_and_empty_sequences_to_aeon_and_tslearn():
    none = Sequences.from_list([[1.0]])[:0]
    assert none.to_aeon() == []
    assert none.to_tslearn().shape == (0, 1, 1)
    assert [case.shape for case in Sequences.from_list([[], [1.0]]).to_aeon()] == [(1, 0), (1, 1)]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones((5, 2)), np.ones((7, 2))], r"5 to 7 channels and 2 time points each.*swapped"),
        ([np.ones((2, 5)), np.ones((3, 6))], r"Case 1 has 3 channels, but case 0 has 2"),
        ([np.ones(5), np.ones(6)], r"Case 0 has the shape \(5,\).*from_list takes series"),
        (np.ones(5), r"Got an array of shape \(5,\), but aeon's collections are an array"),
        (pd.DataFrame({"x": [1.0]}), r"Got a DataFrame, but aeon's.*from_sktime"),
        ("text", r"Got a str, but aeon's collections"),
        ([], "Got an empty list"),
    ],
)
def test_data_that_is_not_from_aeon(X, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_aeon(X)


def test_swapped_axes_are_found_by_the_padding():
    X = np.ones((3, 5, 4))
    X[1, :, 2:] = np.nan
    with pytest.warns(
        UserWarning, match=r"1 of 3 cases miss their last channels.*from_aeon takes"
    ) as seen:
        Sequences.from_tslearn(X)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match=r"Expected \(n_cases, n_channels, .*from_array takes"):
        Sequences.from_aeon(X.transpose(0, 2, 1))
    assert Sequences.from_aeon(X).lengths.tolist() == [4, 2, 4]
    X[:, :, 3] = np.nan  # a channel that is missing in all cases is not padding
    assert Sequences.from_tslearn(X).lengths.tolist() == [5, 5, 5]


# sktime


@pytest.fixture(scope="module")
def panel():
    """Return six utterances of unequal length as a nested frame of sktime."""
    return load_japanese_vowels(split="train", return_type="nested_univ")[0].iloc[:6]


def test_sktime_layouts_give_the_same_sequences(panel):
    nested = Sequences.from_sktime(panel)
    assert nested.schema.names[:2] == ("dim_0", "dim_1")
    np.testing.assert_array_equal(nested[2][:, 1], panel.iloc[2, 1])
    for mtype in ("pd-multiindex", "df-list"):
        equal(Sequences.from_sktime(convert_to(panel, mtype)), nested)
    cut = nested.to_padded()[:, :7].transpose(0, 2, 1)
    np.testing.assert_array_equal(Sequences.from_sktime(cut).to_aeon(), cut)


def test_sktime_accepts_converted_sequences(panel):
    frame = Sequences.from_sktime(panel).to_sktime()
    valid, message, _ = check_is_mtype(frame, "pd-multiindex", "Panel", return_metadata=True)
    assert valid, message
    equal(Sequences.from_sktime(frame), Sequences.from_sktime(panel))


def test_sktime_names_ids_column_types_and_times():
    index = pd.MultiIndex.from_product(
        [["b", "a"], pd.period_range("2020-01", periods=3, freq="M")]
    )
    frame = pd.DataFrame({"time": range(6), "mood": list("uvuvuv")}, index=index)
    sequences = Sequences.from_sktime(frame)
    assert sequences.ids.tolist() == ["b", "a"]
    assert sequences.schema.names == ("time", "mood")
    assert sequences.schema.columns[1].categories == ("u", "v")
    with pytest.raises(DataError, match="column 'time'"):
        Sequences.from_sktime(frame, column_types={"time": "binary"})
    plain = frame[["time"]].set_axis([0], axis=1)
    assert Sequences.from_sktime(plain).schema.names == ("x0",)


def test_sktime_series_in_cells_keep_ids_and_text():
    cells = {"x": [pd.Series([1.0, 2.0]), np.array([3.0])], "on": [pd.Series(["a", "b"]), ["a"]]}
    frame = pd.DataFrame(cells, index=["p", "q"], dtype=object)
    frame.iloc[1, 1] = pd.Series(["a"])
    sequences = Sequences.from_sktime(frame)
    assert sequences.ids.tolist() == ["p", "q"]
    assert sequences[0].tolist() == [[1.0, "a"], [2.0, "b"]]


def nested(*cells):
    frame = pd.DataFrame({"x": [None, None], "y": [None, None]}, dtype=object)
    for i, cell in enumerate(cells):
        frame.iat[i // 2, i % 2] = cell
    return frame


A, B = pd.Series([1.0, 2.0]), pd.Series([1.0])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (nested(A, A, A, B), "cells of sequence 1 differ in length: 'x' 2, 'y' 1"),
        (nested(A, A, A, 3.0), "The cell of row 1, column 'y' is a float. Expected a series"),
        (nested(A, A, A, np.ones((2, 2))), r"column 'y' has the shape \(2, 2\)"),
        (pd.DataFrame({"x": [1.0]}), "That looks like a single series, so put it into a list"),
        (
            pd.DataFrame(index=[0, 1]),
            "Got a frame of 2 rows and 0 columns, which holds no sequences",
        ),
        (pd.DataFrame({"x": []}), "Got a frame of 0 rows and 1 columns, which holds no sequences"),
        ([np.ones((2, 3))], "Entry 0 of the list is a ndarray.*Sequences.from_aeon takes lists"),
        (
            [pd.DataFrame({"x": [1.0, 2.0]}, index=[1, 0])],
            "The index of frame 0 holds the times and must ascend",
        ),
        (
            pd.DataFrame({"x": [1.0]}, index=pd.MultiIndex.from_tuples([("a", "b", 0)])),
            "The index of the frame has 3 levels. Expected two",
        ),
        (
            pd.DataFrame({"x": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("a", 0)])),
            "time",
        ),
        (np.ones(3), r"Got an array of shape \(3,\), but sktime's panels are"),
        ({"x": [1.0]}, "Got a dict, but sktime's panels are"),
    ],
)
def test_data_that_is_not_from_sktime(X, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_sktime(X)


# tslearn


def test_tslearn_data_sets():
    X = to_time_series_dataset([RNG.normal(size=(length, 2)) for length in (4, 2, 5)])
    sequences = Sequences.from_tslearn(X)
    assert sequences.lengths.tolist() == [4, 2, 5]
    back = sequences.to_tslearn()
    np.testing.assert_array_equal(back, X)
    assert [ts_size(one) for one in back] == [4, 2, 5]
    equal(as_sequences(X), sequences)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((3, 2)), r"Got an array of shape \(3, 2\), but tslearn's.*from_array takes"),
        ([[1.0]], r"Got a list, but tslearn's data sets.*from_list takes a list"),
    ],
)
def test_data_that_is_not_from_tslearn(X, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_tslearn(X)


def test_from_one_library_to_another_through_a_file(tmp_path):
    X = make_example_3d_numpy_list(n_cases=4, n_channels=2, return_y=False)
    write(Sequences.from_aeon(X), tmp_path / "x.ts")
    frame = read(tmp_path / "x.ts").to_sktime()
    for case, back in zip(X, Sequences.from_sktime(frame).to_aeon(), strict=True):
        np.testing.assert_array_equal(back, case)
