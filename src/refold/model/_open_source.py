"""Opening of a user's data: in memory, a file larger than memory, or batches of rows."""

import os
from typing import Any

from refold.sequences import Scan, Sequences, as_sequences, is_batches, read_batches, read_or_scan


def open_source(X: Any) -> Sequences | Scan:
    """Read a user's data, or scan a file, or batches, too large for memory."""
    if isinstance(X, Scan):
        return X
    if is_batches(X):
        return read_batches(X)
    return read_or_scan(X) if isinstance(X, str | os.PathLike) else as_sequences(X)
