"""Opening of a user's data: in memory, a file or folder, or batches of rows."""

import os

from refold.model._input_types import SequencesLike
from refold.sequences import Sequences, as_sequences, is_batches, read, read_batches


def open_source(X: SequencesLike) -> Sequences:
    """Convert or read a user's data; large files and batches are mapped into memory."""
    if isinstance(X, Sequences):
        return X
    if is_batches(X):
        return read_batches(X)
    return read(X) if isinstance(X, str | os.PathLike) else as_sequences(X)
