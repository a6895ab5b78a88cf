"""Conversion from and to tables: one row per step (long), or one row per sequence (lists).

`to_arrow_columns` makes Arrow columns of any table. `flat_arrays_from_long_table` converts a long
table, `flat_arrays_from_list_columns` a table of lists. `table_from_arrays` makes a long table.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import MatchSubstringOptions, call_function

from refold._support.arrays import offsets_from_lengths
from refold._support.messages import warn
from refold._support.rules import check, check_counts_match, check_not_empty, one_of
from refold.errors import DataError, SchemaError, argument, python_or_cli
from refold.sequences._encoding import (
    DEFAULT_ROW_NAMER,
    ColumnTypes,
    RowNamer,
    SequenceArrays,
    StepLocator,
    capitalize_first,
    check_unique_ids,
    encode_columns,
    expand_column_types,
    is_missing_value,
    is_text_type,
    make_object_array,
    name_sequence,
    numeric_text_warnings,
    to_id_array,
)
from refold.sequences._lists import flat_arrays_from_list
from refold.sequences._schema import Column, Schema, check_unique_names, default_names
from refold.sequences._times import (
    add_time_gap_to_schema,
    check_has_times,
    compute_time_gaps,
    parse_times,
    times_as_numbers,
)
from refold.sequences.types import BINARY, CATEGORICAL, UNKNOWN_TEXT

# Key of the schema in the metadata of a table.
SCHEMA_METADATA_KEY = b"refold"
# Values of the argument `duplicates`: what becomes of the rows of an id that have the same time.
DUPLICATES_RULE = one_of("error", "first", "last", "mean")
# An integer in its shortest form, with at most 18 digits, so that it fits into int64.
_INTEGER_PATTERN = "^(0|-?[1-9][0-9]{0,17})$"


class ArrowColumns(NamedTuple):
    """A table as Arrow columns, with what the metadata of the table tell."""

    columns: dict[str, Any]  # Arrow columns by name
    index_columns: tuple[str, ...] = ()  # names of the columns that are the index of a pandas table
    table_schema: Schema | None = None  # the schema that Refold stored in the metadata
    # whether the rows of a table without ids are the steps of one sequence
    is_series: bool = False

    def get_or_raise(self, name: str, parameter_name: str) -> Any:
        """Return the column that an argument names; raise ``SchemaError`` if it does not exist."""
        if name not in self.columns:
            raise SchemaError(
                f"The table has no column {name!r}, which {argument(f'{parameter_name}=')} names. "
                f"Its columns are {', '.join(map(repr, self.columns))}."
            )
        return self.columns[name]

    def get_id_column(self, name: str) -> Any:
        """Return the column of ids; raise ``SchemaError`` if it is absent or cannot hold ids."""
        column = self.get_or_raise(name, "id")
        check_id_type(column.type, name)
        return column


def find_time_index_name(index_names: Iterable[str], columns: Mapping[str, Any]) -> str | None:
    """Return the name of the pandas index that holds times, if its column is in the table."""
    names = (name for name in index_names if name in columns)
    return next((name for name in names if pa.types.is_timestamp(columns[name].type)), None)


def has_arrow_interface(obj: Any) -> bool:
    """Return whether an object supports the Arrow stream interface, as tables and columns do."""
    return hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__")


def to_arrow_columns(table: Any) -> ArrowColumns:
    """Return a table of any library as Arrow columns; a single column gets the name ``x0``."""
    if isinstance(table, ArrowColumns):
        return table
    if isinstance(table, Mapping):
        return ArrowColumns(_table_to_arrow_columns(table, list(table)))
    if not has_arrow_interface(table):
        raise DataError(
            f"Expected a pandas, polars or Arrow table, or a dict of columns. "
            f"Got {type(table).__name__}."
        )
    # A column has `dtype`. A pandas frame has it only if one of its columns is called dtype, but a
    # frame always has `columns`.
    is_column = hasattr(table, "dtype") and not hasattr(table, "columns")
    if is_column or isinstance(table, pa.Array | pa.ChunkedArray):
        return ArrowColumns({"x0": _to_arrow_column(table, "x0")})
    # `column_names` first, because the `columns` of a record batch of Arrow are no names
    check_unique_names(getattr(table, "column_names", getattr(table, "columns", ())))
    try:
        pa_table = to_arrow_table(table)
    except (pa.ArrowException, OverflowError):
        # The cause may be a pandas column of large integers, or of objects of several types. So
        # each column is converted alone: large integers become text, and an error names its column.
        return ArrowColumns(_table_to_arrow_columns(table, list(table.columns)))
    metadata = pa_table.schema.metadata or {}
    columns = dict(zip(pa_table.column_names, pa_table.columns, strict=True))
    return ArrowColumns(columns, pandas_index_names(metadata), schema_from_metadata(metadata))


def to_arrow_table(table: Any) -> pa.Table:
    """Return a table of any library, or a dict of columns, as a table of Arrow."""
    # a table of Arrow stays as it is, because `pa.table` would import pandas to check its type
    arrow_table = table if isinstance(table, pa.Table) else pa.table(table)
    is_pandas = type(table).__module__.partition(".")[0] == "pandas"
    if not is_pandas and not isinstance(table, Mapping):
        return arrow_table
    columns = {str(name): table[name] for name in table}
    index_names = pandas_index_names(arrow_table.schema.metadata or {})
    index: Any = getattr(table, "index", None)  # of pandas; a dict has no index, and no names of it
    columns |= {name: index.get_level_values(i) for i, name in enumerate(index_names)}
    for i, field in enumerate(arrow_table.schema):
        if _has_times_with_and_without_zone(columns[field.name], field.type):
            text = _objects_to_text(columns[field.name])
            if field.name in index_names:  # an index of text is no index of times
                parse_times(text, field.name)
            arrow_table = arrow_table.set_column(i, field.name, text)
    return arrow_table


# Arrow drops the zones of times if the first time has none. So a column of times with and without
# zones becomes text, which raises an error that names the rows if the column orders the steps.


def _has_times_with_and_without_zone(column: Any, arrow_type: pa.DataType) -> bool:
    """Return whether a column of objects has both, if Arrow reads it as times."""
    objects = np.dtype(object)
    has_objects = getattr(column, "dtype", objects) == objects  # a list has no type
    has_objects &= not isinstance(column, pa.Array | pa.ChunkedArray)
    if not (has_objects and pa.types.is_timestamp(arrow_type)):
        return False
    values = (value for value in column if not is_missing_value(value))
    return len({getattr(value, "tzinfo", None) is None for value in values}) > 1


def _objects_to_text(column: Any) -> pa.ChunkedArray:
    text = [None if is_missing_value(value) else str(value) for value in column]
    return pa.chunked_array([pa.array(text)])


def _table_to_arrow_columns(table: Any, names: list[Any]) -> dict[str, Any]:
    """Return columns as Arrow columns; raise ``DataError`` if their numbers of rows differ."""
    columns = {str(name): _to_arrow_column(table[name], name) for name in names}
    for name, column in columns.items():
        num_rows, first_noun = len(columns[str(names[0])]), f"rows of column {names[0]!r}"
        check_counts_match(len(column), f"rows of column {name!r}", num_rows, first_noun)
    return columns


def _to_arrow_column(column: Any, name: Any) -> pa.ChunkedArray:
    """Return a column of Arrow, pandas or polars, an array or a list as an Arrow column."""
    try:
        if has_arrow_interface(column):
            array = pa.chunked_array(column)
        else:
            array = pa.chunked_array([pa.array(column, from_pandas=True)])
        has_both = _has_times_with_and_without_zone(column, array.type)
        return _objects_to_text(column) if has_both else array
    except OverflowError:
        # if an integer has more than 64 bits, as a hash may have, the whole column becomes text
        return _objects_to_text(column)
    except (pa.ArrowException, TypeError) as error:
        problem = str(error).partition("\n")[0]  # the other lines may show a long value
        raise DataError(
            f"Column {name!r} cannot be read. {problem}. Expected a list or an array, all of "
            "numbers, all of text, or all of lists of one of these."
        ) from error


def schema_to_metadata(schema: Schema) -> dict[bytes, bytes]:
    """Return the metadata of a table that store a schema, so that reading restores the schema."""
    return {SCHEMA_METADATA_KEY: json.dumps(schema.to_dict()).encode()}


def schema_from_metadata(metadata: Mapping[bytes, bytes] | None) -> Schema | None:
    """Return the schema that Refold stored in the metadata, if there is one."""
    stored = (metadata or {}).get(SCHEMA_METADATA_KEY)
    if stored is None:
        return None
    try:
        return Schema.from_dict(json.loads(stored))
    except ValueError as error:
        raise SchemaError(
            f"The metadata of the table hold a damaged schema ({error}). "
            "Remove the entry 'refold', or write the data again."
        ) from error


def pandas_index_names(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return the names of the columns that are the index of a pandas table."""
    names = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", ())
    return tuple(name for name in names if isinstance(name, str))


# Columns


def choose_column_types(
    names: Sequence[str],
    arrow_types: Iterable[pa.DataType],
    column_types: ColumnTypes,
    stored_schema: Schema | None = None,
) -> list[str | None]:
    """Return the type of each column: requested, else stored, else that of Arrow, else None."""
    type_names = expand_column_types(column_types, names)
    stored_columns = () if stored_schema is None else stored_schema.columns
    stored_types = {column.name: column.type for column in stored_columns}
    for i, (name, arrow_type) in enumerate(zip(names, arrow_types, strict=True)):
        type_from_arrow = CATEGORICAL.name if pa.types.is_dictionary(arrow_type) else None
        type_from_arrow = BINARY.name if pa.types.is_boolean(arrow_type) else type_from_arrow
        type_names[i] = type_names[i] or stored_types.get(name) or type_from_arrow
    return type_names


def arrow_to_numpy(column: Any, name: str) -> np.ndarray:
    """Return a column as a NumPy array of numbers or objects."""
    column = decode_dictionary(column)
    arrow_type = column.type
    if is_text_type(arrow_type):
        return make_object_array(column.to_pylist())
    if pa.types.is_null(arrow_type):
        return np.full(len(column), np.nan, dtype=np.float32)
    if pa.types.is_boolean(arrow_type):
        column = column.cast(pa.uint8())
    elif pa.types.is_decimal(arrow_type):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type)):
        problem = f"has the type {arrow_type}, which is not supported"
        if pa.types.is_temporal(arrow_type):
            problem = "holds dates, times or durations"
        fix = python_or_cli("time= of Sequences.from_table or read", "--time")
        raise SchemaError(
            f"Column {name!r} {problem}. Expected numbers, booleans or text. Name a column of "
            f"times with {fix}, and features with {argument('columns=')}."
        )
    if column.null_count and pa.types.is_integer(column.type) and column.type.bit_width <= 16:
        # exact for integers of 16 bits; NumPy would return float64 for a column with nulls
        column = column.cast(pa.float32())
    return column.to_numpy(zero_copy_only=False)


def column_to_arrow(values: np.ndarray, column: Column) -> pa.Array:
    """Return values (num_steps,) as an Arrow array: numbers or categories, and null for NaN."""
    if not column.column_type.has_categories:
        return pa.array(values, from_pandas=True)  # null for NaN
    # the index after the last category stands for an unknown category
    has_integers = column.has_integer_categories
    unknown, type_ = (None, pa.int64()) if has_integers else (UNKNOWN_TEXT, pa.string())
    categories = pa.array([*column.categories, unknown], type_)
    is_null = np.isnan(values)
    indices = np.where(is_null, 0, values).astype(np.int64)
    return categories.take(pa.array(indices, mask=is_null))


def ids_to_arrow(ids: np.ndarray) -> pa.Array:
    """Return ids as an Arrow array of integers or strings."""
    # from a list, because Arrow cuts text of a NumPy array at a zero character
    return pa.array(ids.tolist(), pa.string() if ids.dtype.kind == "U" else pa.int64())


def check_id_type(arrow_type: pa.DataType, name: str) -> None:
    """Raise ``SchemaError`` if a column cannot hold ids."""
    if pa.types.is_nested(arrow_type):
        raise SchemaError(
            f"Column {name!r} holds {arrow_type}. Expected ids: integers or text; name the "
            f"column of ids with {argument('id=')}."
        )


def check_id_is_no_feature(feature_names: Iterable[str], id_name: str | None) -> None:
    """Raise ``SchemaError`` if the features that a user names include the ids."""
    if id_name is not None and id_name in feature_names:
        raise SchemaError(
            f"Column {id_name!r} has the ids of the sequences, and {argument('columns=')} names "
            f"it as a feature. Leave it out of {argument('columns=')}."
        )


def check_rows_have_ids(column: Any, name: str, row_namer: RowNamer) -> None:
    """Raise ``DataError`` if a row has no id."""
    has_no_id = decode_dictionary(column).is_null(nan_is_null=True).to_numpy()
    if has_no_id.any():
        row_name = capitalize_first(row_namer(int(np.argmax(has_no_id))))
        raise DataError(
            f"{row_name} has no id in column {name!r}. Every row needs an id; fill it in or drop "
            "the row."
        )


def factorize(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the index of each row's value, and the distinct values in order of appearance."""
    column = decode_dictionary(column)
    if pa.types.is_null(column.type):
        # null is the only value, if there is a row
        return np.zeros(len(column), dtype=np.int64), [None] * bool(len(column))
    # one dictionary for all chunks, with null as one of the values
    encoded = column.dictionary_encode(null_encoding="encode").combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def decode_dictionary(column: Any) -> Any:
    """Return a dictionary-encoded column as a column of its values; other columns unchanged."""
    if not pa.types.is_dictionary(column.type):
        return column
    value_type = column.type.value_type
    # If the dictionary has certain types of text, Arrow can neither cast the column nor take its
    # entries, but it can cast the dictionary itself.
    new_type = pa.large_string() if is_text_type(value_type) else value_type
    chunks = [chunk.dictionary.cast(new_type).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, new_type)


def integers_from_text_if_exact(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text as integers if all of it is integers in their shortest form, else unchanged."""
    # In another form, different ids or labels would become equal: 007 and 7, 1 and 1.0, +1 and 1.
    is_integer = cells_contain_regex(cells.drop_null(), _INTEGER_PATTERN)
    return cells.cast(pa.int64()) if is_integer.all() else cells


def cells_contain_regex(cells: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Return the mask of cells that match a regular expression; missing cells do not."""
    mask = call_function("match_substring_regex", [cells], MatchSubstringOptions(pattern))
    return np.asarray(mask.fill_null(False))  # noqa: FBT003


def has_lists(column: Any) -> bool:
    """Return whether an Arrow column holds lists."""
    checks = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(is_list_type(column.type) for is_list_type in checks)


def has_nested_lists(column: Any) -> bool:
    """Return whether an Arrow column holds lists of lists."""
    return has_lists(column) and has_lists(column.type.value_field)


def flatten_with_lengths(column: Any) -> tuple[np.ndarray, Any]:
    """Return the lengths (n_lists,), 0 for a null list, and the entries of all lists together."""
    lengths = call_function("list_value_length", [column]).fill_null(0).to_numpy()
    return lengths, call_function("list_flatten", [column])


# Long tables


def find_id_and_time_names(
    table: ArrowColumns, fitted_schema: Schema | None
) -> tuple[str | None, str | None] | None:
    """Return the names of the id and time columns; None if a row is a sequence, not a step."""
    columns = table.columns
    # the names that the schema remembers, or else "id" and "time"
    id_names = ("id",) if fitted_schema is None else (fitted_schema.id_name, "id")
    time_names = ("time",) if fitted_schema is None else (fitted_schema.time_name, "time")
    id_name = next((name for name in id_names if name in columns), None)
    time_name = next((name for name in time_names if name in columns), None)
    time_name = time_name or find_time_index_name(table.index_columns, columns)
    if (id_name is None and not table.is_series) or any(map(has_lists, columns.values())):
        return None
    features = [name for name in columns if name not in {id_name, *table.index_columns}]
    has_only_text = len(features) == 1 and is_text_type(columns[features[0]].type)
    if id_name is not None and not table.is_series and (fitted_schema is None or has_only_text):
        # If no id repeats, a row is a sequence: a text, or, in a wide table, numbers with a column
        # for each step. With a schema, a table of numbers is not wide: its columns are the features
        # of the schema, so a row is a step.
        ids = decode_dictionary(columns[id_name])
        if len(ids.unique()) == len(ids):
            return None
    return id_name, time_name


def flat_arrays_from_long_table(
    table: Any,
    id: str | None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    row_namer: RowNamer = DEFAULT_ROW_NAMER,
    *,
    sort: bool = False,
    add_time_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
) -> SequenceArrays:
    """Convert a long table; implements `Sequences.from_table`."""
    check("duplicates", duplicates, DUPLICATES_RULE)
    table = to_arrow_columns(table)
    if id is None:  # without a column "id", all rows are one sequence
        zeros = np.zeros(len(next(iter(table.columns.values()), ())), np.int64)
        table = table._replace(columns={"id": pa.chunked_array([zeros])} | table.columns)
    id_name = "id" if id is None else str(id)
    time_name = None if time is None else str(time)
    id_column = table.get_id_column(id_name)
    check_rows_have_ids(id_column, id_name, row_namer)
    id_indices, distinct_ids = factorize(id_column)  # row i has the id ids[id_indices[i]]
    ids = to_id_array(distinct_ids, len(distinct_ids))
    # whether the user set each option that needs a column of times
    options = {
        argument(sort=True): sort,
        argument(time_gaps=True): add_time_gaps,
        argument(duplicates=duplicates): duplicates != "error",
        argument("time_format="): time_format is not None,
    }
    for option, is_used in options.items():
        if is_used:
            check_has_times(time, option)
    # `order` has the row indices, by sequence and then by step. Rows with the same time become one
    # step, and `step_starts` has the index in `order` of the first row of each step. `row_steps`
    # has the step of each row.
    time_column, ticks = None, np.zeros(0)  # ticks: the times as numbers, (num_rows,)
    if time_name is None:
        # ids are numbered by their first rows, so an id with a smaller number has been seen before
        falls = np.flatnonzero(np.diff(id_indices) < 0)
        if len(falls):
            row = int(falls[0]) + 1
            previous_id, id_ = ids[id_indices[row - 1 : row + 1]].tolist()
            raise DataError(
                f"The rows of id {id_!r} are not together: they begin again in "
                f"{row_namer(row)}, after rows of {previous_id!r}. Sort the table, or name the "
                f"column that orders the steps with {argument('time=')}."
            )
        order = step_starts = row_steps = np.arange(len(id_indices))
    else:
        time_column = decode_dictionary(table.get_or_raise(time_name, "time"))
        time_column = parse_times(time_column, time_name, row_namer, time_format)
        ticks = times_as_numbers(time_column, time_name, row_namer)
        order, step_starts, row_steps = _order_by_time(
            id_indices, ids, time_column, ticks, time_name, row_namer, duplicates, sort=sort
        )
    if columns is None:
        keys = [id_name] if time_name is None else [id_name, time_name]
        names = [name for name in table.columns if name not in {*keys, *table.index_columns}]
        check_not_empty(len(names), "column", f"besides {', '.join(map(repr, keys))}")
    else:
        names = _to_name_list(columns)
        check_id_is_no_feature(names, id_name)
    offsets = offsets_from_lengths(np.bincount(id_indices[order], minlength=len(ids)))
    # messages name the sequence and the step, or the row if the table comes from a file
    file_row_namer = None if row_namer is DEFAULT_ROW_NAMER else row_namer
    locate = StepLocator(offsets, ids, file_row_namer, row_indices=order)
    features = [table.get_or_raise(name, "columns") for name in names]
    arrow_types = [feature.type for feature in features]
    types = choose_column_types(names, arrow_types, column_types, table.table_schema)
    named_features = zip(names, features, strict=True)
    raw_columns = [arrow_to_numpy(feature, name)[order] for name, feature in named_features]
    arrays = encode_columns(names, raw_columns, types, locate, stored_schema=table.table_schema)
    for message in numeric_text_warnings(arrays.schema.columns, types):
        warn(message)
    if len(step_starts) < len(order):
        arrays = _merge_repeated_times(arrays, step_starts)
    if time_column is None:
        return arrays._replace(row_steps=row_steps)
    step_rows = order[step_starts]  # first row of each step
    values, schema = arrays.values, arrays.schema
    if add_time_gaps:
        gaps = compute_time_gaps(ticks[step_rows], arrays.offsets, time_column.type)
        values = np.concatenate([values, gaps[:, None]], axis=1)
        schema = add_time_gap_to_schema(schema)
    times = time_column.combine_chunks().take(pa.array(step_rows))
    return SequenceArrays(values, arrays.offsets, arrays.ids, schema, times, row_steps)


def _merge_repeated_times(arrays: SequenceArrays, step_starts: np.ndarray) -> SequenceArrays:
    """Merge the rows of a time into one step: means of fractional numbers, else the first value."""
    # `arrays.values` has the shape (num_rows, num_columns). Step i has the rows from step_starts[i]
    # up to step_starts[i + 1]. A step without an observed number stays NaN.
    values = arrays.values[step_starts]
    for i, column in enumerate(arrays.schema.columns):
        if column.column_type.is_number and not column.column_type.is_whole:
            is_observed = ~np.isnan(arrays.values[:, i])
            numbers = np.where(is_observed, arrays.values[:, i], 0).astype(np.float64)
            counts = np.add.reduceat(is_observed.astype(np.float64), step_starts)
            means = np.add.reduceat(numbers, step_starts) / np.maximum(counts, 1)
            values[:, i] = np.where(counts > 0, means, np.nan)
    return arrays._replace(values=values, offsets=np.searchsorted(step_starts, arrays.offsets))


def table_from_arrays(
    arrays: SequenceArrays,
    id_name: str,
    time_name: str,
    *,
    keep_empty: bool = False,  # whether an empty sequence gets a row with its id and nulls
) -> pa.Table:
    """Return a long table; implements `Sequences.to_table`."""
    values, offsets, ids, schema, times, _ = arrays
    advice = f"Choose {argument('id=')} and {argument('time=')} names that no feature has."
    check_unique_names([id_name, time_name, *schema.names], advice)
    check_unique_ids(ids)  # reading would join the rows of equal ids to one sequence
    lengths = np.diff(offsets)
    num_empty = int((lengths == 0).sum())
    if num_empty and not keep_empty:
        warn(
            f"{num_empty} of {len(lengths)} sequences are empty and have no rows in a long table. "
            "Sequences.to_arrow keeps them."
        )
    if times is None:
        times = pa.array(np.arange(len(values)) - np.repeat(offsets[:-1], lengths))
    steps = {time_name: times}
    for i, column in enumerate(schema.columns):
        steps[column.name] = column_to_arrow(values[:, i], column)
    if num_empty and keep_empty:
        lengths = np.maximum(lengths, 1)  # from here on, the number of rows of each sequence
        is_step = np.repeat(np.diff(offsets) > 0, lengths)
        # a null index gives a null row
        step_indices = pa.array(np.maximum(np.cumsum(is_step) - 1, 0), mask=~is_step)
        steps = {name: column.take(step_indices) for name, column in steps.items()}
    sequence_indices = pa.array(np.repeat(np.arange(len(lengths)), lengths))
    columns = {id_name: ids_to_arrow(ids).take(sequence_indices), **steps}
    return pa.table(columns, metadata=schema_to_metadata(schema))


def _to_name_list(names: Sequence[str]) -> list[str]:
    # a user may pass a str, which is a single name
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _order_by_time(
    id_indices: np.ndarray,  # (num_rows,)
    distinct_ids: np.ndarray,  # (n,)
    time_column: Any,  # times as in the table, for messages
    ticks: np.ndarray,  # the times as numbers, (num_rows,)
    time_name: str,
    row_namer: RowNamer,
    duplicates: str,
    *,
    sort: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row indices ordered by id, then time; where each step begins among them; row steps.

    The last array has the step of each row, also of the rows that are left out. With
    ``duplicates="mean"``, a step is all rows of an id with the same time. Otherwise a step is one
    row, and other rows with the same time are left out.
    """
    order = np.lexsort((ticks, id_indices)) if sort else np.argsort(id_indices, kind="stable")
    # whether an ordered row has the id of the ordered row before it, (num_rows - 1,)
    is_same_id = np.diff(id_indices[order]) == 0
    falls = np.flatnonzero(is_same_id & (ticks[order[:-1]] > ticks[order[1:]]))
    if len(falls):
        first, second = order[falls[0] : falls[0] + 2].tolist()
        raise DataError(
            f"Id {distinct_ids[id_indices[second]].item()!r} has the time "
            f"{str(time_column[second])!r} in {row_namer(second)}, after "
            f"{str(time_column[first])!r} in {row_namer(first)}. Sort the table with "
            f"{argument(sort=True)}, or by column {time_name!r}."
        )
    repeated = np.flatnonzero(is_same_id & (np.diff(ticks[order]) == 0))
    if len(repeated) and duplicates == "error":
        first, second = order[repeated[0] : repeated[0] + 2].tolist()
        num_ids = len(np.unique(id_indices[order[repeated]]))
        rows_repeat = "1 row repeats" if len(repeated) == 1 else f"{len(repeated)} rows repeat"
        in_ids = "1 sequence" if num_ids == 1 else f"{num_ids} sequences"
        fix = python_or_cli("duplicates= of Sequences.from_table or read", "--duplicates")
        raise DataError(
            f"{rows_repeat} a time of the same id, in {in_ids}. First, id "
            f"{distinct_ids[id_indices[first]].item()!r} has the time {str(time_column[first])!r} "
            f"in {row_namer(first)} and in {row_namer(second)}. Keep one row for each time with "
            f"{fix}, which is 'first', 'last' or 'mean'."
        )
    # `repeated` has the index in `order` of the first row of each pair with equal times. "last"
    # drops this row, and the other options drop the second row, whose index is one higher.
    is_step, is_new_time = np.ones((2, len(order)), bool)
    is_step[repeated + (duplicates != "last")] = False
    is_new_time[repeated + 1] = False
    row_steps = np.empty(len(order), np.int64)
    row_steps[order] = np.cumsum(is_new_time) - 1
    if duplicates == "mean":  # the caller averages all rows of a step
        return order, np.flatnonzero(is_step), row_steps
    order = order[is_step]
    return order, np.arange(len(order)), row_steps


# Tables of lists


def flat_arrays_from_list_columns(
    table: Any,
    id: str | None = None,  # noqa: A002
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    row_namer: RowNamer | None = None,  # names rows in messages, if the table comes from a file
) -> SequenceArrays:
    """Convert a table of list columns; implements `Sequences.from_arrow`."""
    table = to_arrow_columns(table)
    if id is None and "id" in table.columns and not has_lists(table.columns["id"]):
        id = "id"  # noqa: A001
    id_list = None if id is None else table.get_id_column(str(id)).to_pylist()
    if columns is not None:
        names = _to_name_list(columns)
    else:
        names = [name for name, column in table.columns.items() if has_lists(column)]
        if not names:  # each text in the only column besides the ids is a sequence of characters
            names = [name for name in table.columns if name not in {id, *table.index_columns}]
            if len(names) != 1 or not is_text_type(table.columns[names[0]].type):
                raise SchemaError(
                    "The table has no list column. Expected one row per sequence, with lists of "
                    "numbers or tokens. A table with one row per step needs a column 'id' that "
                    "repeats, or Sequences.from_table(table, id=...)."
                )
    features = [table.get_or_raise(name, "columns") for name in names]
    check_not_empty(len(features[0]), "row", "in the table")
    ids = to_id_array(id_list, len(features[0]))
    name_row = row_namer or (lambda row: name_sequence(row, ids[row]))
    if len(names) == 1 and is_text_type(features[0].type):
        items = [text or "" for text in features[0].to_pylist()]
        return flat_arrays_from_list(items, column_types=column_types, ids=id_list, names=names)
    has_nested = len(names) == 1 and has_nested_lists(features[0])
    if has_nested:
        lengths, steps = flatten_with_lengths(features[0])
        widths, entries = flatten_with_lengths(steps)  # widths: number of features of each step
        width = int(widths[0]) if len(widths) else 1
        wrong = np.flatnonzero((widths != width) | (widths == 0))
        if len(wrong):
            row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
            raise DataError(
                f"{capitalize_first(name_row(row))} has a step of {widths[wrong[0]]} features in "
                f"column {names[0]!r}, but others have {width}. All steps need the same, at least "
                "one; fill missing ones with null."
            )
        # indices of the entries of each feature, (width, num_steps)
        entry_indices = np.arange(len(entries)).reshape(-1, width).T
        entries = [entries.take(pa.array(indices)) for indices in entry_indices]
        # a stored schema has the name of the column, not the new names of the features
        names, stored = default_names(width), None
    else:
        for name, feature in zip(names, features, strict=True):
            if not has_lists(feature) or pa.types.is_nested(feature.type.value_type):
                raise SchemaError(
                    f"Column {name!r} has the type {feature.type}. Expected lists of numbers or "
                    "tokens, one list per row; Sequences.from_table reads long tables."
                )
        lengths_by_column, entries = zip(*map(flatten_with_lengths, features), strict=True)
        lengths, stored = lengths_by_column[0], table.table_schema
        for name, column_lengths in zip(names, lengths_by_column, strict=True):
            wrong = np.flatnonzero(column_lengths != lengths)
            if len(wrong):
                row = int(wrong[0])
                raise DataError(
                    f"{capitalize_first(name_row(row))} has {lengths[row]} steps in column "
                    f"{names[0]!r}, but {column_lengths[row]} in {name!r}. The lists of a row must "
                    "have the same length."
                )
    locate = StepLocator(offsets_from_lengths(lengths), ids, row_namer)
    raw_columns = [arrow_to_numpy(cells, name) for name, cells in zip(names, entries, strict=True)]
    types = choose_column_types(names, [column.type for column in entries], column_types, stored)
    # With `has_1d_sequences`, sequences of a single column are (length,). Nested lists give each
    # step a list of features, so their sequences are (length, width), also if the width is 1.
    return encode_columns(
        names, raw_columns, types, locate, has_1d_sequences=not has_nested, stored_schema=stored
    )
