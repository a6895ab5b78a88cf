"""How much longer a fit takes when another program keeps all cores busy.

``python -m benchmarks.contention`` takes about 3 minutes on two cores.

A model with default settings and 16 latent dimensions is fitted to JapaneseVowels. Each fit runs in
its own process with the default number of threads. The first fit compiles and does not count. Then
fits on idle and on busy cores take turns. The load is one endless Python loop per core with the
same priority as the fit. Times are those of ``fit``, without imports. CPU time is the sum over all
threads of the process.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks._results import table, write_page
from benchmarks.training_peers.process import answer, run

ROUNDS = 3
# These variables change the default number of threads.
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def all_cores_busy() -> Iterator[None]:
    """Run one endless loop per core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def fit() -> None:
    """Fit once, and print wall time and CPU time."""
    import refold

    data = refold.datasets.japanese_vowels().train
    before = _now()
    refold.SequenceAutoencoder(latent_dim=16, random_state=0).fit(data)
    seconds, processor = (end - start for start, end in zip(before, _now(), strict=True))
    answer(seconds=seconds, processor=processor)


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return the times of each fit, on idle and on busy cores."""
    run("contention", "--fit", package="benchmarks")
    found: dict[str, list[dict[str, Any]]] = {"quiet": [], "busy": []}
    for _ in range(rounds):
        found["quiet"].append(run("contention", "--fit", package="benchmarks"))
        with all_cores_busy():
            found["busy"].append(run("contention", "--fit", package="benchmarks"))
    return found


def main(rounds: int = ROUNDS) -> None:
    """Measure, and write ``results/contention.md``."""
    for name in VARIABLES:
        os.environ.pop(name, None)
    found = measure(rounds)
    rows = []
    for i, (quiet, busy) in enumerate(zip(found["quiet"], found["busy"], strict=True)):
        rows.append([str(i + 1), *_cells(quiet, busy)])
    medians = [
        {name: statistics.median(one[name] for one in runs) for name in ("seconds", "processor")}
        for runs in found.values()
    ]
    rows.append(["median", *_cells(*medians)])
    header = ["round", "idle, s", "busy, s", "ratio"]
    header += ["idle, CPU s", "busy, CPU s"]
    write_page(
        "contention",
        "A fit on busy cores",
        [
            "Times of `fit` on JapaneseVowels with default settings and 16 latent dimensions. The "
            "machine is otherwise idle, or it also runs one endless loop per core with the same "
            "priority. CPU time is the sum over all threads of the fit.",
            table(header, rows),
        ],
    )


def _cells(quiet: dict[str, float], busy: dict[str, float]) -> list[str]:
    return [
        f"{quiet['seconds']:.1f}",
        f"{busy['seconds']:.1f}",
        f"{busy['seconds'] / quiet['seconds']:.2f}",
        f"{quiet['processor']:.1f}",
        f"{busy['processor']:.1f}",
    ]


def _now() -> tuple[float, float]:
    """Return the wall time and the CPU time of this process, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fit", action="store_true", help="run one fit; used internally")
    arguments = parser.parse_args()
    if arguments.fit:
        fit()
    else:
        main(arguments.rounds)
