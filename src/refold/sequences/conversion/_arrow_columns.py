"""Between Arrow columns and raw or encoded ones; shared by long and list tables.

PyArrow is loaded when a table comes, not with the package.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, SchemaError
from refold.sequences.schema._schema import UNKNOWN, Column, Schema

METADATA_KEY = b"refold"


class OpenTable(NamedTuple):
    """A table that has been read as Arrow, with what its metadata say."""

    columns: dict[str, Any]  # Arrow columns, or lists of objects where they mix types
    index: tuple[str, ...]  # columns that were the index of a pandas table
    schema: Schema | None  # what Refold wrote beside the data

    def get(self, name: str, role: str) -> Any:
        """Return a column, or say that it is not there."""
        if name not in self.columns:
            raise SchemaError(
                f"The table has no column {name!r}, which {role} names. "
                f"Its columns are {', '.join(map(repr, self.columns))}."
            )
        return self.columns[name]

    def ids(self, name: str) -> Any:
        """Return the column of ids, or say that it is not there or can be none."""
        column = self.get(name, "id=")
        if not isinstance(column, list):
            check_id_type(column.type, name)
        return column

    def known(self, names: Sequence[str]) -> tuple[dict[str, str], dict[str, tuple]]:
        """Return kinds and labels that were written beside the data."""
        columns = [] if self.schema is None else self.schema.columns
        found = [column for column in columns if column.name in names]
        column_types = {column.name: column.type for column in found}
        return column_types, {
            column.name: column.categories for column in found if column.categories
        }


def as_list(column: Any) -> list[Any]:
    """Return a column as Python's objects, as one of mixed types is already."""
    return column if isinstance(column, list) else column.to_pylist()


def is_table(obj: Any) -> bool:
    """Say whether an object speaks the Arrow stream interface, as tables and columns do."""
    return hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__")


def open_table(table: Any) -> OpenTable:
    """Read anything tabular as Arrow columns by name."""
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
        # A pandas column that mixes types; its entries are looked at one by one.
        if not hasattr(table, "columns"):
            raise DataError(f"The table cannot be read as Arrow: {error}.") from error
        return _open_columns(table, list(table.columns))
    check_unique(arrow.column_names)
    columns = {name: _normal(arrow[i]) for i, name in enumerate(arrow.column_names)}
    metadata = arrow.schema.metadata or {}
    return OpenTable(columns, pandas_index(metadata), stored_schema(metadata))


def as_raw(column: Any, name: str) -> tuple[np.ndarray, str | None]:
    """Return a column as a NumPy array of numbers or objects, and its kind where that is sure."""
    if isinstance(column, list):
        raw = np.empty(len(column), dtype=object)
        raw[:] = column
        return raw, None
    kind = None
    if pa.types.is_dictionary(column.type):
        kind = "categorical"
        column = without_dictionary(column)
    type_ = column.type
    if pa.types.is_boolean(type_):
        return _numbers(column.cast(pa.uint8())), kind or "binary"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return _numbers(column), kind
    if pa.types.is_decimal(type_):
        return _numbers(column.cast(pa.float64())), kind
    if pa.types.is_null(type_):
        return np.full(len(column), np.nan, dtype=np.float32), kind
    if is_text(type_):
        raw = np.empty(len(column), dtype=object)
        raw[:] = column.to_pylist()
        return raw, kind
    if pa.types.is_temporal(type_):
        raise SchemaError(
            f"Column {name!r} holds dates, times or durations. Give it as time=, leave it out, "
            "or turn it into numbers."
        )
    raise SchemaError(
        f"Column {name!r} has the type {type_}, which is not a feature. "
        "Expected numbers, booleans or text; leave it out with columns=."
    )


def encoded_to_arrow(values: np.ndarray, column: Column) -> pa.Array:
    """Return a flat encoded column as an Arrow array: labels for indices, null for NaN."""
    if column.type != "categorical":
        return pa.array(values, from_pandas=True)
    integers = column.has_integer_categories
    labels = pa.array(
        [*column.categories, None if integers else UNKNOWN], pa.int64() if integers else pa.string()
    )
    missing = np.isnan(values)
    return labels.take(pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing))


def ids_to_arrow(ids: np.ndarray) -> pa.Array:
    """Return ids as an Arrow array of integers or text."""
    return pa.array(ids.tolist(), pa.string() if ids.dtype.kind == "U" else pa.int64())


def metadata_of(schema: Schema) -> dict[bytes, bytes]:
    """Return what is written beside the data so that reading restores the schema."""
    return {METADATA_KEY: json.dumps(schema.to_dict()).encode()}


def check_id_type(type_: pa.DataType, name: str) -> None:
    """Raise ``SchemaError`` where a column cannot hold ids."""
    if pa.types.is_nested(type_):
        raise SchemaError(
            f"Column {name!r} holds {type_}. Expected ids: integers or text; name the "
            "column that holds them with id=."
        )


def is_text(type_: pa.DataType) -> bool:
    """Say whether an Arrow type is one of the text types."""
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or str(type_) in _VIEWS


_VIEWS = {"string_view"}


def without_dictionary(column: Any) -> Any:
    """Return a column of the values themselves where it holds numbers of a dictionary's values."""
    if not pa.types.is_dictionary(column.type):
        return column
    value_type = column.type.value_type
    if not is_text(value_type):
        return column.cast(value_type)
    # Not every text type can be cast or taken from; the dictionaries themselves are short.
    text = [
        pa.array(chunk.dictionary.to_pylist(), pa.large_string()).take(chunk.indices)
        for chunk in column.chunks
    ]
    return pa.chunked_array(text, pa.large_string())


def _normal(column: Any) -> Any:
    """Return a column with plain lists for list views, which few functions know."""
    if str(column.type).startswith("list_view"):
        return pa.chunked_array([pa.array(column.to_pylist(), pa.list_(column.type.value_type))])
    return column


def check_unique(names: Any) -> None:
    """Raise ``SchemaError`` where two columns have one name."""
    names = [name for name in names if isinstance(name, str | int)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SchemaError(f"The table has two columns named {twice[0]!r}. Rename one.")


def _open_columns(table: Any, names: list[Any]) -> OpenTable:
    """Open a table column by column, whatever each holds."""
    for name in names:
        if isinstance(table[name], str) or not hasattr(table[name], "__len__"):
            raise DataError(
                f"Column {name!r} is a {type(table[name]).__name__}. Expected a list or an array."
            )
        if len(table[name]) != len(table[names[0]]):
            raise DataError(
                f"Column {name!r} has {len(table[name])} rows, but column {names[0]!r} has "
                f"{len(table[names[0]])}. All columns need the same."
            )
    return OpenTable({str(name): _objects(table[name]) for name in names}, (), None)


def _numbers(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False) if _is_array(column) else column)


def _is_array(column: Any) -> bool:
    return isinstance(column, pa.Array)


def _objects(column: Any) -> Any:
    """Return a column that came without a type as Arrow, or as a list where types mix."""
    objects = column.tolist() if hasattr(column, "tolist") else list(column)
    try:
        array = pa.array(objects, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return objects
    return pa.chunked_array([array])


def pandas_index(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the columns that were the index of a pandas table."""
    described = json.loads(metadata.get(b"pandas", b"{}"))
    names = described.get("index_columns", ())
    return tuple(name for name in names if isinstance(name, str))


def stored_schema(metadata: Mapping[bytes, bytes]) -> Schema | None:
    """Return the schema that Refold wrote beside the data, if it did."""
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
