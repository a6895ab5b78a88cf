"""Small matrices use one thread, and large ones all threads."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from refold._support.blas_threads import SMALL_SIDE, one_blas_thread


def num_threads():
    return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")


@pytest.fixture(autouse=True)
def two_threads():
    np.linalg.eigh(np.eye(2))
    with threadpool_limits(2, user_api="blas"):
        if num_threads() == 1:
            pytest.skip("this BLAS has no threads")
        yield


def test_the_context_can_be_nested():
    with one_blas_thread():
        with one_blas_thread(3, 5):
            assert num_threads() == 1
        assert num_threads() == 1
    assert num_threads() == 2


def test_the_limit_ends_after_an_error():
    with pytest.raises(ValueError, match="singular"), one_blas_thread():
        raise ValueError("singular")
    assert num_threads() == 2


@pytest.mark.parametrize(
    ("shape", "threads"), [((SMALL_SIDE, 10**6), 1), ((SMALL_SIDE + 1, SMALL_SIDE + 1), 2)]
)
def test_large_matrices_keep_their_threads(shape, threads):
    with one_blas_thread(*shape):
        assert num_threads() == threads
