"""Allocator settings for commands that read files larger than memory."""

import contextlib
import ctypes
import os

_M_MMAP_THRESHOLD = -3
# Smaller than blocks of a file, and larger than most arrays of a training step.
_BYTES = 4 * 2**20


def return_freed_memory() -> None:
    """Make glibc return every large array to the system as soon as it is freed."""
    # By default, glibc learns to keep arrays of the size of a block and scatters them over its
    # heaps, which takes a third of the memory of a long training. Other C libraries do not.
    # Arrow's own pool would keep them, too. The user's environment variables take precedence.
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BYTES)
