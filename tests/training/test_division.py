"""The division of data into parts of processes, and into blocks and shards."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences
from refold.training import Divided, Processes
from refold.training.data._division import Division
from refold.training.data._loaders import Loader

LENGTHS = np.random.default_rng(0).integers(1, 9, 101)


def sequences():
    values = np.arange(LENGTHS.sum(), dtype=np.float32)[:, None]
    found = Sequences(values, np.concatenate([[0], np.cumsum(LENGTHS)]))
    found.block_bytes = 100
    return found


def of_process(index, num_parts=4):
    divided = Divided.among(Processes(index, 2), sequences(), num_parts)
    return Division(divided.sequences, divided)


def test_data_in_memory_is_a_single_block():
    division = Division(sequences())
    assert division.offsets.tolist() == [0, 101]
    assert (division.num_shards, division.epochs_in_a_pass) == (1, 1)
    assert division.room == (LENGTHS.sum(), 101)


def test_processes_agree_on_shards_and_own_different_parts():
    first, second = of_process(0), of_process(1)
    assert first.part_offsets.tolist() == [0, 25, 50, 76, 101]
    assert set(first.part_offsets) <= set(first.offsets), "no block lies in two parts"
    assert [*first.own, *second.own] == list(range(len(first.offsets) - 1))
    assert first.room == second.room
    rows = []
    for one, other in zip(first.shards(5, 1), second.shards(5, 1), strict=True):
        np.testing.assert_array_equal(one, other)
        assert len(one) <= 16, "four blocks of each part"
        rows += first.members(one).tolist()
    assert sorted(rows) == list(range(101))


def test_a_process_loads_its_own_sequences_of_each_shard():
    used = np.ones(101, bool)
    used[::10] = False
    loaders = [
        Loader(sequences(), of_process(i), lambda block: block, used, longest=9, seed=5)
        for i in range(2)
    ]
    seen = []
    for shards in zip(*(loader.epoch(1) for loader in loaders), strict=True):
        np.testing.assert_array_equal(shards[0].rows, shards[1].rows)
        assert shards[0].data.values.shape == shards[1].data.values.shape
        for shard, index in zip(shards, range(2), strict=True):
            assert (shard.members < 50).all() == (index == 0)
            own = np.intersect1d(shard.rows, shard.members)
            for row, place in zip(own, shard.places(own), strict=True):
                start, length = int(shard.data.starts[place]), int(shard.data.lengths[place])
                assert length == LENGTHS[row]
                assert shard.data.values[start, 0] == LENGTHS[:row].sum()
            seen += own.tolist()
    assert sorted(seen) == np.flatnonzero(used).tolist()


def test_what_cannot_be_divided():
    with pytest.raises(DataError, match="101 sequences for 200 parts"):
        Divided.among(Processes(), sequences(), 200)
    with pytest.raises(ParameterError, match="3 parts cannot be divided among 2 processes"):
        Divided.among(Processes(0, 2), sequences(), 3)
