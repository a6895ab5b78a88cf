"""Between sequences and the padded arrays of a model: the contract, in both directions.

Into a model go ``x`` and ``y`` of shape (B, T, F): a padded step is NaN in every channel of
``x``; a real step is finite everywhere. ``y`` is NaN where nothing was observed.
"""

from typing import Any

import numpy as np

from refold.errors import DataError, ParameterError
from refold.sequences._sequences import Sequences


def positions(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return which sequence each row of the values is of, and at which step.

    Parameters
    ----------
    sequences : Sequences

    Returns
    -------
    row, step : arrays of int of shape (n_steps,)

    Examples
    --------
    >>> row, step = positions(Sequences.from_list([[1.0, 2.0], [], [3.0]]))
    >>> row.tolist(), step.tolist()
    ([0, 0, 2], [0, 1, 0])
    """
    lengths = sequences.lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(sequences.offsets[:-1], lengths)


def pad(
    sequences: Sequences, indices: Any, num_steps: int, *, flags: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the input and the target of a batch.

    Parameters
    ----------
    sequences : Sequences
        Scaled sequences.
    indices : array of int of shape (B,)
        Which of them, in order.
    num_steps : int
        ``T``: at least 1, and at least the greatest length among them.
    flags : bool, default=False
        Append one channel a feature to the input: 1 where observed, 0 where missing, so that
        a missing entry differs from the value that fills it.

    Returns
    -------
    x : array of float32 of shape (B, T, F) or (B, T, 2 F)
        Missing entries are 0; in categorical columns they hold the index of the unknown label.
    y : array of float32 of shape (B, T, F)
        NaN where padded, missing or of unknown label.

    Raises
    ------
    ParameterError
        If a sequence has more than ``num_steps`` steps.

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
    values = sequences.values[rows].astype(np.float32)
    observed = ~np.isnan(values)

    schema = sequences.schema
    y = np.full((len(indices), num_steps, schema.num_columns), np.nan, dtype=np.float32)
    target = values.copy()
    fill = np.zeros(schema.num_columns, dtype=np.float32)
    for i in schema.categorical:
        unknown = len(schema.columns[i].categories)
        fill[i] = unknown
        target[target[:, i] == unknown, i] = np.nan
    y[real] = target

    filled = np.where(observed, values, fill)
    if flags:
        filled = np.concatenate([filled, observed.astype(np.float32)], axis=1)
    x = np.full((len(indices), num_steps, filled.shape[1]), np.nan, dtype=np.float32)
    x[real] = filled
    return x, y


def unpad(y: np.ndarray, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the real steps of a padded array, flat, with their offsets.

    Parameters
    ----------
    y : array of shape (B, T, F)
        Padded sequences.
    lengths : array of int of shape (B,)
        Number of real steps of each.

    Returns
    -------
    values : array of shape (num_steps, F)
        One sequence after another.
    offsets : array of int of shape (B + 1,)
        Where each starts, and where the last one ends.

    Raises
    ------
    DataError
        If a length is negative or greater than ``T``, or there is not one a sequence.

    Examples
    --------
    >>> import numpy as np
    >>> values, offsets = unpad(np.zeros((2, 3, 1)), [3, 1])
    >>> values.shape, offsets.tolist()
    ((4, 1), [0, 3, 4])
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if lengths.shape != (len(y),):
        raise DataError(f"Expected {len(y)} lengths, one a sequence. Got shape {lengths.shape}.")
    wrong = np.flatnonzero((lengths < 0) | (lengths > y.shape[1]))
    if len(wrong):
        raise DataError(
            f"Sequence {wrong[0]} is to have {lengths[wrong[0]]} steps. "
            f"The array holds 0 to {y.shape[1]}."
        )
    offsets = np.zeros(len(y) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return y[np.arange(y.shape[1]) < lengths[:, None]], offsets
