"""Number of threads of the operations on packed rows."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

_OWN = threading.local()


def num_threads() -> int:
    """Return the number of threads of an operation: one for each core that this process may use."""
    return getattr(_OWN, "limit", None) or _num_cores()


@functools.cache
def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def limited_threads(limit: int) -> Iterator[None]:
    """Let operations that the current thread calls have this number of threads."""
    before = getattr(_OWN, "limit", None)
    _OWN.limit = limit
    try:
        yield
    finally:
        _OWN.limit = before
