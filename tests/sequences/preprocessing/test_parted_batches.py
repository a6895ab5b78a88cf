"""Batches of sequences in parts: every sequence once, and its part's columns only."""

import numpy as np

from refold.sequences import PartedBatches


def test_each_epoch_has_each_sequence_once_in_the_columns_of_its_part():
    rng = np.random.default_rng(0)
    lengths = rng.choice([5, 5, 60], 3000)
    offsets = np.array([0, 1200, 1210, 3000])
    batches = PartedBatches(lengths, 16, part_offsets=offsets)
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
    batches = PartedBatches(np.full(50, 7), 4, part_offsets=np.array([0, 46, 50]))
    (run,) = batches.epoch(np.arange(50), seed=0)
    shares = (run.rows[: run.num_batches, 2:] >= 0).sum(axis=1)
    assert np.flatnonzero(shares).tolist() == [0, 11]
    assert batches.epochs_in_a_run(np.arange(50)) > 1
