"""Conversion between Arrow columns and raw or encoded columns, for long and list tables."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, SchemaError
from refold.sequences.schema._schema import UNKNOWN, Column, Schema

METADATA_KEY = b"refold"


class OpenTable(NamedTuple):
    """A table read as Arrow, with its metadata."""

    columns: dict[str, Any]  # Arrow columns, or lists of objects if the types are mixed
    index: tuple[str, ...]  # columns from the index of a pandas table
    schema: Schema | None  # as Refold stored it in the metadata

    def get(self, name: str, role: str) -> Any:
        """Return a column; raise ``SchemaError`` if it does not exist."""
        if name not in self.columns:
            raise SchemaError(
                f"The table has no column {name!r}, which {role} names. "
                f"Its columns are {', '.join(map(repr, self.columns))}."
            )
        return self.columns[name]

    def ids(self, name: str) -> Any:
        """Return the column of ids; raise ``SchemaError`` if it is absent or cannot hold ids."""
        column = self.get(name, "id=")
        if not isinstance(column, list):
            check_id_type(column.type, name)
        return column

    def known(self, names: Sequence[str]) -> tuple[dict[str, str], dict[str, tuple]]:
        """Return the types and categories that the stored schema has for these columns."""
        columns = [] if self.schema is None else self.schema.columns
        columns = [column for column in columns if column.name in names]
        column_types = {column.name: column.type for column in columns}
        return column_types, {
            column.name: column.categories for column in columns if column.categories
        }


def as_list(column: Any) -> list[Any]:
    """Return a column as a list of Python objects."""
    return column if isinstance(column, list) else column.to_pylist()


def is_table(obj: Any) -> bool:
    """Return whether an object supports the Arrow stream interface, as tables and columns do."""
    return hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__")


def open_table(table: Any) -> OpenTable:
    """Read a table of any library as Arrow columns by name."""
    if not (is_table(table) or isinstance(table, Mapping)):
        raise DataError(
            f"Expected a pandas, polars or Arrow table, or a dict of columns. "
            f"Got {type(table).__name__}."
        )
    if isinstance(table, Mapping):
        return _open_columns(table, list(table))
    check_unique(getattr(table, "columns", ()))
    try:
        arrow = pa.table(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        # A pandas column of mixed types: read the columns one by one.
        if not hasattr(table, "columns"):
            raise DataError(f"The table cannot be read as Arrow: {error}.") from error
        return _open_columns(table, list(table.columns))
    check_unique(arrow.column_names)
    columns = {name: _normal(arrow[i]) for i, name in enumerate(arrow.column_names)}
    metadata = arrow.schema.metadata or {}
    return OpenTable(columns, pandas_index(metadata), stored_schema(metadata))


def as_raw(column: Any, name: str) -> tuple[np.ndarray, str | None]:
    """Return a column as a NumPy array of numbers or objects, and its type if certain."""
    if isinstance(column, list):
        raw = np.empty(len(column), dtype=object)
        raw[:] = column
        return raw, None
    column_type = None
    if pa.types.is_dictionary(column.type):
        column_type = "categorical"
        column = without_dictionary(column)
    arrow_type = column.type
    if pa.types.is_boolean(arrow_type):
        return _numbers(column.cast(pa.uint8())), column_type or "binary"
    if pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type):
        return _numbers(column), column_type
    if pa.types.is_decimal(arrow_type):
        return _numbers(column.cast(pa.float64())), column_type
    if pa.types.is_null(arrow_type):
        return np.full(len(column), np.nan, dtype=np.float32), column_type
    if is_text(arrow_type):
        raw = np.empty(len(column), dtype=object)
        raw[:] = column.to_pylist()
        return raw, column_type
    if pa.types.is_temporal(arrow_type):
        raise SchemaError(
            f"Column {name!r} holds dates, times or durations. Pass it as time=, leave it out, "
            "or convert it to numbers."
        )
    raise SchemaError(
        f"Column {name!r} has the type {arrow_type}, which is not supported. "
        "Expected numbers, booleans or text; leave it out with columns=."
    )


def encoded_to_arrow(values: np.ndarray, column: Column) -> pa.Array:
    """Return a flat encoded column as an Arrow array: categories for indices, null for NaN."""
    if column.type != "categorical":
        return pa.array(values, from_pandas=True)
    integers = column.has_integer_categories
    categories = pa.array(
        [*column.categories, None if integers else UNKNOWN], pa.int64() if integers else pa.string()
    )
    missing = np.isnan(values)
    return categories.take(pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing))


def ids_to_arrow(ids: np.ndarray) -> pa.Array:
    """Return ids as an Arrow array of integers or strings."""
    return pa.array(ids.tolist(), pa.string() if ids.dtype.kind == "U" else pa.int64())


def metadata_of(schema: Schema) -> dict[bytes, bytes]:
    """Return table metadata that hold the schema, so that reading restores it."""
    return {METADATA_KEY: json.dumps(schema.to_dict()).encode()}


def check_id_type(type_: pa.DataType, name: str) -> None:
    """Raise ``SchemaError`` if a column cannot hold ids."""
    if pa.types.is_nested(type_):
        raise SchemaError(
            f"Column {name!r} holds {type_}. Expected ids: integers or text; name the "
            "column of ids with id=."
        )


def is_text(type_: pa.DataType) -> bool:
    """Return whether an Arrow type is a text type."""
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or str(type_) in _VIEWS


_VIEWS = {"string_view"}


def without_dictionary(column: Any) -> Any:
    """Return a dictionary-encoded column as plain values; other columns unchanged."""
    if not pa.types.is_dictionary(column.type):
        return column
    value_type = column.type.value_type
    if not is_text(value_type):
        return column.cast(value_type)
    # Some text types support neither cast nor take. The dictionaries are short, so convert those.
    text = [
        pa.array(chunk.dictionary.to_pylist(), pa.large_string()).take(chunk.indices)
        for chunk in column.chunks
    ]
    return pa.chunked_array(text, pa.large_string())


def _normal(column: Any) -> Any:
    """Return a column with plain lists for list views, which few functions support."""
    if str(column.type).startswith("list_view"):
        return pa.chunked_array([pa.array(column.to_pylist(), pa.list_(column.type.value_type))])
    return column


def check_unique(names: Any) -> None:
    """Raise ``SchemaError`` if two columns have the same name."""
    names = [name for name in names if isinstance(name, str | int)]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise SchemaError(f"The table has two columns named {repeated[0]!r}. Rename one.")


def _open_columns(table: Any, names: list[Any]) -> OpenTable:
    """Open a table column by column; each may hold mixed types."""
    for name in names:
        if isinstance(table[name], str) or not hasattr(table[name], "__len__"):
            raise DataError(
                f"Column {name!r} is a {type(table[name]).__name__}. Expected a list or an array."
            )
        if len(table[name]) != len(table[names[0]]):
            raise DataError(
                f"Column {name!r} has {len(table[name])} rows, but column {names[0]!r} has "
                f"{len(table[names[0]])}. All columns need the same number of rows."
            )
    return OpenTable({str(name): _objects(table[name]) for name in names}, (), None)


def _numbers(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False) if _is_array(column) else column)


def _is_array(column: Any) -> bool:
    return isinstance(column, pa.Array)


def _objects(column: Any) -> Any:
    """Return an untyped column as Arrow, or as a list if its types are mixed."""
    objects = column.tolist() if hasattr(column, "tolist") else list(column)
    try:
        array = pa.array(objects, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return objects
    return pa.chunked_array([array])


def pandas_index(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the names of columns from the index of a pandas table."""
    described = json.loads(metadata.get(b"pandas", b"{}"))
    names = described.get("index_columns", ())
    return tuple(name for name in names if isinstance(name, str))


def stored_schema(metadata: Mapping[bytes, bytes]) -> Schema | None:
    """Return the schema that Refold stored in the metadata, if any."""
    stored = metadata.get(METADATA_KEY)
    if stored is None:
        return None
    try:
        return Schema.from_dict(json.loads(stored))
    except ValueError as error:
        raise SchemaError(
            f"The metadata of the table hold a damaged schema ({error}). "
            "Remove the entry 'refold', or write the data again."
        ) from error
