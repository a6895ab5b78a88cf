"""A scaler that is fitted to files agrees with that of the same data in memory."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.sequences import Scaler, Sequences, read, write
from small_data import mapped

MODES = ["features", "sequence", None]
rng = np.random.default_rng(0)


def walks(dtype):
    arrays = []
    for length in rng.integers(0, 12, 300):
        array = rng.normal(rng.normal() * 50, np.exp(rng.normal()), (length, 4))
        array[:, 2] += 1e6
        array[rng.random(array.shape) < 0.1] = np.nan
        array[:, 3] = rng.random(length) < 0.5
        arrays.append(array.astype(dtype))
    return Sequences.from_list(arrays)


def assert_same(path, mode, block_bytes=3000):
    scanned, whole = mapped(path, block_bytes=block_bytes), read(path)
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        state = Scaler.fit(whole, mode).to_dict()
    with warnings.catch_warnings(record=True) as got:
        warnings.simplefilter("always")
        scaler = Scaler.fit(scanned, mode)
    assert [str(remark.message) for remark in got] == [str(remark.message) for remark in expected]
    assert [remark.filename for remark in got] == [__file__] * len(got)
    for key, value in scaler.to_dict().items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            np.testing.assert_allclose(value, state[key], rtol=1e-12, atol=0, err_msg=key)
        else:
            np.testing.assert_equal(value, state[key], err_msg=key)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", ["list", "long"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scalers_are_the_same(tmp_path, mode, layout, dtype):
    table = walks(dtype)
    write(table, tmp_path / "x.parquet", layout=layout)
    again = pq.read_table(tmp_path / "x.parquet")
    pq.write_table(again, tmp_path / "x.parquet", row_group_size=37)
    assert_same(tmp_path / "x.parquet", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "values",
    [
        [1e200, -3e200, 2e200, 1e200],
        [1e-200, -3e-200, 0.0, 5e-200],
        [0.0, 0.0, 1e-300, 2e-300],
        [0.0, 1e308, -1e308, 1e-308],
        [1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9],
        [5.1, 5.1, 5.1, 5.1],
        [0.0, 0.0, 0.0, 0.0],
        [5.1, 5.1 * (1 + 2e-16), 5.1, 5.1],
        [None, 2.0, None, 3.0],
    ],
)
def test_unusual_values(tmp_path, mode, values):
    table = pa.table({"id": [0, 0, 1, 1], "x": values, "y": [1.0, 2.0, 3.0, 5.0]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    assert_same(tmp_path / "x.parquet", mode)


def test_many_pieces_of_a_far_mean():
    values = 1e8 + rng.normal(size=100_000)
    pieces = Sequences.from_list(np.array_split(values, 5000))
    pieces.block_bytes = 4
    scaler = Scaler.fit(pieces)
    exact = values.astype(np.longdouble)
    np.testing.assert_allclose(scaler.mean_, float(exact.mean()), rtol=1e-14)
    np.testing.assert_allclose(scaler.scale_, float(exact.std()), rtol=1e-11)


def test_many_pieces_of_a_constant():
    pieces = Sequences.from_list([np.full(7, 5.1)] * 5000)
    pieces.block_bytes = 4
    with pytest.warns(UserWarning, match="is constant"):
        Scaler.fit(pieces)
