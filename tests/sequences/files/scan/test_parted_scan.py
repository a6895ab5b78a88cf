"""Parts of files in several processes, which agree on the schema, the statistics and the order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.sequences import Scaler, Sequences, scan, scan_parts, write
from sequences.equal import assert_equal


class Threads:
    """Stand-in for processes: threads that exchange values."""

    def __init__(self, index, count, shared):
        self.index, self.count = index, count
        self._values, self._barrier = shared

    def gather(self, value):
        self._values[self.index] = value
        self._barrier.wait(timeout=30)
        found = list(self._values)
        self._barrier.wait(timeout=30)
        return found


def together(function, count=2):
    """Call a function in each of several threads."""
    shared = [None] * count, threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda i: function(Threads(i, count, shared)), range(count)))


def mixed_rows(n, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, n)
    words = ["a", "b", "c"][: 1 + seed]
    found = []
    for k in lengths:
        one = np.empty((k, 3), object)
        one[:, 0], one[:, 1] = rng.normal(1e6, 3, k), rng.choice(words, k)
        one[:, 2] = rng.integers(0, 2, k)
        found.append(one)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files; the second has a category that the first has not."""
    path = tmp_path_factory.mktemp("parts")
    for i, n in enumerate((40, 23)):
        found = Sequences.from_list(
            mixed_rows(n, i), ids=[f"{i}-{j}" for j in range(n)], names=["level", "word", "on"]
        )
        write(found, path / f"{i}.parquet")
    return path


def test_parts_agree_with_the_scan_of_all_files(folder):
    whole = scan(folder, block_bytes=400)

    def look(processes):
        parts = scan_parts(folder, processes, block_bytes=400)
        taken = parts.take([50, 3, 3, 62])
        blocks = [parts.block(i) for part in parts.own for i in parts.blocks_of_part(part)]
        return parts, taken, blocks

    found = together(look)
    for parts, taken, _ in found:
        assert parts.schema == whole.schema
        assert parts.lengths.tolist() == whole.lengths.tolist()
        assert parts.part_offsets.tolist() == [0, 32, 63]
        theirs, ours = Scaler.fit(parts), Scaler.fit(whole)
        np.testing.assert_allclose(theirs.mean_, ours.mean_, rtol=1e-12)
        np.testing.assert_allclose(theirs.scale_, ours.scale_, rtol=1e-10)
        assert theirs.least_.tolist() == ours.least_.tolist()
        assert parts.summary.num_observed.tolist() == whole.summary.num_observed.tolist()
        assert_equal(taken, whole.take([50, 3, 3, 62]))
    ids = [one for _, _, blocks in found for block in blocks for one in block.ids.tolist()]
    assert ids == whole.ids.tolist()


def test_a_bad_row_raises_the_same_error_in_all_processes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [[1.0], [2.0], [3.0], [np.inf]]}), tmp_path / "bad.parquet")

    def message(processes):
        with pytest.raises(DataError) as caught:
            scan_parts(tmp_path / "bad.parquet", processes)
        return str(caught.value)

    first, second = together(message)
    assert first == second
    assert "row 3, step 0" in first


def test_what_cannot_be_divided(tmp_path, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": [1, 1, 2], "x": [1.0, 2.0, 3.0]}), tmp_path / "long.parquet")
    alone = Threads(0, 1, ([None], threading.Barrier(1)))
    with pytest.raises(ParameterError, match="one row per step, and only files with one row per"):
        scan_parts(tmp_path / "long.parquet", alone, id="id")
    with pytest.raises(DataError, match="63 sequences for 64 parts"):
        scan_parts(folder, alone, num_parts=64)
    two = Threads(0, 2, (None, None))
    with pytest.raises(ParameterError, match="3 parts cannot be divided among 2 processes"):
        scan_parts(folder, two, num_parts=3)
