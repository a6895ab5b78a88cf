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
from refold.sequences import Scaler, read

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024

Scaler.fit(read(sys.argv[1], memory_bytes=1))  # a small file: what is loaded counts once
before = peak()
found = read(sys.argv[2], memory_bytes=1 << 26)
found.block_bytes = 4 << 20
Scaler.fit(found, "sequence")
print(len(found.block_offsets) - 1, sum(map(len, found.blocks())), peak() - before)
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
    num_blocks, num_sequences, megabytes = map(float, run.stdout.split())
    assert num_blocks == 29
    assert num_sequences == values.shape[1] / 1000
    assert megabytes < 105 < values.nbytes / 1024**2
