"""Training by several processes: steps per second, and the time to add up gradients.

``python -m benchmarks.cluster_training`` takes about 4 minutes on two cores.

A model with default settings and 16 latent dimensions is trained on 20,000 series with three
columns and 50 to 150 steps, from four Parquet files, in batches of 256. Each process has one core
for itself, so that one process has one core, and two have two. The first two epochs compile the
steps and do not count. Then the gradients' vector is added up 500 times, within one compiled loop,
as in a training step. Times are medians of the rounds.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._results import table, write_page

NUM_SEQUENCES, BATCH_SIZE, EPOCHS = 20_000, 256, 5
REDUCTIONS = 500


def write_data(folder: Path) -> None:
    """Write the series to four files."""
    import refold

    rng = np.random.default_rng(0)
    for number in range(4):
        data = []
        for length in rng.integers(50, 151, NUM_SEQUENCES // 4):
            steps = np.arange(length)[:, None]
            phases, periods = rng.uniform(0, 6, 3), rng.uniform(5, 20, 3)
            data.append(np.sin(steps / periods + phases) + rng.normal(0, 0.1, (length, 3)))
        ids = [f"{number}-{i}" for i in range(len(data))]
        found = refold.sequences.Sequences.from_list(data, ids=ids)
        refold.sequences.write(found, folder / f"{number}.parquet")


def work(index: int, count: int, port: int, folder: str) -> None:
    """Train in one of the processes, and print the times."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[index % len(cores)]})
    import jax

    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", count, index)
    import refold

    ae = refold.SequenceAutoencoder(
        latent_dim=16,
        max_epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        validation_fraction=0.0,
        random_state=0,
    )
    fitted = refold.cluster.fit_together(ae, folder, num_parts=2)
    seconds = fitted.history_["seconds"]
    size = fitted.n_parameters_
    found = {"epoch": (seconds[-1] - seconds[1]) / (EPOCHS - 2), "weights": size}
    if count > 1:
        found["reduction"] = reduction(size)
    if index == 0:
        print("RESULT " + json.dumps(found), flush=True)


def reduction(size: int) -> float:
    """Return the seconds to add up a vector of this size over the processes."""
    import jax

    from refold.training._processes import Processes, total
    from refold.training.data._padded_batches import Data

    processes = Processes.connected()

    def reduce(state: Any, data: Any, rows: Any, *, num_steps: int) -> Any:
        del data, rows
        return jax.lax.fori_loop(0, num_steps, lambda _, x: total(x) / processes.count, state)

    run = jax.jit(processes.across(reduce), static_argnames="num_steps")
    nothing = Data(*[np.zeros(1, np.float32)] * 3)
    placed = processes.placed(np.ones(size, np.float32), nothing, np.zeros((1, 1), np.int32))
    np.asarray(run(*placed, num_steps=REDUCTIONS))
    began = time.perf_counter()
    np.asarray(run(*placed, num_steps=REDUCTIONS))
    return (time.perf_counter() - began) / REDUCTIONS


def measure(count: int, folder: str) -> dict[str, float]:
    """Start the processes, and return the times of the first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module = "benchmarks.cluster_training"
    arguments = [[str(i), str(count), str(port), folder] for i in range(count)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", module, "--worker", *one], stdout=subprocess.PIPE, text=True
        )
        for one in arguments
    ]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("A process failed.")
    line = next(line for line in outputs[0].splitlines() if "RESULT " in line)
    return json.loads(line.split("RESULT ", 1)[1])


def main() -> None:
    """Measure in rounds, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=4)
    given = parser.parse_args()
    if given.worker:
        index, count, port, folder = given.worker
        work(int(index), int(count), int(port), folder)
        return
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        for _ in range(given.rounds):
            for count, several in found.items():
                several.append(measure(count, folder))
                print(count, several[-1], file=sys.stderr, flush=True)
    steps = -(-NUM_SEQUENCES // BATCH_SIZE)
    rows = []
    for count, several in found.items():
        epoch = statistics.median(one["epoch"] for one in several)
        reduced = [1e3 * one["reduction"] for one in several if "reduction" in one]
        rows.append(
            [
                str(count),
                f"{steps / epoch:.2f}",
                f"{NUM_SEQUENCES / epoch:,.0f}",
                f"{statistics.median(reduced):.2f} ms" if reduced else "-",
            ]
        )
    ratio = statistics.median(one["epoch"] for one in found[1]) / statistics.median(
        one["epoch"] for one in found[2]
    )
    header = ["processes", "steps per second", "sequences per second", "reduction per step"]
    weights = int(found[2][0]["weights"])
    text = (
        f"Two processes are {ratio:.2f} times as fast as one. The reduction adds up {weights:,} "
        f"numbers over the loopback interface. Medians of {given.rounds} rounds."
    )
    title = "Training by several processes"
    about = str(__doc__).split("\n\n", 2)[2]
    write_page("cluster_training", title, [about, table(header, rows), text])


if __name__ == "__main__":
    main()
