"""Conversion from and to tables: one row per step (long), or one row per sequence (lists)."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold._support.rules import check_some
from refold.errors import DataError, SchemaError, argument
from refold.sequences._arrow_columns import (
    OpenTable,
    as_raw,
    check_has_ids,
    check_id_is_no_feature,
    encoded_to_arrow,
    has_lists,
    ids_to_arrow,
    is_nested,
    is_text,
    known_types,
    metadata_of,
    open_table,
    split_lists,
    split_nested,
    without_dictionary,
)
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import (
    PLAIN_ROWS,
    ColumnTypes,
    Parts,
    Places,
    Rows,
    check_distinct,
    check_ids,
    encode_parts,
    sequence_name,
    text_warnings,
)
from refold.sequences._schema import Column, Schema, check_unique, default_names

TIME_GAP = "time_gap"
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

# Long tables


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
    keys = [str(id)] if time is None else [str(id), str(time)]
    id_column = opened.ids(keys[0])
    check_has_ids(id_column, keys[0], rows)
    codes, values = first_rows(id_column)
    ids = check_ids(values, len(values))
    if sort or with_gaps:
        check_times(time, argument(sort=True) if sort else argument(time_gaps=True))
    column: Any = None
    times, order = np.zeros(0), np.arange(len(codes))
    if time is None:
        _check_together(codes, ids, rows)
    else:
        column = opened.get(keys[1], "time")
        times = sortable(column, keys[1], rows)
        order = _order_by_time(codes, ids, times, column, keys[1], rows, sort=sort)
    if columns is None:
        names = [name for name in opened.columns if name not in {*keys, *opened.index}]
        check_some(len(names), "column", f"besides {', '.join(map(repr, keys))}")
    else:
        names = _strings(columns)
        check_id_is_no_feature(names, keys[0])
    offsets = offsets_from_lengths(np.bincount(codes, minlength=len(ids)))
    places = Places(offsets, ids, None if rows is PLAIN_ROWS else rows, order)
    features = [opened.get(name, "columns") for name in names]
    arrow_types = [feature.type for feature in features]
    types = known_types(names, arrow_types, column_types, opened.stored)
    raws = [as_raw(feature, name)[order] for name, feature in zip(names, features, strict=True)]
    parts = encode_parts(names, raws, types, places, lists=False, stored=opened.stored)
    for message in text_warnings(parts.schema.columns, types):
        warn(message)
    if not with_gaps:
        return parts
    gaps = time_gaps(times[order], offsets, column.type)
    values = np.concatenate([parts.values, gaps[:, None]], axis=1)
    return parts.with_schema(with_time_gaps(parts.schema), values)


def table_from_parts(
    parts: Parts,
    id: str,  # noqa: A002
    time: str,
    *,
    markers: bool = False,  # whether an empty sequence has a row, without time and values
) -> pa.Table:
    """Return a long table; implements `Sequences.to_table`."""
    values, offsets, ids, schema = parts
    advice = f"Choose {argument('id=')} and {argument('time=')} names that no feature has."
    check_unique([id, time, *schema.names], advice)
    check_distinct(ids)  # rows of the same id would merge into one sequence
    lengths = np.diff(offsets)
    num_empty = int((lengths == 0).sum())
    if num_empty and not markers:
        warn(
            f"{num_empty} of {len(lengths)} sequences are empty and have no rows in a long table. "
            "Sequences.to_arrow keeps them."
        )
    steps = {time: pa.array(np.arange(len(values)) - np.repeat(offsets[:-1], lengths))}
    for i, column in enumerate(schema.columns):
        steps[column.name] = encoded_to_arrow(values[:, i], column)
    if num_empty and markers:
        lengths = np.maximum(lengths, 1)
        is_step = np.repeat(np.diff(offsets) > 0, lengths)
        # a null index gives a null row
        rows = pa.array(np.maximum(np.cumsum(is_step) - 1, 0), mask=~is_step)
        steps = {name: column.take(rows) for name, column in steps.items()}
    sequence = pa.array(np.repeat(np.arange(len(lengths)), lengths))
    columns = {id: ids_to_arrow(ids).take(sequence), **steps}
    return pa.table(columns, metadata=metadata_of(schema))


def first_rows(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the index of each row's value, and the values in order of appearance."""
    column = without_dictionary(column)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64), [None] * bool(len(column))
    encoded = column.dictionary_encode(null_encoding="encode").combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _strings(columns: Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else [str(name) for name in columns]


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
    codes: np.ndarray,
    ids: np.ndarray,
    times: np.ndarray,
    column: Any,  # of the times, for messages
    name: str,
    rows: Rows,
    *,
    sort: bool,
) -> np.ndarray:
    """Return row indices ordered by id, then time."""
    order = np.lexsort((times, codes)) if sort else np.argsort(codes, kind="stable")
    before, after = order[:-1], order[1:]
    wrong = np.flatnonzero((codes[before] == codes[after]) & (times[before] >= times[after]))
    if len(wrong):
        first, second = order[wrong[0] : wrong[0] + 2].tolist()
        raise DataError(
            f"Id {ids[codes[second]].item()!r} has the time {str(column[second])!r} in "
            f"{rows(second)}, after {str(column[first])!r} in {rows(first)}. Sort the table with "
            f"{argument(sort=True)}, or by column {name!r}; each step of an id needs its own time."
        )
    return order


# Times


def sortable(column: Any, name: str, rows: Rows) -> np.ndarray:
    """Return times as numbers."""
    wrong = f"Column {name!r} cannot order the steps"
    if is_text(column.type):
        column = _parse_text(column, wrong, rows)
    if pa.types.is_date32(column.type) or pa.types.is_time32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    missing = column.is_null(nan_is_null=True).to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(f"{wrong}: {rows(row)} has no time. Fill it in or drop the row.")
    if not len(column):
        return np.zeros(0)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{wrong}: it holds {column.type} values. Expected numbers or dates.")
    return column.to_numpy()


def _parse_text(column: Any, wrong: str, rows: Rows) -> Any:
    """Return text as numbers if the first one is a number, else as dates."""

    def is_parsed(text: Any, type_: pa.DataType) -> bool:
        with contextlib.suppress(pa.ArrowInvalid):
            return text.cast(type_) is not None
        return False

    # Arrow cannot parse dates in string views
    column = column.cast(pa.large_string())
    type_ = pa.float64() if is_parsed(column.drop_null()[:1], pa.float64()) else pa.timestamp("ns")
    if is_parsed(column, type_):
        return column.cast(type_)
    row = next(row for row, text in enumerate(column) if not is_parsed(text, type_))
    raise DataError(
        f"{wrong}: it holds text such as {column[row].as_py()!r}, in {rows(row)}. Expected all "
        "numbers or all dates."
    )


def check_times(time: str | None, what: str = argument(time_gaps=True)) -> None:
    """Raise ``SchemaError`` if there is no column of times, which an argument needs."""
    if time is None:
        raise SchemaError(
            f"{what} needs a long table with a column of times. Name it with {argument('time=')}."
        )


def time_gaps(times: np.ndarray, offsets: np.ndarray, arrow_type: Any) -> np.ndarray:
    """Return the time from the step before (num_steps,), 0 for the first step of a sequence."""
    gaps = np.zeros(len(times))
    wide = times if times.dtype.kind == "u" else np.asarray(times, f"{times.dtype.kind}8")
    starts = offsets[:-1][np.diff(offsets) > 0]
    later = np.delete(np.arange(len(times)), starts)
    gaps[later] = wide[later] - wide[later - 1]
    # seconds for dates and times, else the unit of the column
    if pa.types.is_date32(arrow_type):
        return gaps * 86_400.0
    if pa.types.is_date64(arrow_type):
        return gaps / _PER_SECOND["ms"]
    if pa.types.is_temporal(arrow_type):
        return gaps / _PER_SECOND[arrow_type.unit]
    is_number = pa.types.is_integer(arrow_type) or times.dtype.kind == "f"
    return gaps if is_number else gaps / _PER_SECOND["ns"]  # dates as text


def with_time_gaps(schema: Schema) -> Schema:
    """Return a schema with the column of gaps behind its columns."""
    advice = f"Rename the one in the table, or leave {argument('time_gaps')} out."
    check_unique([*schema.names, TIME_GAP], advice)
    columns = (*schema.columns, Column(TIME_GAP, "numeric"))
    return replace(schema, columns=columns, layout="array", time_gaps=True)


# Tables of lists


def parts_from_arrow(
    table: Any,
    id: str | None = None,  # noqa: A002
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    rows: Rows | None = None,  # to name places in a part of a file
) -> Parts:
    """Convert a table of list columns; implements `Sequences.from_arrow`."""
    opened = open_table(table)
    if id is None and "id" in opened.columns and not has_lists(opened.columns["id"]):
        id = "id"  # noqa: A001
    identity = None if id is None else opened.ids(str(id)).to_pylist()
    names = _list_columns(opened, id) if columns is None else _strings(columns)
    features = [opened.get(name, "columns") for name in names]
    check_some(len(features[0]), "row", "in the table")
    ids = check_ids(identity, len(features[0]))

    def row_name(row: int) -> str:
        return sequence_name(row, ids[row]) if rows is None else rows(row)

    if len(names) == 1 and is_text(features[0].type):
        items = [value or "" for value in features[0].to_pylist()]
        return parts_from_list(items, column_types=column_types, ids=identity, names=names)
    nested = len(names) == 1 and is_nested(features[0])
    if nested:
        lengths, flat = split_nested(names[0], features[0], row_name)
        if not flat:  # no step tells the number of features
            return parts_from_list([[]] * len(lengths), column_types=column_types, ids=identity)
        names, stored = default_names(len(flat)), None
    else:
        advice = "Sequences.from_table reads long tables"
        (lengths, flat), stored = split_lists(names, features, row_name, advice), opened.stored
    places = Places(offsets_from_lengths(lengths), ids, rows)
    raws = [as_raw(column, name) for name, column in zip(names, flat, strict=True)]
    types = known_types(names, [column.type for column in flat], column_types, stored)
    return encode_parts(names, raws, types, places, lists=not nested, stored=stored)


def arrow_from_parts(parts: Parts, id: str) -> pa.Table:  # noqa: A002
    """Return a table of list columns; implements `Sequences.to_arrow`."""
    values, offsets, ids, schema = parts
    check_unique([id, *schema.names], f"Choose an {argument('id=')} that no feature has.")
    small = offsets[-1] <= np.iinfo(np.int32).max
    lists = pa.ListArray if small else pa.LargeListArray
    bounds = pa.array(offsets, pa.int32() if small else pa.int64())
    columns = {id: ids_to_arrow(ids)}
    for i, column in enumerate(schema.columns):
        columns[column.name] = lists.from_arrays(bounds, encoded_to_arrow(values[:, i], column))
    return pa.table(columns, metadata=metadata_of(schema))


def _list_columns(opened: OpenTable, id: str | None) -> list[str]:  # noqa: A002
    """Return the columns of lists, else the only column besides the ids if it is text."""
    names = [name for name, column in opened.columns.items() if has_lists(column)]
    if names:
        return names
    names = [name for name in opened.columns if name not in {id, *opened.index}]
    if len(names) != 1 or not is_text(opened.columns[names[0]].type):
        raise SchemaError(
            "The table has no list column. Expected one row per sequence, with lists of numbers or "
            "tokens; Sequences.from_table(table, id=...) reads tables with one row per step."
        )
    return names
