"""Before any test: set the backend, the compilation cache, and the cores of each worker.

Most of the time of a test is XLA's compilation, and half of that is optimization that short runs
do not need. So tests compile without optimization, unless XLA_FLAGS is set, and all workers share
one cache in the checkout, which the next run finds again. Each worker of pytest-xdist has its own
cores, because threads that wait for those of another worker take longer.
"""

import ctypes
import gc
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

CACHE = Path(__file__).parent.parent / ".jax_cache"
# Bytes of memory from which a worker forgets what it has compiled.
MOST_MEMORY = 900_000_000
# Packages whose releases break us first, shown above the tests.
SHOWN = ("jax", "keras", "numpy", "scipy", "scikit-learn", "pyarrow", "typer", "safetensors")


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
# What numba compiles for aeon takes seconds, and our data are tiny.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

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


@pytest.fixture
def no_epochs():
    """Let each fit end before its first epoch; see `small_data.fits_without_epochs`."""
    from small_data import fits_without_epochs

    with fits_without_epochs():
        yield


@pytest.fixture
def few_trees(monkeypatch):
    """Compare generated sequences by a forest of 40 trees, a fifth of those of users."""
    monkeypatch.setattr("refold.evaluation._generated_sequences._TREES", 40)


def pytest_report_header():
    """Name the versions that a run is of."""
    return ", ".join(f"{name} {version(name)}" for name in SHOWN)


@pytest.fixture(autouse=True)
def _little_memory():
    """After a test, forget what was compiled if it takes much memory; the cache on disk has it."""
    yield
    if "jax" in sys.modules and _resident() > _Memory.most:
        sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        # what fixtures hold stays: the next test must not do this again
        _Memory.most = max(MOST_MEMORY, _resident() + MOST_MEMORY // 4)


class _Memory:
    most = MOST_MEMORY


def _resident():
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
