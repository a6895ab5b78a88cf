"""Tables with one row per sequence that come in pieces: lengths, ids and entries."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from refold.errors import DataError, argument
from refold.sequences.conversion._arrow_columns import (
    check_has_ids,
    flatten_lists,
    has_lists,
    is_nested,
    split_lists,
)
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files.scan._chunked_columns import Piece, ScannedColumn, piece_of
from refold.sequences.files.scan._parquet_files import ScannedFiles, naming
from refold.sequences.files.scan._rows import RowIndex, ids_as_arrow, ids_as_numpy
from refold.sequences.schema._column_types import ColumnTypes, Where
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._parts import Rows
from refold.sequences.schema._schema import Schema, default_names


def holds_nested(schema: pa.Schema, features: Sequence[str]) -> bool:
    """Return whether the features are in one column of lists of lists."""
    fields = [schema.field(name) for name in features]
    return len(fields) == 1 and is_nested(fields[0]) and has_lists(fields[0].type.value_field)


class ListRows:
    """One row per sequence, one column of lists per feature."""

    def __init__(self, files: ScannedFiles, column_types: ColumnTypes) -> None:
        self._files = files
        self._names = files.layout.features
        self._ids: list[pa.Array] = []
        self._lengths: list[np.ndarray] = []
        self.columns: list[ScannedColumn] = []
        self._prepare(column_types)

    def _prepare(self, column_types: ColumnTypes) -> None:
        fields = [self._files.schema.field(name) for name in self._names]
        self._split(pa.table({field.name: pa.array([], field.type) for field in fields}), 0)
        self._known = KnownColumns(self._names, column_types, self._files.stored)
        for field in fields:
            self.columns.append(ScannedColumn(field.name, field.type.value_type, self._known))

    def add(self, first: int, table: pa.Table) -> tuple[list[Piece], Where]:
        """Add the next rows; return the entries of each column, and what names their places."""
        path, row = self._files.place(first)
        with naming(path):
            lengths, pieces = self._split(table, row)
            self._lengths.append(lengths)
            name = self._files.layout.id
            if name is not None:
                check_has_ids(table[name], name, Rows(number=lambda i: row + i))
                self._ids.append(ids_as_arrow(table[name]))
        return pieces, partial(_step, row, lengths)

    def split(self, table: pa.Table) -> list[Piece]:
        """Return the entries of each column in some rows."""
        return self._split(table, 0)[1]

    def _split(self, table: pa.Table, first_row: int) -> tuple[np.ndarray, list[Piece]]:
        columns = [table[name] for name in self._names]
        advice = f"choose the columns with {argument('columns=')}"
        lengths, flat = split_lists(self._names, columns, lambda i: f"Row {first_row + i}", advice)
        return lengths, list(map(piece_of, flat, self._names))

    def index(self) -> RowIndex:
        """Return the index of all rows added."""
        lengths = np.concatenate(self._lengths).astype(np.int64)
        rows = np.arange(len(lengths) + 1)
        ids = rows[:-1]
        if self._ids:
            ids = ids_as_numpy(pa.chunked_array(self._ids).combine_chunks())
        return RowIndex(ids, lengths, rows[:-1], rows[1:], rows)

    def schema(self, index: RowIndex) -> tuple[Schema, list[str]]:  # noqa: ARG002
        """Return the schema of the columns after the last row, and warnings."""
        found = tuple(column.column for column in self.columns)
        return self._known.schema(found, lists=True), []


class NestedRows(ListRows):
    """One row per sequence in one column of lists of lists; the first step sets their width."""

    def _prepare(self, column_types: ColumnTypes) -> None:
        self._column_types = column_types
        self._type = self._files.schema.field(self._names[0]).type.value_type.value_type

    def _split(self, table: pa.Table, first_row: int) -> tuple[np.ndarray, list[Piece]]:
        feature = self._names[0]
        lengths, steps = flatten_lists(table[feature])
        if not len(steps):
            return lengths, [Piece(np.zeros(0, np.float32))] * len(self.columns)
        widths, flat = flatten_lists(steps)
        if not self.columns and widths[0]:
            names = default_names(int(widths[0]))
            known = KnownColumns(names, self._column_types, [])
            self.columns = [ScannedColumn(name, self._type, known) for name in names]
        width = len(self.columns)
        wrong = np.flatnonzero(widths != width)
        if len(wrong):
            row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
            raise DataError(
                f"Row {first_row + row} has a step of {widths[wrong[0]]} features in column "
                f"{feature!r}, but others have {width}. All steps need the same; fill missing ones "
                "with null."
            )
        piece = piece_of(flat, feature)
        if piece.index is not None:
            columns = piece.index.reshape(-1, width).T
            return lengths, [_used(piece.values, index) for index in columns]
        # Use the types of Python numbers, as `read` does for these lists.
        values = piece.values
        if values.dtype.kind in "iu" and values.itemsize < 8 and not pa.types.is_boolean(flat.type):
            values = values.astype(np.int64)
        elif values.dtype.kind == "f":
            values = values.astype(np.float64)
        return lengths, list(map(Piece, values.reshape(-1, width).T))

    def schema(self, index: RowIndex) -> tuple[Schema, list[str]]:  # noqa: ARG002
        """Return the schema of the columns after the last row, and warnings."""
        if not self.columns:
            return parts_from_list([[]], column_types=self._column_types).schema, []
        return Schema(tuple(column.column for column in self.columns)), []


def _used(values: np.ndarray, index: np.ndarray) -> Piece:
    """Return a piece with only the values that occur in it."""
    used, inverse = np.unique(index, return_inverse=True)
    return Piece(values[used], inverse)


def _step(first_row: int, lengths: np.ndarray, step: int, name: str | None) -> str:
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, step, side="right"))
    return f"row {first_row + row}, step {step - ends[row] + lengths[row]}, column {name!r}"
