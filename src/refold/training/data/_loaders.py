"""Loaders that give training one shard at a time: all data in memory, or blocks of files."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold.sequences import PartedScan, Scan, Sequences
from refold.training.data._padded_batches import Data, to_device
from refold.training.data._time_warps import random_delays, time_warped

# Blocks per shard.
_BLOCKS = 4
# Time steps in an epoch: one takes about two minutes on two cores. A checkpoint is written between
# epochs, so this is what a killed training of large data loses.
_MAX_STEPS = 1 << 24
# Share of the series that an epoch does not warp.
_UNWARPED = 0.25


class Shard(NamedTuple):
    """Sequences on the device."""

    data: Data
    rows: np.ndarray  # indices, in the whole data set, of the sequences to use, ascending
    members: np.ndarray | None = None  # those of all in `data`, in order; by default 0, 1, 2, ...

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Return the positions of rows in ``data``; -1 stays -1."""
        if self.members is None:
            return rows
        if not len(self.members):  # of a process whose part has ended
            return np.full(rows.shape, -1, np.int32)
        order = np.argsort(self.members, kind="stable")
        found = order[np.searchsorted(self.members, np.maximum(rows, 0), sorter=order) % len(order)]
        return np.where(rows >= 0, found, -1).astype(np.int32)


class InMemoryLoader:
    """A single shard that holds all data."""

    epochs_in_a_pass = 1  # epochs in which all sequences are visited once
    same_each_epoch = True

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def epoch(self, number: int) -> Iterator[Shard]:  # noqa: ARG002
        """Yield the shard."""
        yield self._shard


class StreamingLoader:
    """Shards of a few blocks each, drawn anew for every pass, with read-ahead."""

    def __init__(
        self,
        scan: Scan,
        scale: Callable[[Sequences], Sequences],
        used: np.ndarray,  # bool (n_sequences,), sequences to train on
        longest: int,  # steps of the longest batch
        seed: int,  # of the order of the blocks
    ) -> None:
        self._scan, self._scale, self._used = scan, scale, used
        self._longest, self._seed = longest, seed
        self.epochs_in_a_pass = epochs_in_a_pass(scan)
        self.same_each_epoch = _num_shards(scan) == 1
        # every shard gets the size of the largest possible one: one shape, compiled once
        bounds = scan.block_offsets
        ends = offsets_from_lengths(scan.lengths)[bounds]
        self._room = self._largest(ends), self._largest(bounds)
        self._reader = ThreadPoolExecutor(1, "refold-read", initializer=_step_back)

    def epoch(self, number: int) -> Iterator[Shard]:
        """Yield the shards of an epoch, counted from 1; the next one is read in the background."""
        first, *others = _blocks_of_shards(self._scan, self._seed, number)
        ahead = self._reader.submit(self._read, first)
        for blocks in others:
            shard = ahead.result()
            ahead = self._reader.submit(self._read, blocks)
            yield shard
        yield ahead.result()

    def _largest(self, ends: np.ndarray) -> int:
        """Return the largest size of a shard, from the ends of the blocks."""
        return int(np.sort(np.diff(ends))[-_BLOCKS:].sum())

    def _read(self, blocks: np.ndarray) -> Shard:
        members = _members(self._scan, blocks)
        scaled = (self._scale(self._scan.block(int(i))) for i in blocks)
        data = to_device(scaled, self._longest, room=self._room)
        return Shard(data, np.sort(members[self._used[members]]), members)


class PartedLoader(StreamingLoader):
    """Shards of a few blocks of each part of the files, of which a process reads its own."""

    def __init__(
        self,
        scan: PartedScan,
        scale: Callable[[Sequences], Sequences],
        used: np.ndarray,
        longest: int,
        seed: int,
    ) -> None:
        super().__init__(scan, scale, used, longest, seed)
        self._parts = scan
        # all processes need the same room
        ends = offsets_from_lengths(scan.lengths)[scan.block_offsets]
        count = scan.processes.count
        self._room = (
            self._of_parts(scan, ends, count),
            self._of_parts(scan, scan.block_offsets, count),
        )

    def _of_parts(self, scan: PartedScan, ends: np.ndarray, count: int) -> int:
        blocks = map(scan.blocks_of_part, range(scan.num_parts))
        parts = [np.sort(np.diff(ends)[part])[-_BLOCKS:].sum() for part in blocks]
        return int(np.reshape(parts, (count, -1)).sum(axis=1).max())

    def _read(self, blocks: np.ndarray) -> Shard:
        scan = self._parts
        own = np.concatenate([np.zeros(0, int), *map(scan.blocks_of_part, scan.own)])
        # the rows of a shard are those of all parts, its data and members those of this process
        rows, mine = _members(scan, blocks), blocks[np.isin(blocks, own)]
        scaled = [self._scale(scan.block(int(i))) for i in mine]
        none = Sequences(np.zeros((0, scan.schema.num_columns)), np.zeros(1, np.int64))
        data = to_device(scaled or [none], self._longest, room=self._room)
        return Shard(data, np.sort(rows[self._used[rows]]), _members(scan, mine))


class WarpingLoader:
    """Shards of another loader, with new time warps of three quarters of their series."""

    same_each_epoch = False

    def __init__(
        self,
        loader: "InMemoryLoader | StreamingLoader | WarpingLoader",
        warp: float,  # standard deviation of the delay of a step, in steps
        *,
        seed: int,
    ) -> None:
        self._loader, self._warp, self._seed = loader, warp, seed
        self.epochs_in_a_pass = loader.epochs_in_a_pass

    def epoch(self, number: int) -> Iterator[Shard]:
        """Yield the shards of an epoch, counted from 1, with the warps of that epoch."""
        for index, shard in enumerate(self._loader.epoch(number)):
            yield self._warped(shard, np.random.default_rng([self._seed, number, index, 0x3A4B]))

    def _warped(self, shard: Shard, rng: np.random.Generator) -> Shard:
        values, starts, lengths = np.array(shard.data.values), *map(np.asarray, shard.data[1:])
        steps = np.arange(max(1, int(lengths.max(initial=1))))
        delays = self._warp * random_delays(lengths, len(steps), rng)
        delays[rng.random(len(delays)) < _UNWARPED] = 0.0
        within = steps < lengths[:, None]
        at = np.where(within, starts[:, None] + steps, 0)
        values[at[within]] = time_warped(values[at], lengths, delays)[within]
        return shard._replace(data=shard.data._replace(values=jnp.asarray(values, values.dtype)))


class SplitData(NamedTuple):
    """Training and validation data of one phase."""

    shards: InMemoryLoader | StreamingLoader | WarpingLoader
    held_out: Shard | None
    num_sequences: int  # to train on
    num_observed: int  # targets of these


def members_of_shards(scan: Scan, seed: int, epoch: int = 1) -> list[np.ndarray]:
    """Return the indices of the sequences in each shard of an epoch of `StreamingLoader`."""
    return [_members(scan, chosen) for chosen in _blocks_of_shards(scan, seed, epoch)]


def epochs_in_a_pass(scan: Scan) -> int:
    """Return the number of epochs in which all sequences are visited once."""
    return max(1, min(_num_shards(scan), -(-int(scan.lengths.sum()) // _MAX_STEPS)))


def _num_shards(scan: Scan) -> int:
    """Return the number of shards of all blocks."""
    if isinstance(scan, PartedScan):
        return -(-max(len(scan.blocks_of_part(i)) for i in range(scan.num_parts)) // _BLOCKS)
    return -(-scan.num_blocks // _BLOCKS)


def _blocks_of_shards(scan: Scan, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the numbers of the blocks of each shard of an epoch."""
    # blocks, not single sequences, are shuffled between shards, so that reads of files are long
    num_epochs, num_shards = epochs_in_a_pass(scan), _num_shards(scan)
    number, part = divmod(epoch - 1, num_epochs)
    rng = np.random.default_rng([seed, number + 1, 0x9A6E])
    if isinstance(scan, PartedScan):
        orders = [rng.permutation(scan.blocks_of_part(i)) for i in range(scan.num_parts)]
    else:
        orders = [rng.permutation(scan.num_blocks)]
    return [
        np.concatenate([order[_BLOCKS * i : _BLOCKS * (i + 1)] for order in orders])
        for i in range(num_shards * part // num_epochs, num_shards * (part + 1) // num_epochs)
    ]


def _members(scan: Scan, blocks: np.ndarray) -> np.ndarray:
    bounds = scan.block_offsets
    none = np.zeros(0, np.int64)  # a part may have fewer blocks than others
    return np.concatenate([none, *(np.arange(int(bounds[i]), int(bounds[i + 1])) for i in blocks)])


def _step_back() -> None:
    """Lower the priority of this thread."""
    # A training thread that must share its core delays all other training threads. When training
    # waits for a shard, the core is free.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def shard_of(scaled: Sequences, members: Any, longest: int) -> Shard:
    """Put chosen scaled sequences, which have these indices (n,) in all data, into a shard."""
    members = np.asarray(members)
    return Shard(to_device([scaled], longest), np.sort(members), members)
