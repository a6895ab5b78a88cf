"""Conversion of sequences to the padded arrays of a model."""

from typing import Any

import numpy as np

from refold.errors import ParameterError
from refold.sequences._sequences import Sequences


def positions(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the sequence index and the step of each row of the values, both (num_steps,)."""
    lengths = sequences.lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(sequences.offsets[:-1], lengths)


def pad(
    sequences: Sequences, indices: Any, num_steps: int, *, flags: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the padded input and target of a batch.

    Parameters
    ----------
    sequences : Sequences
        Scaled sequences.
    indices : array of int of shape (B,)
        Indices of the sequences of the batch.
    num_steps : int
        ``T``, at least 1 and at least the maximum length in the batch.
    flags : bool, default=False
        Append one mask channel per feature to the input, 1 for observed and 0 for missing, to
        distinguish missing entries from the fill value.

    Returns
    -------
    x : array of float32 of shape (B, T, F) or (B, T, 2 F)
        Missing entries are 0; in categorical columns, the index of the unknown category.
    y : array of float32 of shape (B, T, F)
        NaN where padded, missing or of unknown category.

    Examples
    --------
    >>> x, y = pad(Sequences.from_list([[1.0, float("nan")], [3.0]]), [0, 1], 2)
    >>> x[:, :, 0]
    array([[ 1.,  0.],
           [ 3., nan]], dtype=float32)
    >>> y[:, :, 0]
    array([[ 1., nan],
           [ 3., nan]], dtype=float32)
    """
    indices = np.asarray(indices, dtype=np.int64)
    lengths = sequences.lengths[indices]
    longest = max(1, int(lengths.max(initial=0)))
    if num_steps < longest:
        raise ParameterError(
            f"num_steps is {num_steps}, but the batch needs {longest}. Raise it to {longest}."
        )
    real = np.arange(num_steps) < lengths[:, None]
    rows = (sequences.offsets[:-1][indices][:, None] + np.arange(num_steps))[real]
    values = np.full((*real.shape, sequences.schema.num_columns), np.nan, np.float32)
    values[real] = sequences.values[rows]
    return input_and_target(values, lengths, sequences.schema.unknown, flags=flags)


def input_and_target(
    values: Any,
    lengths: Any,  # (B,)
    unknown: np.ndarray,  # (F,): index of the unknown category; NaN if not categorical
    *,
    flags: bool,
    padding: float = np.nan,  # the input in padded steps
    numpy: Any = np,  # or ``jax.numpy`` inside compiled code
) -> tuple[Any, Any]:
    """Return the input and target of a batch (B, T, F) with anything as padding; see `pad`."""
    real = (numpy.arange(values.shape[1]) < lengths[:, None])[..., None]
    x, y = unpadded_input_and_target(values, unknown, flags=flags, numpy=numpy)
    x = numpy.where(real, x, np.float32(padding))
    return x, numpy.where(real, y, np.float32(np.nan))


def unpadded_input_and_target(
    values: Any, unknown: np.ndarray, *, flags: bool, numpy: Any = np
) -> tuple[Any, Any]:
    """Return the input and target of values (..., F), NaN where missing, of real steps."""
    unknown = unknown.astype(np.float32)
    observed = ~numpy.isnan(values)
    x = numpy.where(observed, values, np.where(np.isnan(unknown), np.float32(0), unknown))
    if flags:
        x = numpy.concatenate([x, observed.astype(np.float32)], axis=-1)
    return x, numpy.where(values != unknown, values, np.float32(np.nan))
