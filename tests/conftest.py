"""Set the compilation cache and the cores of each worker before any test.

Most of the time of a test is spent in XLA's compilation, and half of that in optimizations that
short runs do not need. So tests compile without optimizations, unless XLA_FLAGS is set. All workers
share one cache in the checkout, which the next run uses again. Each worker of pytest-xdist has its
own cores, because threads that share cores with another worker wait for each other.
"""

import ctypes
import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

COMPILATION_CACHE = Path(__file__).parent.parent / ".jax_cache"
# A worker with more bytes of memory clears its compiled code, so that all workers fit in memory.
MAX_WORKER_BYTES = 900_000_000


def _limit_cores():
    """Limit this worker to its share of the cores, before any library counts them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    num_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker.isdigit() and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker) % len(cores) :: num_workers])


_limit_cores()

# Subprocesses of tests inherit these.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILATION_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# A test that reads data larger than memory leaves nothing in the user's folder.
os.environ.setdefault("REFOLD_CACHE_DIR", tempfile.mkdtemp(prefix="refold-tests-"))
# Compilation by numba (for aeon) takes seconds, and the test data is tiny.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import refold  # noqa: E402

assert refold.__version__
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def ctrl_c():
    """Make SIGINT raise KeyboardInterrupt, here and in subprocesses, even if it was ignored.

    Processes that a script starts in the background ignore it, and so do those of cron and nohup.
    """
    previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous_handler)


@pytest.fixture
def skip_epochs():
    """End each fit before its first epoch, as `small_data.fits_without_epochs` does."""
    from small_data import fits_without_epochs

    with fits_without_epochs():
        yield


@pytest.fixture
def small_forest(monkeypatch):
    """Compare generated sequences with a forest of 40 trees, a fifth of the default."""
    monkeypatch.setattr("refold.evaluation._classifiers._NUM_TREES", 40)


def pytest_unconfigure(config):
    """Remove the cache of data larger than memory, which the workers share."""
    if hasattr(config, "workerinput"):
        return
    if Path(os.environ["REFOLD_CACHE_DIR"]).name.startswith("refold-tests-"):
        shutil.rmtree(os.environ["REFOLD_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _free_memory():
    """Clear compiled code after a test if the process is large; the cache on disk still has it."""
    yield
    if "jax" in sys.modules and _resident_bytes() > _MemoryLimit.num_bytes:
        sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        # fixtures may still hold memory, and the next test should not clear everything again
        _MemoryLimit.num_bytes = max(MAX_WORKER_BYTES, _resident_bytes() + MAX_WORKER_BYTES // 4)


class _MemoryLimit:
    """Memory of this worker beyond which compiled code is cleared."""

    num_bytes = MAX_WORKER_BYTES


def _resident_bytes():
    """Return the resident memory of this process in bytes, or 0 if it is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def browser():
    """Return a Chromium that Playwright controls; tests are skipped if either is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is tested with Playwright, which is not installed"
    )
    names = "chromium", "chromium-browser", "chrome"
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("the page is tested in a Chromium of the system, and there is none on PATH")
    with playwright.sync_playwright() as api:
        options = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        running_browser = api.chromium.launch(executable_path=chromium, args=options)
        yield running_browser
        running_browser.close()
