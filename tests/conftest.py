"""Before any test: set the backend, the compilation cache, and the cores of each worker.

Most of the time of a test is XLA's compilation, and half of that is optimization that short runs
do not need. So tests compile without optimization, unless XLA_FLAGS is set, and all workers share
one cache in the checkout, which the next run finds again. Each worker of pytest-xdist has its own
cores, because threads that wait for those of another worker take longer.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

CACHE = Path(__file__).parent.parent / ".jax_cache"


def _take_cores():
    """Leave other workers theirs; before anything counts the cores that there are."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker.isdigit() and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker) % len(cores) :: count])


_take_cores()

# Subprocesses of tests inherit these.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import refold  # noqa: E402

assert refold.__version__
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def ctrl_c():
    """Let SIGINT raise KeyboardInterrupt, here and in subprocesses, even if it was ignored.

    A script ignores it in what it starts by ``make test &``, and so do cron and nohup.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
