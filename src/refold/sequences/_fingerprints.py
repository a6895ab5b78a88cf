"""Hashes of sequences, to find sequences with identical values."""

from hashlib import blake2b

import numpy as np

from refold.sequences._sequences import Sequences

__all__ = ["fingerprints"]


def fingerprints(sequences: Sequences) -> np.ndarray:
    """Return a hash of the values of each sequence.

    Values are hashed as float32; ids are ignored.

    Parameters
    ----------
    sequences : Sequences of shape (n_sequences,)

    Returns
    -------
    array of uint64 of shape (n_sequences,)

    Examples
    --------
    >>> first, second, third = fingerprints(Sequences.from_list([[1.0, 2.0], [1.0], [1.0, 2.0]]))
    >>> bool(first == third), bool(first == second)
    (True, False)
    """
    values = sequences.values.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
    values[np.isnan(values)] = np.nan  # all NaN get the same bits
    bounds = zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)
    hashes = [blake2b(values[first:last].tobytes(), digest_size=8) for first, last in bounds]
    return np.frombuffer(b"".join(one.digest() for one in hashes), "<u8").astype(np.uint64)
