"""Padded batches for compiled steps, cut from one flat array on the device.

Padding is added only when a batch is cut, so memory grows with the real steps.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from refold.models import Network
from refold.sequences import Sequences

__all__ = ["Batch", "Data", "Layout", "num_observed", "take", "to_device"]


class Data(NamedTuple):
    """Sequences on the device, one after another.

    Attributes
    ----------
    values : array of float32 of shape (n_steps + room, n_features)
        Scaled values; NaN where missing, the category's index in categorical columns. The padding
        at the end has the length of the longest batch, so that every sequence can be cut out.
    starts, lengths : arrays of int32 of shape (n_sequences,)
        First step and number of steps of each sequence.
    """

    values: Any
    starts: Any
    lengths: Any


class Layout(NamedTuple):
    """Input format of a network.

    Attributes
    ----------
    fill : tuple of float
        For each column, the value in place of a missing one: 0, or the index of the unknown
        category.
    categorical, numeric : tuple of bool
        Whether each column is categorical or numeric.
    flags : bool
        Whether one observed flag per feature follows the features.
    reads_padding : bool
        Whether padding is NaN. Otherwise it is zeros.
    """

    fill: tuple[float, ...]
    categorical: tuple[bool, ...]
    numeric: tuple[bool, ...]
    flags: bool
    reads_padding: bool

    @classmethod
    def of(cls, network: Network) -> "Layout":
        """Return the layout of a network."""
        specification = network.specification
        categorical = tuple(type_ == "categorical" for type_ in specification.column_types)
        return cls(
            tuple(
                float(num_categories) if is_categorical else 0.0
                for num_categories, is_categorical in zip(
                    specification.num_categories, categorical, strict=True
                )
            ),
            categorical,
            tuple(type_ == "numeric" for type_ in specification.column_types),
            specification.observed_flags,
            network.reads_padding,
        )


class Batch(NamedTuple):
    """Sequences in the input format of a network, padded to one length.

    Attributes
    ----------
    x : array of shape (batch_size, num_steps, n_channels)
    y : array of shape (batch_size, num_steps, n_features)
        NaN where nothing was observed.
    lengths : array of float32 of shape (batch_size,)
    valid : array of float32 of shape (batch_size,)
        0 for filler rows of a partial batch, else 1.
    future : array of shape (batch_size, forecast_steps, n_features), optional
        The steps after the sequences, in the format of ``y``.
    """

    x: Any
    y: Any
    lengths: Any
    valid: Any
    future: Any = None


def to_device(
    scaled: Iterable[Sequences], longest: int, *, room: tuple[int, int] | None = None
) -> Data:
    """Concatenate sets of scaled sequences on the device.

    Parameters
    ----------
    scaled : iterable of Sequences
    longest : int
        Number of steps of the longest batch.
    room : tuple of int, optional
        Numbers of steps and sequences to allocate; by default those of ``scaled``.

    Returns
    -------
    Data

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> to_device([as_sequences([[[1.0], [2.0]], [[3.0]]])], longest=2).lengths
    Array([2, 1], dtype=int32)
    """
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
    return Data(jnp.asarray(values), jnp.asarray(starts), jnp.asarray(lengths))


def num_observed(scaled: Sequences, rows: np.ndarray) -> int:
    """Count the observed targets of the given sequences.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> sequences = as_sequences([[[1.0], [np.nan]], [[3.0], [4.0]]])
    >>> num_observed(sequences, np.array([0])), num_observed(sequences, np.array([0, 1]))
    (1, 3)
    """
    schema, observed = scaled.schema, ~np.isnan(scaled.values)
    for i in schema.categorical:
        observed[:, i] &= scaled.values[:, i] != len(schema.columns[i].categories)
    by_step = np.concatenate([[0], np.cumsum(observed.sum(axis=1))])
    return int((by_step[scaled.offsets[1:]] - by_step[scaled.offsets[:-1]])[rows].sum())


def take(data: Data, rows: Any, num_steps: int, layout: Layout) -> Batch:
    """Cut sequences out of the data and pad them; traced by JAX.

    Parameters
    ----------
    data : Data
    rows : array of int32 of shape (batch_size,)
        Indices of the sequences; -1 gives a row without observed values.
    num_steps : int
        Padded length, at least that of the longest of these sequences.
    layout : Layout

    Returns
    -------
    Batch
    """
    valid = rows >= 0
    rows = jnp.maximum(rows, 0)
    num_features = data.values.shape[1]

    def cut(start: Any) -> Any:
        return jax.lax.dynamic_slice(data.values, (start, 0), (num_steps, num_features))

    values = jax.vmap(cut)(data.starts[rows])
    lengths = data.lengths[rows]
    if layout.reads_padding:  # no steps to read, and so to compute, in a filler row
        lengths = jnp.where(valid, lengths, 0)
    real = (jnp.arange(num_steps) < lengths[:, None])[..., None]
    observed = ~jnp.isnan(values)
    fill = jnp.asarray(layout.fill, jnp.float32)
    x = jnp.where(observed, values, fill)
    if layout.flags:
        x = jnp.concatenate([x, observed.astype(jnp.float32)], axis=-1)
    x = jnp.where(real, x, jnp.nan if layout.reads_padding else 0.0)
    known = real & valid[:, None, None]
    if any(layout.categorical):
        known = known & ~(jnp.asarray(layout.categorical) & (values == fill))
    y = jnp.where(known, values, jnp.nan)
    return Batch(x, y, lengths.astype(jnp.float32), valid.astype(jnp.float32))
