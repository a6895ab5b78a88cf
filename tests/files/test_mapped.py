"""Data larger than memory: the sequences of one table, their memory, and the cache."""

import os
import re
import subprocess
import sys
import warnings
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import DataError, FileAccessError, RefoldError
from refold.files import mapped as mapped_files
from refold.sequences import Sequences, read, write
from sequences.equal import assert_equal
from small_data import read_as_mapped

rng = np.random.default_rng(0)
MIXED_LENGTHS = [3, 0, 1, 7, 2, 0, 0, 12, 5, 1]


def write_files(table, folder, num_files, group_rows):
    """Write a table as several files, which may divide sequences."""
    folder.mkdir()
    bounds = np.linspace(0, len(table), num_files + 1).astype(int)
    for i, (start, stop) in enumerate(pairwise(bounds)):
        part = table.slice(start, stop - start)
        pq.write_table(part, folder / f"part-{i:03}.parquet", row_group_size=group_rows)
    return folder


def assert_same(actual, expected):
    """Compare mapped sequences, and their blocks, with the same data in memory."""
    # With missing integers, a table in memory has float64, where float32 would be exact. A column
    # without any value may have either.
    assert actual.dtype in (np.float32, expected.dtype) or np.isnan(actual.values).all()
    assert len(actual) == len(expected)
    assert actual.ids.dtype.kind == expected.ids.dtype.kind
    blocks = list(actual.blocks())
    assert {block.dtype for block in blocks} == {actual.dtype}
    for pieces in (blocks, [actual]):
        assert all(piece.schema == expected.schema for piece in pieces)
        for name in ("lengths", "ids"):
            joined = np.concatenate([getattr(piece, name) for piece in pieces])
            np.testing.assert_array_equal(joined, getattr(expected, name))
    values = np.concatenate([block.values for block in blocks]).astype(expected.dtype)
    np.testing.assert_array_equal(values, expected.values)
    same_dtype = expected.with_values(expected.values.astype(actual.dtype))
    assert_equal(actual[[-1, 0, 0]], same_dtype[[-1, 0, 0]])


def read_and_compare(tmp_path, table, num_files=1, group_rows=4, block_bytes=40, **options):
    """Read a table as larger than memory and in memory, and return the former if both agree."""
    pq.write_table(table, tmp_path / "whole.parquet")
    folder = write_files(table, tmp_path / "files", num_files, group_rows)
    with warnings.catch_warnings(record=True) as expected_warnings:
        warnings.simplefilter("always")
        expected = read(tmp_path / "whole.parquet", **options)
    with warnings.catch_warnings(record=True) as mapped_warnings:
        warnings.simplefilter("always")
        actual = read(folder, memory_bytes=1, **options)
    actual.block_bytes = block_bytes
    messages = [str(warning.message) for warning in mapped_warnings]
    assert messages == [str(warning.message) for warning in expected_warnings]
    assert [warning.filename for warning in mapped_warnings] == [__file__] * len(mapped_warnings)
    assert_same(actual, expected)
    return actual


def mixed_columns():
    """Return a column of each type with missing entries, for steps of these lengths."""
    steps = sum(MIXED_LENGTHS)
    event = [["view", "buy", None, "é"][i] for i in rng.integers(0, 4, steps)]
    return {
        "level": pa.array(rng.normal(size=steps), pa.float32()),
        "fine": pa.array(rng.normal(size=steps) * 1e5, pa.float64()),
        "event": pa.array(event),
        "on": pa.array([[True, False, None][i] for i in rng.integers(0, 3, steps)]),
        "bit": pa.array([[0, 1, None][i] for i in rng.integers(0, 3, steps)], pa.int8()),
        "count": pa.array(rng.integers(0, 300, steps), pa.int16()),
        "nothing": pa.array([None] * steps, pa.float32()),
        "no_text": pa.array([None] * steps, pa.string()),
    }


def list_table(lengths, columns, ids=None):
    bounds = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    lists = {name: pa.ListArray.from_arrays(bounds, column) for name, column in columns.items()}
    return pa.table(({} if ids is None else {"id": pa.array(ids)}) | lists)


@pytest.mark.parametrize(("num_files", "group_rows", "block_bytes"), [(1, 1, 1), (3, 2, 400)])
def test_lists_of_all_types(tmp_path, num_files, group_rows, block_bytes):
    table = list_table(MIXED_LENGTHS, mixed_columns(), [5, 3, 5, 1, 2, 7, 8, 9, 10, 11])
    read_and_compare(tmp_path, table, num_files, group_rows, block_bytes)


def test_lists_of_lists_and_sorted_tables_are_read_into_memory(tmp_path, monkeypatch):
    table = pa.table({"x": [[[1, 0], [2, None]], [], [[0, 1]], None]})
    assert not read_and_compare(tmp_path, table, 2, 1, 1).is_mapped
    table = pa.table({"id": [1, 2, 1, 3], "time": [0, 1, 2, 3], "x": [1.0, 2.0, 3.0, 4.0]})
    pq.write_table(table, path := tmp_path / "x.parquet")
    assert read(path).lengths.tolist() == [2, 1, 1]
    monkeypatch.setattr("refold.files.parquet.CHUNK_BYTES", 1)
    match = (
        r"x\.parquet: The rows of id 1 are not together: they begin again in row 2 .*other ids"
        ".*sort them by column 'id', then by 'time', or add sort=True"
    )
    with pytest.raises(DataError, match=match):
        read_as_mapped(path)
    assert read(path, memory_bytes=1, sort=True).lengths.tolist() == [2, 1, 1]


def test_categories_of_several_files_are_merged(tmp_path):
    for i, texts in enumerate([["ab", "a"], ["cb", ""]]):
        write(Sequences.from_list(texts), tmp_path / f"{i}.parquet")
    actual = read_as_mapped(tmp_path)
    assert actual.schema.columns[0].categories == ("a", "b", "c")
    assert actual.to_list() == ["ab", "a", "cb", ""]


def test_folders_are_read_in_the_order_of_names(tmp_path):
    for name in ("b/1.parquet", "a.parquet", "_x/1.parquet", ".h.parquet", "b/_2.parquet", "n.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": [name], "x": [[1.0]]}), tmp_path / name)
    pq.write_table(pa.table({"id": ["z"], "x": [[1.0]]}).slice(1), tmp_path / "empty.parquet")
    assert read_as_mapped(tmp_path).ids.tolist() == ["a.parquet", "b/1.parquet"]


def test_blocks_have_about_the_given_size(tmp_path):
    write([[0.0] * length for length in (10, 10, 10, 50, 1, 1)], tmp_path / "x.parquet")
    actual = read_as_mapped(tmp_path / "x.parquet", block_bytes=80)
    assert actual.block_sequence_offsets.tolist() == [0, 2, 3, 4, 6]
    assert actual[[True] + [False] * 5].ids.tolist() == [0]


CELL_STRATEGIES = {
    "int8": st.integers(-1, 2),
    "int64": st.integers(-(2**62), 2**62) | st.integers(0, 1),
    "float": st.sampled_from([0.0, 1.0, 0.5, -2.0, float("nan")]),
    "bool": st.booleans(),
    "string": st.sampled_from(["a", "b", "", "1", "<unknown>"]),
}


@st.composite
def tables(draw):
    """Draw a long table, which may be valid or not."""
    num_rows = draw(st.integers(1, 12))
    rows = {"min_size": num_rows, "max_size": num_rows}
    ids = draw(st.lists(st.sampled_from("abc"), **rows))
    if draw(st.booleans()):
        ids = sorted(ids)
    table = {"id": pa.array(ids)}
    if draw(st.booleans()):
        times = [time if draw(st.integers(0, 9)) else None for time in range(num_rows)]
        table["time"] = pa.array(times, pa.int32())
    for i in range(draw(st.integers(1, 2))):
        cell_type = draw(st.sampled_from(sorted(CELL_STRATEGIES)))
        cells = draw(st.lists(CELL_STRATEGIES[cell_type] | st.none(), **rows))
        if "time" in table:
            is_marker = table["time"].is_null().to_pylist()
            cells = [None if empty else cell for empty, cell in zip(is_marker, cells, strict=True)]
        table[f"x{i}"] = pa.array(cells, cell_type)
        if draw(st.integers(0, 3)) == 0:
            table[f"x{i}"] = table[f"x{i}"].dictionary_encode()
    return pa.table(table)


@settings(max_examples=60, deadline=None)
@given(
    table=tables(),
    column_types=st.sampled_from([None, None, "numeric", "binary", "categorical"]),
    num_files=st.integers(1, 3),
    group_rows=st.integers(1, 5),
    block_bytes=st.integers(1, 60),
)
def test_any_long_table_is_read_or_refused_as_in_memory(
    tmp_path_factory, table, column_types, num_files, group_rows, block_bytes
):
    folder = tmp_path_factory.mktemp("any")
    pq.write_table(table, folder / "whole.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(folder / "whole.parquet", column_types=column_types)
        except RefoldError as error:
            files = write_files(table, folder / "files", num_files, group_rows)
            with pytest.raises(type(error), match=str(folder)):
                read_as_mapped(files, column_types=column_types)
            return
        # mapped data needs the rows of an id together: ids change less often than there are ids
        ids = table["id"].to_pylist()
        if sum(before != after for before, after in pairwise(ids)) < len({*ids}):
            division = num_files, group_rows, block_bytes
            read_and_compare(folder, table, *division, column_types=column_types)


# Memory

MEMORY_PROGRAM = """
import re, sys
from pathlib import Path
from refold.sequences import Scaler, read

def peak():
    "Return the largest memory of the process so far, in MiB."
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024

# a small file loads all libraries, whose memory does not count
Scaler.fit(read(sys.argv[1], memory_bytes=1))
before = peak()
sequences = read(sys.argv[2], memory_bytes=1 << 26)
sequences.block_bytes = 4 << 20
Scaler.fit(sequences, "sequence")
num_blocks = len(sequences.block_sequence_offsets) - 1
print(num_blocks, sum(map(len, sequences.blocks())), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_depends_on_blocks_and_not_on_files_or_row_groups(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 6_000_000)).astype(np.float32)
    ids = np.repeat(np.arange(values.shape[1] // 1000), 1000)
    table = pa.table({"id": ids} | {f"x{i}": pa.array(row) for i, row in enumerate(values)})
    for name, rows in (("small", table[:1]), ("large", table)):
        pq.write_table(rows, tmp_path / f"{name}.parquet", row_group_size=len(table))
    names = tmp_path / "small.parquet", tmp_path / "large.parquet"
    command = [sys.executable, "-c", MEMORY_PROGRAM, *names]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    num_blocks, num_sequences, megabytes = map(float, run.stdout.split())
    assert (num_blocks, num_sequences) == (29, values.shape[1] / 1000)
    assert megabytes < 105 < values.nbytes / 1024**2


# The cache

SERIES = [[float(i), 2.0, float("nan")] for i in range(50)]
DAY_SECONDS = 24 * 3600


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of cache entries."""
    monkeypatch.setenv("REFOLD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sequences"


@pytest.fixture
def path(tmp_path):
    write(SERIES, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def entry_names(folder):
    """Return the names of the entries of a cache folder, without locks and temporary folders."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_files_are_converted_once(cache, path, monkeypatch, capsys):
    first = read(path, memory_bytes=1)
    assert (first.is_mapped, first.dtype, len(entry_names(cache))) == (True, np.float64, 1)
    line = r"rows\.parquet is too large to be read at once: its values go to \S+cache\S+\.\n"
    assert re.search(line, capsys.readouterr().err)
    with monkeypatch.context() as patch:
        patch.setattr(mapped_files, "convert_to_mapped_folder", pytest.fail)
        reopened = read(path, memory_bytes=1)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(reopened.values, first.values)
    with pytest.raises(ValueError, match="read-only"):
        reopened.values[0, 0] = 1.0
    (entry,) = entry_names(cache)
    os.utime(cache / entry, (0, 0))
    read(path, memory_bytes=1)
    assert (cache / entry).stat().st_mtime > 0  # the time of the last use
    read(path, memory_bytes=1, column_types="numeric")
    os.utime(path, ns=(0, 0))
    read(path, memory_bytes=1)
    assert len(entry_names(cache)) == 3


def test_errors_leave_no_entry_and_old_entries_are_removed(cache, path, tmp_path):
    table = pa.table({"id": [1, 2, 1], "x": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "apart.parquet")
    with pytest.raises(DataError, match="not together"):
        read(tmp_path / "apart.parquet", memory_bytes=1)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    read(path, memory_bytes=1)
    (old,) = entry_names(cache)
    (cache / ".killed").mkdir()
    for name in (old, ".killed"):
        now = (cache / old).stat().st_mtime
        os.utime(cache / name, (now - 15 * DAY_SECONDS, now - 15 * DAY_SECONDS))
    write(SERIES[:9], tmp_path / "other.parquet")
    read(tmp_path / "other.parquet", memory_bytes=1)
    assert len(entry_names(cache)) == 1
    assert old not in entry_names(cache)
    assert not (cache / ".killed").exists()


def test_a_full_disk_and_a_folder_that_cannot_be_written(cache, path, tmp_path, monkeypatch):
    read(path, memory_bytes=1)
    disk = namedtuple("Disk", "total used free")
    monkeypatch.setattr(mapped_files.shutil, "disk_usage", lambda _: disk(0, 0, 100))
    write(SERIES[:9], tmp_path / "other.parquet")
    message = r"other\.parquet .* to be read at once, and needs 0\.0 GB of disk in .*REFOLD_CACHE"
    with pytest.raises(FileAccessError, match=message):
        read(tmp_path / "other.parquet", memory_bytes=1)
    assert entry_names(cache) == []  # older entries went first
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFOLD_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(FileAccessError, match=r"cannot be written: .*REFOLD_CACHE_DIR names"):
        read(path, memory_bytes=1)
