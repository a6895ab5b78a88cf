"""Shards of training data on the device, and padded batches that training cuts out of them.

`FitBlocks` divides the sequences of a fit into blocks. In each epoch, a `ShardLoader` copies a few
random blocks at a time to the device, as a `LoadedShard`. In compiled code, `make_padded_batch`
makes a `Batch` of sequences of a shard, and `corrupt_batch` changes its input for denoising.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from refold.arguments import Corruption
from refold.errors import DataError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import BucketedBatches, Sequences, padded_input_and_target, sum_by_sequence
from refold.sequences.types import COLUMN_TYPES, make_quantity_mask
from refold.training._processes import Processes
from refold.training._time_warps import warp_time_randomly

# Number of blocks that each part of the data (see `FitBlocks`) gives to a shard. More blocks mix
# the sequences better but need more memory.
_BLOCKS_FROM_EACH_PART = 4
# Cap on the time steps in an epoch, which then takes about two minutes on two cores. A checkpoint
# is written between epochs, so a training of large data that is killed loses at most one epoch.
_MAX_EPOCH_TIME_STEPS = 1 << 24


class DeviceData(NamedTuple):
    """Sequences on the device, one after another without padding between them."""

    # float32 (n_steps + num_padding, n_features): scaled, NaN where missing, the index of the
    # category in categorical columns. The rows at the end are padding. With them, compiled code can
    # cut as many steps as the longest batch has, even where the last sequence starts.
    values: Any
    first_steps: Any  # int32 (n_sequences,), first step of each sequence
    lengths: Any  # int32 (n_sequences,)


def copy_blocks_to_device(
    blocks: Iterable[Sequences],
    num_padding: int,  # rows to add at the end: the number of steps of the longest batch
    # numbers of steps and sequences to allocate; by default those of the blocks
    max_steps_and_sequences: tuple[int, int] | None = None,
) -> DeviceData:
    """Concatenate blocks of scaled sequences on the device."""
    blocks = iter(blocks)
    if max_steps_and_sequences is None:
        blocks = list(blocks)
        max_steps_and_sequences = sum(len(block.values) for block in blocks), sum(map(len, blocks))
    max_steps, max_sequences = max_steps_and_sequences
    values: Any = None
    starts, lengths = np.zeros(max_sequences, np.int32), np.zeros(max_sequences, np.int32)
    num_steps = num_sequences = 0
    for block in blocks:
        if values is None:
            values = np.full((max_steps + num_padding, block.values.shape[1]), np.nan, np.float32)
        values[num_steps : num_steps + len(block.values)] = block.values
        rows = slice(num_sequences, num_sequences + len(block))
        starts[rows] = num_steps + block.offsets[:-1]
        lengths[rows] = block.lengths
        num_steps, num_sequences = num_steps + len(block.values), rows.stop
    # if no type is given, recent versions of JAX compile the copy anew for each shape
    return DeviceData(*(jnp.asarray(array, array.dtype) for array in (values, starts, lengths)))


class MultiprocessData(NamedTuple):
    """Training data in parts of consecutive sequences; all processes have equally many parts."""

    sequences: Sequences  # of all parts, in each process
    processes: Processes
    num_parts: int  # a multiple of the number of processes

    @classmethod
    def divide(cls, processes: Processes, sequences: Sequences, num_parts: int | None) -> Self:
        """Divide sequences, by default into one part for each process."""
        num_parts = num_parts or processes.process_count
        if num_parts % processes.process_count:
            raise ParameterError(
                f"{num_parts} parts cannot be divided among {processes.process_count} processes. "
                "Use a multiple."
            )
        if len(sequences) < num_parts:
            raise DataError(
                f"There are {len(sequences)} sequences for {num_parts} parts. Use fewer processes."
            )
        return cls(sequences, processes, num_parts)


class FitBlocks:
    """The training data of a fit: blocks of consecutive sequences, in one process or in several."""

    # The sequences are divided into parts, and each part into blocks. All processes train on the
    # same number of parts. A shard has a few random blocks of each part. Blocks, not single
    # sequences, are shuffled between shards, so that a file is read in long pieces. A single
    # process has a single part, which is a single block if the data is in memory.

    def __init__(self, sequences: Sequences, data_parts: MultiprocessData | None = None) -> None:
        self.sequences = sequences
        self.processes = processes = Processes() if data_parts is None else data_parts.processes
        num_parts = 1 if data_parts is None else data_parts.num_parts
        # whether all data is in memory and a single process trains on it
        self.in_memory = data_parts is None and not sequences.is_mapped
        # part i holds the sequences part_offsets[i] to part_offsets[i + 1]
        bounds = np.linspace(0, len(sequences), num_parts + 1)
        self.part_offsets = np.round(bounds).astype(np.int64)
        block_offsets: list[int] = []
        self.block_indices_by_part: list[np.ndarray] = []  # indices of the blocks of each part
        for start, stop in pairwise(self.part_offsets.tolist()):
            block_starts = [start]
            if not self.in_memory:  # the offsets count from the first sequence of the part
                block_starts = start + sequences.block(start, stop).block_sequence_offsets[:-1]
            first_block = len(block_offsets)
            block_offsets += list(block_starts)
            self.block_indices_by_part.append(np.arange(first_block, len(block_offsets)))
        # block i holds the sequences block_offsets[i] to block_offsets[i + 1]
        self.block_offsets = np.array([*block_offsets, len(sequences)], np.int64)
        step_offsets = sequences.offsets[self.block_offsets]  # first step of each block
        parts_per_process = num_parts // processes.process_count
        first_parts = range(0, num_parts, parts_per_process)  # of each process
        # for each process, a list of the block indices of each of its parts
        process_parts = [self.block_indices_by_part[i : i + parts_per_process] for i in first_parts]
        # indices of the blocks that this process trains on
        self.process_block_indices = np.concatenate(process_parts[processes.process_index])
        # number of shards that together have all sequences; every shard takes blocks of every part
        self.num_shards = -(-max(map(len, self.block_indices_by_part)) // _BLOCKS_FROM_EACH_PART)
        # The largest number of steps, and of sequences, that a process can have in a shard. It is
        # the sum of the largest blocks of each part, in the process with the largest sum.
        self.shard_capacity: Any = tuple(
            max(
                sum(int(np.sort(sizes[part])[-_BLOCKS_FROM_EACH_PART:].sum()) for part in parts)
                for parts in process_parts
            )
            for sizes in (np.diff(step_offsets), np.diff(self.block_offsets))
        )
        num_steps = int(step_offsets[-1])
        # number of epochs that together visit all sequences once; an epoch has at least one shard
        self.epochs_per_pass = max(1, min(self.num_shards, -(-num_steps // _MAX_EPOCH_TIME_STEPS)))

    def digest(self) -> str:
        """Return a digest that identifies the data."""
        sequences = self.sequences
        digest = hashlib.sha256(repr((sequences.schema, self.block_offsets.tolist())).encode())
        digest.update(np.ascontiguousarray(sequences.offsets).tobytes())
        for block in sequences.blocks():
            digest.update(np.ascontiguousarray(block.values).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def has_missing(self) -> bool:
        """Whether any value is missing."""
        return any(np.isnan(block.values).any() for block in self.sequences.blocks())

    def plan_batches(self, batch_size: int, padded_length: int | None) -> BucketedBatches:
        """Return the division into batches; each batch has sequences of every part."""
        offsets = None if len(self.block_indices_by_part) == 1 else self.part_offsets
        lengths = self.sequences.lengths
        return BucketedBatches(lengths, batch_size, padded_length, partition_offsets=offsets)

    def batches_per_epoch(self, batch_plan: BucketedBatches, indices: np.ndarray, seed: int) -> int:
        """Return the mean number of batches in an epoch over the sequences with these indices."""
        # all epochs of a pass together visit each sequence once
        num_batches = sum(
            batch_plan.count_batches(np.intersect1d(indices, self.sequence_indices(blocks)))
            for epoch in range(1, self.epochs_per_pass + 1)
            for blocks in self.draw_blocks_by_shard(seed, epoch)
        )
        return -(-num_batches // self.epochs_per_pass)  # rounded up

    def draw_blocks_by_shard(self, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the block indices of each shard of an epoch, which is counted from 1."""
        # all epochs of a pass share one random order of the blocks and take turns in it
        pass_index, turn = divmod(epoch - 1, self.epochs_per_pass)
        # 0x9A6E is the number of this use of random numbers; with a number for each use, their
        # random numbers are independent
        rng = np.random.default_rng([seed, pass_index + 1, 0x9A6E])
        orders = [rng.permutation(part) for part in self.block_indices_by_part]
        # The shards of a pass are divided evenly among its epochs. This epoch has the shards from
        # `first` up to `end`, without `end`.
        first, end = (self.num_shards * (turn + i) // self.epochs_per_pass for i in range(2))
        return [
            np.concatenate([order[i : i + _BLOCKS_FROM_EACH_PART] for order in orders])
            for i in _BLOCKS_FROM_EACH_PART * np.arange(first, end)
        ]

    def sequence_indices(self, block_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the indices of the sequences in the blocks with these indices."""
        bounds = [self.block_offsets[i : i + 2] for i in block_indices]
        empty = np.zeros(0, np.int64)  # some parts have fewer blocks than others, or none
        return np.concatenate([empty, *(np.arange(*pair) for pair in bounds)])


def sample_indices(indices: np.ndarray, max_indices: int, seed: int) -> np.ndarray:
    """Return a random sample of at most `max_indices` of the indices, in ascending order."""
    if len(indices) <= max_indices:
        return indices
    rng = np.random.default_rng([seed, 0x57A7])
    return np.sort(rng.choice(indices, max_indices, replace=False))


class LoadedShard(NamedTuple):
    """Sequences on the device, and which of them to train on or to validate with."""

    data: DeviceData
    # Ascending indices, in the data set, of the sequences to train on or to validate with. If
    # several processes train, these are the sequences of all of them.
    sequence_indices: np.ndarray
    # index, in the data set, of each sequence in `data`; by default 0, 1, 2, ...
    stored_indices: np.ndarray | None = None

    def find_in_shard(self, indices: np.ndarray) -> np.ndarray:
        """Return the positions in ``data`` of sequences with these indices; -1 stays -1."""
        if self.stored_indices is None:
            return indices
        if not len(self.stored_indices):  # the parts of this process have no more blocks
            return np.full(indices.shape, -1, np.int32)
        # An index -1 is looked up as 0, which may not be stored. Then its rank may be one too large
        # for `order`. The operator % makes the rank valid, and `where` ignores what it gives.
        order = np.argsort(self.stored_indices, kind="stable")
        ranks = np.searchsorted(self.stored_indices, np.maximum(indices, 0), sorter=order)
        return np.where(indices >= 0, order[ranks % len(order)], -1).astype(np.int32)


@dataclass
class ShardLoader:
    """Load the shards of each epoch; each pass over the data has a new random order."""

    fit_data: FitBlocks
    scale: Callable[[Sequences], Sequences]  # scales the sequences of a block
    training_mask: np.ndarray  # bool (n_sequences,), whether to train on a sequence
    max_batch_steps: int  # number of steps of the longest batch
    seed: int  # for the order of the blocks, and for the time warps
    warp_std: float = 0.0  # standard deviation of the time warps, in steps
    _only_shard: LoadedShard | None = None  # all data before time warps, if it fits in one shard

    def load_shards(self, epoch: int) -> Iterator[LoadedShard]:
        """Yield the shards of an epoch, counted from 1; each epoch has new time warps."""
        for index, blocks in enumerate(self.fit_data.draw_blocks_by_shard(self.seed, epoch)):
            if self.fit_data.num_shards > 1:
                shard = self._load_blocks(blocks)
            else:  # the order of the blocks in the shard does not matter
                shard = self._only_shard = self._only_shard or self._load_blocks(np.sort(blocks))
            if self.warp_std:
                rng = np.random.default_rng([self.seed, epoch, index, 0x3A4B])
                values, starts, lengths = map(np.asarray, shard.data)
                values = warp_time_randomly(values, starts, lengths, self.warp_std, rng)
                data = shard.data._replace(values=jnp.asarray(values, values.dtype))
                shard = shard._replace(data=data)
            yield shard

    def _load_blocks(self, block_indices: np.ndarray) -> LoadedShard:
        """Load a shard: the blocks of this process, and the training indices of all processes."""
        fit_data = self.fit_data
        indices = fit_data.sequence_indices(block_indices)
        process_blocks = block_indices[np.isin(block_indices, fit_data.process_block_indices)]

        def load_scaled_blocks() -> Iterator[Sequences]:
            """Yield the scaled sequences of each block, and free the memory of its raw values."""
            for block_index in process_blocks:
                bounds = fit_data.block_offsets[block_index : block_index + 2]
                yield self.scale(fit_data.sequences.block(*bounds))
                fit_data.sequences.release_mapped_memory(*bounds)

        blocks = load_scaled_blocks() if len(process_blocks) else [fit_data.sequences[[]]]
        # all shards have the same shape, for which a training step is compiled once
        data = copy_blocks_to_device(blocks, self.max_batch_steps, fit_data.shard_capacity)
        # with a single block, a position in the shard is an index in the data set
        is_single_block = len(fit_data.block_offsets) == 2
        stored_indices = None if is_single_block else fit_data.sequence_indices(process_blocks)
        return LoadedShard(data, np.sort(indices[self.training_mask[indices]]), stored_indices)


class PhaseData(NamedTuple):
    """Training and validation data of one phase."""

    loader: ShardLoader
    validation: LoadedShard | None
    num_sequences: int  # number of sequences in the training data
    num_observed: int  # number of observed values in the training data


# Batches


class InputLayout(NamedTuple):
    """Format of the input of a network."""

    index_of_unknown: np.ndarray  # (n_features,), of the unknown category; NaN if not categorical
    is_numeric: np.ndarray  # bool (n_features,)
    has_observed_flags: bool  # whether each feature has a second channel: 1 if observed, else 0
    masks_padding: bool  # whether the network recognizes padding as NaN; else padding is 0

    @classmethod
    def of_network(cls, network: Network) -> "InputLayout":
        """Return the layout of a network."""
        specification, names = network.specification, network.specification.column_types
        has_categories = [COLUMN_TYPES[name].has_categories for name in names]
        index_of_unknown = np.where(has_categories, specification.num_categories, np.nan)
        is_numeric, has_observed_flags = make_quantity_mask(names), specification.observed_flags
        return cls(index_of_unknown, is_numeric, has_observed_flags, network.masks_padding)


class Batch(NamedTuple):
    """Sequences in the input format of a network, padded to one length."""

    x: Any  # (batch_size, num_steps, n_channels)
    y: Any  # (batch_size, num_steps, n_features), NaN where nothing was observed
    lengths: Any  # float32 (batch_size,)
    is_sequence: Any  # float32 (batch_size,), 1, or 0 for a row that only fills up the batch


def count_observed_values(sequences: Sequences, indices: np.ndarray) -> int:
    """Count the observed values of the sequences with these indices, without unknown categories."""
    counts = []  # of each block, the number of observed values of each sequence
    for block in sequences.blocks():
        is_observed = ~np.isnan(block.values) & (block.values != block.schema.index_of_unknown)
        counts.append(sum_by_sequence(is_observed.astype(float), block).sum(axis=1))
    return int(np.concatenate(counts)[indices].sum())


def make_padded_batch(
    data: DeviceData, positions_in_shard: Any, num_steps: int, layout: InputLayout
) -> Batch:
    """Return a padded batch of the sequences at positions (batch_size,) in data; traced by JAX."""
    # the position -1 stands for a row that only fills up the batch
    is_sequence = positions_in_shard >= 0
    positions_in_shard = jnp.maximum(positions_in_shard, 0)
    slice_steps = functools.partial(jax.lax.dynamic_slice_in_dim, slice_size=num_steps)
    first_steps, lengths = data.first_steps[positions_in_shard], data.lengths[positions_in_shard]
    # (batch_size, num_steps, n_features); steps after the end of a sequence become padding below
    values = jax.vmap(slice_steps, in_axes=(None, 0))(data.values, first_steps)
    if layout.masks_padding:  # a filler row gets no steps, so the network computes none
        lengths = jnp.where(is_sequence, lengths, 0)
    x, y = padded_input_and_target(
        values,
        lengths,
        layout.index_of_unknown,
        has_flags=layout.has_observed_flags,
        input_padding_value=np.nan if layout.masks_padding else 0.0,
        xp=jnp,
    )
    y = jnp.where(is_sequence[:, None, None], y, jnp.nan)
    return Batch(x, y, lengths.astype(jnp.float32), is_sequence.astype(jnp.float32))


# The random numbers depend only on the key, which is made from the seed and the index of the
# training step. There is no random state to carry along, so a resumed training draws the same
# numbers. The corruption is not a layer, so a model is the same in training and in use.
def corrupt_batch(batch: Batch, key: Any, corruption: Corruption, layout: InputLayout) -> Batch:
    """Return a batch with noise and dropped steps in its input, but not in its targets; traced."""
    x, num_features = batch.x, batch.y.shape[-1]
    noise_key, drop_key = jax.random.split(key)
    if corruption.noise_std > 0:
        noise = corruption.noise_std * jax.random.normal(noise_key, batch.y.shape)
        # a value whose target is NaN is missing or padding, and gets no noise
        has_noise = jnp.asarray(layout.is_numeric) & ~jnp.isnan(batch.y)
        x = x.at[..., :num_features].add(jnp.where(has_noise, noise, 0.0))
    if corruption.dropped_share > 0:
        num_steps = batch.y.shape[1]
        is_step = jnp.arange(num_steps) < batch.lengths[:, None]
        uniform = jax.random.uniform(drop_key, is_step.shape)
        is_dropped = is_step & (uniform < corruption.dropped_share)
        # a dropped step looks like a step of missing values: zeros, unknown categories, flags of 0
        missing = np.zeros(x.shape[-1], np.float32)
        missing[:num_features] = np.nan_to_num(layout.index_of_unknown)
        x = jnp.where(is_dropped[..., None], missing, x)
    return Batch(x, batch.y, batch.lengths, batch.is_sequence)
