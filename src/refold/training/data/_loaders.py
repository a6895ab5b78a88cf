"""Loaders that give training one shard at a time: all data in memory, or some blocks of it."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from refold.sequences import Sequences
from refold.training.data._division import Division
from refold.training.data._padded_batches import Data, to_device
from refold.training.data._time_warps import random_delays, time_warped

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

    def __init__(
        self,
        loader: "Loader | WarpingLoader",
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
        data = Data(jnp.asarray(values, values.dtype), shard.data.starts, shard.data.lengths)
        return Shard(data, shard.rows, shard.members)


class SplitData(NamedTuple):
    """Training and validation data of one phase."""

    shards: Loader | WarpingLoader
    held_out: Shard | None
    num_sequences: int  # to train on
    num_observed: int  # targets of these


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
