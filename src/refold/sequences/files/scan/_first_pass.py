"""The first pass over files, which finds the schema, the index and the moments."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from refold.sequences.files.scan._chunked_columns import Piece, ScannedColumn
from refold.sequences.files.scan._chunked_list_tables import ListRows, NestedRows, holds_nested
from refold.sequences.files.scan._chunked_long_tables import LongRows
from refold.sequences.files.scan._parquet_files import ScannedFiles, naming
from refold.sequences.files.scan._rows import RowIndex, RowReader
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._schema import Schema
from refold.sequences.statistics._moments import Summary, summary_of

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
        num_observed = np.array([column.num_observed for column in self.columns], np.int64)
        moments = [column.moments for column in self.numeric()]
        return summary_of(int(self.index.lengths.sum()), num_observed, moments)


def scan_columns(files: ScannedFiles, column_types: ColumnTypes, reader: RowReader) -> ScanResult:
    """Read all rows once.

    Raises
    ------
    DataError, SchemaError
        If the sequences cannot be used.
    FileFormatError, FileAccessError
        If a file is damaged or has changed.
    """
    layout, rows = files.layout, LongRows
    if layout.lists:
        rows = NestedRows if holds_nested(files.schema, layout.features) else ListRows
    with naming(files.paths[0]):
        found = rows(files, column_types)
    for first, table in reader.pieces(np.array([0]), np.array([files.num_rows])):
        pieces, where = found.add(first, table)
        with naming(files.place(first)[0]):
            for column, piece in zip(found.columns, pieces, strict=True):
                column.look(piece, where)
    for column in found.columns:
        column.settle()
    index = found.index()
    schema, messages = found.schema(index)
    dtype = np.result_type(np.float32, *(column.dtype for column in found.columns))
    return ScanResult(index, found.columns, schema, dtype, found.split, messages)


def observe_again(scanned: ScanResult, blocks: Iterable[np.ndarray]) -> ScanResult:
    """Return the same result with statistics of these blocks of values of shape (steps, F)."""
    columns = [column.unobserved() for column in scanned.columns]
    for block in blocks:
        for column, values in zip(columns, block.T, strict=True):
            column.observe(values, column.column.type)
    return scanned._replace(columns=columns)
