"""Compressed text files."""

import bz2
import gzip
import io
import subprocess
import sys

import pyarrow as pa
import pytest

from refold.datasets import ramps
from refold.sequences import column_names, read, write
from sequences.equal import assert_equal


@pytest.mark.parametrize("suffix", ["csv.gz", "tsv.bz2", "jsonl.zst", "csv.zst"])
def test_written_files_are_read(tmp_path, suffix):
    path = tmp_path / f"ramps.{suffix}"
    write(ramps(), path)
    plain = io.BytesIO()
    write(ramps(), plain, format=suffix.partition(".")[0])
    assert path.read_bytes()[:4] != plain.getvalue()[:4]
    plain.seek(0)
    assert_equal(read(path), read(plain, format=suffix.partition(".")[0]))


def test_compression_is_recognized_with_any_name(tmp_path):
    text = b"id;x\n1;0,5\n1;2\n"
    for name, data in (("a.csv", gzip.compress(text)), ("b.CSV.GZ", text)):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name)[0][:, 0].tolist() == [0.5, 2]
        assert column_names(tmp_path / name) == ["id", "x"]
    packed = io.BytesIO(bz2.compress(text))
    assert read(packed, format="csv.bz2")[0][:, 0].tolist() == [0.5, 2]
    assert read(io.BytesIO(b"BZh9 is no mark\n"), format="txt").lengths.tolist() == [15]


READ = """
import resource, sys
import refold
try:
    refold.sequences.read(sys.argv[1])
except refold.RefoldError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory is measured in other units")
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path):
    path, part = tmp_path / "bomb.jsonl.zst", tmp_path / "part.jsonl.zst"
    with pa.CompressedOutputStream(str(part), "zstd") as stream:
        stream.write(b"[1.0]\n" * (1 << 24))
    path.write_bytes(part.read_bytes() * 80)  # 8 GB
    run = [sys.executable, "-c", READ, path]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    message, megabytes = done.stdout.splitlines()
    assert message.startswith(f"{path} unpacks to more than 1 GiB. If that is right, unpack it fir")
    assert int(megabytes) < 3000
