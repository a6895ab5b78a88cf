"""Padded batches for compiled steps, cut from one flat array on the device, and corrupted."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.sequences import Sequences, input_and_target, sums_by_sequence
from refold.sequences.types import COLUMN_TYPES, number_mask


class Data(NamedTuple):
    """Sequences on the device, one after another; memory grows with the real steps only."""

    # float32 (n_steps + room, n_features): scaled, NaN where missing, the category's index in
    # categorical columns. Room for the longest batch at the end lets every sequence be cut out.
    values: Any
    starts: Any  # int32 (n_sequences,), first step of each sequence
    lengths: Any  # int32 (n_sequences,)


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
