"""Measurements in their own processes, which print their result as one JSON line."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["MeasurementError", "answer", "peak_bytes", "run"]

ROOT = Path(__file__).parents[2]


# Keras imports TensorFlow with any backend if it is installed. This costs seconds and half a
# gigabyte, which must not count for JAX.
START = """
import runpy, sys
if sys.argv[1] == "jax":
    sys.modules["tensorflow"] = None
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


class MeasurementError(RuntimeError):
    """A process failed, and the message is its last line on standard error."""


def run(
    module: str,
    *arguments: object,
    backend: str = "jax",
    package: str = str(__package__),
    timeout: float | None = None,
) -> dict[str, Any]:
    """Run a module of a package, by default of this one, and return its result.

    The result also has ``total_seconds``, the time from the start to the end of the process.  A
    process that takes longer than ``timeout`` seconds is killed.
    """
    started = time.perf_counter()
    what = " ".join(map(str, (module, *arguments)))
    try:
        process = _start(backend, f"{package}.{module}", arguments, timeout)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{what}: timed out after {timeout:.0f} s") from None
    seconds = time.perf_counter() - started
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:]
        raise MeasurementError(f"{what}: {' '.join(last)}")
    return {**json.loads(process.stdout.splitlines()[-1]), "total_seconds": seconds}


def _start(
    backend: str, module: str, arguments: Iterable[object], timeout: float | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, backend, module, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ
        | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
        timeout=timeout,
    )


def answer(**values: Any) -> None:
    """Print the result of this process."""
    print(json.dumps(values), flush=True)


def peak_bytes() -> int:
    """Return the peak memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
