"""Freed memory is returned to the system."""

import os
import platform
import subprocess
import sys

import pytest

SCATTERED = """
import resource, sys
import numpy as np
from refold._support.native_libraries import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "back":
    return_freed_memory()
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
