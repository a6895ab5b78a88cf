"""The division of training data into shards, and loaders that read one shard at a time."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences
from refold.training._processes import Processes
from refold.training.data._padded_batches import Data, to_device
from refold.training.data._time_warps import random_delays, time_warped

# Blocks of each part per shard.
_BLOCKS = 4
# Time steps in an epoch: one takes about two minutes on two cores. A checkpoint is written between
# epochs, so this is what a killed training of large data loses.
_MAX_STEPS = 1 << 24
# Share of the series that an epoch does not warp.
_UNWARPED = 0.25


class Divided(NamedTuple):
    """Data that several processes train on, each on its parts, a range of sequences each."""

    sequences: Sequences  # all of them, in each process
    processes: Processes
    num_parts: int

    @classmethod
    def among(cls, processes: Processes, sequences: Sequences, num_parts: int | None) -> Self:
        """Divide sequences, by default into one part for each process."""
        num_parts = num_parts or processes.count
        if num_parts % processes.count:
            raise ParameterError(
                f"{num_parts} parts cannot be divided among {processes.count} processes. Use a "
                "multiple."
            )
        if len(sequences) < num_parts:
            raise DataError(
                f"There are {len(sequences)} sequences for {num_parts} parts. Use fewer processes."
            )
        return cls(sequences, processes, num_parts)


class Division:
    """Blocks of consecutive sequences, of which each epoch draws a few for each shard."""

    # Blocks, not single sequences, are shuffled between shards, so that reads of files are long.

    def __init__(self, sequences: Sequences, divided: Divided | None = None) -> None:
        count = 1 if divided is None else divided.num_parts
        # Part i holds the sequences part_offsets[i] to part_offsets[i + 1].
        self.part_offsets = np.round(np.linspace(0, len(sequences), count + 1)).astype(np.int64)
        # Data in memory of a single process is a single block.
        cut = divided is not None or sequences.is_mapped
        offsets: list[int] = []
        self.parts: list[np.ndarray] = []  # the blocks of each part
        for start, stop in pairwise(self.part_offsets.tolist()):
            begins = start + sequences.block(start, stop).block_offsets[:-1] if cut else [start]
            self.parts.append(np.arange(len(offsets), len(offsets) + len(begins)))
            offsets += list(begins)
        # Block i holds the sequences offsets[i] to offsets[i + 1].
        self.offsets = np.array([*offsets, len(sequences)], np.int64)
        self._steps = sequences.offsets[self.offsets]
        processes = Processes() if divided is None else divided.processes
        each = count // processes.count
        self._parts_of_process = [self.parts[i : i + each] for i in range(0, count, each)]
        self.own = np.concatenate(self._parts_of_process[processes.index])  # blocks
        self.num_shards = -(-max(map(len, self.parts)) // _BLOCKS)
        # Epochs in which all sequences are visited once.
        self.epochs_in_a_pass = max(1, min(self.num_shards, -(-int(self._steps[-1]) // _MAX_STEPS)))

    @property
    def room(self) -> tuple[int, int]:
        """The most steps and sequences of a shard in a process; all shards get this shape."""
        return self._largest(self._steps), self._largest(self.offsets)

    def _largest(self, ends: np.ndarray) -> int:
        sizes = np.diff(ends)
        return max(
            sum(int(np.sort(sizes[part])[-_BLOCKS:].sum()) for part in parts)
            for parts in self._parts_of_process
        )

    def shards(self, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the numbers of the blocks of each shard of an epoch, counted from 1."""
        number, turn = divmod(epoch - 1, self.epochs_in_a_pass)
        rng = np.random.default_rng([seed, number + 1, 0x9A6E])
        orders = [rng.permutation(part) for part in self.parts]
        first, last = (self.num_shards * (turn + i) // self.epochs_in_a_pass for i in range(2))
        return [
            np.concatenate([order[_BLOCKS * i : _BLOCKS * (i + 1)] for order in orders])
            for i in range(first, last)
        ]

    def members(self, blocks: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the indices of the sequences of some blocks."""
        none = np.zeros(0, np.int64)  # a part may have fewer blocks than others
        bounds = self.offsets.tolist()
        return np.concatenate([none, *(np.arange(bounds[i], bounds[i + 1]) for i in blocks)])


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


def _step_back() -> None:
    """Lower the priority of this thread."""
    # A training thread that must share its core delays all other training threads. When training
    # waits for a shard, the core is free.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Loader:
    """Shards of a few blocks each, drawn anew for every pass, with read-ahead."""

    # Data in memory has a single shard, which is kept.

    def __init__(
        self,
        sequences: Sequences,
        division: Division,
        scale: Callable[[Sequences], Sequences],
        used: np.ndarray,  # bool (n_sequences,), sequences to train on
        longest: int,  # steps of the longest batch
        seed: int,  # of the order of the blocks
    ) -> None:
        self._sequences, self._division, self._scale = sequences, division, scale
        self._used, self._longest, self._seed = used, longest, seed
        self.epochs_in_a_pass = division.epochs_in_a_pass
        self.same_each_epoch = division.num_shards == 1
        self._only: Shard | None = None
        # every shard gets the size of the largest possible one: one shape, compiled once
        self._room = division.room
        self._reader = ThreadPoolExecutor(1, "refold-read", initializer=_step_back)

    def epoch(self, number: int) -> Iterator[Shard]:
        """Yield the shards of an epoch, counted from 1; the next one is read in the background."""
        first, *others = self._division.shards(self._seed, number)
        if self.same_each_epoch:
            self._only = self._only or self._read(np.sort(first))
            yield self._only
            return
        ahead = self._reader.submit(self._read, first)
        for blocks in others:
            shard = ahead.result()
            ahead = self._reader.submit(self._read, blocks)
            yield shard
        yield ahead.result()

    def _read(self, blocks: np.ndarray) -> Shard:
        # the rows of a shard are those of all parts, its data and members those of this process
        division = self._division
        rows, own = division.members(blocks), blocks[np.isin(blocks, division.own)]
        none = Sequences(np.zeros((0, self._sequences.schema.num_columns)), np.zeros(1, np.int64))
        scaled = (self._scaled(number) for number in own) if len(own) else [none]
        data = to_device(scaled, self._longest, room=self._room)
        rows = np.sort(rows[self._used[rows]])
        whole = len(division.offsets) == 2
        return Shard(data, rows, None if whole else division.members(own))

    def _scaled(self, number: int) -> Sequences:
        bounds = self._division.offsets[number : number + 2]
        scaled = self._scale(self._sequences.block(*bounds))
        self._sequences.release(*bounds)
        return scaled


class WarpingLoader:
    """Shards of another loader, with new time warps of three quarters of their series."""

    same_each_epoch = False

    # `warp` is the standard deviation of the delay of a step, in steps.

    def __init__(self, loader: Loader, warp: float, *, seed: int) -> None:
        self._loader, self._warp, self._seed = loader, warp, seed
        self.epochs_in_a_pass = loader.epochs_in_a_pass

    def epoch(self, number: int) -> Iterator[Shard]:
        """Yield the shards of an epoch, counted from 1, with the warps of that epoch."""
        for index, shard in enumerate(self._loader.epoch(number)):
            rng = np.random.default_rng([self._seed, number, index, 0x3A4B])
            values, starts, lengths = np.array(shard.data.values), *map(np.asarray, shard.data[1:])
            steps = np.arange(max(1, int(lengths.max(initial=1))))
            delays = self._warp * random_delays(lengths, len(steps), rng)
            delays[rng.random(len(delays)) < _UNWARPED] = 0.0
            within = steps < lengths[:, None]
            at = np.where(within, starts[:, None] + steps, 0)
            values[at[within]] = time_warped(values[at], lengths, delays)[within]
            data = Data(jnp.asarray(values, values.dtype), shard.data.starts, shard.data.lengths)
            yield Shard(data, shard.rows, shard.members)


class SplitData(NamedTuple):
    """Training and validation data of one phase."""

    shards: Loader | WarpingLoader
    held_out: Shard | None
    num_sequences: int  # to train on
    num_observed: int  # targets of these
