"""Encoding on a local Ray cluster: one, two and four workers, memory, killed workers.

``python -m benchmarks.cluster`` needs the extra ``ray`` and takes about ten minutes on two cores.
``--quick`` tries everything on a tenth of the data.

The sequences are ragged: lengths are log-normal with a mean of about 50 steps. They lie in eight
Parquet files with two columns of lists. The workers have one core each (one kernel thread), and
each run has a new cluster.
"""

import argparse
import contextlib
import os
import shutil
import signal
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
from benchmarks._results import PACKAGES, results_folder, table, write_page
from refold.sequences import Sequences

NUMBER = 1_000_000
FILES, ROW_GROUP = 8, 10_000
# Rows that a worker reads at a time, about.
READ_ROWS = 2500
# Log-normal lengths: their median and the standard deviation of their logarithm.
MEDIAN, SPREAD, LONGEST = 40, 0.7, 1000
WORKERS = (1, 2, 4)
# Sequences of the run in which workers are killed, and how many are.
KILLED_NUMBER, KILLS = 300_000, 10


def sequences(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy sines with two columns: values of shape (num_steps, 2), and lengths."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(np.log(MEDIAN), SPREAD, number)).astype(np.int64).clip(1, LONGEST)
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


def run(model: Path, data: Path, output: Path, num_workers: int, *, again: bool = False) -> Any:
    """Encode on a new cluster, and return the summary."""
    if not again:
        shutil.rmtree(output, ignore_errors=True)
    summary = refold.cluster.encode(
        model, data, output, on="local", num_workers=num_workers, verbose=0
    )
    print(f"{num_workers} workers: {summary}", flush=True)
    return summary


def read_alone(data: Path) -> tuple[int, float]:
    """Return bytes and seconds of reading all files with one core, without computing."""
    files = sorted(data.glob("*.parquet"))
    started = time.perf_counter()
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_ROWS, use_threads=False):
                del batch
    seconds = time.perf_counter() - started
    return sum(path.stat().st_size for path in files), seconds


def check(output: Path, expected: np.ndarray) -> None:
    """Check that each row is there once, with the bits of one machine."""
    parts = sorted(output.glob("part-*"))
    rows = pa.concat_tables([pq.read_table(part) for part in parts])
    codes, ids = refold.sequences.codes_from_arrow(rows)
    assert np.array_equal(ids, np.arange(len(expected)))
    assert np.array_equal(codes, expected)


def run_and_kill(model: Path, data: Path, output: Path, expected: np.ndarray) -> tuple[Any, int]:
    """Encode with two workers, and kill one of them ten times; return the summary and the kills."""
    end, killed = threading.Event(), []

    def kill() -> None:
        parts = 0
        while len(killed) < KILLS and not end.wait(0.05):
            done = len([*output.glob("part-*")])
            if done > parts and (workers := _workers()):
                parts = done
                os.kill(workers[len(killed) % len(workers)], signal.SIGKILL)
                killed.append(done)

    thread = threading.Thread(target=kill)
    thread.start()
    summary = run(model, data, output, 2)
    end.set()
    thread.join()
    check(output, expected)
    return summary, len(killed)


def _workers() -> list[int]:
    """Return the process ids of workers on this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"ray::write_part"):
                found.append(int(process.name))
    return sorted(found)


def measure(folder: Path, scale: int) -> list[str]:
    """Measure everything, and return the parts of the page."""
    model, output = folder / "sines.refold", folder / "codes"
    # JAX warns of processes that are started after it, as Ray does
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(fit_model, model).result()
    data = folder / "large"
    write_files(data, NUMBER // scale)
    num_bytes, seconds_to_read = read_alone(data)
    runs = [run(model, data, output, workers) for workers in WORKERS]
    nothing_left = run(model, data, output, 2, again=True)
    started = time.perf_counter()
    expected = refold.load(model).encode(data)
    seconds_alone = time.perf_counter() - started
    check(output, expected)
    shutil.rmtree(data)
    data = folder / "killed"
    write_files(data, KILLED_NUMBER // scale)
    killed, kills = run_and_kill(model, data, output, refold.load(model).encode(data))
    rows = [
        [
            str(workers),
            f"{summary.seconds:.1f}",
            f"{runs[0].seconds / summary.seconds:.2f}",
            f"{summary.num_steps / summary.seconds / 1e6:.2f}",
            f"{summary.memory / 1e6:.0f}",
        ]
        for workers, summary in zip(WORKERS, runs, strict=True)
    ]
    header = ["workers", "seconds", "speed-up", "million steps/s", "memory of a worker, MB"]
    steps, megabytes = runs[0].num_steps, num_bytes / 1e6
    return [
        f"{runs[0].num_sequences:,} sequences with {steps:,} steps of two numbers ({megabytes:.0f} "
        f"MB of Parquet in {FILES} files) on a local Ray cluster. Lengths are log-normal. A worker "
        "has one core. Seconds include the start of the workers and the search for ids that occur "
        "twice, and not the start of the cluster. The default model has 16 latent dimensions.",
        table(header, rows),
        f"Reading alone, without computing: {megabytes / seconds_to_read:.0f} MB/s, or "
        f"{steps / seconds_to_read / 1e6:.1f} million steps/s, with one core.",
        "The same sequences in one process with all cores, without a cluster: "
        f"{seconds_alone:.1f} s. The codes have the same bits.",
        f"A run that finds all {nothing_left.num_parts} parts of an earlier one: "
        f"{nothing_left.seconds:.1f} s with two workers.",
        f"Killed workers: {killed.num_sequences:,} sequences, two workers, one of which was killed "
        f"{kills} times in {killed.seconds:.0f} s. Each sequence is there once, with the bits of "
        "one process.",
    ]


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only a tenth of the data")
    quick = parser.parse_args().quick
    os.environ.setdefault("RAY_worker_niceness", "0")
    warnings.simplefilter("ignore")  # some sequences are longer than the longest in training
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as made:
        os.environ["RAY_TMPDIR"] = made
        folder = Path(made) / "data"
        folder.mkdir()
        parts = measure(folder, 10 if quick else 1)
    write_page(
        "cluster",
        "Encoding on a Ray cluster",
        parts,
        packages=(*PACKAGES, "ray", "pyarrow"),
        folder=results_folder(complete=not quick),
    )


if __name__ == "__main__":
    main()
