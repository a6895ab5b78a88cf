"""The process of one implementation: ``python -m benchmarks.lstm_peers.worker NAME CORES``.

It reads one JSON request per line from standard input, and writes one JSON answer per line:

- ``build`` prepares a job, stores it under a key, and makes its first call, which compiles.
- ``time`` calls a job for some seconds, and returns the seconds of each call.
- ``save`` writes the results of a job to an ``.npz`` file.
- ``clear`` deletes all jobs.
- ``about`` returns a remark on the implementation.

If a job raises an exception, the answer has ``error``.  Other output goes to standard error.
"""

import gc
import importlib
import json
import os
import sys
import time
from typing import Any

import numpy as np

from benchmarks.lstm_peers.cases import Case
from benchmarks.lstm_peers.jobs import Job

__all__ = ["main"]


def main(name: str, cores: str) -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if cores != "all":  # before the framework counts cores and starts threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(cores) :])
    jobs: dict[str, Job] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(name, jobs, **request)
        except Exception as error:
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            answer = {"error": message}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(
    name: str, jobs: dict[str, Job], *, do: str, key: str = "", **request: Any
) -> dict[str, Any]:
    if do == "clear":
        jobs.clear()
        gc.collect()
        return {}
    if do == "build":
        jobs[key] = job = _build(name, **request)
        job.before()
        job.call()
        return {}
    if do == "about":
        return {"about": importlib.import_module(f"benchmarks.lstm_peers.{name}").about()}
    if do == "save":
        jobs[key].before()
        np.savez(request["path"], **jobs[key].results())
        return {}
    return {"seconds": _burst(jobs[key], request["seconds"])}


def _build(name: str, mode: str, case: list[int], setting: dict[str, Any]) -> Job:
    make = importlib.import_module(f"benchmarks.lstm_peers.{name}")
    if mode == "matmul":
        return make.matmul()
    if mode == "question":
        question = importlib.import_module("benchmarks.lstm_peers.question")
        return question.make(make.layer_class(), **setting)
    return make.make(mode, Case(*case), **setting)


def _burst(job: Job, seconds: float) -> list[float]:
    """Time calls for some seconds; the first call counts only if it takes all of them."""
    job.before()
    gc.disable()
    try:
        times = [_once(job)]
        if times[0] * job.num > seconds:
            return times
        times.clear()
        while len(times) < 2 or sum(times) * job.num < seconds:
            times.append(_once(job))
    finally:
        gc.enable()
    return times


def _once(job: Job) -> float:
    started = time.perf_counter()
    job.call()
    return (time.perf_counter() - started) / job.num


if __name__ == "__main__":
    main(*sys.argv[1:])
