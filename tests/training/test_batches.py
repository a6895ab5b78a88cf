"""The order of an epoch and the validation split."""

import numpy as np
import pytest

from refold.errors import ParameterError
from refold.training import num_batches, pick_batch_size, pick_max_epochs, validation_split
from refold.training._batches import epoch_order


@pytest.mark.parametrize(("n", "size"), [(1, 4), (7, 3), (8, 4), (100, 32)])
def test_every_sequence_once_an_epoch(n, size):
    order = epoch_order(n, size, seed=3, epoch=2)
    assert order.shape == (num_batches(n, size), size)
    assert sorted(order[order >= 0]) == list(range(n))
    assert (order.ravel()[:n] >= 0).all()


def test_order_is_of_seed_and_epoch():
    orders = [epoch_order(50, 10, seed=s, epoch=e) for s, e in [(0, 1), (0, 2), (1, 1), (0, 1)]]
    assert np.array_equal(orders[0], orders[3])
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


@pytest.mark.parametrize("n", [2, 5, 30, 1000])
def test_split_is_a_partition_spread_over_lengths(n):
    lengths = np.sort(np.random.default_rng(0).integers(0, 300, n))
    training, validation = validation_split(lengths, 0.2, seed=1)
    assert sorted([*training, *validation]) == list(range(n))
    assert len(validation) == max(1, round(0.2 * n))
    if n == 1000:
        quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
        assert np.allclose(np.quantile(lengths[validation], [0.25, 0.5, 0.75]), quartiles, atol=6)


def test_split_is_never_the_tail():
    _, validation = validation_split(np.full(100, 7), 0.2, seed=0)
    assert np.ptp(validation) > 50
    _, other = validation_split(np.full(100, 7), 0.2, seed=1)
    assert not np.array_equal(validation, other)


def test_no_fraction_no_validation():
    training, validation = validation_split(np.arange(4), 0, seed=0)
    assert len(training) == 4
    assert len(validation) == 0


def test_too_few_to_split():
    with pytest.raises(ParameterError, match=r"validation_fraction=0.1 of 1 sequence leaves"):
        validation_split(np.array([5]), 0.1, seed=0)
    with pytest.raises(ParameterError, match=r"validation_fraction=0.9 of 4 sequences leaves"):
        validation_split(np.arange(4), 0.9, seed=0)


def test_sizes_follow_the_data():
    assert [pick_batch_size(n) for n in (1, 100, 500, 2000, 10**6)] == sorted(
        pick_batch_size(n) for n in (1, 100, 500, 2000, 10**6)
    )
    assert pick_max_epochs(1) >= pick_max_epochs(50) >= pick_max_epochs(10**5) >= 1
