"""Functions that limit the threads of BLAS, and that make glibc and Arrow return freed memory."""

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

# Several threads of BLAS pay off if both sides of a matrix are longer than this. With a smaller
# matrix, several threads are slower than one if the cores are busy: each of the many steps of a
# decomposition waits for all threads.
MAX_ONE_THREAD_MATRIX_SIDE = 600
# The parameter M_MMAP_THRESHOLD of `mallopt`, as a number from glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
# Arrays of at least this size return their memory to the system when they are freed. The blocks of
# a file are larger. Most arrays of a training step are smaller: their memory stays and is used
# again, which is faster.
_MMAP_THRESHOLD_BYTES = 4 * 2**20


@contextlib.contextmanager
def one_blas_thread(*matrix_shape: int) -> Iterator[None]:
    """Limit BLAS to one thread within a context, unless both sides of a matrix are long."""
    try:
        is_large = min(matrix_shape, default=0) > MAX_ONE_THREAD_MATRIX_SIDE
        controller = None if is_large else _make_blas_controller()
    except ImportError:  # without threadpoolctl, in a small installation, there is no limit
        controller = None
    with controller.limit(limits=1, user_api="blas") if controller else contextlib.nullcontext():
        yield


@functools.cache  # finding the libraries takes milliseconds
def _make_blas_controller() -> Any:
    """Return a `threadpoolctl.ThreadpoolController`, which can limit the threads of BLAS."""
    # A small installation has neither package, so they are not imported at the top. The controller
    # only limits libraries that are loaded, and SciPy has its own BLAS, so SciPy is loaded first.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def configure_memory_return() -> None:
    """Make glibc and Arrow return the memory of large arrays to the system when they are freed."""
    # By default, glibc raises its threshold to the size of the largest freed array, and then keeps
    # the memory of all smaller arrays. In a long training, this was a third of all memory. A fixed
    # threshold prevents that. The default pool of Arrow keeps freed memory, too. The user's
    # environment variables take precedence.
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    # other C libraries have no mallopt, and Windows has no library without a name
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
