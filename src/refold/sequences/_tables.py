"""Conversion from and to tables: one row per step (long), or one row per sequence (lists).

A table of any library is opened as Arrow columns first.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import MatchSubstringOptions, call_function

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold._support.rules import check, check_one_each, check_some, one_of
from refold.errors import DataError, SchemaError, argument, spelled
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
    is_missing,
    is_text,
    object_array,
    resolve_column_types,
    sentence_start,
    sequence_name,
    text_warnings,
)
from refold.sequences._schema import Column, Schema, check_unique, default_names
from refold.sequences._times import (
    check_times,
    gaps_between,
    parse_times,
    time_numbers,
    with_time_gaps,
)
from refold.sequences.types import BINARY, CATEGORICAL, UNKNOWN

METADATA_KEY = b"refold"
# What becomes of the rows of an id that have the same time.
DUPLICATES = one_of("error", "first", "last", "mean")
# An integer in its shortest form: ASCII digits, few enough for int64.
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"


class OpenTable(NamedTuple):
    """A table read as Arrow, with its metadata."""

    columns: dict[str, Any]  # Arrow columns
    index: tuple[str, ...] = ()  # columns from the index of a pandas table
    stored: Schema | None = None  # the schema that Refold stored in the metadata
    is_series: bool = False  # whether the rows are the steps of one sequence, if there are no ids

    def get(self, name: str, by: str) -> Any:
        """Return the column that an argument names; raise ``SchemaError`` if it does not exist."""
        if name not in self.columns:
            raise SchemaError(
                f"The table has no column {name!r}, which {argument(f'{by}=')} names. "
                f"Its columns are {', '.join(map(repr, self.columns))}."
            )
        return self.columns[name]

    def ids(self, name: str) -> Any:
        """Return the column of ids; raise ``SchemaError`` if it is absent or cannot hold ids."""
        column = self.get(name, "id")
        check_id_type(column.type, name)
        return column


def time_index(index: Iterable[str], columns: Mapping[str, Any]) -> str | None:
    """Return the name of the column from a pandas index of times, if the table still has it."""
    return next((k for k in index if k in columns and pa.types.is_timestamp(columns[k].type)), None)


def is_table(obj: Any) -> bool:
    """Return whether an object supports the Arrow stream interface, as tables and columns do."""
    return hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__")


def open_table(table: Any) -> OpenTable:
    """Read a table of any library as Arrow columns by name; a single column is ``x0``."""
    if isinstance(table, OpenTable):
        return table
    if isinstance(table, Mapping):
        return OpenTable(_read_columns(table, list(table)))
    if not is_table(table):
        raise DataError(
            f"Expected a pandas, polars or Arrow table, or a dict of columns. "
            f"Got {type(table).__name__}."
        )
    # a frame with a column of the name "dtype" has this attribute, too
    is_series = hasattr(table, "dtype") and not hasattr(table, "columns")
    if is_series or isinstance(table, pa.Array | pa.ChunkedArray):
        return OpenTable({"x0": _read_column(table, "x0")})
    is_arrow = isinstance(table, pa.Table)
    # batches of Arrow have names beside columns
    check_unique(getattr(table, "column_names", getattr(table, "columns", ())))
    try:
        # pa.table would import pandas to look whether a table of Arrow is one of pandas
        arrow = table if is_arrow else pa.table(table)
    except (pa.ArrowException, OverflowError):
        # A column of pandas holds objects of several types. One by one, the columns tell which.
        return OpenTable(_read_columns(table, list(table.columns)))
    metadata = arrow.schema.metadata or {}
    columns = {name: arrow[i] for i, name in enumerate(arrow.column_names)}
    return OpenTable(columns, pandas_index(metadata), stored_schema(metadata))


def _read_columns(table: Any, names: list[Any]) -> dict[str, Any]:
    """Read columns that must have the same number of rows."""
    columns = {str(name): _read_column(table[name], name) for name in names}
    for name, column in columns.items():
        rows = f"rows of column {names[0]!r}"
        check_one_each(len(column), f"rows of column {name!r}", len(columns[str(names[0])]), rows)
    return columns


def _read_column(column: Any, name: Any) -> pa.ChunkedArray:
    """Read a column of Arrow, pandas or polars, an array or a list."""
    try:
        if is_table(column):
            return pa.chunked_array(column)
        return pa.chunked_array([pa.array(column, from_pandas=True)])
    except OverflowError:
        # an integer beyond 64 bits, as a hash may be, makes all of them text
        text = [None if is_missing(value) else str(value) for value in column]
        return pa.chunked_array([pa.array(text)])
    except (pa.ArrowException, TypeError) as error:
        problem = str(error).partition("\n")[0]  # it shows the value, and some values are long
        raise DataError(
            f"Column {name!r} cannot be read. {problem}. Expected a list or an array, all of "
            "numbers, all of text, or all of lists of one of these."
        ) from error


def metadata_of(schema: Schema) -> dict[bytes, bytes]:
    """Return table metadata that hold the schema, so that reading restores it."""
    return {METADATA_KEY: json.dumps(schema.to_dict()).encode()}


def stored_schema(metadata: Mapping[bytes, bytes] | None) -> Schema | None:
    """Return the schema that Refold stored in the metadata, if there is one."""
    stored = (metadata or {}).get(METADATA_KEY)
    if stored is None:
        return None
    try:
        return Schema.from_dict(json.loads(stored))
    except ValueError as error:
        raise SchemaError(
            f"The metadata of the table hold a damaged schema ({error}). "
            "Remove the entry 'refold', or write the data again."
        ) from error


def pandas_index(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the names of columns from the index of a pandas table."""
    names = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", ())
    return tuple(name for name in names if isinstance(name, str))


# Columns


def known_types(
    names: Sequence[str],
    arrow_types: Iterable[pa.DataType],
    column_types: ColumnTypes,
    stored: Schema | None = None,
) -> list[str | None]:
    """Return column types as requested, else as stored, else as Arrow types tell, else None."""
    types = resolve_column_types(column_types, names)
    stored_types = {} if stored is None else {column.name: column.type for column in stored.columns}
    for i, (name, arrow_type) in enumerate(zip(names, arrow_types, strict=True)):
        types[i] = types[i] or stored_types.get(name)
        if types[i] is None and pa.types.is_dictionary(arrow_type):
            types[i] = CATEGORICAL.name
        elif types[i] is None and pa.types.is_boolean(arrow_type):
            types[i] = BINARY.name
    return types


def as_raw(column: Any, name: str) -> np.ndarray:
    """Return a column as a NumPy array of numbers or objects."""
    column = without_dictionary(column)
    arrow_type = column.type
    if is_text(arrow_type):
        return object_array(column.to_pylist())
    if pa.types.is_null(arrow_type):
        return np.full(len(column), np.nan, dtype=np.float32)
    if pa.types.is_boolean(arrow_type):
        column = column.cast(pa.uint8())
    elif pa.types.is_decimal(arrow_type):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type)):
        held = f"has the type {arrow_type}, which is not supported"
        if pa.types.is_temporal(arrow_type):
            held = "holds dates, times or durations"
        raise SchemaError(
            f"Column {name!r} {held}. Expected numbers, booleans or text. Name a column of times "
            f"with {spelled('time= of Sequences.from_table or read', '--time')}, and features with "
            f"{argument('columns=')}."
        )
    if column.null_count and pa.types.is_integer(column.type) and column.type.bit_width <= 16:
        column = column.cast(pa.float32())  # which holds them exactly; NumPy would take float64
    return column.to_numpy(zero_copy_only=False)


def encoded_to_arrow(values: np.ndarray, column: Column) -> pa.Array:
    """Return a flat encoded column as an Arrow array: categories for indices, null for NaN."""
    if not column.column_type.has_categories:
        return pa.array(values, from_pandas=True)
    integers = column.has_integer_categories
    categories = pa.array(
        [*column.categories, None if integers else UNKNOWN], pa.int64() if integers else pa.string()
    )
    missing = np.isnan(values)
    return categories.take(pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing))


def ids_to_arrow(ids: np.ndarray) -> pa.Array:
    """Return ids as an Arrow array of integers or strings."""
    # from a list, because Arrow ends the texts of an array at a zero character
    return pa.array(ids.tolist(), pa.string() if ids.dtype.kind == "U" else pa.int64())


def check_id_type(type_: pa.DataType, name: str) -> None:
    """Raise ``SchemaError`` if a column cannot hold ids."""
    if pa.types.is_nested(type_):
        raise SchemaError(
            f"Column {name!r} holds {type_}. Expected ids: integers or text; name the "
            f"column of ids with {argument('id=')}."
        )


def check_id_is_no_feature(columns: Iterable[str], id_column: str | None) -> None:
    """Raise ``SchemaError`` if the features that a user names include the ids."""
    if id_column is not None and id_column in columns:
        raise SchemaError(
            f"Column {id_column!r} has the ids of the sequences, and {argument('columns=')} names "
            f"it as a feature. Leave it out of {argument('columns=')}."
        )


def check_has_ids(column: Any, name: str, rows: Rows) -> None:
    """Raise ``DataError`` if a row has no id."""
    missing = without_dictionary(column).is_null(nan_is_null=True).to_numpy()
    if missing.any():
        raise DataError(
            f"{sentence_start(rows(int(np.argmax(missing))))} has no id in column {name!r}. "
            "Every row needs an id; fill it in or drop the row."
        )


def factorized(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return for each row the index of its value, and the values in order of appearance."""
    column = without_dictionary(column)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64), [None] * bool(len(column))
    encoded = column.dictionary_encode(null_encoding="encode").combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def without_dictionary(column: Any) -> Any:
    """Return a dictionary-encoded column as plain values; other columns unchanged."""
    if not pa.types.is_dictionary(column.type):
        return column
    value_type = column.type.value_type
    # some types of text support neither cast nor take, but the short dictionaries can be converted
    plain_type = pa.large_string() if is_text(value_type) else value_type
    chunks = [chunk.dictionary.cast(plain_type).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, plain_type)


def integers_from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text as integers if every cell is one in its shortest form, else unchanged."""
    # Different ids and labels stay different: 007 and 7, 1 and 1.0, +1 and 1.
    present = cells.drop_null()
    return cells.cast(pa.int64()) if matches(present, _INTEGER).all() else cells


def matches(cells: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Return the mask of cells that match a regular expression; missing cells do not."""
    mask = call_function("match_substring_regex", [cells], MatchSubstringOptions(pattern))
    return np.asarray(mask.fill_null(False))  # noqa: FBT003


def has_lists(column: Any) -> bool:
    """Return whether an Arrow column holds lists."""
    types = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(is_type(column.type) for is_type in types)


def is_nested(column: Any) -> bool:
    """Return whether an Arrow column holds lists of lists."""
    return has_lists(column) and has_lists(column.type.value_field)


def flatten_lists(column: Any) -> tuple[np.ndarray, Any]:
    """Return the length of each list (0 if null) and the concatenated entries."""
    lengths = call_function("list_value_length", [column]).fill_null(0).to_numpy()
    return lengths, call_function("list_flatten", [column])


# Long tables


def keys_of_steps(opened: OpenTable, schema: Schema | None) -> tuple[str | None, str | None] | None:
    """Return the columns of ids and times of a long table; None if a row is a sequence."""
    # Their names are those that a schema remembers, or else "id" and "time".
    columns = opened.columns
    named = (None, None) if schema is None else (schema.id_name, schema.time_name)
    keys = zip(named, ("id", "time"), strict=True)
    id_name, time = (next((name for name in key if name in columns), None) for key in keys)
    time = time or time_index(opened.index, columns)
    if (id_name is None and not opened.is_series) or any(map(has_lists, columns.values())):
        return None
    others = [name for name in columns if name not in {id_name, *opened.index}]
    is_text_of_each = len(others) == 1 and is_text(columns[others[0]].type)
    if id_name is not None and not opened.is_series and (schema is None or is_text_of_each):
        ids = without_dictionary(columns[id_name])  # one each: a row is text, or a wide table
        return (id_name, time) if len(ids.unique()) < len(ids) else None
    return id_name, time


def steps_of(opened: OpenTable, id: str, name: str, lengths: np.ndarray) -> pa.ChunkedArray:  # noqa: A002
    """Return a column of a long table for sequences of other lengths; null after the last step."""
    ids = opened.columns.get(id)
    codes = np.zeros(len(opened.columns[name]), int) if ids is None else factorized(ids)[0]
    order, own = np.argsort(codes, kind="stable"), np.bincount(codes, minlength=len(lengths))
    step = np.arange(lengths.sum()) - np.repeat(offsets_from_lengths(lengths)[:-1], lengths)
    is_after = step >= np.repeat(own, lengths)
    place = np.where(is_after, 0, step + np.repeat(offsets_from_lengths(own)[:-1], lengths))
    return opened.columns[name].take(pa.array(order[place], mask=is_after))


def parts_from_table(
    table: Any,
    id: str | None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    rows: Rows = PLAIN_ROWS,
    *,
    sort: bool = False,
    with_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
) -> Parts:
    """Convert a long table; implements `Sequences.from_table`."""
    check("duplicates", duplicates, DUPLICATES)
    opened = open_table(table)
    if id is None:  # all rows are one sequence, if there is no column "id"
        same = np.zeros(len(next(iter(opened.columns.values()), ())), np.int64)
        opened = opened._replace(columns={"id": pa.chunked_array([same])} | opened.columns)
    keys = [str(key) for key in ("id" if id is None else id, time) if key is not None]
    id_column = opened.ids(keys[0])
    check_has_ids(id_column, keys[0], rows)
    codes, values = factorized(id_column)
    ids = check_ids(values, len(values))
    needing = {
        argument(sort=True): sort,
        argument(time_gaps=True): with_gaps,
        argument(duplicates=duplicates): duplicates != "error",
        argument("time_format="): time_format is not None,
    }
    for option, is_used in needing.items():
        if is_used:
            check_times(time, option)
    by_id = _RowsById(codes, ids, rows)
    time_column, times = None, np.zeros(0)
    if time is None:
        _check_together(by_id)
        order = starts = np.arange(len(codes))
    else:
        time_column = without_dictionary(opened.get(keys[1], "time"))
        time_column = parse_times(time_column, keys[1], rows, time_format)
        times = time_numbers(time_column, keys[1], rows)
        order, starts = _steps_by_time(
            by_id, time_column, times, keys[1], sort=sort, duplicates=duplicates
        )
    if columns is None:
        names = [name for name in opened.columns if name not in {*keys, *opened.index}]
        check_some(len(names), "column", f"besides {', '.join(map(repr, keys))}")
    else:
        names = _strings(columns)
        check_id_is_no_feature(names, keys[0])
    offsets = offsets_from_lengths(np.bincount(codes[order], minlength=len(ids)))
    places = Places(offsets, ids, None if rows is PLAIN_ROWS else rows, order)
    features = [opened.get(name, "columns") for name in names]
    arrow_types = [feature.type for feature in features]
    types = known_types(names, arrow_types, column_types, opened.stored)
    raws = [as_raw(feature, name)[order] for name, feature in zip(names, features, strict=True)]
    parts = encode_parts(names, raws, types, places, lists=False, stored=opened.stored)
    for message in text_warnings(parts.schema.columns, types):
        warn(message)
    if len(starts) < len(order):
        parts = _averaged(parts, starts)
    if time_column is None:
        return parts
    steps = order[starts]
    values, schema = parts.values, parts.schema
    if with_gaps:
        gaps = gaps_between(times[steps], parts.offsets, time_column.type)
        values, schema = np.concatenate([values, gaps[:, None]], axis=1), with_time_gaps(schema)
    taken = time_column.combine_chunks().take(pa.array(steps))
    return Parts(values, parts.offsets, parts.ids, schema, taken)


def _averaged(parts: Parts, starts: np.ndarray) -> Parts:
    """Return a step for each run of steps: the mean of numeric columns, else the first value."""
    values = parts.values[starts]
    for i, column in enumerate(parts.schema.columns):
        if column.column_type.is_number and not column.column_type.is_whole:
            is_present = ~np.isnan(parts.values[:, i])
            numbers = np.where(is_present, parts.values[:, i], 0).astype(np.float64)
            counts = np.add.reduceat(is_present.astype(np.float64), starts)
            means = np.add.reduceat(numbers, starts) / np.maximum(counts, 1)
            values[:, i] = np.where(counts > 0, means, np.nan)
    return Parts(values, np.searchsorted(starts, parts.offsets), parts.ids, parts.schema)


def table_from_parts(
    parts: Parts,
    id: str,  # noqa: A002
    time: str,
    *,
    markers: bool = False,  # whether an empty sequence has a row, without time and values
) -> pa.Table:
    """Return a long table; implements `Sequences.to_table`."""
    values, offsets, ids, schema, times = parts
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
    if times is None:
        times = pa.array(np.arange(len(values)) - np.repeat(offsets[:-1], lengths))
    steps = {time: times}
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


def _strings(columns: Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else [str(name) for name in columns]


class _RowsById(NamedTuple):
    """Rows of a long table: which sequence each belongs to, and what messages call it."""

    codes: np.ndarray  # index of the id, (n_rows,)
    ids: np.ndarray  # (n_sequences,)
    name: Rows

    def id_of(self, row: int) -> Any:
        return self.ids[self.codes[row]].item()


def _check_together(by_id: _RowsById) -> None:
    back = np.flatnonzero(np.diff(by_id.codes) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise DataError(
            f"The rows of id {by_id.id_of(row)!r} are not together: {by_id.name(row)} comes "
            f"after rows of {by_id.id_of(row - 1)!r}. Sort the table, or name the column "
            f"that orders the steps with {argument('time=')}."
        )


def _steps_by_time(
    by_id: _RowsById,
    time_column: Any,  # for messages
    times: np.ndarray,
    name: str,
    *,
    sort: bool,
    duplicates: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows ordered by id, then time, and where each step begins among them."""
    codes = by_id.codes
    order = np.lexsort((times, codes)) if sort else np.argsort(codes, kind="stable")
    is_same_id = np.diff(codes[order]) == 0
    wrong = np.flatnonzero(is_same_id & (times[order[:-1]] > times[order[1:]]))
    if len(wrong):
        first, second = order[wrong[0] : wrong[0] + 2].tolist()
        raise DataError(
            f"Id {by_id.id_of(second)!r} has the time {str(time_column[second])!r} in "
            f"{by_id.name(second)}, after {str(time_column[first])!r} in {by_id.name(first)}. Sort "
            f"the table with {argument(sort=True)}, or by column {name!r}."
        )
    repeated = np.flatnonzero(is_same_id & (np.diff(times[order]) == 0))
    if len(repeated) and duplicates == "error":
        first, second = order[repeated[0] : repeated[0] + 2].tolist()
        num_ids = len(np.unique(codes[order[repeated]]))
        rows_repeat = "1 row repeats" if len(repeated) == 1 else f"{len(repeated)} rows repeat"
        in_ids = "1 sequence" if num_ids == 1 else f"{num_ids} sequences"
        fix = spelled("duplicates= of Sequences.from_table or read", "--duplicates")
        raise DataError(
            f"{rows_repeat} a time of the same id, in {in_ids}. First, id {by_id.id_of(first)!r} "
            f"has the time {str(time_column[first])!r} in {by_id.name(first)} and in "
            f"{by_id.name(second)}. Keep one row for each time with {fix}, which is 'first', "
            "'last' or 'mean'."
        )
    is_step = np.ones(len(order), bool)
    is_step[repeated + (duplicates != "last")] = False
    if duplicates == "mean":
        return order, np.flatnonzero(is_step)
    order = order[is_step]
    return order, np.arange(len(order))


def table_from_sktime(frame: Any) -> tuple[Any, str, str]:
    """Return an sktime panel as a long table, and the names of its columns of ids and times."""
    if getattr(getattr(frame, "index", None), "nlevels", 0) != 2:
        raise DataError(
            f"Got a {type(frame).__name__}. Expected a pandas frame whose index is (instance, time "
            "point). sktime.datatypes.convert_to(X, 'pd-multiindex') returns one for other panels."
        )
    times = frame.index.levels[1]
    if hasattr(times, "to_timestamp"):  # Arrow does not support periods as times
        frame = frame.set_axis(frame.index.set_levels(times.to_timestamp(), level=1))
    id_name, time_name = "(instance)", "(time point)"  # which no feature has as its name
    return frame.reset_index(names=[id_name, time_name]), id_name, time_name


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
        lengths, flat = _split_nested(names[0], features[0], row_name)
        names, stored = default_names(len(flat)), None
    else:
        (lengths, flat), stored = _split_lists(names, features, row_name), opened.stored
    places = Places(offsets_from_lengths(lengths), ids, rows)
    raws = [as_raw(column, name) for name, column in zip(names, flat, strict=True)]
    types = known_types(names, [column.type for column in flat], column_types, stored)
    return encode_parts(names, raws, types, places, lists=not nested, stored=stored)


def arrow_from_parts(parts: Parts, id: str) -> pa.Table:  # noqa: A002
    """Return a table of list columns; implements `Sequences.to_arrow`."""
    values, offsets, ids, schema, _ = parts
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
            "tokens. A table with one row per step needs a column 'id' that repeats, or "
            "Sequences.from_table(table, id=...)."
        )
    return names


def _split_lists(
    names: Sequence[str], columns: Sequence[Any], row_name: Callable[[int], str]
) -> tuple[np.ndarray, list[Any]]:
    """Return the length of each row's lists, and the entries of each column."""
    for name, column in zip(names, columns, strict=True):
        if not has_lists(column) or pa.types.is_nested(column.type.value_type):
            raise SchemaError(
                f"Column {name!r} has the type {column.type}. Expected lists of numbers or tokens, "
                "one list per row; Sequences.from_table reads long tables."
            )
    split = [flatten_lists(column) for column in columns]
    lengths = split[0][0]
    for name, (others, _) in zip(names, split, strict=True):
        wrong = np.flatnonzero(others != lengths)
        if len(wrong):
            i = int(wrong[0])
            raise DataError(
                f"{sentence_start(row_name(i))} has {lengths[i]} steps in column {names[0]!r}, but "
                f"{others[i]} in {name!r}. The lists of a row must have the same length."
            )
    return lengths, [flat for _, flat in split]


def _split_nested(
    name: str, column: Any, row_name: Callable[[int], str]
) -> tuple[np.ndarray, list[Any]]:
    """Return the steps of each row of lists of lists, and the entries of each feature."""
    lengths, steps = flatten_lists(column)
    widths, flat = flatten_lists(steps)
    width = int(widths[0]) if len(widths) else 1
    wrong = np.flatnonzero((widths != width) | (widths == 0))
    if len(wrong):
        row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        raise DataError(
            f"{sentence_start(row_name(row))} has a step of {widths[wrong[0]]} features in column "
            f"{name!r}, but others have {width}. All steps need the same, at least one; fill "
            "missing ones with null."
        )
    index = np.arange(len(flat)).reshape(-1, width)
    return lengths, [flat.take(pa.array(feature)) for feature in index.T]
