"""Encoding on a local Ray cluster: one, two and four workers.

``python -m benchmarks.cluster`` needs the extra ``ray`` and takes about ten minutes on two cores.
``--quick`` tries everything on a tenth of the data.

The sequences are ragged: lengths are log-normal with a mean of about 50 steps. They lie in eight
Parquet files with two columns of lists. The workers have one core each (one kernel thread), and
each run has a new cluster.
"""

import argparse
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from benchmarks import _process
from benchmarks._results import PACKAGES, results_folder, table, write_page
from benchmarks._series import log_normal
from refold.sequences import write

NUMBER = 1_000_000
FILES = 8
DATA: dict[str, Any] = {"median": 40, "log_std": 0.7, "features": 2}
WORKERS = (1, 2, 4)


def write_files(folder: Path, number: int) -> None:
    """Write the sequences to several Parquet files."""
    folder.mkdir()
    for i in range(FILES):
        first, last = number * i // FILES, number * (i + 1) // FILES
        write(log_normal(last - first, seed=i, first_id=first, **DATA), folder / f"{i}.parquet")


def fit_model(path: Path) -> None:
    """Fit a default model with 16 latent dimensions for two epochs; speed does not depend on it."""
    ae = refold.SequenceAutoencoder(16, max_epochs=2, latent_steps=0, random_state=0)
    ae.fit(log_normal(5000, seed=99, **DATA)).save(path)


def run(model: Path, data: Path, output: Path, num_workers: int) -> Any:
    """Encode on a new cluster, and return the summary."""
    shutil.rmtree(output, ignore_errors=True)
    summary = refold.cluster.encode(
        model, data, output, on="local", num_workers=num_workers, verbose=0
    )
    print(f"{num_workers} workers: {summary}", flush=True)
    return summary


def check(output: Path, expected: np.ndarray) -> None:
    """Check that each row is there once, with the bits of one machine."""
    parts = sorted(output.glob("part-*"))
    rows = pa.concat_tables([pq.read_table(part) for part in parts])
    codes, ids = refold.sequences.codes_from_arrow(rows)
    assert np.array_equal(ids, np.arange(len(expected)))
    assert np.array_equal(codes, expected)


def measure(folder: Path, scale: int) -> list[str]:
    """Measure everything, and return the parts of the page."""
    model, output = folder / "sines.refold", folder / "codes"
    # JAX warns of processes that are started after it, as Ray does
    _process.measure(fit_model, model)
    data = folder / "large"
    write_files(data, NUMBER // scale)
    runs = [run(model, data, output, workers) for workers in WORKERS]
    started = time.perf_counter()
    expected = refold.load(model).encode(data)
    seconds_alone = time.perf_counter() - started
    check(output, expected)
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
    steps = runs[0].num_steps
    megabytes = sum(path.stat().st_size for path in data.iterdir()) / 1e6
    return [
        f"{runs[0].num_sequences:,} sequences with {steps:,} steps of two numbers ({megabytes:.0f} "
        f"MB of Parquet in {FILES} files) on a local Ray cluster. Lengths are log-normal. A worker "
        "has one core. Seconds include the start of the workers and the search for ids that occur "
        "twice, and not the start of the cluster. The default model has 16 latent dimensions.",
        table(header, rows),
        "The same sequences in one process with all cores, without a cluster: "
        f"{seconds_alone:.1f} s. The codes have the same bits.",
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
