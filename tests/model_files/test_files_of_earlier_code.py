"""Model files that an earlier commit wrote give the same results (README.md)."""

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

import refold
from refold.kernels import variant

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
FORECASTING, DETECTING = ["forecast"], ["calibrated", "forecast"]
# Models that Keras runs, and codes that are optimized.
LESS_EXACT = {
    *("gru", "classic_repeat", "classic_reshape", "classic_dense", "custom"),
    *("calibrated", "categorical_short"),
}
# The files were written with one of these variants of the kernel, which round alike. With another
# one, or without the kernel, optimized codes differed by 5e-4 and others by 2e-5.
VARIANTS = ("avx2", "avx512")


def tolerance_of(name):
    if variant() not in VARIANTS:
        return 1e-3
    return 2e-4 if name in LESS_EXACT else 1e-6  # generated ones differ by 1e-4 on another CPU


class Case(NamedTuple):
    """A model, sequences that it reads, and what it gave for them, with the tolerance."""

    model: Any
    X: Any
    expected: dict[str, Any]
    tolerance: float


@pytest.fixture(scope="module", params=NAMES)
def case(request, tmp_path_factory):
    name = request.param
    path = tmp_path_factory.mktemp("models") / f"{name}.refold"
    path.write_bytes(gzip.decompress((FOLDER / f"{name}.refold.gz").read_bytes()))
    with np.load(FOLDER / f"{name}.npz") as stored:
        expected = {
            key: json.loads(str(array)) if array.dtype.kind == "U" and key != "hash" else array
            for key, array in stored.items()
        }
    X = read_stored_data(expected["data"], expected["options"])
    return Case(refold.load(path), X, expected, tolerance_of(name))


def read_stored_data(data, options):
    """Return what the methods of a model take."""
    if options is not None:
        return refold.Sequences.from_table(pa.table(data), **options)
    if isinstance(data[0], str) or isinstance(data[0][0], str):
        return data
    return [np.array(sequence, float) for sequence in data]


def assert_close(found, expected, tolerance):
    """Compare arrays; the tolerance is relative to the largest value."""
    expected = np.asarray(expected, float)
    largest = np.nanmax(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(
        np.asarray(found, float), expected, rtol=0.0, atol=tolerance * largest
    )


def assert_equal_sequences(found, expected, tolerance):
    """Compare sequences of numbers, tokens or characters, or rows of numbers and tokens."""
    assert [len(sequence) for sequence in found] == [len(sequence) for sequence in expected]
    found, expected = values_of(found), values_of(expected)
    numbers = [value for value in expected if not isinstance(value, str)]
    assert [value for value in found if isinstance(value, str)] == [
        value for value in expected if isinstance(value, str)
    ]
    assert_close([value for value in found if not isinstance(value, str)], numbers, tolerance)


def values_of(sequences):
    """Return the values of all sequences in one list."""
    rows = [row for sequence in sequences for row in sequence]
    return [
        value
        for row in rows
        for value in (row if isinstance(row, list | tuple | np.ndarray) else [row])
    ]


def test_codes_and_what_they_decode_to(case):
    model, X, expected, tolerance = case
    assert_close(model.encode(X), expected["codes"], tolerance)
    assert_equal_sequences(model.reconstruct(X), expected["reconstructions"], tolerance)
    decoded = model.decode(expected["codes"])
    assert_equal_sequences(decoded, expected["reconstructions"], tolerance)
    assert model.score(X) == pytest.approx(float(expected["score"]), abs=tolerance)
    features = model.features(expected["codes"])[:, : expected["features"].shape[1]]
    assert_close(features, expected["features"], tolerance)
    generated = model.generate(3, random_state=0)
    assert_equal_sequences(generated, expected["generated"], tolerance)


# Forecast decoders of that commit read the code alone. Those of today also read the last steps, but
# a file says what its decoder reads, so its forecasts are the same.
@pytest.mark.parametrize("case", FORECASTING, indirect=True)
def test_forecasts(case):
    found = case.model.forecast(case.X)
    assert_equal_sequences(found.values, case.expected["forecast"], case.tolerance)
    assert_close(found.lower, case.expected["lower"], case.tolerance)
    assert_close(found.upper, case.expected["upper"], case.tolerance)


@pytest.mark.parametrize("case", DETECTING, indirect=True)
@pytest.mark.filterwarnings("ignore:.*sequences are among .*:UserWarning")
def test_detections(case):
    found = case.model.detect(case.X, alpha=0.1)
    assert_close(found.scores, case.expected["anomaly_scores"], case.tolerance)
    assert_close(found.p_values, case.expected["p_values"], case.tolerance)
