"""Tables in files are converted to sequences and back, and may have a column of labels.

A table has one of three layouts. Long: one row per step, with an id and an optional time. Wide: one
row per sequence, and one column per step. List: one row per sequence, with one list per feature.
`resolve_table_options` tells which one it is, and `sequences_from_table` converts any table. In all
functions, `file_name` is the name of the file in messages. Columns are given by their names.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.messages import warn
from refold.errors import FileFormatError, RefoldError, SchemaError, argument
from refold.sequences._encoding import (
    DEFAULT_ROW_NAMER,
    ColumnTypes,
    RowNamer,
    SequenceArrays,
    is_missing_value,
)
from refold.sequences._lists import flat_arrays_from_list, lengths_without_padding
from refold.sequences._schema import join_names
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    arrow_to_numpy,
    check_id_is_no_feature,
    check_id_type,
    check_rows_have_ids,
    factorize,
    find_time_index_name,
    flat_arrays_from_long_table,
    has_lists,
    has_nested_lists,
    pandas_index_names,
    table_from_arrays,
)
from refold.sequences._times import check_has_times

# The names of the options that only apply to long tables, whose rows have times.
LONG_TABLE_OPTION_NAMES = ("time", "time_gaps", "duplicates", "time_format")
# The name of a step column, such as t0 or x1.5. Group 1 is the text before the number, and group 2
# is the number.
_NUMBERED_NAME_PATTERN = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class TableOptions:
    """The options of `refold.sequences.read` that apply to a table."""

    # The user gives some of them. `resolve_table_options` adds the layout and the names of all used
    # columns.

    id: str | None = None  # the name of the id column
    time: str | None = None  # the name of the time column
    columns: Sequence[str] | None = None  # the names of the features
    column_types: ColumnTypes = None
    sort: bool = False
    layout: str | None = None  # the user may give "wide" or "long"; tables of lists have "list"
    time_gaps: bool = False
    duplicates: str | None = None  # "error" by default
    time_format: str | None = None
    as_sequence: bool = False  # without an id column, all rows are one sequence

    @property
    def features(self) -> list[str]:
        """The names of the feature columns."""
        return list(self.columns or ())

    @property
    def used_columns(self) -> list[str]:
        """The names of all columns to read."""
        id_and_time = [name for name in (self.id, self.time) if name is not None]
        return list(dict.fromkeys([*id_and_time, *self.features]))  # each name once


# The names of all fields of `TableOptions`.
TABLE_OPTION_NAMES = frozenset(field.name for field in fields(TableOptions))


def resolve_table_options(
    table_schema: pa.Schema, file_name: str, options: TableOptions
) -> TableOptions:
    """Return the options with the layout of a table and the roles of its columns filled in."""
    columns, requested_features = table_schema.names, options.columns
    check_columns_exist(requested_features or (), columns, file_name)
    # columns in which pandas wrote an index are no features, unless the user requests them
    index_columns = pandas_index_names(table_schema.metadata or {})
    if options.layout == "wide":
        data_names = [column for column in columns if column not in index_columns]
        return _resolve_wide_options(data_names, file_name, options)
    field_of = dict(zip(columns, table_schema, strict=True))
    candidates = requested_features or columns
    list_columns = [column for column in candidates if has_lists(field_of[column])]
    id_column = _find_column(options.id, "id", columns, file_name)
    time = None  # tables of lists have no time column
    if list_columns:
        for option in (*LONG_TABLE_OPTION_NAMES, "sort", "layout"):
            if getattr(options, option):
                raise SchemaError(
                    f"{file_name} has one row per sequence, with one list per feature, so "
                    f"{argument(f'{option}=')} does not apply. Leave it out, or name features that "
                    f"are no lists with {argument('columns=')}."
                )
    else:
        if id_column is None and not options.as_sequence:
            raise SchemaError(
                f"{file_name} has no column 'id' that tells its sequences apart. Name one with "
                f"{argument('id=')}; its columns are {join_names(columns)}. If a row is a whole "
                f"sequence, pass {argument(layout='wide')}; if the file is one series, fit or "
                f"adapt with {argument(window=100)}."
            )
        time = _find_column(options.time, "time", columns, file_name)
        time = time or find_time_index_name(index_columns, field_of)  # an index of dates
    for option in LONG_TABLE_OPTION_NAMES:
        if option != "time" and getattr(options, option):  # these options need a time column
            check_has_times(time, argument(f"{option}="))
    if id_column is not None:
        check_id_type(field_of[id_column].type, id_column)
    not_features = {id_column, time, *index_columns}
    features = list_columns or [column for column in columns if column not in not_features]
    if requested_features is not None:
        features = list(requested_features)
    if not features:
        raise SchemaError(f"{file_name} has no feature columns besides {join_names(columns)}.")
    check_id_is_no_feature(features, id_column)
    layout = "list" if list_columns else "long"
    return replace(options, id=id_column, time=time, columns=features, layout=layout)


def _find_column(
    requested_column: str | None, default_column: str, columns: Sequence[str], file_name: str
) -> str | None:
    """Return the column that the user requests, else the default column, such as "id", or None."""
    if requested_column is None:
        return default_column if default_column in columns else None
    check_columns_exist([requested_column], columns, file_name)
    return requested_column


def check_columns_exist(
    requested_columns: Sequence[str], existing_columns: Sequence[str], file_name: str
) -> None:
    """Raise ``SchemaError`` if a table does not have a requested column."""
    existing = set(existing_columns)  # a set, because a wide table may have thousands of columns
    if missing := [column for column in requested_columns if column not in existing]:
        raise SchemaError(
            f"{file_name} has no column {missing[0]!r}. It has {join_names(existing_columns)}."
        )


def sequences_from_table(
    table: pa.Table, file_name: str, options: TableOptions, row_namer: RowNamer = DEFAULT_ROW_NAMER
) -> Sequences:
    """Convert a table of any layout to sequences; the layout is wide only if the options say so."""
    check_has_rows(table.num_rows, table.column_names, file_name)
    options = resolve_table_options(table.schema, file_name, options)
    if options.layout == "long":
        return convert_long_table(table, options, row_namer)
    if options.layout == "list":
        return Sequences.from_arrow(table, options.id, options.columns, options.column_types)
    # the rest is for a wide table
    id_column, ids = options.id, None
    if id_column is not None:
        check_id_type(table[id_column].type, id_column)
        check_rows_have_ids(table[id_column], id_column, row_namer)
        ids = table[id_column].to_pylist()
    # (num_sequences, num_step_columns)
    cells = np.stack([arrow_to_numpy(table[column], column) for column in options.features], axis=1)
    if cells.dtype == object:  # text
        is_empty = np.asarray(np.frompyfunc(is_missing_value, 1, 1)(cells), bool)
    else:
        is_empty = np.isnan(cells)
    # Empty cells at the end of a row are not steps. Empty cells before a step are missing entries.
    lengths = lengths_without_padding(is_empty)
    rows = [row[:length] for row, length in zip(cells, lengths, strict=True)]
    types = options.column_types
    return Sequences(*flat_arrays_from_list(rows, column_types=types, ids=ids, row_namer=row_namer))


def must_be_in_memory(table_schema: pa.Schema, options: TableOptions) -> bool:
    """Return whether a table with these resolved options cannot be converted in chunks."""
    features = options.features
    # a column of lists of lists holds several features; chunks need one feature per column
    has_nested_column = len(features) == 1 and has_nested_lists(table_schema.field(features[0]))
    # without an id, all rows are one sequence, and a chunk never divides a sequence
    is_series = options.layout == "long" and options.id is None
    # sorting needs all rows, and `refold.files.mapped` has no conversion of wide tables
    return options.sort or options.layout == "wide" or has_nested_column or is_series


@contextlib.contextmanager
def name_file_in_errors(path: Path | str) -> Iterator[None]:
    """Put the name of a file in front of the messages of errors about its data."""
    try:
        yield
    except RefoldError as error:
        # errors about the file itself have its name already
        if isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        # `marked` still marks the arguments, so that the command line can spell them as options
        raise type(error)(f"{path}: {error.message.marked}") from error


def check_has_rows(num_rows: int, column_names: Sequence[str], file_name: str) -> None:
    """Raise ``FileFormatError`` if a table has columns, but no rows."""
    if not num_rows:
        raise FileFormatError(f"{file_name} has columns ({', '.join(column_names)}), but no rows.")


# Long tables: one row per step. An empty sequence has no steps, so its id would be lost. Therefore
# Refold writes a marker for it: one row that has the id, and whose other cells are empty.


def convert_long_table(table: pa.Table, options: TableOptions, row_namer: RowNamer) -> Sequences:
    """Convert a long table as `Sequences.from_table` does; a marker becomes an empty sequence."""
    if options.id is None:  # all rows are one series, and no column is called "id"
        table = table.append_column("id", pa.array(np.zeros(table.num_rows, np.int64)))
        options = replace(options, id="id")
    id_column, time, features = str(options.id), options.time, options.features
    id_numbers, ids = factorize(table[id_column])  # row i has the id ids[id_numbers[i]]
    is_marker = np.zeros(table.num_rows, bool)  # for each row
    if time is not None and table[time].null_count:  # a marker has no time
        # the id of a marker occurs once, because an empty sequence has no other rows
        is_marker = np.bincount(id_numbers)[id_numbers] == 1
        is_marker &= table[id_column].is_valid().to_numpy()
        for column in (time, *features):
            is_marker &= table[column].is_null().to_numpy()
    if is_marker.any():
        table = table.filter(~is_marker)
        # Messages still count the rows of the file, and there, the markers are rows, too. Row i of
        # the new table is row `file_rows[i]` of the file.
        file_rows, describe_row = np.flatnonzero(~is_marker), row_namer.describe_row
        row_namer = replace(row_namer, describe_row=lambda i: describe_row(file_rows.item(i)))
    arrays = flat_arrays_from_long_table(
        table,
        id_column,
        time,
        features,
        options.column_types,
        row_namer,
        sort=options.sort,
        add_time_gaps=options.time_gaps,
        duplicates=options.duplicates or "error",
        time_format=options.time_format,
    )
    if not is_marker.any():
        return Sequences(*arrays)
    # `ids` are in the order of the file, so each empty sequence gets the place of its marker
    lengths = np.zeros(len(ids), np.int64)
    lengths[np.unique(id_numbers[~is_marker])] = np.diff(arrays.offsets)
    row_steps = np.full(len(is_marker), -1)
    row_steps[~is_marker] = arrays.row_steps
    offsets = offsets_from_lengths(lengths)
    return Sequences(*arrays._replace(offsets=offsets, ids=ids, row_steps=row_steps))


def to_long_table(sequences: Sequences, id_column: str, time_column: str) -> pa.Table:
    """Return one row per step, as `Sequences.to_table`, and a marker for each empty sequence."""
    values, times = sequences.values, sequences.times
    arrays = SequenceArrays(values, sequences.offsets, sequences.ids, sequences.schema, times)
    return table_from_arrays(arrays, id_column, time_column, keep_empty=True)


# Wide tables: one row per sequence and one column per step


def _resolve_wide_options(
    columns: Sequence[str], file_name: str, options: TableOptions
) -> TableOptions:
    """Return the options with the id column, if there is one, and the step columns in order."""
    for option in LONG_TABLE_OPTION_NAMES:
        if getattr(options, option):
            raise SchemaError(
                f"{file_name} is read as a wide table, which has no times. Leave "
                f"{argument(f'{option}=')} out."
            )
    id_column = _find_column(options.id, "id", columns, file_name)
    if options.columns is not None:
        check_id_is_no_feature(options.columns, id_column)
        return replace(options, id=id_column)
    candidates = [column for column in columns if column != id_column]
    steps = find_step_columns(candidates)
    if not steps:
        raise SchemaError(f"{file_name} has no step columns besides {join_names(columns)}.")
    step_names = set(steps)  # a set, because there may be thousands
    if unused := [column for column in candidates if column not in step_names]:
        warn(
            f"{file_name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{join_names(unused)} {'is' if len(unused) == 1 else 'are'} left out. Choose others "
            f"with {argument('columns=')}."
        )
    return replace(options, id=id_column, columns=steps)


def find_step_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns whose names end in a number, in order; all columns if there are none."""
    numbered = [match for match in map(_NUMBERED_NAME_PATTERN.fullmatch, columns) if match]
    # at least two steps have the same text before the number: zone2 alone is not a step
    prefix_counts = Counter(match[1] for match in numbered)
    steps = [match for match in numbered if prefix_counts[match[1]] > 1]
    for step, next_step in pairwise(steps):
        if step[1] == next_step[1]:  # the same text before the numbers
            is_ascending = float(step[2]) < float(next_step[2])
        # Dates such as 2020-01-31 and 2020-02-01 are steps, too, although the text before the last
        # number differs. Words that differ are the names of several features.
        else:
            is_ascending = not any(map(str.isalpha, step[1] + next_step[1]))
        if not is_ascending:
            raise SchemaError(
                f"The column {next_step[0]!r} comes after {step[0]!r}, so the steps are not one "
                f"series in order. Name the steps of one feature with {argument('columns=')}."
            )
    return [match[0] for match in steps] or list(columns)


def check_label_column(
    columns: Sequence[str], file_name: str, label_column: str, id_column: str | None
) -> None:
    """Raise ``SchemaError`` if there is no label column or id column, or both are the same."""
    if label_column == (id_column or "id"):
        raise SchemaError(f"The label column {label_column!r} is the id column. Choose another.")
    used_columns = [label_column] if id_column is None else [label_column, id_column]
    check_columns_exist(used_columns, columns, file_name)
