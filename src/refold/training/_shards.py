"""Shards of training data on the device, and padded batches that compiled steps cut from them."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from refold.arguments import Corruption
from refold.errors import DataError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import Batches, Sequences, input_and_target, sums_by_sequence
from refold.sequences.types import COLUMN_TYPES, number_mask
from refold.training._processes import Processes
from refold.training._time_warps import randomly_warped

# Blocks of each part per shard.
_BLOCKS = 4
# Time steps in an epoch: one takes about two minutes on two cores. A checkpoint is written between
# epochs, so this is what a killed training of large data loses.
_MAX_STEPS = 1 << 24


class Data(NamedTuple):
    """Sequences on the device, one after another; memory grows with the real steps only."""

    # float32 (n_steps + room, n_features): scaled, NaN where missing, the category's index in
    # categorical columns. Room for the longest batch at the end lets every sequence be cut out.
    values: Any
    starts: Any  # int32 (n_sequences,), first step of each sequence
    lengths: Any  # int32 (n_sequences,)


def to_device(
    scaled: Iterable[Sequences],
    longest: int,  # steps of the longest batch
    *,
    room: tuple[int, int] | None = None,  # steps and sequences to allocate; by default all
) -> Data:
    """Concatenate sets of scaled sequences on the device."""
    parts = iter(scaled)
    if room is None:
        parts = list(parts)
        room = sum(len(part.values) for part in parts), sum(len(part) for part in parts)
    values, starts, lengths = None, np.zeros(room[1], np.int32), np.zeros(room[1], np.int32)
    num_steps = num_sequences = 0
    for part in parts:
        if values is None:
            values = np.full((room[0] + longest, part.values.shape[1]), np.nan, np.float32)
        values[num_steps : num_steps + len(part.values)] = part.values
        here = slice(num_sequences, num_sequences + len(part))
        starts[here] = num_steps + part.offsets[:-1]
        lengths[here] = part.lengths
        num_steps, num_sequences = num_steps + len(part.values), here.stop
    # without a type, recent versions of JAX compile a copy for each shape
    return Data(*(jnp.asarray(array, array.dtype) for array in (values, starts, lengths)))


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


class Source:
    """The training data of a fit: blocks of consecutive sequences, in one process or in several."""

    # Each epoch draws a few blocks for each shard. Blocks, not single sequences, are shuffled
    # between shards, so that reads of files are long. Data in memory of a single process is a
    # single block.

    def __init__(self, sequences: Sequences, divided: Divided | None = None) -> None:
        self.sequences = sequences
        self.processes = processes = Processes() if divided is None else divided.processes
        count = 1 if divided is None else divided.num_parts
        # Whether this process has all values in memory, and trains on all of them.
        self.in_memory = divided is None and not sequences.is_mapped
        # Part i holds the sequences part_offsets[i] to part_offsets[i + 1].
        self.part_offsets = np.round(np.linspace(0, len(sequences), count + 1)).astype(np.int64)
        offsets: list[int] = []
        self.parts: list[np.ndarray] = []  # the blocks of each part
        for start, stop in pairwise(self.part_offsets.tolist()):
            begins = [start]
            if not self.in_memory:
                begins = start + sequences.block(start, stop).block_offsets[:-1]
            self.parts.append(np.arange(len(offsets), len(offsets) + len(begins)))
            offsets += list(begins)
        # Block i holds the sequences offsets[i] to offsets[i + 1].
        self.offsets = np.array([*offsets, len(sequences)], np.int64)
        self._steps = sequences.offsets[self.offsets]
        each = count // processes.count
        self._parts_of_process = [self.parts[i : i + each] for i in range(0, count, each)]
        self.own = np.concatenate(self._parts_of_process[processes.index])  # blocks
        self.num_shards = -(-max(map(len, self.parts)) // _BLOCKS)
        # Epochs in which all sequences are visited once.
        self.epochs_in_a_pass = max(1, min(self.num_shards, -(-int(self._steps[-1]) // _MAX_STEPS)))

    def digest(self) -> str:
        """Return a digest that identifies the data."""
        sequences = self.sequences
        digest = hashlib.sha256(repr((sequences.schema, self.offsets.tolist())).encode())
        digest.update(np.ascontiguousarray(sequences.offsets).tobytes())
        for block in sequences.blocks():
            digest.update(np.ascontiguousarray(block.values).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def has_gaps(self) -> bool:
        """Whether a value is missing."""
        return any(np.isnan(block.values).any() for block in self.sequences.blocks())

    def sample(self, rows: np.ndarray, most: int, seed: int) -> Sequences:
        """Return a random sample of at most `most` of the given sequences."""
        return self.sequences[sampled_rows(rows, most, seed)]

    def batches(self, batch_size: int, num_steps: int | None) -> Batches:
        """Return the division into batches, of which each part has its share."""
        offsets = self.part_offsets if len(self.part_offsets) > 2 else None
        return Batches(self.sequences.lengths, batch_size, num_steps, part_offsets=offsets)

    def num_batches(self, batches: Batches, rows: np.ndarray, seed: int) -> int:
        """Return the number of training steps in an average epoch of the given sequences."""
        shards = [
            self.members(blocks)
            for epoch in range(1, self.epochs_in_a_pass + 1)
            for blocks in self.shards(seed, epoch)
        ]
        total = sum(batches.num_batches(np.intersect1d(rows, members)) for members in shards)
        return -(-total // self.epochs_in_a_pass)

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


def sampled_rows(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return a random sample of at most `most` of the given rows, in ascending order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 0x57A7]).choice(rows, most, replace=False))


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
    """Shards of a few blocks each, drawn anew for every pass."""

    # Data in memory has a single shard, which is kept.

    def __init__(
        self,
        source: Source,
        scale: Callable[[Sequences], Sequences],
        used: np.ndarray,  # bool (n_sequences,), sequences to train on
        longest: int,  # steps of the longest batch
        *,
        seed: int,  # of the order of the blocks, and of the warps
        warp: float = 0.0,  # standard deviation of the time warps, in steps
    ) -> None:
        self._source, self._scale = source, scale
        self._used, self._longest, self._seed, self._warp = used, longest, seed, warp
        self.epochs_in_a_pass = source.epochs_in_a_pass
        self._only: Shard | None = None
        # every shard gets the size of the largest possible one: one shape, compiled once
        self._room = source.room

    def epoch(self, number: int) -> Iterator[Shard]:
        """Yield the shards of an epoch, counted from 1; each epoch has new time warps."""
        for index, shard in enumerate(self._unwarped(number)):
            if self._warp:
                rng = np.random.default_rng([self._seed, number, index, 0x3A4B])
                values, starts, lengths = map(np.asarray, shard.data)
                values = randomly_warped(values, starts, lengths, self._warp, rng)
                data = shard.data._replace(values=jnp.asarray(values, values.dtype))
                shard = shard._replace(data=data)
            yield shard

    def _unwarped(self, number: int) -> Iterator[Shard]:
        for blocks in self._source.shards(self._seed, number):
            if self._source.num_shards > 1:
                yield self._read(blocks)
            else:
                self._only = self._only or self._read(np.sort(blocks))
                yield self._only

    def _read(self, blocks: np.ndarray) -> Shard:
        # the rows of a shard are those of all parts, its data and members those of this process
        source = self._source
        rows, own = source.members(blocks), blocks[np.isin(blocks, source.own)]
        none = source.sequences[[]]
        scaled = (self._scaled(number) for number in own) if len(own) else [none]
        data = to_device(scaled, self._longest, room=self._room)
        rows = np.sort(rows[self._used[rows]])
        whole = len(source.offsets) == 2
        return Shard(data, rows, None if whole else source.members(own))

    def _scaled(self, number: int) -> Sequences:
        bounds = self._source.offsets[number : number + 2]
        scaled = self._scale(self._source.sequences.block(*bounds))
        self._source.sequences.release(*bounds)
        return scaled


class SplitData(NamedTuple):
    """Training and validation data of one phase."""

    shards: Loader
    validation: Shard | None
    num_sequences: int  # to train on
    num_observed: int  # targets of these


# Batches


class Layout(NamedTuple):
    """Input format of a network."""

    unknown: np.ndarray  # (n_features,), index of the unknown category; NaN if not categorical
    numeric: np.ndarray  # bool (n_features,)
    flags: bool  # whether one observed flag per feature follows the features
    reads_padding: bool  # whether padding is NaN, else zeros

    @classmethod
    def of(cls, network: Network) -> "Layout":
        """Return the layout of a network."""
        specification = network.specification
        names = specification.column_types
        has_categories = [COLUMN_TYPES[name].has_categories for name in names]
        unknown = np.where(has_categories, specification.num_categories, np.nan)
        flags, reads_padding = specification.observed_flags, network.reads_padding
        return cls(unknown, number_mask(names), flags, reads_padding)


class Batch(NamedTuple):
    """Sequences in the input format of a network, padded to one length."""

    x: Any  # (batch_size, num_steps, n_channels)
    y: Any  # (batch_size, num_steps, n_features), NaN where nothing was observed
    lengths: Any  # float32 (batch_size,)
    valid: Any  # float32 (batch_size,), 0 for filler rows of a partial batch, else 1


def num_observed(sequences: Sequences, rows: np.ndarray) -> int:
    """Count the observed targets of the given sequences."""
    counts = []
    for block in sequences.blocks():
        is_target = ~np.isnan(block.values) & (block.values != block.schema.unknown)
        counts.append(sums_by_sequence(is_target.astype(float), block).sum(axis=1))
    return int(np.concatenate(counts)[rows].sum())


def take(data: Data, rows: Any, num_steps: int, layout: Layout) -> Batch:
    """Cut sequences (batch_size,) out of the data and pad them; traced by JAX."""
    valid = rows >= 0  # -1 gives a row without observed values
    rows = jnp.maximum(rows, 0)
    num_features = data.values.shape[1]

    def cut(start: Any) -> Any:
        return jax.lax.dynamic_slice(data.values, (start, 0), (num_steps, num_features))

    values = jax.vmap(cut)(data.starts[rows])
    lengths = data.lengths[rows]
    if layout.reads_padding:  # no steps to read, and so to compute, in a filler row
        lengths = jnp.where(valid, lengths, 0)
    x, y = input_and_target(
        values,
        lengths,
        layout.unknown,
        flags=layout.flags,
        padding=np.nan if layout.reads_padding else 0.0,
        numpy=jnp,
    )
    y = jnp.where(valid[:, None, None], y, jnp.nan)
    return Batch(x, y, lengths.astype(jnp.float32), valid.astype(jnp.float32))


# Random numbers depend on the seed and the number of the step, which the key holds, not on a state
# that is carried along. So a resumed training draws the same ones. The models do not know of the
# corruption, and are the same in training and in use.
def corrupt(batch: Batch, key: Any, corruption: Corruption, layout: Layout) -> Batch:
    """Corrupt the input of a batch, and not its padding, lengths and targets; traced by JAX."""
    x, num_features = batch.x, batch.y.shape[-1]
    for_noise, for_steps = jax.random.split(key)
    if corruption.noise > 0:
        noise = corruption.noise * jax.random.normal(for_noise, batch.y.shape)
        # an unobserved target, padding included, has no input to add noise to
        known = jnp.asarray(layout.numeric) & ~jnp.isnan(batch.y)
        x = x.at[..., :num_features].add(jnp.where(known, noise, 0.0))
    if corruption.steps > 0:
        num_steps = batch.y.shape[1]
        real = jnp.arange(num_steps) < batch.lengths[:, None]
        # a dropped step looks like missing values, so the layout needs flags
        dropped = real & (jax.random.uniform(for_steps, real.shape) < corruption.steps)
        nothing = np.zeros(x.shape[-1], np.float32)
        nothing[:num_features] = np.nan_to_num(layout.unknown)
        x = jnp.where(dropped[..., None], nothing, x)
    return Batch(x, batch.y, batch.lengths, batch.valid)
