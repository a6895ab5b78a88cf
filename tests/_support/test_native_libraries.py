"""Small matrices use one thread, and large ones all; freed memory is returned to the system."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from refold._support.native_libraries import SMALL_SIDE, one_blas_thread


def num_threads():
    return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")


def test_small_matrices_take_one_thread():
    np.linalg.eigh(np.eye(2))
    with threadpool_limits(2, user_api="blas"):
        if num_threads() == 1:
            pytest.skip("this BLAS has no threads")
        large = SMALL_SIDE + 1
        for shape, threads in (((), 1), ((SMALL_SIDE, 10**6), 1), ((large, large), 2)):
            with one_blas_thread(*shape):
                assert num_threads() == threads
        assert num_threads() == 2


SCATTERED = """
import resource
import sys

import numpy as np

from refold._support.native_libraries import return_freed_memory

if sys.argv[1] == "back":
    return_freed_memory()


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


np.ones(3_000_000)  # so that glibc learns to keep arrays of this size
before = resident()
blocks = [np.ones(2_000_000) for _ in range(10)]
del blocks[:-1]  # what is left holds the heap below it
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_returned_to_the_system():
    # The default allocator, without the settings of the test run.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    kept, back = (
        int(subprocess.check_output([sys.executable, "-c", SCATTERED, how], env=plain))
        for how in ("kept", "back")
    )
    assert back < 20_000_000
    assert kept > 100_000_000
