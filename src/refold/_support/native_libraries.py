"""Settings of native libraries: the threads of BLAS, and how glibc and Arrow free memory."""

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

# Several threads pay off if both sides of a matrix are longer than this. On busy cores, they slow
# down the decomposition of a smaller matrix: it has many steps, and each one waits for all threads.
MAX_ONE_THREAD_SIDE = 600
# The number of the parameter in `mallopt`, from glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
# From this size on, freed arrays return to the system. It is below the size of blocks of a file,
# and above that of most arrays of a training step, for which mapping new memory would take time.
_MMAP_THRESHOLD_BYTES = 4 * 2**20


@contextlib.contextmanager
def one_blas_thread(*shape: int) -> Iterator[None]:
    """Limit BLAS to one thread within a context, unless there is a shape and it is large."""
    try:
        controller = None if min(shape, default=0) > MAX_ONE_THREAD_SIDE else _blas_controller()
    except ImportError:  # without threadpoolctl, in a small installation, there is no limit
        controller = None
    limits = {"limits": 1, "user_api": "blas"}
    with contextlib.nullcontext() if controller is None else controller.limit(**limits):
        yield


@functools.cache  # finding the libraries takes milliseconds
def _blas_controller() -> Any:
    """Return a `threadpoolctl.ThreadpoolController`, which can limit the threads of BLAS."""
    # The imports are here because a small installation has neither package. The controller knows
    # only libraries that are loaded, so SciPy is imported, which has a BLAS of its own.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def return_freed_memory() -> None:
    """Make glibc and Arrow return the memory of large arrays to the system when they are freed."""
    # By default, glibc raises its threshold to the size of freed arrays. Then it keeps the memory
    # of all arrays of that size, scattered over its heaps: a third of the memory of a long
    # training. Other C libraries do not. Arrow's default pool keeps freed memory, too.
    # The user's environment variables take precedence.
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    # other C libraries have no mallopt, and Windows has no library without a name
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
