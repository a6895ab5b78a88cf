"""Runs of rows of each sequence in a long table that comes in pieces."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold._support.offsets import offsets_from_lengths
from refold.errors import DataError, argument
from refold.sequences.conversion._arrow_columns import check_has_ids
from refold.sequences.conversion._long_tables import sortable
from refold.sequences.files.scan._chunked_columns import Piece, ScannedColumn, piece_of
from refold.sequences.files.scan._parquet_files import ScannedFiles, naming
from refold.sequences.files.scan._rows import RowIndex, RowReader, ids_as_arrow, ids_as_numpy
from refold.sequences.files.tables._table_reader import find_markers
from refold.sequences.schema._column_types import ColumnTypes, Where
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._parts import Rows, plain
from refold.sequences.schema._schema import Schema

# Consecutive rows of a sequence are one run, even across files. With a time column, a sequence may
# have several runs, since sequences may be interleaved.

# Maximum number of runs of one sequence.
MAX_RUNS = 64
# Maximum number of further runs of all sequences together, which bounds the index.
MAX_EXTRA_RUNS = 1 << 22


class _Runs(NamedTuple):
    """Runs of rows of one id: where they start and stop, and the times of their ends."""

    starts: np.ndarray
    stops: np.ndarray
    marks: np.ndarray  # whether the row marks an empty sequence
    first_times: np.ndarray
    last_times: np.ndarray


class LongRows:
    """One row per step, and the index that is built from them."""

    def __init__(self, files: ScannedFiles, column_types: ColumnTypes) -> None:
        self._files = files
        names = files.layout.features
        self._known = KnownColumns(names, column_types, files.stored)
        types = [files.schema.field(name).type for name in names]
        self.columns = [
            ScannedColumn(name, type_, self._known)
            for name, type_ in zip(names, types, strict=True)
        ]
        self._id, self._time = files.layout.id or "", files.layout.time
        self._runs: list[_Runs] = []
        self._ids: list[pa.Array] = []
        self._time_type: np.dtype | None = None
        self._open: Any = None  # the id of the last run, if it may continue
        self._num_runs = 0
        self._check_at = 1 << 20

    def add(self, first: int, table: pa.Table) -> tuple[list[Piece], Where]:
        """Add the next rows; return the entries of each column, and what names their places."""
        steps = self._add_runs(first, table)
        path, row = self._files.place(first)
        rows = row + np.flatnonzero(steps)
        if len(rows) < len(steps):
            table = table.filter(steps)
        with naming(path):
            return self.split(table), partial(_row, rows, table[self._id])

    def times(self, table: pa.Table) -> np.ndarray:
        """Return the times of some rows as numbers."""
        column = table[self._time]
        return self._of_one_type(sortable(column, self._time or "", Rows()), column)

    def split(self, table: pa.Table) -> list[Piece]:
        """Return the entries of each column in some rows."""
        return [piece_of(table[name], name) for name in self._files.layout.features]

    def schema(self, index: RowIndex) -> tuple[Schema, list[str]]:
        """Return the schema of the columns after the last row, and warnings."""
        # A long table without steps is read like empty lists.
        empty = not index.lengths.any()
        found = tuple(column.column for column in self.columns)
        messages = [] if empty else self._known.warnings(found)
        return self._known.schema(found, lists=empty), messages

    def _add_runs(self, first: int, table: pa.Table) -> np.ndarray:
        """Add the next rows to the index, and return which of them are steps."""
        column = table[self._id]
        path, row = self._files.place(first)
        with naming(path):
            check_has_ids(column, self._id, Rows(number=lambda i: row + i))
            # other rows mark empty sequences: they hold an id and neither a time nor a value
            real, times = self._times(first, table)
        ids = ids_as_arrow(column)
        codes = ids.dictionary_encode().indices.to_numpy()
        changes = (codes[1:] != codes[:-1]) | ~real[1:] | ~real[:-1]
        begins = np.concatenate([[0], np.flatnonzero(changes) + 1])
        ends = np.append(begins[1:], len(codes))
        self._check_ascends(first, times, ~changes)
        run_ids, marks = ids.take(begins), ~real[begins]
        stops = first + np.where(marks, begins, ends)
        runs = _Runs(first + begins, stops, marks, times[begins], times[ends - 1])
        if self._open is not None and real[0] and run_ids[0].as_py() == self._open:
            before = self._runs[-1]
            if self._time is not None and not before.last_times[-1] < runs.first_times[0]:
                raise self._not_ascending(first - 1, first)
            before.stops[-1], before.last_times[-1] = runs.stops[0], runs.last_times[0]
            run_ids, runs = run_ids.slice(1), _Runs(*(array[1:] for array in runs))
        if len(run_ids):
            self._runs.append(runs)
            self._ids.append(run_ids)
            self._open = None if runs.marks[-1] else run_ids[-1].as_py()
            self._num_runs += len(run_ids)
        if self._num_runs >= self._check_at:
            self._join()
            self._check_at = 4 * self._num_runs
        return real

    def index(self) -> RowIndex:
        """Return the index of all rows added."""
        ids, counts, order = self._join()
        starts, stops = self._all("starts"), self._all("stops")
        if order is not None:
            starts, stops = starts[order], stops[order]
        offsets = offsets_from_lengths(counts)
        lengths = np.add.reduceat(stops - starts, offsets[:-1])
        return RowIndex(ids_as_numpy(ids), lengths, starts, stops, offsets)

    def _all(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(runs, name) for runs in self._runs])

    def _join(self) -> tuple[pa.Array, np.ndarray, np.ndarray | None]:
        """Return the ids, the number of runs of each, and how to sort runs by id if needed."""
        ids = pa.chunked_array(self._ids).combine_chunks()
        if _ascend(ids):
            return ids, np.ones(len(ids), np.int64), None
        encoded = ids.dictionary_encode()
        codes, ids = encoded.indices.to_numpy(), encoded.dictionary
        counts = np.bincount(codes, minlength=len(ids))
        if len(ids) == len(codes):
            return ids, counts, None
        order = np.argsort(codes, kind="stable")
        self._check_joinable(codes, counts, order)
        return ids, counts, order

    def _times(self, first: int, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are steps, and their times, 0 for other rows."""
        num_rows = table.num_rows
        if self._time is None:
            return np.ones(num_rows, bool), np.zeros(num_rows, np.int8)
        column = table[self._time]
        missing = column.is_null(nan_is_null=True).to_numpy()
        if not missing.any():
            return ~missing, self._sortable(first, column, ~missing)
        marks = find_markers(table, self._time, self._files.layout.features)
        if wrong := np.flatnonzero(missing & ~marks).tolist():
            raise self._no_time(first + wrong[0])
        all_times = np.zeros(num_rows, self._time_type or np.uint8)
        if not marks.all():
            times = self._sortable(first, column.filter(~marks), ~marks)
            all_times = np.zeros(num_rows, times.dtype)
            all_times[~marks] = times
        return ~marks, all_times

    def _sortable(self, first: int, column: Any, real: np.ndarray) -> np.ndarray:
        """Return the times of the rows that are steps."""
        numbers = self._files.place(first)[1] + np.flatnonzero(real)
        times = sortable(column, self._time or "", Rows(number=numbers.item))
        return self._of_one_type(times, column)

    def _of_one_type(self, times: np.ndarray, column: Any) -> np.ndarray:
        """Check that times have the type of all earlier ones."""
        if self._time_type not in {None, times.dtype}:
            raise DataError(
                f"Column {self._time!r} cannot order the steps: it holds numbers and dates, both "
                f"as text, such as {column[0].as_py()!r}. Write all times in one format."
            )
        self._time_type = times.dtype
        return times

    def _check_ascends(self, first: int, times: np.ndarray, same: np.ndarray) -> None:
        if self._time is None:
            return
        wrong = np.flatnonzero(same & ~(times[:-1] < times[1:]))
        if len(wrong):
            row = first + int(wrong[0])
            raise self._not_ascending(row, row + 1)

    def _check_joinable(self, codes: np.ndarray, counts: np.ndarray, order: np.ndarray) -> None:
        """Raise ``DataError`` if the runs of an id cannot be joined."""
        starts = self._all("starts")
        again = np.flatnonzero(codes[order][1:] == codes[order][:-1])
        before, after = order[again], order[again + 1]
        if self._time is None:
            again_at = int(starts[after.min()])
            path, row = self._files.place(again_at)
            raise DataError(
                f"{path}: The rows of id {self._id_at(again_at)!r} are not "
                f"together: row {row} comes after rows of another id. Sort the data by column "
                f"{self._id!r}, or name the column that orders the steps with {argument('time=')}."
            )
        marks = self._all("marks")
        wrong = np.flatnonzero(marks[before] | marks[after])
        if len(wrong):
            pair = (before[wrong[0]], after[wrong[0]])
            raise self._no_time(int(starts[pair[0] if marks[pair[0]] else pair[1]]))
        wrong = np.flatnonzero(~(self._all("last_times")[before] < self._all("first_times")[after]))
        if len(wrong):
            last = int(self._all("stops")[before[wrong[0]]]) - 1
            raise self._not_ascending(last, int(starts[after[wrong[0]]]))
        if counts.max() > MAX_RUNS or len(again) > MAX_EXTRA_RUNS:
            most = int(np.argmax(counts))
            row = int(starts[order[int(np.cumsum(counts)[most]) - 1]])
            raise DataError(
                f"{self._files.root}: The rows of id {self._id_at(row)!r} lie in {counts[most]} "
                f"places, and those of all ids in {len(codes)}, too many to read in blocks. "
                f"Sort the data by column {self._id!r}, then by {self._time!r}."
            )

    def _no_time(self, row: int) -> DataError:
        path, number = self._files.place(row)
        return DataError(
            f"{path}: Column {self._time!r} cannot order the steps: row {number} has no time. "
            "Fill it in or drop the row."
        )

    def _not_ascending(self, before: int, row: int) -> DataError:
        """Return the error for two rows of one id whose times do not ascend."""
        times = [str(self._cell(number, self._time or "")) for number in (before, row)]
        (first_path, first), (path, second) = self._files.place(before), self._files.place(row)
        other = "" if first_path == path else f" of {first_path}"
        start = f"{path}: Id {self._id_at(row)!r} has the time {times[1]!r}"
        if times[0] == times[1]:
            return DataError(
                f"{start} twice, in rows {first}{other} and {second}. Each step needs its own "
                f"time in column {self._time!r}."
            )
        return DataError(
            f"{start} in row {second}, after {times[0]!r} in row {first}{other}. Sort the data by "
            f"column {self._id!r}, then by {self._time!r}, or read a file whole with "
            f"{argument(sort=True)}."
        )

    def _id_at(self, row: int) -> Any:
        return plain(self._cell(row, self._id).as_py())

    def _cell(self, row: int, name: str) -> Any:
        reader = RowReader(self._files, 1)
        _, table = next(reader.pieces(np.array([row]), np.array([row + 1])))
        return table[name][0]


def _ascend(ids: pa.Array) -> bool:
    """Return whether the ids ascend, which saves the table of all ids."""
    if not (pa.types.is_integer(ids.type) or pa.types.is_large_string(ids.type)):
        return False
    return call_function("all", [call_function("less", [ids[:-1], ids[1:]])]).as_py() is not False


def _row(rows: np.ndarray, ids: Any, row: int, name: str | None) -> str:
    return f"row {rows[row]} (id {ids[row].as_py()!r}), column {name!r}"
