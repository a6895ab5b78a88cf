"""Codes in tables of other tools, and back with the same bits."""

import duckdb
import numpy as np
import polars as pl
import pytest

from refold.datasets import noisy_sines
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import codes_from_arrow, codes_to_arrow
from small_data import fit_without_training

CODES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
IDS = np.array(["a", "b", "c", "d", "é"])


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table.to_pandas().set_index("id"),
        pl.from_arrow,
        duckdb.from_arrow,
        lambda table: {"id": IDS, "code": CODES.tolist()},
    ],
)
def test_codes_are_read_with_the_same_bits(convert):
    codes, ids = codes_from_arrow(convert(codes_to_arrow(CODES, IDS)))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, CODES)
    assert ids.tolist() == IDS.tolist()
    half = codes_from_arrow(codes_to_arrow(CODES, dtype="float16").to_pandas())[0]
    np.testing.assert_array_equal(half, CODES.astype(np.float16).astype(np.float32))


def test_frames_with_codes_of_another_model_are_refused():
    data, other_data, new = (noisy_sines(30, seed=seed, max_steps=30) for seed in range(3))
    first, second = (fit_without_training(x, units=4) for x in (data, other_data))
    first.set_output(transform="pandas")
    frame = first.transform(new)
    assert len(first.decode(frame[:3])) == 3
    with pytest.raises(DataError, match="holds codes of another model"):
        second.decode(frame)
    assert len(second.decode(frame.to_numpy())) == 30  # arrays store no hash of a model


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"code": [[1.0], [1.0, 2.0]]}, DataError, "row 1 has 2 entries. Expected 1 numbers"),
        ({"code": [[1.0, None], [1.0, 2.0]]}, DataError, "row 0 has a missing value"),
        ({"code": [["a"]]}, SchemaError, r"holds list<.*string>. Expected lists of numbers"),
        ({"x": [1]}, SchemaError, r"no column 'code'.* Its columns are 'x'"),
    ],
)
def test_tables_without_codes_are_refused(table, error, message):
    with pytest.raises(error, match=message):
        codes_from_arrow(table)


@pytest.mark.parametrize(
    ("codes", "dtype", "error", "message"),
    [
        ([1.0, 2.0], "float32", DataError, r"of shape \(n_sequences, width\)\. Got an arr"),
        ([[1.0]], "int8", ParameterError, "'float32' or 'float16'. Got 'int8'"),
        ([[1e6]], "float16", DataError, "row 0 has a value that is too large for float"),
    ],
)
def test_bad_arrays_of_codes_are_refused(codes, dtype, error, message):
    with pytest.raises(error, match=message):
        codes_to_arrow(codes, dtype=dtype)
