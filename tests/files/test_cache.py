"""The cache of data larger than memory: what is kept, how it is written, and when it is removed."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, FileAccessError
from refold.files import cache as cache_module
from refold.files import read_write
from refold.sequences import read, write

ROWS = [[float(i), 2.0, float("nan")] for i in range(50)]
DAY = 24 * 3600


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of cache entries."""
    monkeypatch.setenv("REFOLD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sequences"


@pytest.fixture
def path(tmp_path):
    write(ROWS, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def entries(folder):
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))


def test_files_are_converted_once(cache, path, monkeypatch):
    first = read(path, memory_bytes=1)
    assert (first.is_mapped, first.dtype, len(entries(cache))) == (True, np.float64, 1)
    with monkeypatch.context() as patch:
        patch.setattr(read_write, "join", None)
        again = read(path, memory_bytes=1)
    np.testing.assert_array_equal(again.values, first.values)
    with pytest.raises(ValueError, match="read-only"):
        again.values[0, 0] = 1.0
    (entry,) = entries(cache)
    os.utime(cache / entry, (0, 0))
    read(path, memory_bytes=1)
    assert (cache / entry).stat().st_mtime > 0  # the time of the last use
    read(path, memory_bytes=1, column_types="numeric")
    os.utime(path, ns=(0, 0))
    read(path, memory_bytes=1)
    assert len(entries(cache)) == 3


def test_a_copy_in_memory_does_not_change_the_file(cache, path):
    found = read(path, memory_bytes=1)
    found[:].values[0, 0] = 5.0
    assert found.values[0, 0] == 0.0


def test_mapped_data_outlive_their_entry(cache, path):
    found = read(path, memory_bytes=1)
    shutil.rmtree(cache)
    assert np.isfinite(found.values).sum() == 100
    assert len(read(path, memory_bytes=1)) == 50


def test_errors_leave_no_entry(cache, tmp_path):
    table = pa.table({"id": [1, 2, 1], "x": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "apart.parquet")
    with pytest.raises(DataError, match="not together"):
        read(tmp_path / "apart.parquet", memory_bytes=1)
    assert entries(cache) == []
    assert [one.name for one in cache.iterdir() if one.is_dir()] == []


def test_unused_entries_are_removed(cache, path, tmp_path):
    read(path, memory_bytes=1)
    (old,) = entries(cache)
    (cache / ".killed").mkdir()
    for name in (old, ".killed"):
        now = (cache / old).stat().st_mtime
        os.utime(cache / name, (now - 15 * DAY, now - 15 * DAY))
    write(ROWS[:9], tmp_path / "other.parquet")
    read(tmp_path / "other.parquet", memory_bytes=1)
    assert len(entries(cache)) == 1
    assert old not in entries(cache)
    assert not (cache / ".killed").exists()


def test_a_full_disk_is_noticed_before_anything_is_written(cache, path, tmp_path, monkeypatch):
    read(path, memory_bytes=1)
    disk = namedtuple("Disk", "total used free")
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: disk(0, 0, 100))
    write(ROWS[:9], tmp_path / "other.parquet")
    message = r"other\.parquet is larger than memory, and needs 0\.0 GB of disk in .*REFOLD_CACHE"
    with pytest.raises(FileAccessError, match=message) as caught:
        read(tmp_path / "other.parquet", memory_bytes=1)
    assert "\n" not in str(caught.value)
    assert entries(cache) == []  # older entries went first


def test_a_folder_that_cannot_be_written(path, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFOLD_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(FileAccessError, match=r"cannot be written: .*REFOLD_CACHE_DIR names"):
        read(path, memory_bytes=1)


def test_several_processes_share_an_entry(cache, path):
    code = (
        "import sys\nfrom refold.sequences import read\n"
        "found = read(sys.argv[1], memory_bytes=1)\nprint(len(found), found.is_mapped)"
    )
    command = [sys.executable, "-c", code, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [one.communicate()[0].strip() for one in running] == ["50 True"] * 3
    assert len(entries(cache)) == 1
