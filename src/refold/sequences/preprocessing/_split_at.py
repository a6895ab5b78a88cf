"""Splitting of sequences at a step."""

from typing import Any

import numpy as np

from refold.errors import DataError
from refold.sequences._sequences import Sequences
from refold.sequences.preprocessing._padding import positions

__all__ = ["split_at"]


def split_at(sequences: Sequences, at: Any) -> tuple[Sequences, Sequences]:
    """Split each sequence after a number of steps.

    Parameters
    ----------
    sequences : Sequences
    at : int, or array of int of shape (n_sequences,)
        Number of steps in the first part.

    Returns
    -------
    before, after : Sequences
        The two parts of every sequence, with the same ids.

    Raises
    ------
    DataError
        If a sequence has fewer steps than ``at``.

    Examples
    --------
    >>> before, after = split_at(Sequences.from_list([[1.0, 2.0, 3.0], [4.0]]), [2, 1])
    >>> before.lengths.tolist(), after.lengths.tolist(), after.values.tolist()
    ([2, 1], [1, 0], [[3.0]])
    """
    lengths = sequences.lengths
    at = np.broadcast_to(np.asarray(at, np.int64), lengths.shape)
    wrong = np.flatnonzero((at < 0) | (at > lengths))
    if len(wrong):
        first = wrong[0]
        raise DataError(
            f"Sequence {first} has {lengths[first]} steps and cannot be split after {at[first]}. "
            f"Give a number from 0 to {lengths[first]}."
        )
    row, step = positions(sequences)
    is_before = step < at[row]

    def part(rows: np.ndarray, lengths: np.ndarray) -> Sequences:
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Sequences(
            sequences.values[rows], offsets, schema=sequences.schema, ids=sequences.ids
        )

    return part(is_before, at), part(~is_before, lengths - at)
