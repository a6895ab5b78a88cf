"""The first pass over files, which finds the schema, the index and the moments."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files.scan._chunked_columns import Piece, ScannedColumn, piece_of
from refold.sequences.files.scan._chunked_list_tables import (
    ListIndexer,
    check_lists,
    nested_width,
    split_lists,
    split_nested,
)
from refold.sequences.files.scan._chunked_long_tables import LongIndexer
from refold.sequences.files.scan._parquet_files import ScannedFiles, naming
from refold.sequences.files.scan._row_index import RowIndex
from refold.sequences.files.scan._row_reader import RowReader
from refold.sequences.files.scan._schema_inference import KnownColumns
from refold.sequences.schema._column_types import ColumnTypes, Where
from refold.sequences.schema._schema import Schema, default_names
from refold.sequences.statistics._moments import Summary

__all__ = ["ScanResult", "observe_again", "scan_columns"]

Split = Callable[[pa.Table], list[Piece]]


class ScanResult(NamedTuple):
    """The result of the first pass."""

    index: RowIndex
    columns: list[ScannedColumn]
    schema: Schema
    dtype: np.dtype
    split: Split  # returns the entries of each column in some rows
    warnings: list[str]  # messages for the user

    def numeric(self) -> list[ScannedColumn]:
        """Return the numeric columns."""
        return [column for column in self.columns if column.column.type == "numeric"]

    def summary(self) -> Summary:
        """Return what `Scaler.fit` needs."""
        moments = [column.moments for column in self.numeric()]
        return Summary(
            int(self.index.lengths.sum()),
            np.array([column.num_observed for column in self.columns], np.int64),
            np.array([one.mean for one in moments], np.float64),
            np.array([one.scale for one in moments], np.float64),
            np.array([one.least for one in moments], np.float64),
            np.array([one.greatest for one in moments], np.float64),
        )


def scan_columns(files: ScannedFiles, column_types: ColumnTypes, reader: RowReader) -> ScanResult:
    """Read all rows once.

    Raises
    ------
    DataError, SchemaError
        If the sequences cannot be used.
    FileFormatError, FileAccessError
        If a file is damaged or has changed.
    """
    with naming(files.paths[0]):
        if not files.layout.lists:
            rows = _LongRows(files, column_types)
        elif check_lists(files.schema, files.layout.features):
            rows = _NestedRows(files, column_types)
        else:
            rows = _ListRows(files, column_types)
    for first, table in reader.pieces(np.array([0]), np.array([files.num_rows])):
        pieces, where = rows.add(first, table)
        with naming(files.place(first)[0]):
            for column, piece in zip(rows.columns, pieces, strict=True):
                column.look(piece, where)
    for column in rows.columns:
        column.settle()
    return rows.result()


def observe_again(scanned: ScanResult, blocks: Iterable[np.ndarray]) -> ScanResult:
    """Return the same result with statistics of these blocks of values of shape (steps, F)."""
    columns = [column.unobserved() for column in scanned.columns]
    for block in blocks:
        for column, values in zip(columns, block.T, strict=True):
            column.observe(values, column.column.type)
    return scanned._replace(columns=columns)


class _LongRows:
    """One row per step."""

    def __init__(self, files: ScannedFiles, column_types: ColumnTypes) -> None:
        self._files = files
        names = files.layout.features
        self._known = KnownColumns(names, column_types, files.stored)
        self.columns = [self._known.column(name, files.schema.field(name).type) for name in names]
        self._indexer = LongIndexer(files)

    def add(self, first: int, table: pa.Table) -> tuple[list[Piece], Where]:
        steps = self._indexer.add(first, table)
        rows = self._files.place(first)[1] + np.flatnonzero(steps)
        if len(rows) < len(steps):
            table = table.filter(steps)
        where = partial(_row, rows, table[self._indexer.id])
        with naming(self._files.place(first)[0]):
            return self._split(table), where

    def _split(self, table: pa.Table) -> list[Piece]:
        return [piece_of(table[column.name], column.name) for column in self.columns]

    def result(self) -> ScanResult:
        index = self._indexer.finish()
        # A long table without steps is read like empty lists.
        empty = not index.lengths.any()
        schema = self._known.schema(self.columns, lists=empty)
        messages = [] if empty else self._known.warnings(self.columns)
        return ScanResult(index, self.columns, schema, _dtype(self.columns), self._split, messages)


class _ListRows:
    """One row per sequence, one column of lists per feature."""

    def __init__(self, files: ScannedFiles, column_types: ColumnTypes) -> None:
        self._files = files
        self._names = files.layout.features
        self._known = KnownColumns(self._names, column_types, files.stored)
        types = [files.schema.field(name).type.value_type for name in self._names]
        self.columns = list(map(self._known.column, self._names, types))
        self._indexer = ListIndexer(files)

    def add(self, first: int, table: pa.Table) -> tuple[list[Piece], Where]:
        path, row = self._files.place(first)
        with naming(path):
            lengths, pieces = split_lists(table, self._names, row)
            self._indexer.add(row, table, lengths)
        return pieces, partial(_step, row, lengths)

    def _split(self, table: pa.Table) -> list[Piece]:
        return split_lists(table, self._names, 0)[1]

    def result(self) -> ScanResult:
        schema = self._known.schema(self.columns, lists=True)
        index = self._indexer.finish()
        return ScanResult(index, self.columns, schema, _dtype(self.columns), self._split, [])


class _NestedRows:
    """One row per sequence in one column of lists of lists; the first step sets their width."""

    def __init__(self, files: ScannedFiles, column_types: ColumnTypes) -> None:
        self._files = files
        self._column_types = column_types
        self._name = files.layout.features[0]
        self._type = files.schema.field(self._name).type.value_type.value_type
        self.columns: list[ScannedColumn] = []
        self._indexer = ListIndexer(files)

    def add(self, first: int, table: pa.Table) -> tuple[list[Piece], Where]:
        path, row = self._files.place(first)
        with naming(path):
            if not self.columns:
                names = default_names(nested_width(table, self._name))
                self._known = KnownColumns(names, self._column_types if names else None, [])
                self.columns = [self._known.column(name, self._type) for name in names]
            lengths, pieces = split_nested(table, self._name, len(self.columns), row)
            self._indexer.add(row, table, lengths)
        return pieces, partial(_step, row, lengths)

    def _split(self, table: pa.Table) -> list[Piece]:
        return split_nested(table, self._name, len(self.columns), 0)[1]

    def result(self) -> ScanResult:
        index = self._indexer.finish()
        if not self.columns:
            parts = parts_from_list([[]], column_types=self._column_types)
            return ScanResult(index, [], parts.schema, parts.values.dtype, self._split, [])
        schema = self._known.schema(self.columns, lists=False)
        return ScanResult(index, self.columns, schema, _dtype(self.columns), self._split, [])


def _dtype(columns: list[ScannedColumn]) -> np.dtype:
    return np.result_type(np.float32, *(column.dtype for column in columns))


def _row(rows: np.ndarray, ids: Any, row: int, name: str | None) -> str:
    return f"row {rows[row]} (id {ids[row].as_py()!r}), column {name!r}"


def _step(first_row: int, lengths: np.ndarray, step: int, name: str | None) -> str:
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, step, side="right"))
    return f"row {first_row + row}, step {step - ends[row] + lengths[row]}, column {name!r}"
