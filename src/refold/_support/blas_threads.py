"""A limit of one BLAS thread for the decomposition of small matrices."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

__all__ = ["SMALL_SIDE", "one_blas_thread"]

# Several threads pay off where both sides of a matrix are longer than this. On busy cores they slow
# down a small decomposition, because each of its many steps waits until all are scheduled.
SMALL_SIDE = 600


@contextlib.contextmanager
def one_blas_thread(*shape: int) -> Iterator[None]:
    """Use one BLAS thread if a matrix of this shape is small, and always without a shape."""
    if min(shape, default=0) > SMALL_SIDE:
        yield
        return
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> Any:
    """Return the controller of the BLAS libraries, cached because it takes milliseconds."""
    # not at the top, because a small installation has neither
    import scipy.linalg  # noqa: F401 - loads SciPy's BLAS, which is not that of NumPy
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
