"""Before any test: Keras runs on Refold's backend, what was compiled once is kept for the session,

and tests may import what lies beside them.  Most of the time of a test is XLA's compiling, and half
of that is optimisation of what runs for a moment: tests do without it, unless XLA_FLAGS is set.
Each worker of pytest-xdist has cores to itself: threads that wait for those of another take longer.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest


def _take_cores():
    """Leave other workers theirs; before anything counts the cores that there are."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker.isdigit() and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker) % len(cores) :: count])


_take_cores()

import refold  # noqa: E402

assert refold.__version__
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _compiled_once():
    """Let tests and the processes they start share what JAX compiled."""
    import jax

    with tempfile.TemporaryDirectory(prefix="refold-tests-") as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        yield
