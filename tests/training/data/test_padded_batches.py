"""Batches from flat data on the device agree with batches that are padded on the host."""

import jax
import numpy as np
import pytest

from refold.sequences import pad
from refold.training.data._padded_batches import Layout, num_observed, take, to_device
from training.small import CASES, network, sequences


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_that_of_pad(name):
    case = CASES[name]
    scaled = sequences(case)
    layout = Layout.of(network(case))
    rows = np.array([3, 23, 0, 8, 7], np.int32)
    x, y = pad(scaled, rows, 7, flags=case.flags)
    cut = jax.jit(lambda data, rows: take(data, rows, 7, layout))
    batch = cut(to_device([scaled], 7), rows)
    np.testing.assert_array_equal(batch.x, x)
    np.testing.assert_array_equal(batch.y, y)
    assert batch.lengths.tolist() == scaled.lengths[rows].tolist()
    assert batch.valid.tolist() == [1.0] * 5
    assert num_observed(scaled, rows) == np.sum(~np.isnan(y))


def test_unknown_categories_are_not_targets():
    case = CASES["mixed"]
    scaled = sequences(case)
    values = scaled.values.copy()
    values[4:9, 1] = 3  # the index of the unknown category
    scaled = scaled.with_values(values)
    rows = np.arange(24, dtype=np.int32)
    x, y = pad(scaled, rows, 7)
    batch = take(to_device([scaled], 7), rows, 7, Layout.of(network(case)))
    np.testing.assert_array_equal(batch.x, x)
    np.testing.assert_array_equal(batch.y, y)
    assert num_observed(scaled, rows) == np.sum(~np.isnan(y))


def test_rows_that_complete_a_batch_are_empty():
    case = CASES["numeric"]
    batch = take(to_device([sequences(case)], 7), np.array([5, -1]), 7, Layout.of(network(case)))
    assert np.isnan(batch.x[1]).all()
    assert np.isnan(batch.y[1]).all()
    assert batch.valid.tolist() == [1.0, 0.0]


def test_models_without_masks_get_zeros():
    case = CASES["numeric"]
    layout = Layout.of(network(case))._replace(reads_padding=False)
    batch = take(to_device([sequences(case)], 7), np.array([2, 7]), 7, layout)
    assert np.isfinite(batch.x).all()
    assert (np.asarray(batch.x)[0, 2:] == 0).all()
    assert np.isnan(batch.y[0, 2:]).all()
