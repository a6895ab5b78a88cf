"""Measurements in processes of their own: of a function, and of a whole command."""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
# The peak memory of a process is never below that of its parent, so this module imports little.
UNIT = 1 if sys.platform == "darwin" else 1024
# Threads that measure at the same time share the environment.
_starts = threading.Lock()


class MeasurementError(RuntimeError):
    """A process failed, and the message is its error in one line."""


class Usage(NamedTuple):
    """Seconds of a process, its user CPU time in seconds, and its peak memory in bytes."""

    seconds: float
    user: float
    peak: float


def measure(
    function: Callable[..., Any],
    *arguments: Any,
    backend: str = "jax",
    timeout: float | None = None,
    **variables: str,
) -> Any:
    """Return what a function of a module returns in a process of its own.

    The process is killed after ``timeout`` seconds.  ``variables`` are added to its environment.
    """
    context = multiprocessing.get_context("spawn")
    results, answers = context.Pipe(duplex=False)
    where = function.__module__, function.__qualname__
    child = context.Process(target=_child, args=(answers, backend, *where, arguments))
    variables |= {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    with _starts, patch.dict(os.environ, variables):
        child.start()
    answers.close()
    title = " ".join(map(str, (function.__name__, *arguments)))
    try:
        if not results.poll(timeout):
            raise MeasurementError(f"{title}: timed out after {timeout:.0f} s")
        error, result = results.recv()
    except EOFError:
        child.join()
        raise MeasurementError(f"{title}: the process ended with {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
    if error:
        raise MeasurementError(f"{title}: {error}")
    return result


def _child(answers: Any, backend: str, module: str, name: str, arguments: tuple[Any, ...]) -> None:
    # Keras imports TensorFlow with any backend if it is installed. This costs seconds and half a
    # gigabyte, which must not count for JAX.
    if backend == "jax":
        sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]
    try:
        function = getattr(importlib.import_module(module), name)
        answer = None, function(*arguments)
    except (Exception, SystemExit) as error:
        answer = f"{type(error).__name__}: {error}".splitlines()[0], None
    answers.send(answer)


def measure_command(*command: object, **variables: str) -> Usage:
    """Run a command of Python, such as ``-m refold info MODEL``, and measure its process."""
    words = [sys.executable, *map(str, command)]
    with tempfile.TemporaryFile() as errors, patch.dict(os.environ, variables):
        started = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise MeasurementError(f"{' '.join(words[1:])}: {' '.join(last)}")
    return Usage(seconds, usage.ru_utime, UNIT * usage.ru_maxrss)


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
