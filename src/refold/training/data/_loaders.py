"""Loaders that give training one shard at a time: all data in memory, or blocks of files."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold.sequences import PartedScan, Scan, Sequences
from refold.training.data._padded_batches import Data, to_device
from refold.training.data._time_warps import random_delays, time_warped

# Blocks per shard.
_BLOCKS = 4
# Share of the series that an epoch does not warp.
_UNWARPED = 0.25


class Shard(NamedTuple):
    """Sequences on the device.

    Attributes
    ----------
    data : Data
        Concatenated sequences.
    rows : array of int
        Indices, in the whole data set, of the sequences to use, ascending.
    members : array of int, optional
        Indices, in the whole data set, of all sequences in ``data``; by default 0, 1, 2, ...
    """

    data: Data
    rows: np.ndarray
    members: np.ndarray | None = None

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
    """A single shard that holds all data.

    Parameters
    ----------
    shard : Shard
        All training data.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> shard = shard_of(as_sequences([[[1.0], [2.0]], [[3.0]]]), [0, 1], longest=2)
    >>> loader = InMemoryLoader(shard)
    >>> loader.num_shards, loader.load(1, 0).rows
    (1, array([0, 1]))
    """

    num_shards = 1
    same_each_epoch = True

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def load(self, epoch: int, index: int) -> Shard:  # noqa: ARG002
        """Return the shard."""
        return self._shard

    def read_ahead(self, epoch: int, index: int) -> None:
        """Do nothing: the shard is in memory."""


class StreamingLoader:
    """Shards of a few blocks each, drawn anew for every epoch, with read-ahead.

    Blocks, not single sequences, are shuffled between shards, so that reads from the files are
    long. Two shards are in memory, in addition to the memory to read a block.

    Parameters
    ----------
    scan : Scan
        Files to read from.
    scale : callable
        Scales sequences.
    used : array of bool of shape (n_sequences,)
        Sequences to train on.
    longest : int
        Number of steps of the longest batch.
    seed : int
        Seed of the order of the blocks.
    """

    def __init__(
        self,
        scan: Scan,
        scale: Callable[[Sequences], Sequences],
        used: np.ndarray,
        longest: int,
        seed: int,
    ) -> None:
        self._scan, self._scale, self._used = scan, scale, used
        self._longest, self._seed = longest, seed
        self._blocks = min(_BLOCKS, scan.num_blocks)
        self.num_shards = -(-scan.num_blocks // self._blocks)
        self.same_each_epoch = self.num_shards == 1
        # every shard gets the size of the largest possible one: one shape, compiled once
        bounds = scan.block_offsets
        ends = offsets_from_lengths(scan.lengths)[bounds]
        self._room = self._largest(ends), self._largest(bounds)
        self._reader = ThreadPoolExecutor(1, "refold-read", initializer=_step_back)
        self._next: tuple[tuple[int, int], Future[Shard]] | None = None

    def load(self, epoch: int, index: int) -> Shard:
        """Return a shard, which may have been read ahead."""
        ahead, self._next = self._next, None
        if ahead is not None and ahead[0] == (epoch, index):
            return ahead[1].result()
        return self._read(epoch, index)

    def read_ahead(self, epoch: int, index: int) -> None:
        """Start to read the shard after this one, or the first one of the next epoch."""
        after = (epoch, index + 1) if index + 1 < self.num_shards else (epoch + 1, 0)
        if self.num_shards > 1:
            self._next = after, self._reader.submit(self._read, *after)

    def _largest(self, ends: np.ndarray) -> int:
        """Return the largest size of a shard, from the ends of the blocks."""
        return int(np.sort(np.diff(ends))[-self._blocks :].sum())

    def _read(self, epoch: int, index: int) -> Shard:
        chosen = _blocks_of_shards(self._scan, self._seed, epoch)[index]
        members = _members(self._scan, chosen)
        scaled = (self._scale(self._scan.block(int(i))) for i in chosen)
        data = to_device(scaled, self._longest, room=self._room)
        return Shard(data, np.sort(members[self._used[members]]), members)


class PartedLoader(StreamingLoader):
    """Shards of a few blocks of each part of the files, of which a process reads its own.

    The rows of a shard are those of all parts, its data and members those of this process.

    Parameters
    ----------
    scan : PartedScan
        Files to read from.
    scale, used, longest, seed
        As for `StreamingLoader`.

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import noisy_sines
    >>> from refold.sequences import scan_parts, write
    >>> from refold.training import Processes
    >>> path = tempfile.mkdtemp() + "/sines.parquet"
    >>> write(noisy_sines(8, seed=0), path)
    >>> parts = scan_parts(path, Processes(), num_parts=2)
    >>> loader = PartedLoader(parts, lambda block: block, np.full(8, True), 100, seed=0)
    >>> loader.num_shards, len(loader.load(1, 0).rows)
    (1, 8)
    """

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
        self.num_shards = len(_blocks_of_shards(scan, seed, 1))
        self.same_each_epoch = self.num_shards == 1
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

    def _read(self, epoch: int, index: int) -> Shard:
        scan = self._parts
        chosen = _blocks_of_shards(scan, self._seed, epoch)[index]
        own = np.concatenate([np.zeros(0, int), *map(scan.blocks_of_part, scan.own)])
        rows, mine = _members(scan, chosen), chosen[np.isin(chosen, own)]
        scaled = [self._scale(scan.block(int(i))) for i in mine]
        none = Sequences(np.zeros((0, scan.schema.num_columns)), np.zeros(1, np.int64))
        data = to_device(scaled or [none], self._longest, room=self._room)
        return Shard(data, np.sort(rows[self._used[rows]]), _members(scan, mine))


class WarpingLoader:
    """Shards of another loader, with new time warps of three quarters of their series.

    Parameters
    ----------
    loader : InMemoryLoader or StreamingLoader
        Loader of data with numeric columns.
    warp : float
        Standard deviation of the delay of a step, in steps.
    seed : int
        Seed of the warps. Those of an epoch do not depend on other epochs.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> shard = shard_of(as_sequences([np.arange(20.0)] * 2), [0, 1], longest=20)
    >>> loader = WarpingLoader(InMemoryLoader(shard), 1.0, seed=0)
    >>> first, second = (loader.load(epoch, 0).data.values[:20, 0] for epoch in (1, 2))
    >>> bool((first == second).all())
    False
    """

    same_each_epoch = False

    def __init__(
        self, loader: "InMemoryLoader | StreamingLoader | WarpingLoader", warp: float, *, seed: int
    ) -> None:
        self._loader, self._warp, self._seed = loader, warp, seed
        self.num_shards, self.read_ahead = loader.num_shards, loader.read_ahead

    def load(self, epoch: int, index: int) -> Shard:
        """Return a shard with the warps of an epoch."""
        shard = self._loader.load(epoch, index)
        values, starts, lengths = np.array(shard.data.values), *map(np.asarray, shard.data[1:])
        steps = np.arange(max(1, int(lengths.max(initial=1))))
        rng = np.random.default_rng([self._seed, epoch, index, 0x3A4B])
        delays = self._warp * random_delays(lengths, len(steps), rng)
        delays[rng.random(len(delays)) < _UNWARPED] = 0.0
        within = steps < lengths[:, None]
        at = np.where(within, starts[:, None] + steps, 0)
        values[at[within]] = time_warped(values[at], lengths, delays)[within]
        return shard._replace(data=shard.data._replace(values=jnp.asarray(values, values.dtype)))


class SplitData(NamedTuple):
    """Training and validation data of one phase.

    Attributes
    ----------
    shards : InMemoryLoader, StreamingLoader or WarpingLoader
        Loader of the training data.
    held_out : Shard or None
        Sequences to validate on.
    num_sequences, num_observed : int
        Number of training sequences, and of their observed targets.
    """

    shards: InMemoryLoader | StreamingLoader | WarpingLoader
    held_out: Shard | None
    num_sequences: int
    num_observed: int


def members_of_shards(scan: Scan, seed: int, epoch: int = 1) -> list[np.ndarray]:
    """Return the indices of the sequences in each shard of an epoch of `StreamingLoader`.

    Parameters
    ----------
    scan : Scan
        Files to read from.
    seed : int
        Seed of the order of the blocks.
    epoch : int
        Number of the epoch, from 1 on.

    Returns
    -------
    list of array of int

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import noisy_sines
    >>> from refold.sequences import scan, write
    >>> path = tempfile.mkdtemp() + "/sines.parquet"
    >>> write(noisy_sines(8, seed=0), path)
    >>> [sorted(members.tolist()) for members in members_of_shards(scan(path), seed=0)]
    [[0, 1, 2, 3, 4, 5, 6, 7]]
    """
    return [_members(scan, chosen) for chosen in _blocks_of_shards(scan, seed, epoch)]


def _blocks_of_shards(scan: Scan, seed: int, epoch: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, epoch, 0x9A6E])
    if isinstance(scan, PartedScan):
        parts = [rng.permutation(scan.blocks_of_part(i)) for i in range(scan.num_parts)]
        longest = max(map(len, parts))
        return [
            np.concatenate([part[first : first + _BLOCKS] for part in parts])
            for first in range(0, longest, _BLOCKS)
        ]
    order = rng.permutation(scan.num_blocks)
    return [order[first : first + _BLOCKS] for first in range(0, scan.num_blocks, _BLOCKS)]


def _members(scan: Scan, blocks: np.ndarray) -> np.ndarray:
    bounds = scan.block_offsets
    none = np.zeros(0, np.int64)  # a part may have fewer blocks than others
    return np.concatenate([none, *(np.arange(int(bounds[i]), int(bounds[i + 1])) for i in blocks)])


def _step_back() -> None:
    """Lower the priority of this thread.

    A training thread that must share its core delays all other training threads. When training
    waits for a shard, the core is free.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def shard_of(scaled: Sequences, members: Any, longest: int) -> Shard:
    """Put chosen sequences into a shard.

    Parameters
    ----------
    scaled : Sequences
        The chosen sequences, scaled.
    members : array of int
        Their indices in the whole data set.
    longest : int
        Number of steps of the longest batch.

    Returns
    -------
    Shard

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> shard = shard_of(as_sequences([[[1.0], [2.0]], [[3.0]]]), [7, 4], longest=2)
    >>> shard.rows, shard.places(shard.rows)
    (array([4, 7]), array([1, 0], dtype=int32))
    """
    members = np.asarray(members)
    return Shard(to_device([scaled], longest), np.sort(members), members)
