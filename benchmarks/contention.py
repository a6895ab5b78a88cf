"""How much longer a fit takes when another program keeps all cores busy.

``python -m benchmarks.contention`` takes about 3 minutes on two cores.

JapaneseVowels, 16 latent dimensions, the defaults. Each fit is a process of its own, with the
default number of threads. After one fit that compiles and is not counted, quiet and busy fits
take turns. The load is one endless Python loop a core, at the same priority as the fit. Seconds
are those of ``fit`` alone, without imports; processor seconds are those of all threads of the
process in that time.
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
# Whoever sets these has other threads than by default.
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def all_cores_busy() -> Iterator[None]:
    """Run one endless loop a core."""
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
    """Fit once, and print the seconds and the processor seconds of its parts."""
    import refold

    data = refold.datasets.japanese_vowels().train
    before = _now()
    refold.SequenceAutoencoder(latent_dim=16, random_state=0).fit(data)
    seconds, processor = (end - start for start, end in zip(before, _now(), strict=True))
    answer(seconds=seconds, processor=processor)


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return what each fit took, quiet and busy."""
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
    middle = [
        {name: statistics.median(one[name] for one in runs) for name in ("seconds", "processor")}
        for runs in found.values()
    ]
    rows.append(["median", *_cells(*middle)])
    header = ["round", "quiet, s", "busy, s", "busy over quiet"]
    header += ["quiet, processor s", "busy, processor s"]
    write_page(
        "contention",
        "A fit on busy cores",
        [
            "`fit` on JapaneseVowels, 16 latent dimensions, by default, alone and beside one "
            "endless loop a core, at the same priority. Processor seconds are of all threads.",
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
    """Return wall time, and the processor time of this process, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fit", action="store_true", help="one fit, for the driver")
    arguments = parser.parse_args()
    if arguments.fit:
        fit()
    else:
        main(arguments.rounds)
