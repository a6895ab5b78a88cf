"""Memory that is given back when it is freed, for commands that read files larger than memory."""

import contextlib
import ctypes
import os

__all__ = ["give_blocks_back"]

_M_MMAP_THRESHOLD = -3
# Blocks are larger, and most arrays of a training step smaller.
_BYTES = 4 * 2**20


def give_blocks_back() -> None:
    """Have the C library return every large array to the system as soon as it is freed.

    glibc otherwise learns to keep arrays of the size of a block, and scatters them over its heaps:
    a third of the memory of a long training.  Other C libraries are left alone.  Arrow then takes
    its arrays from the C library too, not from a pool of its own.  What the user has said by
    ``MALLOC_MMAP_THRESHOLD_`` and ``ARROW_DEFAULT_MEMORY_POOL`` counts.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BYTES)
