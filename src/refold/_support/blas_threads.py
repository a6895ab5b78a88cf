"""A limit of one BLAS thread for the decomposition of small matrices.

More threads do not speed up a small decomposition. On busy cores they slow it down, because each of
its many steps waits until all threads are scheduled.
"""

import contextlib
import functools
from collections.abc import Iterator

import scipy.linalg  # noqa: F401 - loads SciPy's BLAS, which is not that of NumPy
from threadpoolctl import ThreadpoolController

__all__ = ["SMALL_SIDE", "one_blas_thread"]

# Several threads pay off where both sides of a matrix are longer than this.
SMALL_SIDE = 600


@contextlib.contextmanager
def one_blas_thread(*shape: int) -> Iterator[None]:
    """Use one BLAS thread, as a context manager (which can be nested) or as a decorator.

    Parameters
    ----------
    *shape : int
        Shape of the matrix that is decomposed. Threads are limited only if one side is at most
        `SMALL_SIDE` long; without a shape, they always are.

    Examples
    --------
    >>> import numpy as np
    >>> from threadpoolctl import threadpool_info
    >>> def num_threads():
    ...     return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
    >>> with one_blas_thread():
    ...     num_threads()
    1
    """
    if min(shape, default=0) > SMALL_SIDE:
        yield
        return
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the controller of the BLAS libraries, cached because it takes milliseconds."""
    return ThreadpoolController()
