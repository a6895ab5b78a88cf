"""Tables in files: their layout, conversion to sequences and back, and a column of labels."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold.errors import FileFormatError, RefoldError, SchemaError, argument
from refold.sequences._lists import lengths_without, parts_from_list
from refold.sequences._parts import (
    PLAIN_ROWS,
    ColumnTypes,
    Parts,
    Rows,
    check_ids,
    is_missing,
    resolve_column_types,
)
from refold.sequences._schema import listed
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    as_raw,
    check_has_ids,
    check_id_is_no_feature,
    check_id_type,
    factorized,
    has_lists,
    is_nested,
    pandas_index,
    parts_from_table,
    table_from_parts,
    time_index,
)
from refold.sequences._times import check_times

# The options of `refold.sequences.read` that apply to every table.
TABLE_OPTIONS = frozenset(
    {
        "id",
        "time",
        "columns",
        "column_types",
        "sort",
        "layout",
        "time_gaps",
        "duplicates",
        "time_format",
        "as_series",
    }
)
# Those that only long tables have.
LONG_OPTIONS = ("time", "time_gaps", "duplicates", "time_format")
_NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class TableOptions:
    """The options of `refold.sequences.read` that apply to a table."""

    id: str | None = None
    time: str | None = None
    columns: Sequence[str] | None = None  # the features
    column_types: ColumnTypes = None
    sort: bool = False
    layout: str | None = None  # "wide" or "long"; of a table that was examined, or "list"
    time_gaps: bool = False
    duplicates: str | None = None  # "error" by default
    time_format: str | None = None
    as_series: bool = False

    @property
    def lists(self) -> bool:
        """Whether a row is a sequence, with one list per feature."""
        return self.layout == "list"

    @property
    def features(self) -> list[str]:
        """The names of the feature columns."""
        return list(self.columns or ())

    @property
    def used(self) -> list[str]:
        """The names of all columns to read."""
        keys = [name for name in (self.id, self.time) if name is not None]
        return list(dict.fromkeys([*keys, *self.features]))


def find_layout(schema: pa.Schema, name: str, options: TableOptions) -> TableOptions:
    """Return the options with the layout of a table and the roles of its columns filled in."""
    names, columns = schema.names, options.columns
    _check_exist(columns or (), names, name)
    index = pandas_index(schema.metadata or {})
    if options.layout == "wide":
        return _find_wide([column for column in names if column not in index], name, options)
    fields = {column: schema.field(names.index(column)) for column in names}
    lists = [column for column in columns or names if has_lists(fields[column])]
    if lists:
        id_column, time = _find_key(options.id, "id", names, name), None
        for option in (*LONG_OPTIONS, "sort", "layout"):
            if getattr(options, option):
                raise SchemaError(
                    f"{name} has one row per sequence, with one list per feature, and no place for "
                    f"times. Leave {argument(f'{option}=')} out, and name the features with "
                    f"{argument('columns=')}."
                )
    else:
        id_column = _find_key(options.id, "id", names, name)
        if id_column is None and not options.as_series:
            raise SchemaError(
                f"{name} has no column 'id' that tells its sequences apart. Name one with "
                f"{argument('id=')}; its columns are {listed(names)}. If a row is a whole "
                f"sequence, pass {argument(layout='wide')}; if the file is one series, fit or "
                f"adapt with {argument(window=100)}."
            )
        time = _find_key(options.time, "time", names, name) or time_index(index, fields)
    for option in LONG_OPTIONS[1:]:
        if getattr(options, option):
            check_times(time, argument(f"{option}="))
    if id_column is not None:
        check_id_type(fields[id_column].type, id_column)
    used = {id_column, time, *index}
    features = lists or [column for column in names if column not in used]
    if columns is not None:
        features = list(columns)
    if not features:
        raise SchemaError(f"{name} has no feature columns besides {listed(names)}.")
    check_id_is_no_feature(features, id_column)
    layout = "list" if lists else "long"
    return replace(options, id=id_column, time=time, columns=features, layout=layout)


def _find_key(named: str | None, role: str, names: Sequence[str], name: str) -> str | None:
    """Return the column that the user names, else the one named after its role if it exists."""
    if named is None:
        return role if role in names else None
    _check_exist([named], names, name)
    return named


def _check_exist(columns: Sequence[str], names: Sequence[str], name: str) -> None:
    existing = set(names)
    if absent := [column for column in columns if column not in existing]:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {listed(names)}.")


def from_file_table(
    table: pa.Table, name: str, options: TableOptions, rows: Rows = PLAIN_ROWS
) -> Sequences:
    """Convert a table in the wide layout if options, in the list or the long layout as it is."""
    check_has_rows(table.num_rows, table.column_names, name)
    options = find_layout(table.schema, name, options)
    if options.layout == "wide":
        return _from_wide_table(table, options, rows)
    if options.lists:
        return Sequences.from_arrow(table, options.id, options.columns, options.column_types)
    return from_long_table(table, options, rows)


def needs_memory(schema: pa.Schema, options: TableOptions) -> bool:
    """Return whether an examined table is converted as a whole, whatever its size."""
    features = options.features
    holds_nested_lists = len(features) == 1 and is_nested(schema.field(features[0]))
    is_series = options.layout == "long" and options.id is None
    return options.sort or options.layout == "wide" or holds_nested_lists or is_series


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the name of a file in front of errors about its data."""
    try:
        yield
    except RefoldError as error:
        if isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error.message.marked}") from error


def check_has_rows(count: int, names: Sequence[str], name: str) -> None:
    """Raise ``FileFormatError`` if a table has columns only."""
    if not count:
        raise FileFormatError(f"{name} has columns ({', '.join(names)}), but no rows.")


# Long tables: one row per step. An empty sequence has one row, a marker, without time and values.


def from_long_table(table: pa.Table, options: TableOptions, rows: Rows) -> Sequences:
    """Convert a long table as `Sequences.from_table` does, with markers as empty sequences."""
    if options.id is None:  # all rows are one series, and no column is called "id"
        table = table.append_column("id", pa.array(np.zeros(table.num_rows, np.int64)))
        options = replace(options, id="id")
    id_column, time, features = str(options.id), options.time, options.features
    codes, ids = factorized(table[id_column])
    is_marker = np.zeros(table.num_rows, bool)
    if time is not None and table[time].null_count:
        is_marker = np.bincount(codes)[codes] == 1  # the id of a marker has no other row
        is_marker &= table[id_column].is_valid().to_numpy()
        for name in (time, *features):
            is_marker &= table[name].is_null().to_numpy()
    if is_marker.any():
        kept, table = np.flatnonzero(~is_marker), table.filter(~is_marker)
        rows = replace(rows, number=lambda row, number=rows.number: number(kept.item(row)))
    parts = parts_from_table(
        table,
        id_column,
        time,
        features,
        options.column_types,
        rows,
        sort=options.sort,
        with_gaps=options.time_gaps,
        duplicates=options.duplicates or "error",
        time_format=options.time_format,
    )
    if not is_marker.any():
        return Sequences(*parts)
    # Put the empty sequences in the order of the file.
    lengths = np.zeros(len(ids), np.int64)
    lengths[np.unique(codes[~is_marker])] = np.diff(parts.offsets)
    return Sequences(*parts._replace(offsets=offsets_from_lengths(lengths), ids=ids))


def to_long_table(sequences: Sequences, id: str = "id", time: str = "time") -> pa.Table:  # noqa: A002
    """Return one row per step, as `Sequences.to_table`, and a marker for each empty sequence."""
    whole = sequences
    parts = Parts(whole.values, whole.offsets, whole.ids, whole.schema, whole.times)
    return table_from_parts(parts, id, time, markers=True)


# Wide tables: one row per sequence and one column per step.


def _find_wide(names: Sequence[str], name: str, options: TableOptions) -> TableOptions:
    """Return the options with the id column, if there is one, and the step columns in order."""
    for option in LONG_OPTIONS:
        if getattr(options, option):
            raise SchemaError(
                f"{name} is read as a wide table, which has no times. Leave "
                f"{argument(f'{option}=')} out."
            )
    id_column = _find_key(options.id, "id", names, name)
    if options.columns is not None:
        check_id_is_no_feature(options.columns, id_column)
        return replace(options, id=id_column)
    others = [column for column in names if column != id_column]
    steps = step_columns(others)
    if not steps:
        raise SchemaError(f"{name} has no step columns besides {listed(names)}.")
    step_names = set(steps)
    if left := [column for column in others if column not in step_names]:
        warn(
            f"{name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{listed(left)} {'is' if len(left) == 1 else 'are'} left out. Choose others with "
            f"{argument('columns=')}."
        )
    return replace(options, id=id_column, columns=steps)


def step_columns(names: Sequence[str]) -> list[str]:
    """Return the step columns: those whose names end in a number, or all if none do."""
    numbered = [match for match in map(_NUMBERED.fullmatch, names) if match]
    counts = Counter(match[1] for match in numbered)
    steps = [match for match in numbered if counts[match[1]] > 1]
    for before, after in pairwise(steps):
        if before[1] == after[1]:
            in_order = float(before[2]) < float(after[2])
        else:  # dates such as 2020-01-31 and 2020-02-01 are one series
            in_order = not any(map(str.isalpha, before[1] + after[1]))
        if not in_order:
            raise SchemaError(
                f"The column {after[0]!r} comes after {before[0]!r}, so the steps are not one "
                f"series in order. Name the steps of one feature with {argument('columns=')}."
            )
    return [match[0] for match in steps] or list(names)


def step_type(column_types: ColumnTypes) -> str | None:
    """Return the type of the one feature of a wide table, which has any name."""
    names = [*column_types][:1] if isinstance(column_types, Mapping) else ["x0"]
    return resolve_column_types(column_types, names)[0]


def _from_wide_table(table: pa.Table, options: TableOptions, rows: Rows) -> Sequences:
    """Convert a table with one row per sequence and one column per step."""
    id_column, column_types = options.id, options.column_types
    ids = None
    if id_column is not None:
        check_id_type(table[id_column].type, id_column)
        check_has_ids(table[id_column], id_column, rows)
        ids = table[id_column].to_pylist()
    x = np.stack([as_raw(table[column], column) for column in options.features], axis=1)
    is_text = x.dtype == object
    empty = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), bool) if is_text else np.isnan(x)
    # Empty cells at the end of a row are not steps; those before others are missing entries.
    lengths = lengths_without(empty)
    lines = [row[:length] for row, length in zip(x, lengths, strict=True)]
    return Sequences(*parts_from_list(lines, column_types=column_types, ids=ids, rows=rows))


# Labels: one per sequence, in the rows of a table with one row per step or per sequence.


def check_label(names: Sequence[str], where: str, label: str, id_column: str | None) -> None:
    """Raise ``SchemaError`` if there is no column of labels, or it is that of the ids."""
    if label == (id_column or "id"):
        raise SchemaError(f"The label column {label!r} is the id column. Choose another one.")
    _check_exist([label] if id_column is None else [label, id_column], names, where)


def labels_of_table(table: pa.Table, label: str, id_column: str | None) -> tuple[list, list]:
    """Return the ids and labels of the rows; without ids, rows are numbered from 0."""
    id_column = id_column or "id"
    if pa.types.is_nested(table[label].type):
        raise SchemaError(f"Column {label!r} holds lists. Expected one label per sequence.")
    if id_column not in table.column_names:
        return list(range(len(table))), table[label].to_pylist()
    check_id_type(table[id_column].type, id_column)
    # drop the repeats of a sequence with one row per step
    table = table.select([id_column, label]).group_by([id_column, label], use_threads=False)
    table = table.aggregate([])
    ids = check_ids(table[id_column].to_pylist(), len(table))
    return ids.tolist(), table[label].to_pylist()
