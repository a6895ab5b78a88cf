"""Batches by length: each sequence once, with little padding and few shapes; padded arrays."""

import numpy as np
import pytest

from refold.errors import ParameterError
from refold.sequences import BucketedBatches, Column, Schema, Sequences, pad

NAN = np.nan


def draw_lognormal_lengths(n=5000):
    """Return lengths from 5 to 1000."""
    rng = np.random.default_rng(0)
    return np.clip(np.rint(np.exp(rng.normal(np.log(60), 1.0, n))), 5, 1000).astype(int)


def rows_of(run):
    """Return the rows of a run of batches without padding."""
    return run.indices[run.indices >= 0]


@pytest.mark.parametrize(
    ("lengths", "batch_size", "seed"), [([0, 0, 3], 2, None), (range(300), 8, 3)]
)
def test_every_sequence_occurs_once_per_epoch(lengths, batch_size, seed):
    lengths = np.array(lengths)
    batches = BucketedBatches(lengths, batch_size)
    rows = np.arange(len(lengths))[::2]
    runs = list(batches.iter_batch_runs(rows, seed=seed, epoch=2))
    assert sorted(np.concatenate([rows_of(run) for run in runs])) == list(rows)
    assert sum(run.num_batches for run in runs) == batches.count_batches(rows)
    for run in runs:
        assert run.indices.shape[1] == run.bucket.batch_size
        assert lengths[rows_of(run)].max() <= run.bucket.num_steps
        filled = run.indices.ravel() >= 0
        assert (filled[:-1] >= filled[1:]).all(), "filling comes last"


def test_the_order_depends_on_seed_and_epoch_within_and_between_shapes():
    batches = BucketedBatches(draw_lognormal_lengths(), 32)
    rows = np.arange(5000)

    def order(seed, epoch):
        runs = list(batches.iter_batch_runs(rows, seed=seed, epoch=epoch))
        return [run.bucket for run in runs], np.concatenate([rows_of(run) for run in runs])

    first = order(0, 1)
    assert np.array_equal(order(0, 1)[1], first[1])
    for buckets, rows_in_order in (order(0, 2), order(1, 1)):
        assert buckets != first[0]
        assert not np.array_equal(np.sort(rows_in_order[:100]), np.sort(first[1][:100]))


def test_batches_of_ragged_data_have_similar_numbers_of_steps():
    lengths = draw_lognormal_lengths(20_000)
    batches = BucketedBatches(lengths, 64)
    assert 1 < len(batches.buckets) <= 8
    runs = list(batches.iter_batch_runs(np.arange(len(lengths)), seed=0))
    num_padded_steps = sum((run.indices >= 0).sum() * run.bucket.num_steps for run in runs)
    assert num_padded_steps < 1.35 * lengths.sum()
    steps = [
        lengths[row].sum()
        for run in runs
        for row in run.indices[: run.num_batches]
        if (row >= 0).all()
    ]
    assert np.quantile(steps, [0.05, 0.95]) == pytest.approx(64 * lengths.mean(), rel=0.35)


def test_few_shapes():
    assert BucketedBatches(np.full(100, 9), 32).buckets == ((9, 32),)
    assert len(BucketedBatches(draw_lognormal_lengths(200), 32).buckets) == 1, "little data"
    lengths = np.repeat([10, 100], [700, 4000])
    assert len(BucketedBatches(lengths, 16).buckets) == 1, "saves less than its compilation costs"
    assert len(BucketedBatches(np.repeat(lengths, 2), 16).buckets) == 2


def test_each_process_has_its_columns_of_each_batch():
    rng = np.random.default_rng(0)
    lengths = rng.choice([5, 5, 60], 3000)
    offsets = np.array([0, 1200, 1210, 3000])
    batches = BucketedBatches(lengths, 16, partition_offsets=offsets)
    rows = np.flatnonzero(rng.random(3000) < 0.9)
    assert len(batches.buckets) == 2
    rows_of_epoch = []
    for run in batches.iter_batch_runs(rows, seed=0, epoch=1):
        for partition, columns in enumerate(np.split(run.indices, 3, axis=1)):
            column_rows = columns[columns >= 0]
            assert (np.searchsorted(offsets, column_rows, side="right") - 1 == partition).all()
            rows_of_epoch += column_rows.tolist()
    assert sorted(rows_of_epoch) == rows.tolist()


def test_padded_arrays_mark_missing_unknown_and_padded_values():
    columns = ("x", "numeric"), ("event", "categorical", ("a", "b")), ("on", "binary")
    schema = Schema(tuple(Column(*column) for column in columns))
    values = np.array([[1.5, 0, 1], [NAN, NAN, NAN], [2.5, 2, 0], [3.5, 1, NAN]])
    mixed = Sequences(values, [0, 3, 3, 4], schema=schema)
    x, y = pad(mixed, [2, 0, 1], 4)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x[1], [[1.5, 0, 1], [0, 2, 0], [2.5, 2, 0], [NAN] * 3])
    np.testing.assert_array_equal(y[1], [[1.5, 0, 1], [NAN] * 3, [2.5, NAN, 0], [NAN] * 3])
    np.testing.assert_array_equal(x[0, 0], [3.5, 1, 0])
    assert np.isnan(x[2]).all()
    x, _ = pad(mixed, [0], 4, has_flags=True)
    np.testing.assert_array_equal(x[0, :, 3:], [[1, 1, 1], [0, 0, 0], [1, 1, 1], [NAN] * 3])
    with pytest.raises(ParameterError, match="num_steps must be an integer of at least 3"):
        pad(mixed, [0, 1], 2)
