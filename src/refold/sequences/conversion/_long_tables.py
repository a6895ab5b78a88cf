"""Conversion from and to long tables, which have one row per step."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold.errors import DataError, SchemaError, argument
from refold.sequences.conversion._arrow_columns import (
    OpenTable,
    as_raw,
    check_has_ids,
    check_id_is_no_feature,
    encoded_to_arrow,
    ids_to_arrow,
    is_text,
    metadata_of,
    open_table,
    without_dictionary,
)
from refold.sequences.conversion._time_gaps import check_times, time_gaps, with_time_gaps
from refold.sequences.schema._column_types import ColumnTypes, encode_columns
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._parts import PLAIN_ROWS, Parts, Places, Rows, check_ids, check_values


def parts_from_table(
    table: Any,
    id: str,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    rows: Rows = PLAIN_ROWS,
    *,
    sort: bool = False,
    with_gaps: bool = False,
) -> Parts:
    """Convert a long table; implements `Sequences.from_table`."""
    opened = open_table(table)
    column = opened.ids(str(id))
    check_has_ids(column, str(id), rows)
    codes, values = first_rows(column)
    ids = check_ids(values, len(values))
    if not len(codes):
        raise DataError("The table has no rows. Expected one row per step.")
    if with_gaps:
        check_times(time)
    times: Any = None
    if time is None:
        if sort:
            raise SchemaError(
                f"{argument(sort=True)} orders the steps by a column of times. Name that column "
                f"with {argument('time=')}."
            )
        _check_together(codes, ids, rows)
        order = np.arange(len(codes))
    else:
        times = opened.get(str(time), "time")
        order = _order_by_time(codes, ids, times, str(time), rows, sort=sort)
    offsets = offsets_from_lengths(np.bincount(codes, minlength=len(ids)))
    names = _feature_names(opened, {str(id), *([] if time is None else [str(time)])}, columns)
    check_id_is_no_feature(names, str(id))
    raws = [as_raw(opened.get(name, "columns"), name) for name in names]
    places = Places(offsets, ids)
    if rows.is_part:
        places = replace(places, name=lambda row: _row_of_part(row, order, codes, ids, rows))
    elif rows is not PLAIN_ROWS:
        places = replace(places, note=lambda _, row: rows(order.item(row)))
    known = KnownColumns(names, column_types, opened.stored)
    raws = [(raw[order], hint) for raw, hint in raws]
    parts = encode_parts(names, raws, known, places, lists=False)
    check_values(parts.values, parts.schema, places)
    for message in known.warnings(parts.schema.columns):
        warn(message)
    if not with_gaps:
        return parts
    gaps = time_gaps(sortable(times, str(time), rows)[order], offsets, times.type)
    values = np.concatenate([parts.values, gaps[:, None]], axis=1)
    return parts.with_schema(with_time_gaps(parts.schema), values)


def encode_parts(
    names: Sequence[str],
    raws: Sequence[tuple[np.ndarray, str | None]],
    known: KnownColumns,
    places: Places,
    *,
    lists: bool,
) -> Parts:
    """Encode raw columns, each with a hint at its type."""
    types = [known.type(name, hint) for name, (_, hint) in zip(names, raws, strict=True)]
    raw = [raw for raw, _ in raws]
    values, columns = encode_columns(raw, names, types, places, known.categories)
    return Parts(values, places.offsets, places.ids, known.schema(columns, lists=lists))


def table_from_parts(parts: Parts, id: str, time: str) -> pa.Table:  # noqa: A002
    """Return a long table; implements `Sequences.to_table`."""
    values, offsets, ids, schema = parts
    taken = [name for name in (id, time) if name in schema.names]
    if taken or id == time:
        raise SchemaError(
            f"The table would have two columns named {(taken or [id])[0]!r}. "
            f"Choose {argument('id=')} and {argument('time=')} names that no feature has."
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
        warn(
            f"{num_empty} of {len(lengths)} sequences are empty and have no rows in a long table. "
            "Sequences.to_arrow keeps them."
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


def _row_of_part(
    row: int, order: np.ndarray, codes: np.ndarray, ids: np.ndarray, rows: Rows
) -> str:
    row = order.item(row)
    return f"{rows(row)} (id {ids[codes[row]].item()!r})"


def _check_together(codes: np.ndarray, ids: np.ndarray, rows: Rows) -> None:
    back = np.flatnonzero(np.diff(codes) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise DataError(
            f"The rows of id {ids[codes[row]].item()!r} are not together: {rows(row)} comes "
            f"after rows of {ids[codes[row - 1]].item()!r}. Sort the table, or name the column "
            f"that orders the steps with {argument('time=')}."
        )


def _order_by_time(
    codes: np.ndarray, ids: np.ndarray, column: Any, name: str, rows: Rows, *, sort: bool
) -> np.ndarray:
    """Return row indices ordered by id, then time."""
    times = sortable(column, name, rows)
    by_time = np.lexsort((times, codes))
    if same := _neighbors(by_time, codes, times, np.equal):
        first, second = same
        raise DataError(
            f"Id {ids[codes[first]].item()!r} has the time {str(column[first])!r} twice, in "
            f"{rows.both(first, second)}. Each step needs its own time in column {name!r}."
        )
    if sort:
        return by_time
    order = np.argsort(codes, kind="stable")
    if unsorted := _neighbors(order, codes, times, np.greater):
        before, row = unsorted
        hint = ", as numbers or dates, not as text" if is_text(column.type) else ""
        raise DataError(
            f"Id {ids[codes[row]].item()!r} has the time {str(column[row])!r} in {rows(row)}, "
            f"after {str(column[before])!r} in {rows(before)}. Sort the table with "
            f"{argument(sort=True)}, or by column {name!r}{hint}."
        )
    return order


def _neighbors(
    order: np.ndarray, codes: np.ndarray, times: np.ndarray, compare: np.ufunc
) -> list[int]:
    """Return the first two adjacent rows of one id whose times compare true, or none."""
    before, after = order[:-1], order[1:]
    matches = (codes[before] == codes[after]) & compare(times[before], times[after])
    at = int(np.argmax(matches)) if matches.any() else len(order)
    return order[at : at + 2].tolist()


def sortable(column: Any, name: str, rows: Rows) -> np.ndarray:
    """Return times as numbers."""
    wrong = f"Column {name!r} cannot order the steps"
    if isinstance(column, list):
        raise DataError(f"{wrong}: it mixes types. Expected numbers or dates.")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{wrong}: {rows(row)} has no time. Fill it in or drop the row.")
    if is_text(column.type):
        column = _parse_text(column, wrong, rows)
    if pa.types.is_date32(column.type) or pa.types.is_time32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{wrong}: it holds {column.type} values. Expected numbers or dates.")
    times = column.to_numpy()
    missing = np.flatnonzero(times != times)
    if len(missing):
        raise DataError(f"{wrong}: {rows(missing[0])} has no time. Fill it in or drop the row.")
    return times


def _parse_text(column: Any, wrong: str, rows: Rows) -> Any:
    if pa.types.is_string_view(column.type):  # Arrow cannot parse dates in string views
        column = column.cast(pa.large_string())
    types = pa.float64(), pa.timestamp("ns")
    for type_ in types:
        try:
            return column.cast(type_)
        except pa.ArrowInvalid:
            continue
    # The first text that differs in type from those before it.
    row = max(_num_parsed(column, type_) for type_ in types)
    raise DataError(
        f"{wrong}: it holds text such as {column[row].as_py()!r}, in {rows(row)}. Expected all "
        "numbers or all dates."
    )


def _num_parsed(column: Any, type_: Any) -> int:
    """Return the index of the first text that cannot be parsed as a type."""
    row = 0
    with contextlib.suppress(pa.ArrowInvalid):
        for row, text in enumerate(column):  # noqa: B007
            text.cast(type_)
    return row
