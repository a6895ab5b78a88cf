"""Freed memory is returned to the system."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from refold._support.native_libraries import configure_memory_return

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "return":
    configure_memory_return()
np.ones(3_000_000)  # from now on, glibc keeps the memory of arrays of this size
before = resident()
arrays = [np.ones(2_000_000) for _ in range(10)]
del arrays[:-1]  # the last array keeps glibc from returning the memory below it
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_returned_to_the_system():
    # the default allocator, without the settings of the test run
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MALLOC_")}
    num_bytes = {}
    for mode in ("keep", "return"):
        command = [sys.executable, "-c", PROGRAM, mode]
        num_bytes[mode] = int(subprocess.check_output(command, env=environment))
    assert num_bytes["return"] < 20_000_000
    assert num_bytes["keep"] > 100_000_000
