"""Freed memory is returned to the system."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from refold._support.native_libraries import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "return":
    return_freed_memory()
np.ones(3_000_000)  # from now on, glibc keeps the memory of arrays of this size
before = resident()
arrays = [np.ones(2_000_000) for _ in range(10)]
del arrays[:-1]  # the last array keeps glibc from returning the memory below it
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_returned_to_the_system():
    # The default allocator, without the settings of the test run.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")
    }
    kept_bytes, returned_bytes = (
        int(subprocess.check_output([sys.executable, "-c", PROGRAM, mode], env=environment))
        for mode in ("keep", "return")
    )
    assert returned_bytes < 20_000_000
    assert kept_bytes > 100_000_000
