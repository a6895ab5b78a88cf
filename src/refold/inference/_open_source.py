"""Opening of a user's data: sequences in memory, or a file that is larger than memory."""

import os
from typing import Any

from refold.sequences import Scan, Sequences, as_sequences, read_or_scan


def open_source(X: Any) -> Sequences | Scan:
    """Read a user's data, or scan a file that is too large for memory.

    Examples
    --------
    >>> len(open_source([[1.0, 2.0], [3.0]]))
    2
    """
    if isinstance(X, Scan):
        return X
    return read_or_scan(X) if isinstance(X, str | os.PathLike) else as_sequences(X)
