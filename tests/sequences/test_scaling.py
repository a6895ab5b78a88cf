"""Scaling: features, sequences, unusual numbers, counts, ranges, and files as in memory."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences, read, write
from small_data import read_as_mapped

MODES = ["features", "sequence", None]
NAN = np.nan


def walks(seed=0, n=30, dtype=np.float64, shortest=2):
    """Return noise of three columns, with other means and deviations in each sequence."""
    rng = np.random.default_rng(seed)
    arrays = []
    for length in rng.integers(shortest, 12, n):
        array = rng.normal(rng.normal() * 50, np.exp(rng.normal()), (length, 3))
        if shortest == 0:
            array[rng.random(array.shape) < 0.1] = NAN
        arrays.append(array.astype(dtype))
    arrays[3][1:2, 0] = NAN
    return Sequences.from_list(arrays, column_types="numeric")


def test_sequences_and_their_statistics_are_standardized_on_observed_steps():
    sequences = walks()
    scaled = Scaler.fit(sequences).transform(sequences)
    np.testing.assert_allclose(np.nanmean(scaled.values, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(scaled.values, axis=0), 1, atol=1e-12)
    scaler = Scaler.fit(sequences, "sequence")
    for sequence in scaler.transform(sequences):
        np.testing.assert_allclose(np.nanmean(sequence, axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(np.nanstd(sequence, axis=0), 1, rtol=1e-3)
    statistics = scaler.statistics(sequences)
    assert statistics.shape == (30, 6) == (30, scaler.num_statistics)
    np.testing.assert_allclose(statistics.std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_inverse_transform_undoes_transform_also_after_saving(mode, dtype, error):
    scaler = Scaler.fit(walks(dtype=dtype), mode)
    new = walks(seed=1, dtype=dtype)
    again = Scaler.from_dict(scaler.to_dict())
    scaled = scaler.transform(new)
    back = again.inverse_transform(scaled, scaler.statistics(new))
    assert back.values.dtype == dtype
    np.testing.assert_allclose(back.values, new.values, rtol=0, atol=error)
    empty = np.zeros((0, 3)), np.full((4, 3), NAN), np.full((4, 3), 7.0), [[1.0, NAN, 2.0]]
    unusual = Sequences.from_list(empty, column_types="numeric")
    statistics = scaler.statistics(unusual)
    assert np.abs(statistics).max(initial=0) < 10
    back = scaler.inverse_transform(scaler.transform(unusual), statistics)
    np.testing.assert_allclose(back.values, unusual.values, rtol=1e-4)


def test_a_constant_column_is_scaled_by_one_with_one_warning():
    sequences = Sequences.from_list([[[5.1, 1.0], [5.1, 2.0]], [[5.1, 4.0]]])
    with pytest.warns(UserWarning, match=r"scaled by 1: column 'x0'\.") as caught:
        scaler = Scaler.fit(sequences, "sequence")
    assert [warning.filename for warning in caught] == [__file__]
    assert scaler.scale_[0] == 1


@pytest.mark.parametrize("mode", MODES)
def test_other_columns_pass_through_and_counts_stay_positive(mode):
    rows = [[[0, "a", 0], [1, "b", 300]], [[1, "a", 9], [1, None, 1001]]]
    sequences = as_sequences(rows, column_types={"x2": "count"})
    scaler = Scaler.fit(sequences, mode)
    scaled = scaler.transform(sequences)
    np.testing.assert_array_equal(scaled.values[:, :2], sequences.values[:, :2])
    assert scaled.values[:, 2].min() == 0
    statistics = scaler.statistics(sequences)
    assert statistics.shape == (2, 2 if mode == "sequence" else 0)
    back = scaler.inverse_transform(scaled, statistics)
    np.testing.assert_array_equal(back.values, sequences.values)


def test_clipped_to_the_range_of_each_column():
    sequences = walks(dtype=np.float32)
    scaler = Scaler.from_dict(Scaler.fit(sequences, "sequence").to_dict())
    wide = sequences.with_values(sequences.values * 3)
    clipped = scaler.clip(wide)
    minimum, maximum = np.nanmin(sequences.values, axis=0), np.nanmax(sequences.values, axis=0)
    np.testing.assert_array_equal(clipped.values, np.clip(wide.values, minimum, maximum))
    assert clipped.values.dtype == np.float32
    scaler = Scaler.fit(as_sequences([[[-1.0, 2.0, 0], [1.0, 3.0, 1]]]))
    out = as_sequences([[[-9.0, -9.0, 1.0], [9.0, 9.0, 0.0]]])
    assert scaler.clip(out, clip="positive").values.tolist() == [[-9.0, 0.0, 1.0], [9.0, 9.0, 0.0]]
    assert scaler.clip(out, clip=False) is out
    with pytest.raises(
        ParameterError, match=r"^clip must be True, False or 'positive'\. Got 'yes'"
    ):
        scaler.clip(out, clip="yes")


def test_wrong_use():
    sequences = walks()
    with pytest.raises(ParameterError, match=r"'features', 'sequence', None. Got 'all'"):
        Scaler.fit(sequences, "all")
    with pytest.raises(DataError, match=r"Got 1e\+308 at sequence 0, step 1, column 'x0'"):
        Scaler.fit(as_sequences([[1.0, 1e308]]))
    with pytest.raises(DataError, match="lacks the entry 'mode'"):
        Scaler.from_dict({})
    with pytest.raises(DataError, match="Column 'x1' is missing in all 2 steps of the 2 sequences"):
        Scaler.fit(as_sequences([[[1.0, None]], [[2.0, None]]]))
    scaler = Scaler.fit(sequences, "sequence")
    with pytest.raises(ParameterError, match=r"needs statistics of shape \(30, 6\).* Got None"):
        scaler.inverse_transform(sequences)
    binary = Schema(tuple(Column(f"x{i}", "binary") for i in range(3)))
    with pytest.raises(SchemaError, match=r"fitted on 3 columns, 3 of them numeric. Got 3, 0"):
        scaler.transform(Sequences(np.zeros((1, 3)), [0, 1], schema=binary))


@pytest.mark.parametrize(("layout", "mode"), [("list", "features"), ("long", "sequence")])
def test_files_give_the_scaler_of_the_data_in_memory(tmp_path, mode, layout):
    dtype = np.float32 if layout == "list" else np.float64
    sequences = walks(n=200, dtype=dtype, shortest=0)
    sequences.values[:, 2] += 1e6
    sequences.values[:, 1] = np.arange(len(sequences.values)) % 3 == 0
    write(sequences, tmp_path / "x.parquet", layout=layout)
    pq.write_table(pq.read_table(tmp_path / "x.parquet"), tmp_path / "x.parquet", row_group_size=37)
    state = Scaler.fit(read(tmp_path / "x.parquet"), mode).to_dict()
    mapped = read_as_mapped(tmp_path / "x.parquet", block_bytes=3000)
    for key, value in Scaler.fit(mapped, mode).to_dict().items():
        if key in {"mode", "dtype"}:
            assert value == state[key]
        else:
            np.testing.assert_allclose(value * 1.0, state[key], rtol=1e-12, err_msg=key)


@pytest.mark.filterwarnings("ignore:Constant in the training data")
def test_unusual_values():
    large = Sequences.from_list([[1e38, -3e38], [2e38, 1e-38]])
    scaled = Scaler.fit(large).transform(large)
    np.testing.assert_allclose(scaled.values.std(), 1)
    for values, scale in (
        ([1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 2], np.sqrt(0.5)),
        ([5.1, 5.1 * (1 + 2e-16), 5.1, 5.1], 1.0),
        ([None, 2.0, None, 3.0], 0.5),
    ):
        for block_bytes in (4, 100):  # one value at a time, and all
            sequences = Sequences.from_list([[value] for value in values], column_types="numeric")
            sequences.block_bytes = block_bytes
            np.testing.assert_allclose(Scaler.fit(sequences).scale_[0], scale)
