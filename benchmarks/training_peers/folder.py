"""A folder of large Parquet files: ``... folder make|fit|encode|memory PATH [GIGABYTES]``.

- ``make PATH GIGABYTES`` writes the files, in long layout, with 48 numeric columns and lengths of
  20 to 180 steps.
- ``fit PATH`` trains on the files for one epoch with the command line.
- ``encode PATH`` encodes the files with that model.
- ``memory PATH`` reads the first files into memory and trains on them.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training_peers.process import answer, peak_bytes

FEATURES, FILE_STEPS = 48, 1_000_000
MODEL = "model.refold"
SETTINGS = {"max_epochs": 1, "validation_fraction": 0, "refit": False, "random_state": 0}


def make(path: Path, gigabytes: float) -> dict[str, Any]:
    """Write files until they have this size in total."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"x{i:02d}" for i in range(FEATURES)]
    size = first = number = 0
    while size < gigabytes * 1e9:
        lengths = rng.integers(20, 181, FILE_STEPS // 100)
        num_steps = int(lengths.sum())
        ids = np.repeat(np.arange(first, first + len(lengths)), lengths)
        time_ = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
        phase = rng.uniform(0, 6, (len(lengths), FEATURES)).astype(np.float32)
        shifted = 0.1 * time_[:, None] + np.repeat(phase, lengths, axis=0)
        values = np.sin(shifted, dtype=np.float32)
        values += 0.2 * rng.standard_normal((num_steps, FEATURES), np.float32)
        columns = {"id": ids, "time": time_, **dict(zip(names, values.T, strict=True))}
        file = path / f"part-{number:04d}.parquet"
        pq.write_table(pa.table(columns), file, row_group_size=100_000)
        size, first, number = size + file.stat().st_size, first + len(lengths), number + 1
    return {"bytes": size, "num_files": number, "num_sequences": first}


def fit(path: Path) -> dict[str, Any]:
    """Train on the files with ``refold fit``; the time of the first run includes compilation."""
    import refold
    from refold.cli import main

    model = path.parent / MODEL
    options = ["--max-epochs", "1", "--validation-fraction", "0", "--no-refit", "--seed", "0"]
    began = time.perf_counter()
    _succeed(main(["fit", str(path), "-o", str(model), *options, "--quiet"]))
    return {
        "seconds": time.perf_counter() - began,
        "epoch_seconds": refold.load(model).history.epochs["seconds"][-1],
        "peak": peak_bytes(),
        "num_steps": _num_steps(sorted(path.iterdir())),
    }


def encode(path: Path) -> dict[str, Any]:
    """Encode the files with ``refold encode``."""
    from refold.cli import main

    model, codes = path.parent / MODEL, path.parent / "codes.parquet"
    began = time.perf_counter()
    _succeed(main(["encode", str(model), str(path), "-o", str(codes), "--quiet"]))
    return {"seconds": time.perf_counter() - began, "peak": peak_bytes()}


def in_memory(path: Path, num_files: int = 3) -> dict[str, Any]:
    """Train on the sequences of the first files in memory; the time excludes compilation."""
    import refold
    from refold.sequences import read

    data = read(path)[np.arange(num_files * FILE_STEPS // 100)]
    ae = refold.SequenceAutoencoder(**SETTINGS | {"max_epochs": 3}).fit(data)
    seconds = np.diff(ae.history_["seconds"])
    return {"epoch_seconds": float(seconds.mean()), "num_steps": int(data.offsets[-1])}


def _num_steps(files: list[Path]) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files)


def _succeed(code: int) -> None:
    if code:
        raise SystemExit(f"the command exited with code {code}")


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    if what == "make":
        answer(**make(Path(where), float(rest[0])))
    else:
        answer(**{"fit": fit, "encode": encode, "memory": in_memory}[what](Path(where)))
