"""The memory depends on the size of blocks, not on that of files or row groups."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PROGRAM = """
import re, sys
from pathlib import Path
from refold.sequences import Scaler, scan

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024

Scaler.fit(scan(sys.argv[1]))  # a small file: what is loaded counts once
before = peak()
scanned = scan(sys.argv[2], block_bytes=4 << 20)
Scaler.fit(scanned, "sequence")
print(scanned.num_blocks, sum(len(block.values) for block in scanned), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("lists", [True, False])
def test_one_large_row_group(tmp_path, lists):
    values = np.random.default_rng(0).normal(size=(5, 6_000_000)).astype(np.float32)
    offsets = pa.array(np.arange(0, values.shape[1] + 1, 1000), pa.int32())
    ids = np.arange(len(offsets) - 1)
    if lists:
        columns = [pa.ListArray.from_arrays(offsets, pa.array(row)) for row in values]
    else:
        columns, ids = list(map(pa.array, values)), np.repeat(ids, 1000)
    table = pa.table({"id": ids} | {f"x{i}": column for i, column in enumerate(columns)})
    for name, part in (("small", table[:1]), ("large", table)):
        pq.write_table(part, tmp_path / f"{name}.parquet", row_group_size=len(table))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "small.parquet", tmp_path / "large.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    num_blocks, num_steps, megabytes = map(float, run.stdout.split())
    assert num_blocks == 29
    assert num_steps == values.shape[1]
    assert megabytes < 70 < values.nbytes / 1024**2
