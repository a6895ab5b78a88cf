"""Encoding on a local Ray cluster: one, two and four workers, a cost model, memory, killed workers.

``python -m benchmarks.cluster`` needs the extra ``ray`` and takes about 15 minutes on two cores.
It writes ``results/cluster.json`` and the page. ``--quick`` tries everything on a tenth of the data
and writes nothing to ``results/``.

The sequences are ragged: lengths are log-normal with a mean of about 50 steps. They lie in eight
Parquet files with two columns of lists. The workers have one core each (one kernel thread), and
each run has a new cluster. The cost model is fitted to small runs only, and then predicts the
large ones.
"""

import argparse
import contextlib
import math
import os
import shutil
import signal
import statistics
import tempfile
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from benchmarks._records import read_records, write_records
from benchmarks._results import (
    DOCS,
    FOLDER,
    PACKAGES,
    environment,
    machine,
    replace_results,
    table,
    today,
    write_page,
)
from refold.cluster._source import MAX_STEPS
from refold.kernels import packed
from refold.sequences import Sequences

PATH = FOLDER / "cluster.json"
NUMBER = 1_000_000
FILES, ROW_GROUP = 8, 10_000
# Rows that a worker reads at a time, about.
READ_ROWS = 2500
# Log-normal lengths: their median and the standard deviation of their logarithm.
MEDIAN, SPREAD, LONGEST = 40, 0.7, 1000
WORKERS = (1, 2, 4)
# Sequences of the runs that the cost model is fitted to.
SMALL = (60_000, 240_000)
# The sequences of the estimate: how many, their steps, and how many of them are measured.
MANY, LONG_STEPS, LONG_NUMBER = 10**9, 200, 20_000
# Prices of the estimate, in dollars: an hour of a core, and a month of a gigabyte in a bucket.
PRICES = {"on demand": 0.05, "spot": 0.015}
# Cores of a machine of the estimate, and how many machines.
MACHINE_CORES, MACHINES = 64, (1, 10, 100)
# Sequences of the run in which workers are killed, and how many are.
KILLED_NUMBER, KILLS = 300_000, 10


def sequences(number: int, seed: int, *, long: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy sines with two columns: values of shape (num_steps, 2), and lengths."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(np.log(MEDIAN), SPREAD, number)).astype(np.int64)
    lengths = np.full(number, LONG_STEPS) if long else lengths.clip(1, LONGEST)
    step = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    phase = np.repeat(rng.uniform(0, 6, number), lengths)
    speed = np.repeat(rng.uniform(0.1, 1, number), lengths)
    angle = (phase + speed * step).astype(np.float32)
    values = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return values + rng.normal(0, 0.1, values.shape).astype(np.float32), lengths


def write_files(folder: Path, number: int) -> None:
    """Write the sequences to several Parquet files."""
    folder.mkdir()
    for i in range(FILES):
        first, last = number * i // FILES, number * (i + 1) // FILES
        values, lengths = sequences(last - first, i)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        columns = {f"x{j}": pa.ListArray.from_arrays(offsets, values[:, j]) for j in range(2)}
        written = pa.table({"id": np.arange(first, last), **columns})
        pq.write_table(written, folder / f"{i}.parquet", row_group_size=ROW_GROUP)


def fit_model(path: Path) -> None:
    """Fit a default model with 16 latent dimensions for two epochs; speed does not depend on it."""
    values, lengths = sequences(5000, 99)
    data = Sequences(values, np.concatenate([[0], np.cumsum(lengths)]))
    ae = refold.SequenceAutoencoder(16, max_epochs=2, latent_steps=0, random_state=0)
    ae.fit(data).save(path)


def run(
    model: Path, data: Path, output: Path, num_workers: int, *, again: bool = False
) -> dict[str, Any]:
    """Encode on a new cluster, and return what was measured."""
    if not again:
        shutil.rmtree(output, ignore_errors=True)
    started = time.perf_counter()
    summary = refold.cluster.encode(
        model, data, output, on="local", num_workers=num_workers, verbose=0
    )
    whole = time.perf_counter() - started
    return {
        "workers": num_workers,
        "sequences": summary.num_sequences,
        "steps": summary.num_steps,
        "parts": summary.num_parts,
        "seconds": summary.seconds,
        "whole": whole,
        "memory": summary.memory,
    }


def long_sequences(folder: Path) -> dict[str, float]:
    """Return steps per second of one core for sequences of 200 steps, without a cluster."""
    values, lengths = sequences(LONG_NUMBER, 7, long=True)
    data = Sequences(values, np.concatenate([[0], np.cumsum(lengths)]))
    ae = refold.SequenceAutoencoder(16, max_epochs=2, latent_steps=0, random_state=0)
    ae.fit(data[:2000])
    ae.verbose = 0
    found = {}
    with packed.limited_threads(1):
        for latent_steps in (0, 10):
            ae.set_params(latent_steps=latent_steps)
            some = data if not latent_steps else data[: LONG_NUMBER // 10]
            started = time.perf_counter()
            ae.encode(some)
            seconds = time.perf_counter() - started
            found[f"rate_{latent_steps}"] = int(some.lengths.sum()) / seconds
    path = folder / "long.parquet"
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    lists = {f"x{j}": pa.ListArray.from_arrays(offsets, values[:, j]) for j in range(2)}
    pq.write_table(pa.table({"id": np.arange(LONG_NUMBER), **lists}), path)
    return found | {"bytes_per_step": path.stat().st_size / len(values)}


def read_alone(data: Path) -> dict[str, float]:
    """Return bytes and seconds of reading all files with one core, without computing."""
    files = sorted(data.glob("*.parquet"))
    started = time.perf_counter()
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_ROWS, use_threads=False):
                del batch
    seconds = time.perf_counter() - started
    return {"bytes": sum(path.stat().st_size for path in files), "seconds": seconds}


def check(output: Path, expected: np.ndarray) -> None:
    """Check that each row is there once, with the bits of one machine."""
    parts = sorted(output.glob("part-*"))
    found = pa.concat_tables([pq.read_table(part) for part in parts])
    codes, ids = refold.sequences.codes_from_arrow(found)
    assert np.array_equal(ids, np.arange(len(expected)))
    assert np.array_equal(codes, expected)


def run_and_kill(model: Path, data: Path, output: Path, expected: np.ndarray) -> dict[str, Any]:
    """Encode with two workers, and kill one of them ten times."""
    end, killed = threading.Event(), []

    def kill() -> None:
        parts = 0
        while len(killed) < KILLS and not end.wait(0.05):
            done = len([*output.glob("part-*")])
            if done > parts and (found := _workers()):
                parts = done
                os.kill(found[len(killed) % len(found)], signal.SIGKILL)
                killed.append(done)

    thread = threading.Thread(target=kill)
    thread.start()
    found = run(model, data, output, 2)
    end.set()
    thread.join()
    check(output, expected)
    return found | {"killed": len(killed)}


def _workers() -> list[int]:
    """Return the process ids of workers on this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"ray::write_part"):
                found.append(int(process.name))
    return sorted(found)


def cost_model(small: list[dict[str, Any]], cores: int) -> dict[str, float]:
    """Fit the cost model to small runs.

    Seconds of a run with w workers on c cores are ``start + each * max(1, w / c)`` until the
    workers are ready, and then ``steps / (rate * share(w) * min(w, c))``, where the share is 1 for
    one worker and the efficiency of a core for several.
    """
    found = {}
    slopes, starts = {}, {}
    for workers in WORKERS:
        one = [run for run in small if run["workers"] == workers]
        slopes[workers], starts[workers] = np.polyfit(
            [run["steps"] for run in one], [run["seconds"] for run in one], 1
        )
    found["rate"] = 1 / slopes[1]
    several = [1 / (slopes[w] * found["rate"] * min(w, cores)) for w in WORKERS if w > 1]
    found["efficiency"] = statistics.mean(several)
    waves = [max(1.0, workers / cores) for workers in WORKERS]
    found["each"], found["start"] = np.polyfit(waves, [starts[w] for w in WORKERS], 1)
    return {name: float(value) for name, value in found.items()}


def predicted(model: dict[str, float], cores: int, workers: int, steps: int) -> float:
    """Return the seconds that the cost model predicts."""
    share = 1.0 if workers == 1 else model["efficiency"]
    start = model["start"] + model["each"] * max(1.0, workers / cores)
    return start + steps / (model["rate"] * share * min(workers, cores))


def measure(folder: Path, scale: int) -> list[dict[str, Any]]:
    """Measure everything, and return the records."""
    model, output = folder / "sines.refold", folder / "codes"
    # JAX warns of processes that are started after it, as Ray does
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        apart.submit(fit_model, model).result()
        long = apart.submit(long_sequences, folder).result()
    about = {"date": today(), "machine": machine()}
    records = []

    def keep(name: str, found: dict[str, Any]) -> None:
        records.append({"name": name} | about | found)
        print(name, found, flush=True)

    keep("long", long)
    for number in SMALL:
        data = folder / str(number)
        write_files(data, number // scale)
        for workers in WORKERS:
            both = [run(model, data, output, workers) for _ in range(2)]
            best = min(both, key=lambda one: one["seconds"])
            keep("small", best)
        shutil.rmtree(data)
    data = folder / "large"
    write_files(data, NUMBER // scale)
    keep("reading", read_alone(data))
    for workers in WORKERS:
        keep("large", run(model, data, output, workers))
    keep("nothing left", run(model, data, output, 2, again=True))
    started = time.perf_counter()
    expected = refold.load(model).encode(data)
    keep("one machine", {"seconds": time.perf_counter() - started})
    check(output, expected)
    shutil.rmtree(data)
    data = folder / "killed"
    write_files(data, KILLED_NUMBER // scale)
    keep("killed", run_and_kill(model, data, output, refold.load(model).encode(data)))
    return records


def write(records: list[dict[str, Any]], folder: Path) -> None:
    """Write the page."""
    cores = len(os.sched_getaffinity(0))
    small, large = ([one for one in records if one["name"] == name] for name in ("small", "large"))
    model = cost_model(small, cores)
    named = {one["name"]: one for one in records}
    reading, alone, killed = (named[name] for name in ("reading", "one machine", "killed"))
    nothing = named["nothing left"]
    rows, first = [], large[0]["seconds"]
    for one in large:
        expected = predicted(model, cores, one["workers"], one["steps"])
        rows.append(
            [
                str(one["workers"]), f"{one['seconds']:.1f}", f"{first / one['seconds']:.2f}",
                f"{one['steps'] / one['seconds'] / 1e6:.2f}", f"{expected:.1f}",
                f"{100 * (expected / one['seconds'] - 1):+.1f} %", f"{one['memory'] / 1e6:.0f}",
            ]
        )  # fmt: skip
    header = [
        "workers", "seconds", "speed-up", "million steps/s", "seconds predicted", "error",
        "memory of a worker, MB",
    ]  # fmt: skip
    steps, number = large[0]["steps"], large[0]["sequences"]
    megabytes = reading["bytes"] / 1e6
    sizes = " and ".join(f"{one:,}" for one in sorted({run["sequences"] for run in small}))
    tried = [
        [
            f"{one['sequences']:,}", str(one["workers"]), f"{one['seconds']:.1f}",
            f"{predicted(model, cores, one['workers'], one['steps']):.1f}",
        ]
        for one in small
    ]  # fmt: skip
    parts = [
        f"{number:,} sequences with {steps:,} steps of two numbers ({megabytes:.0f} MB of Parquet "
        f"in {FILES} files) on a local Ray cluster. Lengths are log-normal. A worker has one core. "
        "Seconds include the start of the workers and the search for ids that occur twice, and not "
        "the start of the cluster. The default model has 16 latent dimensions.",
        table(header, rows),
        "The prediction is that of a cost model whose parameters come from smaller runs, with "
        f"{sizes} sequences: {model['start']:.1f} s, plus {model['each']:.1f} s for each round of "
        f"workers that start on the cores, plus the steps at {model['rate'] / 1e6:.2f} million per "
        f"second and core (with several workers {100 * model['efficiency']:.0f} % of that).",
        table(["small run: sequences", "workers", "seconds", "predicted"], tried),
        f"Reading alone, without computing: {megabytes / reading['seconds']:.0f} MB/s, or "
        f"{steps / reading['seconds'] / 1e6:.1f} million steps/s, with one core.",
        f"The same sequences in one process with all cores, without a cluster: "
        f"{alone['seconds']:.1f} s. The codes have the same bits.",
        f"A run that finds all {nothing['parts']} parts of an earlier one: "
        f"{nothing['seconds']:.1f} s with two workers.",
        f"Killed workers: {killed['sequences']:,} sequences, two workers, one of which was killed "
        f"{killed['killed']} times in {killed['seconds']:.0f} s. Each sequence is there once, with "
        "the bits of one process.",
    ]
    title = "Encoding on a Ray cluster"
    about = environment((*PACKAGES, "ray", "pyarrow"))
    write_page("cluster", title, parts, about=about, folder=folder)
    if folder == FOLDER:
        replace_results(DOCS / "explanation/scale.md", estimate(records, model), name="cluster")
    else:
        print(estimate(records, model))


def estimate(records: list[dict[str, Any]], model: dict[str, float]) -> str:
    """Return what the cost model says about a thousand million sequences."""
    named = {one["name"]: one for one in records}
    long, reading, nothing = named["long"], named["reading"], named["nothing left"]
    steps = MANY * LONG_STEPS
    core_seconds = steps / (long["rate_0"] * model["efficiency"])
    hours = core_seconds / 3600
    terabytes = steps * long["bytes_per_step"] / 1e12
    parts = math.ceil(steps / MAX_STEPS)
    part = MAX_STEPS / (long["rate_0"] * model["efficiency"])
    rows = []
    for machines in MACHINES:
        cores = machines * MACHINE_CORES
        # the last round of parts may leave workers without work
        rounds = math.ceil(parts / cores)
        seconds = model["start"] + model["each"] + rounds * part
        rows.append(
            [
                f"{machines}", f"{cores:,}", f"{seconds / 60:.0f}",
                f"{steps * long['bytes_per_step'] / seconds / machines / 1e6:.0f}",
                *(f"{seconds / 3600 * cores * price:,.0f}" for price in PRICES.values()),
            ]
        )  # fmt: skip
    header = [
        "machines", "cores", "minutes", "MB/s read by a machine",
        *(f"dollars, {name}" for name in PRICES),
    ]  # fmt: skip
    prices = " and ".join(f"{price} ({name})" for name, price in PRICES.items())
    per_part = nothing["seconds"] - model["start"] - model["each"]
    return "\n\n".join(
        [
            f"Measured on {named['large']['date']}, {named['large']['machine']}. [The benchmark]"
            "(../../benchmarks/results/cluster.md) fits the costs to runs with up to "
            f"{max(SMALL):,} sequences, and compares the prediction with runs of {NUMBER:,}.",
            table(
                ["cost", "value"],
                [
                    ["start of a run", f"{model['start']:.1f} s"],
                    ["start of workers, in each round on the cores", f"{model['each']:.1f} s"],
                    [
                        "steps of ragged sequences, one worker with one core",
                        f"{model['rate'] / 1e6:.2f} million per second",
                    ],
                    ["the same with all cores busy", f"{100 * model['efficiency']:.0f} % of that"],
                    [
                        f"steps of sequences of {LONG_STEPS} steps, one core",
                        f"{long['rate_0'] / 1e6:.2f} million per second",
                    ],
                    [
                        "the same with ten steps of latent optimization",
                        f"{long['rate_10'] / 1e6:.3f} million per second",
                    ],
                    [
                        "reading and decoding Parquet, one core",
                        f"{reading['bytes'] / reading['seconds'] / 1e6:.0f} MB/s",
                    ],
                    [
                        "scheduling a part, and finding that it is done",
                        f"{1000 * max(0.0, per_part) / nothing['parts']:.0f} ms",
                    ],
                ],
            ),
            f"{MANY:,} sequences of {LONG_STEPS} steps with two columns are {steps:.0e} steps, "
            f"{terabytes:.1f} TB of Parquet and {parts:,} parts. They take {hours:,.0f} core-hours "
            f"without latent optimization. Machines have {MACHINE_CORES} cores like the measured "
            f"one, and an hour of a core costs {prices} dollars, which are assumptions:",
            table(header, rows),
        ]
    )


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, no results")
    parser.add_argument("--page", action="store_true", help="write the page of earlier results")
    options = parser.parse_args()
    if options.page:
        write(read_records(PATH), FOLDER)
        return
    os.environ.setdefault("RAY_worker_niceness", "0")
    warnings.simplefilter("ignore")  # some sequences are longer than the longest in training
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as made:
        os.environ["RAY_TMPDIR"] = made
        folder = Path(made) / "data"
        folder.mkdir()
        records = measure(folder, 10 if options.quick else 1)
        if options.quick:
            write(records, folder)
            return
    write_records(PATH, records)
    write(records, FOLDER)


if __name__ == "__main__":
    main()
