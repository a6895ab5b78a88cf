"""Columns of Arrow tables: opening tables of any library, raw columns, ids, and lists of values."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import MatchSubstringOptions, call_function

from refold._support.rules import check_one_each
from refold.errors import DataError, SchemaError, argument
from refold.sequences._parts import (
    ColumnTypes,
    Rows,
    is_missing,
    object_array,
    resolve_column_types,
    sentence_start,
)
from refold.sequences._schema import Column, Schema, check_unique
from refold.sequences.types import BINARY, CATEGORICAL, UNKNOWN

METADATA_KEY = b"refold"
# An integer in its shortest form: ASCII digits, few enough for int64.
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"


class OpenTable(NamedTuple):
    """A table read as Arrow, with its metadata."""

    columns: dict[str, Any]  # Arrow columns
    index: tuple[str, ...] = ()  # columns from the index of a pandas table
    stored: Schema | None = None  # the schema that Refold stored in the metadata

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


def is_table(obj: Any) -> bool:
    """Return whether an object supports the Arrow stream interface, as tables and columns do."""
    return hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__")


def open_table(table: Any) -> OpenTable:
    """Read a table of any library as Arrow columns by name; a single column is ``x0``."""
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


# Metadata


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


# Values and ids


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
            f"with {argument('time=')}, and features with {argument('columns=')}."
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


def without_dictionary(column: Any) -> Any:
    """Return a dictionary-encoded column as plain values; other columns unchanged."""
    if not pa.types.is_dictionary(column.type):
        return column
    value_type = column.type.value_type
    # some types of text support neither cast nor take, but the short dictionaries can be converted
    plain_type = pa.large_string() if is_text(value_type) else value_type
    chunks = [chunk.dictionary.cast(plain_type).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, plain_type)


def is_text(type_: pa.DataType) -> bool:
    """Return whether an Arrow type is a text type."""
    return type_ in {pa.string(), pa.large_string(), pa.string_view()}


def integers_from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text as integers if every cell is one in its shortest form, else unchanged."""
    # Different ids and labels stay different: 007 and 7, 1 and 1.0, +1 and 1.
    present = cells.drop_null()
    return cells.cast(pa.int64()) if matches(present, _INTEGER).all() else cells


def matches(cells: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Return the mask of cells that match a regular expression; missing cells do not."""
    mask = call_function("match_substring_regex", [cells], MatchSubstringOptions(pattern))
    return np.asarray(mask.fill_null(False))  # noqa: FBT003


# Lists


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


def split_lists(
    names: Sequence[str], columns: Sequence[Any], row_name: Callable[[int], str], advice: str
) -> tuple[np.ndarray, list[Any]]:
    """Return the length of each row's lists, and the entries of each column."""
    for name, column in zip(names, columns, strict=True):
        if not has_lists(column) or pa.types.is_nested(column.type.value_type):
            raise SchemaError(
                f"Column {name!r} has the type {column.type}. Expected lists of numbers or tokens, "
                f"one list per row; {advice}."
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


def split_nested(
    name: str, column: Any, row_name: Callable[[int], str]
) -> tuple[np.ndarray, list[Any]]:
    """Return the steps of each row of lists of lists, and the entries of each feature."""
    lengths, steps = flatten_lists(column)
    widths, flat = flatten_lists(steps)
    if not len(widths):
        return lengths, []
    wrong = np.flatnonzero(widths != widths[0])
    if len(wrong) or not widths[0]:
        at = int(wrong[0]) if len(wrong) else 0
        row = int(np.searchsorted(np.cumsum(lengths), at, side="right"))
        raise DataError(
            f"{sentence_start(row_name(row))} has a step of {widths[at]} features in column "
            f"{name!r}, but others have {widths[0]}. All steps need the same, at least one; fill "
            "missing ones with null."
        )
    index = np.arange(len(flat)).reshape(-1, int(widths[0]))
    return lengths, [flat.take(pa.array(feature)) for feature in index.T]
