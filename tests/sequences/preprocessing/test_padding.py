import numpy as np
import pytest

from refold.errors import ParameterError
from refold.sequences import Column, Schema, Sequences, pad

NAN = np.nan


@pytest.fixture
def mixed():
    schema = Schema(
        (Column("x", "numeric"), Column("event", "categorical", ("a", "b")), Column("on", "binary"))
    )
    values = [[1.5, 0, 1], [NAN, NAN, NAN], [2.5, 2, 0], [3.5, 1, NAN]]
    return Sequences(np.array(values), [0, 3, 3, 4], schema=schema)


def test_without_flags(mixed):
    x, y = pad(mixed, [2, 0, 1], 4, flags=False)
    assert x.shape == y.shape == (3, 4, 3)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x[1], [[1.5, 0, 1], [0, 2, 0], [2.5, 2, 0], [NAN] * 3])
    np.testing.assert_array_equal(y[1], [[1.5, 0, 1], [NAN] * 3, [2.5, NAN, 0], [NAN] * 3])
    np.testing.assert_array_equal(x[0, 0], [3.5, 1, 0])
    assert np.isnan(x[2]).all()
    assert np.isnan(y[2]).all()


def test_flags_distinguish_missing_unknown_and_padding(mixed):
    x, _ = pad(mixed, [0], 4, flags=True)
    assert x.shape == (1, 4, 6)
    np.testing.assert_array_equal(x[0, :, 3:], [[1, 1, 1], [0, 0, 0], [1, 1, 1], [NAN, NAN, NAN]])
    assert np.isfinite(x[0, :3]).all()


def test_too_few_steps(mixed):
    with pytest.raises(ParameterError, match="num_steps is 2, but the batch needs 3"):
        pad(mixed, [0, 1], 2)
    with pytest.raises(ParameterError, match="num_steps is 0, but the batch needs 1"):
        pad(mixed, [1], 0)


def test_the_sequences_are_not_changed(mixed):
    before = mixed.values.copy()
    x, y = pad(mixed, [0, 1, 2], 3)
    x[:] = y[:] = 9
    np.testing.assert_array_equal(mixed.values, before)
