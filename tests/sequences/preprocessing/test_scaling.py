import warnings

import numpy as np
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import (
    Column,
    Scaler,
    Schema,
    Sequences,
    as_sequences,
    mark_missing,
    write,
)
from small_data import mapped

MODES = ["features", "sequence", None]


def walks(seed=0, n=30, dtype=np.float64):
    generator = np.random.default_rng(seed)
    arrays = [
        generator.normal(generator.normal() * 50, np.exp(generator.normal()), (length, 3))
        for length in generator.integers(2, 12, n)
    ]
    arrays[3][1, 0] = np.nan
    return Sequences.from_list([array.astype(dtype) for array in arrays])


def test_features_are_standardized_on_observed_steps():
    sequences = walks()
    scaled = Scaler.fit(sequences).transform(sequences)
    np.testing.assert_allclose(np.nanmean(scaled.values, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(scaled.values, axis=0), 1, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(scaled.values), np.isnan(sequences.values))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_inverse_transform_undoes_transform(mode, dtype, error):
    scaler = Scaler.fit(walks(dtype=dtype), mode)
    other = walks(seed=1, dtype=dtype)
    back = scaler.inverse_transform(scaler.transform(other), scaler.statistics(other))
    assert back.values.dtype == dtype
    np.testing.assert_allclose(back.values, other.values, rtol=0, atol=error)


def test_scaling_by_sequence():
    sequences = walks()
    scaled = Scaler.fit(sequences, "sequence").transform(sequences)
    for sequence in scaled:
        np.testing.assert_allclose(np.nanmean(sequence, axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(np.nanstd(sequence, axis=0), 1, rtol=1e-3)


def test_statistics_are_standardized():
    sequences = walks()
    scaler = Scaler.fit(sequences, "sequence")
    statistics = scaler.statistics(sequences)
    assert statistics.shape == (30, 6) == (30, scaler.num_statistics)
    assert statistics.dtype == np.float32
    np.testing.assert_allclose(statistics.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(statistics.std(axis=0), 1, atol=1e-6)


def test_statistics_of_unusual_sequences_are_finite():
    scaler = Scaler.fit(walks(), "sequence")
    nan = np.nan
    odd = Sequences.from_list(
        [np.zeros((0, 3)), np.full((4, 3), nan), np.full((4, 3), 7.0), [[1.0, nan, 2.0]]],
        column_types="numeric",
    )
    statistics = scaler.statistics(odd)
    assert np.isfinite(statistics).all()
    assert np.abs(statistics).max() < 10
    assert (statistics[:2] == 0).all()
    back = scaler.inverse_transform(scaler.transform(odd), statistics)
    np.testing.assert_allclose(back.values, odd.values, rtol=1e-6)


def test_a_constant_column_is_scaled_by_one_with_one_warning():
    sequences = Sequences.from_list([[[5.1, 1.0], [5.1, 2.0]], [[5.1, 4.0]]])
    for mode in ("features", "sequence"):
        with pytest.warns(UserWarning, match=r"Column 'x0' is constant .* scaled by 1") as caught:
            scaler = Scaler.fit(sequences, mode)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert scaler.scale_[0] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaler.transform(sequences)
        Scaler.fit(sequences, None)


def test_large_values_and_large_means():
    huge = Sequences.from_list([[1e37, -3e37, 2e37], [1e37]])
    scaler = Scaler.fit(huge)
    np.testing.assert_allclose(scaler.transform(huge).values.std(), 1)
    np.testing.assert_allclose(
        scaler.inverse_transform(scaler.transform(huge)).values, huge.values, rtol=1e-12
    )
    far = Sequences.from_list([[1e9 + 1, 1e9 + 2, 1e9 + 3]])
    np.testing.assert_allclose(Scaler.fit(far).scale_, [np.sqrt(2 / 3)])


@pytest.mark.parametrize("mode", MODES)
def test_binary_and_categorical_columns_pass_through(mode):
    rows = [[[0, "a", 5.0], [1, "b", 6.0]], [[1, "a", 9.0], [1, None, 7.0]]]
    sequences = Sequences.from_list(rows)
    scaler = Scaler.fit(sequences, mode)
    scaled = scaler.transform(sequences)
    np.testing.assert_array_equal(scaled.values[:, :2], sequences.values[:, :2])
    assert scaler.statistics(sequences).shape == (2, 2 if mode == "sequence" else 0)
    text = Sequences.from_list(["ab", "b"])
    scaler = Scaler.fit(text, mode)
    np.testing.assert_array_equal(scaler.transform(text).values, text.values)
    assert scaler.statistics(text).shape == (2, 0)


@pytest.mark.parametrize("mode", MODES)
def test_dict_and_back(mode):
    sequences = walks()
    scaler = Scaler.fit(sequences, mode)
    again = Scaler.from_dict(scaler.to_dict())
    assert again.mode == mode
    np.testing.assert_array_equal(
        again.transform(sequences).values, scaler.transform(sequences).values
    )
    np.testing.assert_array_equal(again.statistics(sequences), scaler.statistics(sequences))


def test_incomplete_dict():
    with pytest.raises(DataError, match="lacks the entry 'mode'"):
        Scaler.from_dict({})
    state = Scaler.fit(walks()).to_dict()
    del state["least"]
    with pytest.raises(DataError, match="lacks the entry 'least'"):
        Scaler.from_dict(state)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_mapped", [False, True])
def test_nothing_to_learn_from(mode, is_mapped, tmp_path):
    message = "Column 'x1' is missing in all 2 steps of the 2 sequences"
    for data, reason in (
        ([[], []], "all 2 sequences are empty"),
        ([[[1.0, None]], [[2.0, None]]], message),
    ):
        sequences = as_sequences(data)
        if is_mapped:
            write(sequences, tmp_path / "a.parquet")
            sequences = mapped(tmp_path / "a.parquet")
        with pytest.raises(DataError, match=reason):
            Scaler.fit(sequences, mode)


def test_wrong_use():
    sequences = walks()
    with pytest.raises(ParameterError, match=r"'features', 'sequence', None. Got 'all'"):
        Scaler.fit(sequences, "all")
    scaler = Scaler.fit(sequences, "sequence")
    with pytest.raises(ParameterError, match=r"needs statistics of shape \(30, 6\).* Got None"):
        scaler.inverse_transform(sequences)
    with pytest.raises(ParameterError, match=r"Got \(30, 5\)"):
        scaler.inverse_transform(sequences, np.zeros((30, 5)))
    binary = Schema(tuple(Column(f"x{i}", "binary") for i in range(3)))
    with pytest.raises(SchemaError, match=r"fitted on 3 columns, 3 of them numeric. Got 3, 0"):
        scaler.transform(Sequences(np.zeros((1, 3)), [0, 1], schema=binary))


# Ranges


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipped_to_the_range_of_each_column(mode, dtype):
    sequences = walks(dtype=dtype)
    scaler = Scaler.from_dict(Scaler.fit(sequences, mode).to_dict())
    wide = sequences.with_values(sequences.values * 3)
    clipped = scaler.clip(wide)
    least, greatest = np.nanmin(sequences.values, axis=0), np.nanmax(sequences.values, axis=0)
    np.testing.assert_array_equal(clipped.values, np.clip(wide.values, least, greatest))
    assert clipped.values.dtype == dtype
    np.testing.assert_array_equal(scaler.clip(sequences).values, sequences.values)


def test_numbers_for_missing_values_are_not_part_of_a_range():
    marked = mark_missing(Sequences.from_list([[3.5, -99999.0, 4.5], [np.nan, 5.5]]), [-99999])
    scaler = Scaler.fit(marked)
    assert (scaler.least_.tolist(), scaler.greatest_.tolist()) == ([3.5], [5.5])


def test_categorical_columns_have_no_range():
    labels = Sequences.from_list([[(1.5, 0), (2.5, 2)]], column_types=["numeric", "categorical"])
    scaler = Scaler.fit(labels)
    assert scaler.least_.tolist() == [1.5, -np.inf]
    assert scaler.greatest_.tolist() == [2.5, np.inf]
