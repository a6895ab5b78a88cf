"""Scaled sequences as the rows that an encoder reads, without padding."""

import numpy as np

from refold.sequences import Sequences

__all__ = ["packed_input"]


def packed_input(
    scaled: Sequences, block: slice, *, flags: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the input, the targets and the offsets of some sequences.

    They are the rows of what `refold.sequences.pad` returns, without padding.

    Parameters
    ----------
    scaled : Sequences
    block : slice
        Consecutive sequences.
    flags : bool
        Whether to append an observed-flag channel for each feature.

    Returns
    -------
    x : array of float32 of shape (n_rows, channels)
        Missing entries are 0, or the index of the unknown category.
    targets : array of float32 of shape (n_rows, columns)
        NaN where missing or of unknown category.
    offsets : array of int64 of shape (n_sequences + 1,)

    Examples
    --------
    >>> x, targets, offsets = packed_input(
    ...     Sequences.from_list([[1.0, float("nan")], [3.0]]), slice(0, 2), flags=True
    ... )
    >>> x.tolist(), targets.ravel().tolist(), offsets.tolist()
    ([[1.0, 1.0], [0.0, 0.0], [3.0, 1.0]], [1.0, nan, 3.0], [0, 2, 3])
    """
    offsets = scaled.offsets[block.start : block.stop + 1]
    values = np.asarray(scaled.values[offsets[0] : offsets[-1]], np.float32)
    offsets = np.asarray(offsets - offsets[0], np.int64)
    x, targets = values, values
    missing = np.isnan(values)
    if missing.any():
        fill = np.zeros(scaled.schema.num_columns, np.float32)
        for i in scaled.schema.categorical:
            fill[i] = len(scaled.schema.columns[i].categories)
        x = np.where(missing, fill, values)
    for i in scaled.schema.categorical:
        unknown = values[:, i] == len(scaled.schema.columns[i].categories)
        if unknown.any():
            targets = targets.copy() if targets is values else targets
            targets[unknown, i] = np.nan
    if flags:
        x = np.concatenate([x, ~missing], axis=1, dtype=np.float32)
    return x, targets, offsets
