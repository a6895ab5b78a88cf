"""Rows of Parquet files: the index of sequences as runs of rows, and a reader."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold._support.offsets import positions_of
from refold.sequences.conversion._arrow_columns import is_text, without_dictionary
from refold.sequences.files.scan._parquet_files import ScannedFiles
from refold.sequences.schema._parts import check_ids

# Number of ids that are converted to Python objects at a time.
CHUNK = 1 << 16


class RowIndex(NamedTuple):
    """Sequences as runs of rows."""

    ids: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray  # run k is the rows starts[k] to stops[k]
    stops: np.ndarray
    offsets: np.ndarray  # sequence i has the runs offsets[i] to offsets[i + 1], in order

    def runs(self, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the starts and stops of the runs of some sequences, one after another."""
        chosen = positions_of(self.offsets[sequences], np.diff(self.offsets)[sequences])
        return self.starts[chosen], self.stops[chosen]


def ids_as_arrow(column: Any) -> pa.Array:
    """Return ids as one array, of a type that all files share."""
    column = without_dictionary(column)
    if is_text(column.type):
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def ids_as_numpy(ids: pa.Array) -> np.ndarray:
    """Return ids as a `Sequences` holds them: int64 or text."""
    if pa.types.is_integer(ids.type):
        return check_ids(ids.to_numpy(), len(ids))
    if not pa.types.is_large_string(ids.type):
        return check_ids(ids.to_pylist(), len(ids))
    width = call_function("max", [call_function("utf8_length", [ids])]).as_py()
    out = np.empty(len(ids), f"U{max(1, width or 0)}")
    for start in range(0, len(ids), CHUNK):
        out[start : start + CHUNK] = ids.slice(start, CHUNK).to_pylist()
    return out


def cut_into_blocks(lengths: np.ndarray, step_bytes: int, block_bytes: int) -> np.ndarray:
    """Return the offsets of blocks, each within the limit or of a single sequence."""
    ends = np.cumsum(np.maximum(lengths, 1)) * step_bytes
    offsets, before = [0], 0
    while offsets[-1] < len(lengths):
        stop = int(np.searchsorted(ends, before + block_bytes, side="right"))
        offsets.append(max(stop, offsets[-1] + 1))
        before = int(ends[offsets[-1] - 1])
    return np.array(offsets, np.int64)


class RowReader:
    """Reader of any rows, which reads only forward if they ascend."""

    # One batch is in memory at a time. It is kept, so that reading on from there decodes nothing
    # twice. Going back decodes a row group again from its start.

    def __init__(self, files: ScannedFiles, batch_bytes: int) -> None:
        self._files = files
        self._batch_bytes = batch_bytes  # approximate size of a batch
        self._close()

    def pieces(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows of ascending, disjoint ranges: the first row, and a table of one file."""
        starts, stops = _joined(starts, stops)
        i, row = 0, int(starts[0]) if len(starts) else 0
        while i < len(starts):
            table = self._table_at(row)
            first, end = self._end - len(table), self._end
            j = max(i + 1, int(np.searchsorted(starts, end)))
            begins = np.maximum(starts[i:j], row)
            ends = np.minimum(stops[i:j], end)
            yield row, _rows(table, begins - first, ends - first)
            i = j - 1 if stops[j - 1] > end else j
            row = end if i == j - 1 else int(starts[i]) if i < len(starts) else end

    def _table_at(self, row: int) -> pa.Table:
        """Return the batch that holds a row."""
        group = int(np.searchsorted(self._files.group_starts, row, side="right")) - 1
        try:
            with self._files.reading(self._files.groups[group][0]):
                table = self._table
                if table is not None and self._end - len(table) <= row < self._end:
                    return table
                if group != self._group or row < self._end:
                    self._open(group)
                while table is None or row >= self._end:
                    self._table = table = None
                    table = self._next(group)
                    self._end += len(table)
        except BaseException:
            self._close()
            raise
        self._table = table
        return table

    def _open(self, group: int) -> None:
        file, index = self._files.groups[group]
        if file != self._file:
            self._close()
            self._parquet, self._file = self._files.open(file), file
        rows = max(1, self._batch_bytes // max(1, self._files.row_bytes[group]))
        self._table = None
        self._batches = self._parquet.iter_batches(
            batch_size=rows, row_groups=[index], columns=self._files.needed
        )
        self._group = group
        self._end = int(self._files.group_starts[group])

    def _next(self, group: int) -> pa.Table:
        pa.default_memory_pool().release_unused()
        batch = next(self._batches, None)
        if batch is None:
            raise pa.ArrowInvalid(f"row group {self._files.groups[group][1]} is cut short")
        return pa.Table.from_batches([batch]).select(self._files.needed)

    def _close(self) -> None:
        self._table: pa.Table | None = None
        self._batches: Any = None
        self._parquet: Any = None
        self._file = self._group = -1
        self._end = 0


def _joined(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same rows in as few ranges as possible."""
    full = stops > starts
    starts, stops = starts[full], stops[full]
    apart = starts[1:] != stops[:-1]
    first = np.ones(len(starts), bool)
    first[1:] = apart
    last = np.ones(len(starts), bool)
    last[:-1] = apart
    return starts[first], stops[last]


def _rows(table: pa.Table, starts: np.ndarray, stops: np.ndarray) -> pa.Table:
    if len(starts) == 1:
        return table.slice(starts[0], stops[0] - starts[0])
    return table.take(positions_of(starts, stops - starts))
