"""Conversion from and to tables with one row per sequence and one list column per feature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold.errors import DataError, SchemaError, argument
from refold.sequences.conversion._arrow_columns import (
    OpenTable,
    as_list,
    as_raw,
    encoded_to_arrow,
    has_lists,
    ids_to_arrow,
    is_nested,
    is_text,
    metadata_of,
    open_table,
    split_lists,
    split_nested,
)
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.conversion._long_tables import encode_parts
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._parts import (
    Parts,
    Places,
    Rows,
    check_ids,
    check_values,
    sequence_name,
)
from refold.sequences.schema._schema import default_names


def parts_from_arrow(
    table: Any,
    id: str | None = None,  # noqa: A002
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    rows: Rows | None = None,  # to name places in a part of a file
) -> Parts:
    """Convert a table of list columns; implements `Sequences.from_arrow`."""
    opened = _open(table)
    if id is None and "id" in opened.columns and not has_lists(opened.columns["id"]):
        id = "id"  # noqa: A001
    identity = None if id is None else as_list(opened.ids(str(id)))
    if columns is None:
        names = tuple(name for name, column in opened.columns.items() if has_lists(column))
        names = names or _text_columns(opened, id)
    else:
        names = (columns,) if isinstance(columns, str) else tuple(str(name) for name in columns)
    chosen = [opened.get(name, "columns") for name in names]
    for name, column in zip(names, chosen, strict=True):
        if isinstance(column, list):
            raise SchemaError(
                f"Column {name!r} holds values of several types. Expected lists of numbers or "
                "tokens, one list per row."
            )
    if not len(chosen[0]):
        raise DataError("The table has no rows. Expected one row per sequence.")
    ids = None if identity is None else check_ids(identity, len(identity))

    def row_name(row: int) -> str:
        if rows is not None:
            return rows(row).capitalize()
        return sequence_name(row, None if ids is None else ids[row]).capitalize()

    if len(names) == 1 and is_text(chosen[0].type):
        items = [value or "" for value in chosen[0].to_pylist()]
        return parts_from_list(items, column_types=column_types, ids=identity, names=names)
    nested = len(names) == 1 and is_nested(chosen[0])
    if nested:
        lengths, flat = split_nested(names[0], chosen[0], row_name)
        if not flat:  # no step tells the number of features
            return parts_from_list([[]] * len(lengths), column_types=column_types, ids=identity)
        names, stored = default_names(len(flat)), []
    else:
        advice = "Sequences.from_table reads long tables"
        (lengths, flat), stored = split_lists(names, chosen, row_name, advice), opened.stored
    raws = [as_raw(one, name) for name, one in zip(names, flat, strict=True)]
    known, offsets = KnownColumns(names, column_types, stored), offsets_from_lengths(lengths)
    if rows is None:
        return encode_parts(names, raws, known, Places(offsets, ids), lists=not nested)
    places = Places(offsets, ids, name=lambda row: _step_name(row, offsets, rows))
    parts = encode_parts(names, raws, known, places, lists=not nested)
    check_values(parts.values, parts.schema, places)
    return parts


def _step_name(row: int, offsets: np.ndarray, rows: Rows) -> str:
    index = int(np.searchsorted(offsets, row, side="right")) - 1
    return f"{rows(index)}, step {row - offsets[index]}"


def arrow_from_parts(parts: Parts, id: str) -> pa.Table:  # noqa: A002
    """Return a table of list columns; implements `Sequences.to_arrow`."""
    values, offsets, ids, schema = parts
    if id in schema.names:
        raise SchemaError(
            f"The table would have two columns named {id!r}. Choose an {argument('id=')} that no "
            "feature has."
        )
    if ids is None:
        ids = np.arange(len(offsets) - 1)
    small = offsets[-1] <= np.iinfo(np.int32).max
    lists = pa.ListArray if small else pa.LargeListArray
    bounds = pa.array(offsets, pa.int32() if small else pa.int64())
    columns = {id: ids_to_arrow(ids)} | {
        column.name: lists.from_arrays(bounds, encoded_to_arrow(values[:, i], column))
        for i, column in enumerate(schema.columns)
    }
    return pa.table(columns, metadata=metadata_of(schema))


def _open(table: Any) -> OpenTable:
    """Open a table, or a single column under the default name."""
    if isinstance(table, pa.Array | pa.ChunkedArray):
        return open_table(pa.table({"x0": table}))
    if not hasattr(table, "columns") and hasattr(table, "__arrow_c_stream__"):
        column = pa.chunked_array(table)
        if not pa.types.is_struct(column.type):
            return open_table(pa.table({"x0": column}))
    return open_table(table)


def _text_columns(opened: OpenTable, id: str | None) -> tuple[str, ...]:  # noqa: A002
    names = tuple(name for name in opened.columns if name not in {id, *opened.index})
    column = opened.columns[names[0]] if len(names) == 1 else []
    if isinstance(column, list) or not is_text(column.type):
        raise SchemaError(
            "The table has no list column. Expected one row per sequence, with lists of numbers or "
            "tokens; Sequences.from_table(table, id=...) reads tables with one row per step."
        )
    return names
