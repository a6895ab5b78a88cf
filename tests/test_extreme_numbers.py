"""Numbers that float32 cannot hold get one line with their place, in Python and on the command."""

import re

import numpy as np
import pytest

from refold.errors import DataError
from refold.sequences import Sequences
from small_data import draw_overflowing_sequence, draw_ragged_sequences, fit_without_training

pytestmark = pytest.mark.filterwarnings("ignore:.* far outside of the training data")
METHODS = ["transform", "reconstruct", "detect", "forecast", "drift", "calibrate", "partial_fit"]


@pytest.fixture(scope="module")
def ae():
    return fit_without_training(
        draw_ragged_sequences(60), forecast_steps=2, calibration_fraction=0.4
    )


def with_value(value):
    sequences = draw_ragged_sequences(3)
    sequences[1][2, 1] = value
    return sequences


@pytest.mark.parametrize("method", [*METHODS, "fit"])
def test_values_beyond_float32_are_refused_with_their_place(ae, method):
    options = {"alpha": 0.2} if method == "detect" else {}
    for data, value in (
        ([sequence.tolist() for sequence in with_value(-1e300)], -1e300),
        (Sequences.from_list(with_value(1e39)), 1e39),
    ):
        message = f"Got {value:g} at sequence 1, step 2, column 'x1'. Expected finite numbers"
        with pytest.raises(DataError, match=re.escape(message)):
            getattr(ae, method)(data, **options)


def test_values_that_overflow_when_they_are_scaled_and_markers_beyond_float32():
    ae = fit_without_training([0.01 * sequence for sequence in draw_ragged_sequences(30)])
    with pytest.raises(DataError, match=r"Got 3e\+38 at sequence 1, step 2, column 'x1'"):
        ae.transform(with_value(3e38))
    assert np.isfinite(ae.transform(with_value(1e36))).all()
    ae = fit_without_training(with_value(1e308) * 10, missing_values=1e308)
    expected = ae.transform(with_value(np.nan))
    np.testing.assert_array_equal(ae.transform(with_value(1e308)), expected)
    with pytest.raises(DataError, match=r"Got 1e\+300 at"):
        ae.transform(with_value(1e300))


def test_what_transform_gives_decodes_also_for_data_in_other_units(ae):
    data = [1000 * sequence for sequence in draw_ragged_sequences(5)]
    with pytest.warns(UserWarning, match="more than 1000 standard deviations .* in row 0, dim"):
        decoded = ae.inverse_transform(ae.transform(data), [len(sequence) for sequence in data])
    for first, second in zip(decoded, ae.reconstruct(data), strict=True):
        np.testing.assert_allclose(first[: len(second)], second[: len(first)], rtol=1e-5)


def test_decoding_that_overflows_is_an_error(ae):
    far_code = [3e38, 3e38, -3e38]
    position = "of sequence 1 is not, in dimension 2"
    for method, data, message in (
        (ae.inverse_transform, [[0, 0, 0], [0, 0, 1e39]], position),
        (ae.inverse_transform, [far_code], "overflows float32"),
        (ae.features, [[0, 0, 0], far_code], "The code of sequence 1 overflows float32"),
        (ae.reconstruct, [draw_overflowing_sequence(ae)], "overflows float32"),
    ):
        with pytest.raises(DataError, match=message):
            method(data)
    levels = fit_without_training(
        [10.0**i * np.sin(np.arange(9.0) + i) for i in range(8)], scale="sequence"
    )
    width = len(levels.get_feature_names_out())
    with pytest.raises(DataError, match="overflows float32 at sequence 0, step 0"):
        levels.decode(np.eye(width)[-1:] * 1e4)
