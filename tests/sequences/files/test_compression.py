"""Compressed text files."""

import bz2
import gzip
import io

import pytest

from refold.datasets import ramps
from refold.errors import FileFormatError
from refold.sequences import column_names, read, write
from sequences.equal import assert_equal

SUFFIXES = ["gz", "bz2", "zst"]


@pytest.mark.parametrize("compression", SUFFIXES)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_written_files_are_read(tmp_path, suffix, compression):
    path = tmp_path / f"ramps.{suffix}.{compression}"
    write(ramps(), path)
    plain = io.BytesIO()
    write(ramps(), plain, format=suffix)
    assert path.read_bytes()[:4] != plain.getvalue()[:4]
    assert_equal(read(path), read(io.BytesIO(plain.getvalue()), format=suffix))


def test_compression_is_recognized_with_any_name(tmp_path):
    text = b"id;x\n1;0,5\n1;2\n"
    for name, data in (("a.csv", gzip.compress(text)), ("b.CSV.GZ", text)):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name)[0][:, 0].tolist() == [0.5, 2]
        assert column_names(tmp_path / name) == ["id", "x"]
    packed = io.BytesIO(bz2.compress(text))
    assert read(packed, format="csv.bz2")[0][:, 0].tolist() == [0.5, 2]
    assert read(io.BytesIO(b"BZh9 is no mark\n"), format="txt").lengths.tolist() == [15]


@pytest.mark.parametrize("compression", SUFFIXES)
def test_truncated(tmp_path, compression):
    path = tmp_path / f"ramps.csv.{compression}"
    write(ramps(), path)
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(FileFormatError, match=r"not a csv file .* cut short or damaged \(Trunc"):
        read(path)


def test_an_empty_archive():
    with pytest.raises(FileFormatError, match="is empty: it holds no bytes after gzip"):
        read(io.BytesIO(gzip.compress(b"")), format="csv")
