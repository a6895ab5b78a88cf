"""Settings of native libraries: threads of BLAS, and freed memory of glibc and Arrow."""

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

# Several threads pay off where both sides of a matrix are longer than this. On busy cores they slow
# down a small decomposition, because each of its many steps waits until all are scheduled.
SMALL_SIDE = 600
_M_MMAP_THRESHOLD = -3
# Smaller than blocks of a file, and larger than most arrays of a training step.
_MMAP_BYTES = 4 * 2**20


@contextlib.contextmanager
def one_blas_thread(*shape: int) -> Iterator[None]:
    """Use one BLAS thread if a matrix of this shape is small, and always without a shape."""
    try:
        libraries = None if min(shape, default=0) > SMALL_SIDE else _libraries()
    except ImportError:  # a small installation cannot limit them
        libraries = None
    limits = {"limits": 1, "user_api": "blas"}
    with contextlib.nullcontext() if libraries is None else libraries.limit(**limits):
        yield


@functools.cache
def _libraries() -> Any:
    """Return the controller of the BLAS libraries, cached because it takes milliseconds."""
    # not at the top, because a small installation has neither
    import scipy.linalg  # noqa: F401 - loads SciPy's BLAS, which is not that of NumPy
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
