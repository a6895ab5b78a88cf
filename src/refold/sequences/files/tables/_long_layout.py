"""Long tables in files, where one marker row stands for each empty sequence.

A marker row holds an id and neither a time nor values.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from refold.errors import DataError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._long_tables import first_rows, parts_from_table
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import PLAIN_ROWS, Parts, Rows, offsets_from_lengths

__all__ = ["from_long_table", "to_long_table"]


def to_long_table(
    sequences: Sequences,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> pa.Table:
    """Return one row per step, as `Sequences.to_table`, and a marker for each empty sequence.

    Raises
    ------
    DataError
        If an id occurs twice, since the rows of both would become one sequence.
    """
    found, counts = np.unique(sequences.ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"The id {found[counts > 1][0]!s} belongs to {counts[counts > 1][0]} sequences, which "
            "the long layout would join. Give each its own id with Sequences.with_ids, or write "
            "the list layout."
        )
    lengths = sequences.lengths
    table = sequences[lengths > 0].to_table(id, time)
    if lengths.all():
        return table
    repeats = np.maximum(lengths, 1)
    markers = np.repeat(lengths == 0, repeats)
    # A null index gives a null row.
    rows = pa.array(np.maximum(np.cumsum(~markers) - 1, 0), mask=markers)
    ids = np.repeat(sequences.ids, repeats)
    columns = {name: table[name].take(rows) for name in table.column_names}
    columns[id] = pa.array(ids.tolist(), table.schema.field(id).type)
    return pa.table(columns, metadata=table.schema.metadata)


def from_long_table(
    table: pa.Table,
    *,
    id: str,  # noqa: A002
    time: str | None,
    columns: Sequence[str],
    column_types: ColumnTypes,
    rows: Rows = PLAIN_ROWS,
    sort: bool = False,
) -> Sequences:
    """Convert a long table as `Sequences.from_table` does, with markers as empty sequences."""
    markers = _find_markers(table, id, time, columns)
    if markers.all():
        return _all_empty(table, id, columns, column_types)
    kept = np.flatnonzero(~markers)
    real = table.filter(~markers) if markers.any() else table
    real_rows = rows
    if rows is not PLAIN_ROWS or markers.any():
        real_rows = rows._replace(number=lambda row: rows.number(kept.item(row)))
    parts = parts_from_table(real, id, time, list(columns), column_types, real_rows, sort=sort)
    return _with_empty(parts, table[id], markers) if markers.any() else Sequences(*parts)


def _find_markers(table: pa.Table, id: str, time: str | None, columns: Sequence[str]) -> np.ndarray:  # noqa: A002
    """Return the mask of marker rows, whose id has no other row."""
    if time is None or not table[time].null_count:
        return np.zeros(table.num_rows, bool)
    markers = table[time].is_null().to_numpy()
    for column in columns:
        markers = markers & table[column].is_null().to_numpy()
    codes = table[id].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    counts = np.bincount(codes + 1, minlength=1)
    return markers & (counts[codes + 1] == 1) & (codes >= 0)


def _all_empty(
    table: pa.Table,
    id: str,  # noqa: A002
    columns: Sequence[str],
    column_types: ColumnTypes,
) -> Sequences:
    lists = {
        name: pa.array([[]] * table.num_rows, pa.list_(table.schema.field(name).type))
        for name in columns
    }
    empty = pa.table({id: table[id], **lists}, metadata=table.schema.metadata)
    return Sequences.from_arrow(empty, id=id, columns=list(columns), column_types=column_types)


def _with_empty(parts: Parts, column: pa.ChunkedArray, markers: np.ndarray) -> Sequences:
    """Return the sequences with an empty one for each marker, in the order of the file."""
    codes, ids = first_rows(column)
    lengths = np.zeros(len(ids), np.int64)
    lengths[np.unique(codes[~markers])] = np.diff(parts.offsets)
    return Sequences(parts.values, offsets_from_lengths(lengths), ids, parts.schema)
