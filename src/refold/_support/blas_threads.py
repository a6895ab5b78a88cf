"""Threads of NumPy's and SciPy's linear algebra: one for small matrices.

A small decomposition is over before a second thread has helped, and on cores that are busy with
other programs each of its many steps waits until that thread is scheduled.
"""

import contextlib
import functools
from collections.abc import Iterator

import scipy.linalg  # noqa: F401 - loads its library, which is another than that of NumPy
from threadpoolctl import ThreadpoolController

__all__ = ["SMALL_SIDE", "one_blas_thread"]

SMALL_SIDE = 600  # of a matrix: from there on a decomposition is worth several threads


@contextlib.contextmanager
def one_blas_thread(*shape: int) -> Iterator[None]:
    """Use one thread for linear algebra, in a block or as a decorator; blocks may be nested.

    Parameters
    ----------
    *shape : int
        Of the matrix that is decomposed: threads are limited only if a side is at most `SMALL_SIDE`
        long. Without one they always are.

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
    """Return the controller of the loaded libraries, which takes milliseconds to find them."""
    return ThreadpoolController()
