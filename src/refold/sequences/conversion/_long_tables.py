"""Conversion from and to long tables, which have one row per step."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrow_columns import (
    OpenTable,
    as_raw,
    encoded_to_arrow,
    ids_to_arrow,
    metadata_of,
    open_table,
    without_dictionary,
)
from refold.sequences.conversion._time_columns import order_by_time
from refold.sequences.schema._column_types import (
    ColumnTypes,
    encode_columns,
    is_missing,
    resolve_column_types,
)
from refold.sequences.schema._parts import PLAIN_ROWS, Parts, Places, Rows
from refold.sequences.schema._schema import Column, Schema
from refold.sequences.schema._validation import check_ids, check_values


def parts_from_table(
    table: Any,
    id: str,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    rows: Rows = PLAIN_ROWS,
    *,
    sort: bool = False,
) -> Parts:
    """Convert a long table; implements `Sequences.from_table`."""
    opened = open_table(table)
    codes, ids = _number_ids(opened.ids(str(id)), str(id), rows)
    if not len(codes):
        raise DataError("The table has no rows. Expected one row per step.")
    if time is None:
        if sort:
            raise SchemaError(
                "sort=True orders the steps by a column of times. Name that column with time=."
            )
        _check_together(codes, ids, rows)
        order = np.arange(len(codes))
    else:
        times = opened.get(str(time), "time=")
        order = order_by_time(codes, ids, times, str(time), rows, sort=sort)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(ids)))])
    names = _feature_names(opened, {str(id), *([] if time is None else [str(time)])}, columns)
    raws, hints = [], []
    for name in names:
        raw, hint = as_raw(opened.get(name, "columns="), name)
        raws.append(raw[order])
        hints.append(hint)
    places = Places(offsets, ids)
    if rows is not PLAIN_ROWS:
        places = places._replace(note=lambda _, row: rows(order.item(row)))
    parts = encode_parts(opened, names, raws, hints, column_types, places)
    check_values(parts.values, parts.schema, places)
    typed = [*opened.known(names)[0]]
    typed += [
        name
        for name, given, hint in zip(
            names, resolve_column_types(column_types, names), hints, strict=True
        )
        if given or hint
    ]
    for column in parts.schema.columns:
        if column.name not in typed and (message := numbers_as_text(column)):
            warnings.warn(message, UserWarning, stacklevel=3)
    return parts


def numbers_as_text(column: Column) -> str | None:
    """Return a warning if all categories of a column are numbers written as text."""
    if not column.categories or not all(map(_is_number, column.categories)):
        return None
    return (
        f"Column {column.name!r} holds numbers written as text and is treated as categorical. "
        f"Pass column_types={{{column.name!r}: 'numeric'}} to read it as numbers."
    )


def encode_parts(
    opened: OpenTable,
    names: Sequence[str],
    raws: list[np.ndarray],
    hints: list[str | None],
    column_types: ColumnTypes,
    places: Places,
) -> Parts:
    """Encode raw columns; requested types come first, then stored ones, then hints."""
    stored_types, categories = opened.known(names)
    requested = resolve_column_types(column_types, names)
    chosen = [
        given or stored_types.get(name) or hint
        for name, given, hint in zip(names, requested, hints, strict=True)
    ]
    values, columns = encode_columns(raws, names, chosen, places, categories)
    stored = opened.schema
    layout = stored.layout if stored and stored.names == tuple(names) else "array"
    return Parts(values, places.offsets, places.ids, Schema(columns, layout))


def table_from_parts(parts: Parts, id: str, time: str) -> pa.Table:  # noqa: A002
    """Return a long table; implements `Sequences.to_table`."""
    values, offsets, ids, schema = parts
    taken = [name for name in (id, time) if name in schema.names]
    if taken or id == time:
        raise SchemaError(
            f"The table would have two columns named {(taken or [id])[0]!r}. "
            "Choose id= and time= names that no feature has."
        )
    if ids is None:
        ids = np.arange(len(offsets) - 1)
    unique, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        twice = unique[counts > 1][0].item()
        raise DataError(
            f"The id {twice!r} appears twice, so its rows would merge into one sequence. "
            "Give each sequence its own id with Sequences.with_ids."
        )
    lengths = np.diff(offsets)
    if num_empty := int((lengths == 0).sum()):
        warnings.warn(
            f"{num_empty} of {len(lengths)} sequences are empty and have no rows in a long table. "
            "Sequences.to_arrow keeps them.",
            UserWarning,
            stacklevel=3,
        )
    steps = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
    columns: Mapping[str, Any] = {
        id: ids_to_arrow(ids).take(pa.array(np.repeat(np.arange(len(lengths)), lengths))),
        time: pa.array(steps),
    } | {
        column.name: encoded_to_arrow(values[:, i], column)
        for i, column in enumerate(schema.columns)
    }
    return pa.table(columns, metadata=metadata_of(schema))


def _feature_names(
    opened: OpenTable, used: set[str], columns: Sequence[str] | None
) -> tuple[str, ...]:
    if columns is not None:
        columns = (columns,) if isinstance(columns, str) else columns
        return tuple(str(name) for name in columns)
    names = tuple(name for name in opened.columns if name not in used | set(opened.index))
    if not names:
        raise SchemaError(
            f"The table has no column besides {', '.join(map(repr, sorted(used)))}. "
            "Expected at least one feature."
        )
    return names


def _number_ids(column: Any, name: str, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each row's id, and the ids in the order of their first rows."""
    codes, values = first_rows(column)
    for code, value in enumerate(values):
        if is_missing(value):
            row = int(np.flatnonzero(codes == code)[0])
            raise DataError(
                f"{rows(row).capitalize()} has no id in column {name!r}. Every row needs an id; "
                "fill it in or drop the row."
            )
    return codes, check_ids(values, len(values))


def first_rows(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the index of each row's value, and the values in order of appearance."""
    if isinstance(column, list):
        indices: dict[Any, int] = {}
        codes = [indices.setdefault(value, len(indices)) for value in column]
        return np.array(codes, dtype=np.int64), list(indices)
    column = without_dictionary(column)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64), [None] * bool(len(column))
    encoded = column.dictionary_encode(null_encoding="encode").unify_dictionaries()
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    values = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    return np.concatenate([np.zeros(0, dtype=np.int64), *codes]), values


def _check_together(codes: np.ndarray, ids: np.ndarray, rows: Rows) -> None:
    back = np.flatnonzero(np.diff(codes) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise DataError(
            f"The rows of id {ids[codes[row]].item()!r} are not together: {rows(row)} comes "
            f"after rows of {ids[codes[row - 1]].item()!r}. Sort the table, or name the column "
            "that orders the steps with time=."
        )


def _is_number(category: Any) -> bool:
    try:
        return isinstance(category, str) and math.isfinite(float(category))
    except ValueError:
        return False
