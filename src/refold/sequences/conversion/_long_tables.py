"""Long tables, one row a step: grouped by id, in the order of time, and written back."""

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
from refold.sequences.schema._column_types import Kinds, encode_columns, is_missing, resolve_kinds
from refold.sequences.schema._parts import PLAIN_ROWS, Parts, Places, Rows
from refold.sequences.schema._schema import Column, Schema
from refold.sequences.schema._validation import check_ids, check_values


def parts_from_table(
    table: Any,
    id: str,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: Kinds = None,
    rows: Rows = PLAIN_ROWS,
    *,
    sort: bool = False,
) -> Parts:
    """Convert a long table; `Sequences.from_table` says how."""
    opened = open_table(table)
    codes, ids = _number_ids(opened.ids(str(id)), str(id), rows)
    if not len(codes):
        raise DataError("The table has no rows. Expected one row a step.")
    if time is None:
        if sort:
            raise SchemaError(
                "sort=True orders the steps by a column of times, and none is named. Name it with "
                "time=."
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
    told = [*opened.known(names)[0]]
    told += [
        name
        for name, kind, hint in zip(names, resolve_kinds(column_types, names), hints, strict=True)
        if kind or hint
    ]
    for column in parts.schema.columns:
        if column.name not in told and (remark := numbers_as_text(column)):
            warnings.warn(remark, UserWarning, stacklevel=3)
    return parts


def numbers_as_text(column: Column) -> str | None:
    """Return what is to be said of a column if all its labels are numbers written as text."""
    if not column.categories or not all(map(_is_number, column.categories)):
        return None
    return (
        f"Column {column.name!r} holds numbers written as text and is taken as labels. "
        f"Pass column_types={{{column.name!r}: 'numeric'}} to read it as numbers."
    )


def encode_parts(
    opened: OpenTable,
    names: Sequence[str],
    raws: list[np.ndarray],
    hints: list[str | None],
    column_types: Kinds,
    places: Places,
) -> Parts:
    """Encode raw columns, by the kinds that are asked for, then stored, then hinted at."""
    stored_kinds, labels = opened.known(names)
    asked = resolve_kinds(column_types, names)
    chosen = [
        kind or stored_kinds.get(name) or hint
        for name, kind, hint in zip(names, asked, hints, strict=True)
    ]
    values, columns = encode_columns(raws, names, chosen, places, labels)
    stored = opened.schema
    layout = stored.layout if stored and stored.names == tuple(names) else "array"
    return Parts(values, places.offsets, places.ids, Schema(columns, layout))


def table_from_parts(parts: Parts, id: str, time: str) -> pa.Table:  # noqa: A002
    """Return a long table; `Sequences.to_table` says how."""
    values, offsets, ids, schema = parts
    taken = [name for name in (id, time) if name in schema.names]
    if taken or id == time:
        raise SchemaError(
            f"The name {(taken or [id])[0]!r} is needed twice in the table. "
            "Give id= and time= names that no feature has."
        )
    if ids is None:
        ids = np.arange(len(offsets) - 1)
    unique, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        twice = unique[counts > 1][0].item()
        raise DataError(
            f"The id {twice!r} comes twice, so that its rows would run into one sequence. "
            "Give each sequence its own with Sequences.with_ids."
        )
    lengths = np.diff(offsets)
    if num_empty := int((lengths == 0).sum()):
        warnings.warn(
            f"{num_empty} of {len(lengths)} sequences are empty and have no row in a long table. "
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
            f"The table has no column beside {', '.join(map(repr, sorted(used)))}. "
            "Expected at least one feature."
        )
    return names


def _number_ids(column: Any, name: str, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's id in the order of their first rows, and the ids."""
    codes, numbers = first_rows(column)
    for code, value in enumerate(numbers):
        if is_missing(value):
            row = int(np.flatnonzero(codes == code)[0])
            raise DataError(
                f"{rows(row).capitalize()} has no id in column {name!r}. Every row needs one; "
                "fill or drop it."
            )
    return codes, check_ids(numbers, len(numbers))


def first_rows(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return each row's value as a number, and the values by number, in order of appearance."""
    if isinstance(column, list):
        numbers: dict[Any, int] = {}
        codes = [numbers.setdefault(value, len(numbers)) for value in column]
        return np.array(codes, dtype=np.int64), list(numbers)
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
            f"after those of {ids[codes[row - 1]].item()!r}. Sort the table, or name the column "
            "that orders the steps with time=."
        )


def _is_number(label: Any) -> bool:
    try:
        return isinstance(label, str) and math.isfinite(float(label))
    except ValueError:
        return False
