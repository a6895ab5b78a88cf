"""Batches by length: each sequence once, with little padding and few shapes; padded arrays."""

import itertools

import numpy as np
import pytest

from refold.errors import ParameterError
from refold.sequences import Batches, Column, Schema, Sequences, pad
from refold.sequences import _batches as module


def lognormal(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(np.exp(rng.normal(np.log(60), 1.0, n))), 5, 1000).astype(int)


def rows_of(run):
    return run.rows[run.rows >= 0]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(
    ("lengths", "size"), [([4], 4), ([7] * 7, 3), ([0, 0, 3], 2), (range(300), 8)]
)
def test_every_sequence_occurs_once_per_epoch(lengths, size, seed):
    lengths = np.array(lengths)
    batches = Batches(lengths, size)
    rows = np.arange(len(lengths))[::2]
    runs = list(batches.epoch(rows, seed=seed, epoch=2))
    assert sorted(np.concatenate([rows_of(run) for run in runs])) == list(rows)
    assert sum(run.num_batches for run in runs) == batches.num_batches(rows)
    for run in runs:
        assert run.rows.shape[1] == run.bucket.batch_size
        assert lengths[rows_of(run)].max() <= run.bucket.num_steps
        full, rest = run.rows[: run.num_batches].ravel(), run.rows[run.num_batches :]
        assert (full[: len(rows_of(run))] >= 0).all(), "filling comes last"
        assert (rest == -1).all()


def test_the_order_depends_on_seed_and_epoch_within_and_between_shapes():
    batches = Batches(lognormal(), 32)
    rows = np.arange(5000)

    def order(seed, epoch):
        runs = list(batches.epoch(rows, seed=seed, epoch=epoch))
        return [run.bucket for run in runs], np.concatenate([rows_of(run) for run in runs])

    first = order(0, 1)
    assert np.array_equal(order(0, 1)[1], first[1])
    for other in (order(0, 2), order(1, 1)):
        assert other[0] != first[0]
        assert not np.array_equal(np.sort(other[1][:100]), np.sort(first[1][:100]))
    assert first[0] != sorted(first[0])


def test_batches_of_ragged_data_have_similar_numbers_of_steps():
    lengths = lognormal(20_000)
    batches = Batches(lengths, 64)
    assert 1 < len(batches.buckets) <= 8
    assert batches.padding() < 0.35
    assert 1000 * len(lengths) / lengths.sum() - 1 > 8, "what padding to the longest would cost"
    steps = [
        lengths[chosen].sum()
        for run in batches.epoch(np.arange(len(lengths)), seed=0)
        for chosen in (row[row >= 0] for row in run.rows[: run.num_batches])
        if len(chosen) == run.bucket.batch_size
    ]
    assert np.quantile(steps, [0.05, 0.95]) == pytest.approx(64 * lengths.mean(), rel=0.35)


def test_few_shapes():
    lengths = np.repeat([10, 100], [700, 4000])
    batches = Batches(np.full(100, 9), 32)
    assert batches.buckets == ((9, 32),)
    assert batches.of_one_length
    assert not Batches(np.array([0, 1]), 2).of_one_length
    assert Batches(np.zeros(5, int), 2).buckets[0].num_steps == 1
    assert len(Batches(lognormal(200), 32).buckets) == 1, "little data"
    assert len(Batches(lengths, 16).buckets) == 1, "saves less than its compilation costs"
    assert len(Batches(np.repeat(lengths, 2), 16).buckets) == 2
    similar = np.repeat([10, 11, 100], [2000, 2000, 400])
    assert [bucket.num_steps for bucket in Batches(similar, 16).buckets] == [11, 100]
    assert [bucket.num_steps for bucket in Batches(lognormal(), 64, 1234).buckets] == [1234]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_the_edges_minimize_padding(most, monkeypatch):
    monkeypatch.setattr(module, "_PADDING", -1.0)
    monkeypatch.setattr(module, "_MIN_SAVED", 0)
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 12, 40)
        longest = lengths.max()

        def padded(edges, lengths=lengths):
            return sum(edges[np.searchsorted(edges, length)] for length in lengths)

        least = min(
            padded([*sorted(others), longest])
            for others in itertools.combinations(range(1, longest), min(most, longest) - 1)
        )
        assert padded(module._edges(lengths, most)) == least


# Data of several processes


def test_each_epoch_has_each_sequence_once_in_the_columns_of_its_part():
    rng = np.random.default_rng(0)
    lengths = rng.choice([5, 5, 60], 3000)
    offsets = np.array([0, 1200, 1210, 3000])
    batches = Batches(lengths, 16, part_offsets=offsets)
    rows = np.flatnonzero(rng.random(3000) < 0.9)
    assert len(batches.buckets) == 2
    seen, count = [], 0
    for run in batches.epoch(rows, seed=0, epoch=1):
        count += run.num_batches
        for part, columns in enumerate(np.split(run.rows, 3, axis=1)):
            found = columns[columns >= 0]
            assert (np.searchsorted(offsets, found, side="right") - 1 == part).all()
            assert (lengths[found] <= run.bucket.num_steps).all()
            seen += found.tolist()
    assert sorted(seen) == rows.tolist()
    assert count == batches.num_batches(rows)


def test_a_small_part_is_spread_over_the_epoch():
    batches = Batches(np.full(50, 7), 4, part_offsets=np.array([0, 46, 50]))
    (run,) = batches.epoch(np.arange(50), seed=0)
    shares = (run.rows[: run.num_batches, 2:] >= 0).sum(axis=1)
    assert np.flatnonzero(shares).tolist() == [0, 11]


# Padding

NAN = np.nan


def test_padded_arrays_mark_missing_unknown_and_padded_values():
    columns = ("x", "numeric"), ("event", "categorical", ("a", "b")), ("on", "binary")
    schema = Schema(tuple(Column(*column) for column in columns))
    values = np.array([[1.5, 0, 1], [NAN, NAN, NAN], [2.5, 2, 0], [3.5, 1, NAN]])
    mixed = Sequences(values.copy(), [0, 3, 3, 4], schema=schema)
    x, y = pad(mixed, [2, 0, 1], 4)
    assert x.shape == y.shape == (3, 4, 3)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x[1], [[1.5, 0, 1], [0, 2, 0], [2.5, 2, 0], [NAN] * 3])
    np.testing.assert_array_equal(y[1], [[1.5, 0, 1], [NAN] * 3, [2.5, NAN, 0], [NAN] * 3])
    np.testing.assert_array_equal(x[0, 0], [3.5, 1, 0])
    assert np.isnan(x[2]).all()
    assert np.isnan(y[2]).all()
    x, _ = pad(mixed, [0], 4, flags=True)
    np.testing.assert_array_equal(x[0, :, 3:], [[1, 1, 1], [0, 0, 0], [1, 1, 1], [NAN] * 3])
    assert np.isfinite(x[0, :3]).all()
    x[:] = y[:] = 9
    np.testing.assert_array_equal(mixed.values, values)
    with pytest.raises(ParameterError, match="num_steps must be an integer of at least 3"):
        pad(mixed, [0, 1], 2)
    with pytest.raises(ParameterError, match="num_steps must be a positive integer"):
        pad(mixed, [1], 0)
