"""Conversion of any input to `Sequences`, and functions of whole sets of sequences.

`as_sequences` converts any input, and `table_like` converts back to a table like that of the user.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.arrays import concatenated_ranges, offsets_from_lengths
from refold._support.rules import Rule, check, check_not_empty, number_rule
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences._encoding import ColumnTypes
from refold.sequences._schema import Column, Schema, merge_column_descriptions
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    ArrowColumns,
    column_to_arrow,
    find_id_and_time_names,
    has_arrow_interface,
    has_lists,
    has_nested_lists,
    is_text_type,
    to_arrow_columns,
)
from refold.sequences.types import NUMERIC


def as_sequences(
    x: Any,
    *,
    column_types: ColumnTypes = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Sequences:
    """Convert any supported input to `Sequences`.

    Parameters
    ----------
    x : Sequences, list, array or table
        A list as in `Sequences.from_list`, an array of shape (n, T, F) or (n, T) as in
        `Sequences.from_array`, a table or column of lists as in `Sequences.from_arrow`, or a table
        with one row per step as in `Sequences.from_table`. In a table, the columns of ids and times
        have the names that the schema remembers, or ``"id"`` and ``"time"``.
    column_types : str, list of str or dict, optional
        Type of all columns, of each column, or of the named columns; the rest are inferred.
    names : list of str, optional
        Names of the features of a list or an array.
    schema : Schema, optional
        A schema to convert the data to, such as that of a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> as_sequences(np.zeros((2, 5, 3)))
    Sequences(n=2, lengths=5 to 5, 3 numeric)
    """
    if isinstance(x, Sequences):
        if column_types is not None or names is not None:
            raise ParameterError(
                "column_types= and names= apply to conversions only, and x is a Sequences already. "
                "Leave them out."
            )
        if x.is_mapped:
            raise DataError(
                f"Got {len(x)} sequences that are mapped from a file larger than memory. Take some "
                "of them, sequences[indices], or go through them, `for block in "
                "sequences.blocks()`."
            )
        return x if schema is None else x.convert_to_schema(schema)
    if hasattr(x, "tocoo"):  # a sparse matrix of SciPy
        raise DataError(
            f"Sparse data is not supported: got a {type(x).__name__} of shape {x.shape}. Expected "
            "a list of sequences, an array or a table; x.toarray() returns an array."
        )
    reads_as_table = isinstance(x, ArrowColumns) or has_arrow_interface(x)
    if reads_as_table and not hasattr(x, "columns") and str(getattr(x, "dtype", None)) == "object":
        # a pandas column whose cells are arrays of several features is read as a list of sequences
        reads_as_table = not any(getattr(cell, "ndim", 1) > 1 for cell in x)
    if reads_as_table:
        table = to_arrow_columns(x)
        id_and_time = find_id_and_time_names(table, schema)
        if id_and_time is None:  # each row is a sequence
            id_name = None if schema is None else schema.id_name
            id_name = id_name if id_name in table.columns else None
            sequences = Sequences.from_arrow(table, id_name, names, column_types)
        else:
            id_name, time_name = id_and_time
            options: dict[str, Any] = {}
            if schema is not None:
                # the column of time gaps is added, unless the table has it
                options["time_gaps"] = schema.time_gaps and schema.names[-1] not in table.columns
                features = schema.names[:-1] if options["time_gaps"] else schema.names
                if {*features} <= {*table.columns}:
                    names = features  # further columns of the table are left out
                if time_name is not None:
                    # a column of a timestamp type needs no format, unlike times as text or numbers
                    is_time = pa.types.is_temporal(table.columns[time_name].type)
                    options["time_format"] = None if is_time else schema.time_format
                    options["duplicates"] = schema.duplicates or "error"
            sequences = Sequences.from_table(
                table, id_name, time_name, names, column_types, **options
            )
    elif hasattr(x, "__array__") and not isinstance(x, list | tuple):
        x = np.asanyarray(x)
        if x.ndim == 1 and x.dtype.kind in "OUT":  # text or objects, each of which is a sequence
            sequences = Sequences.from_list(x.tolist(), column_types=column_types, names=names)
        else:
            sequences = Sequences.from_array(x, column_types=column_types, names=names)
    else:
        sequences = Sequences.from_list(x, column_types=column_types, names=names)
    return sequences if schema is None else sequences.convert_to_schema(schema)


def table_to_single_series(table: pa.Table, schema: Schema | None) -> Sequences:
    """Convert a table; without columns of ids and lists, its rows are the steps of one series."""
    return as_sequences(to_arrow_columns(table)._replace(is_series=True), schema=schema)


def is_table(data: Any) -> bool:
    """Return whether data are a table with columns, not a single column."""
    return has_arrow_interface(data) and (hasattr(data, "columns") or hasattr(data, "column_names"))


def table_like(sequences: Sequences, user_data: Any, row_steps: np.ndarray | None = None) -> Any:
    """Return sequences as a table of the library, rows, index and columns of the user's data.

    The features of ``sequences`` replace those of the table, and its other columns stay as they
    are. ``row_steps`` is that of the `Sequences` that the data were read as; see `Sequences`.
    """
    schema = sequences.schema
    if not is_table(user_data):  # then as a table with one row per step
        id_name = schema.id_name or "id"
        time_name = schema.choose_time_name({id_name}, has_times=sequences.times is not None)
        table = sequences.to_table(id_name, time_name)
        return table if row_steps is None else table.take(pa.array(row_steps[row_steps >= 0]))
    table = to_arrow_columns(user_data)._replace(is_series=row_steps is not None)
    id_and_time = find_id_and_time_names(table, schema) or (schema.id_name or "id", None)
    not_features = {*id_and_time, *table.index_columns}
    names = [name for name in table.columns if name not in not_features]
    only_column = table.columns[names[0]] if len(names) == 1 else None
    if row_steps is not None:  # each row is a step
        new_columns = steps_to_row_columns(sequences, row_steps)
    elif only_column is not None and (
        is_text_type(only_column.type) or has_nested_lists(only_column)
    ):  # each row is a sequence in one cell: text, or a list of lists
        cells = [item if isinstance(item, str) else item.tolist() for item in sequences]
        new_columns = {names[0]: pa.array(cells)}
    else:  # each row is a sequence, with a list for each feature
        names = [name for name in names if has_lists(table.columns[name])]
        new_columns = dict(zip(schema.names, sequences.to_arrow("id").columns[1:], strict=True))
    if not {*new_columns} <= {*table.columns}:
        # If the names differ, the features are those at the same positions. A computed column of
        # time gaps, which is the last feature, becomes a new column.
        names = [name for name in new_columns if name in table.columns] or names
        computed_names = [*new_columns][len(names) :]
        new_columns = dict(zip([*names, *computed_names], new_columns.values(), strict=False))
    is_number = {column.name: column.type == NUMERIC.name for column in schema.columns}
    for name, column in new_columns.items():
        if name in table.columns and not is_number.get(name, True):
            # cast to the type of the user's column, if possible: 0 and 1 become False and True
            with contextlib.suppress(pa.ArrowException):
                new_columns[name] = column.cast(table.columns[name].type)
    return replace_columns(user_data, new_columns)


def subtract_sequences(originals: Sequences, reconstructed: Sequences) -> Sequences:
    """Return originals minus reconstructions of the same lengths, as numeric columns."""
    schema = originals.schema
    residuals = originals.values - reconstructed.values  # NaN where a value is missing
    for i, column in enumerate(schema.columns):
        if not column.column_type.is_number:  # 1 if the category is wrong
            residuals[:, i] = np.abs(np.sign(residuals[:, i]))
    columns = tuple(Column(column.name, NUMERIC.name) for column in schema.columns)
    layout = "array" if schema.layout == "array" else "series"
    schema = replace(schema, columns=columns, layout=layout, missing=())
    arrays = residuals, originals.offsets, originals.ids, schema, originals.times
    return Sequences.from_checked(*arrays, originals.row_steps)


def array_like(sequences: Sequences, user_array: np.ndarray) -> Any:
    """Return numeric sequences as an array of the user's shape, NaN in padded steps, or a list."""
    if user_array.dtype.kind not in "biuf":  # an entry may be a whole sequence, such as a text
        return sequences.to_list()
    if sequences.values.size == user_array.size:  # no step is padding
        return sequences.values.reshape(user_array.shape)
    num_sequences, num_steps = user_array.shape[:2]
    padded = np.full((num_sequences, num_steps, sequences.schema.num_columns), np.nan)
    padded[np.arange(num_steps) < sequences.lengths[:, None]] = sequences.values
    return padded.reshape(user_array.shape)


def steps_to_row_columns(sequences: Sequences, row_steps: np.ndarray) -> dict[str, pa.Array]:
    """Return the features of sequences as columns of a table with these steps as rows, by name."""
    steps = pa.array(np.maximum(row_steps, 0), mask=row_steps < 0)  # null: the row has no step
    columns = enumerate(sequences.schema.columns)
    return {c.name: column_to_arrow(sequences.values[:, i], c).take(steps) for i, c in columns}


def replace_columns(table: Any, new_columns: Mapping[str, Any]) -> Any:
    """Return a table of any library with Arrow columns, which replace those of the same names."""
    library = type(table).__module__.partition(".")[0]
    if library == "pandas":
        frame = table.copy(deep=False)
        labels = {str(label): label for label in frame.columns}  # a label may be a number
        for name, column in new_columns.items():
            # as an array, because a series has an index
            frame[labels.get(name, name)] = column.to_pandas().array
        return frame
    if library == "polars":
        return table.with_columns(type(table)(pa.table(dict(new_columns))))
    table = pa.table(table)
    for name, column in new_columns.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table


def concatenate(sequences: Sequence[Sequences]) -> Sequences:
    """Concatenate sets of sequences; the sequences keep their ids if these are unique.

    Parameters
    ----------
    sequences : list of Sequences
        Sets with the same columns. Categories are merged; a binary column becomes numeric if it is
        numeric in another set. Times are kept if those of all sets have the same type.

    Examples
    --------
    >>> both = concatenate([Sequences.from_list(["ab"]), Sequences.from_list(["bc"])])
    >>> both.to_list(), both.schema.columns[0].categories
    (['ab', 'bc'], ('a', 'b', 'c'))
    """
    sequences = list(sequences)
    check_not_empty(len(sequences), "set of sequences", "in the list")
    first = sequences[0].schema
    for i, set_ in enumerate(sequences):
        if set_.schema.names != first.names:
            raise SchemaError(
                f"Set {i} has the columns {set_.schema.names}, but set 0 has {first.names}. "
                "Choose the same columns, in the same order."
            )
    columns_of_sets = zip(*(set_.schema.columns for set_ in sequences), strict=True)
    schema = Schema(tuple(map(merge_column_descriptions, columns_of_sets)), first.layout)
    converted = [set_.convert_to_schema(schema) for set_ in sequences]
    id_arrays = [set_.ids for set_ in converted]
    # ids of different types, such as text and integers, are not kept
    have_one_type = len({array.dtype.kind for array in id_arrays}) == 1
    ids = np.concatenate(id_arrays) if have_one_type else None
    if ids is not None and len(np.unique(ids)) < len(ids):
        ids = None
    lengths = np.concatenate([set_.lengths for set_ in converted])
    values = np.concatenate([set_.values for set_ in converted])
    time_arrays = [set_.times for set_ in converted if set_.times is not None]
    have_times = len(time_arrays) == len(converted) and len({a.type for a in time_arrays}) == 1
    times = pa.concat_arrays(time_arrays) if have_times else None
    return Sequences.from_checked(values, offsets_from_lengths(lengths), ids, schema, times)


def fingerprints(sequences: Sequences) -> np.ndarray:
    """Return a hash, uint64 (n,), of the values of each sequence in float32; ids do not count."""
    hashes = []
    for block in sequences.blocks():
        with np.errstate(over="ignore"):
            values = block.values.astype(np.float32) + np.float32(0)  # turns -0.0 into 0.0
        values[np.isnan(values)] = np.nan  # all NaN get the same bits
        bounds = pairwise(block.offsets.tolist())
        hashes += [blake2b(values[i:j].tobytes(), digest_size=8).digest() for i, j in bounds]
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64)


def sequence_and_step_indices(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the sequence index of each step, and its index in that sequence, both (num_steps,)."""
    lengths = sequences.lengths
    sequence_indices = np.repeat(np.arange(len(lengths)), lengths)
    return sequence_indices, concatenated_ranges(np.zeros_like(lengths), lengths)


def mark_missing(sequences: Sequences, marker_numbers: Any) -> Sequences:
    """Replace missing-value markers by NaN, except in categorical columns."""
    # the schema stores the markers, and `convert_to_schema` replaces them in these and later data
    schema = replace(sequences.schema, missing=check_marker_numbers(marker_numbers))
    return sequences.convert_to_schema(schema)


def check_marker_numbers(marker_numbers: Any) -> tuple[float, ...]:
    """Return missing-value markers, a number or a list of numbers, as a tuple; raise if wrong."""
    is_list = isinstance(marker_numbers, list | tuple | set | np.ndarray)
    numbers = list(marker_numbers) if is_list else [marker_numbers]
    # None is allowed, but callers do not pass it to this function
    expected = "a finite number or a list of them, such as [-99999], or None"
    are_numbers = all(map(number_rule().allows, numbers))
    # the rule ignores its argument, because each number was tested above
    check("missing_values", marker_numbers, Rule(expected, lambda _: are_numbers))
    return tuple(map(float, numbers))
