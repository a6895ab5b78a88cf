"""Tables in files: their layout, conversion to sequences and back, and a column of labels."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

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
    is_missing,
    resolve_column_types,
)
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    as_raw,
    check_has_ids,
    check_id_is_no_feature,
    check_id_type,
    check_times,
    first_rows,
    has_lists,
    is_nested,
    pandas_index,
    parts_from_table,
    table_from_parts,
)

# The options of `refold.sequences.read` that apply to every table.
TABLE_OPTIONS = frozenset({"id", "time", "columns", "column_types", "sort", "layout", "time_gaps"})
_NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class TableOptions:
    """The options of `refold.sequences.read` that apply to a table."""

    id: str | None = None
    time: str | None = None
    columns: Sequence[str] | None = None  # the features
    column_types: ColumnTypes = None
    sort: bool = False
    layout: str | None = None  # "wide" or "long"; of a table that was examined, "long" or "list"
    time_gaps: bool = False

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
    fields = {column: schema.field(names.index(column)) for column in names}
    lists = [column for column in columns or names if has_lists(fields[column])]
    if lists:
        id_column, time = find_key(options.id, "id", names, name), None
        for option in ("time", "sort", "layout"):
            if getattr(options, option):
                raise SchemaError(
                    f"{name} has one row per sequence, with one list per feature. Leave "
                    f"{argument(f'{option}=')} out."
                )
    else:
        id_column = find_id(names, name, options.id)
        time = find_key(options.time, "time", names, name)
    if options.time_gaps:
        check_times(time)
    if id_column is not None:
        check_id_type(fields[id_column].type, id_column)
    used = {id_column, time, *pandas_index(schema.metadata or {})}
    features = lists or [column for column in names if column not in used]
    if columns is not None:
        features = list(columns)
    if not features:
        raise SchemaError(f"{name} has no feature columns besides {', '.join(names)}.")
    check_id_is_no_feature(features, id_column)
    layout = "list" if lists else "long"
    return replace(options, id=id_column, time=time, columns=features, layout=layout)


def find_id(names: Sequence[str], name: str, named: str | None) -> str:
    """Return the id column: the one that the user names, else ``id``."""
    column = find_key(named, "id", names, name)
    if column is None:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with {argument('id=')}; its columns are {_listed(names)}. "
            f"If a row is a whole sequence, pass {argument(layout='wide')}."
        )
    return column


def find_key(named: str | None, role: str, names: Sequence[str], name: str) -> str | None:
    """Return the column that the user names, else the one named after its role if it exists."""
    if named is None:
        return role if role in names else None
    _check_exist([named], names, name)
    return named


def _check_exist(columns: Sequence[str], names: Sequence[str], name: str) -> None:
    existing = set(names)
    if absent := [column for column in columns if column not in existing]:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {_listed(names)}.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:10])}, ..., {names[-1]}"


def from_file_table(
    table: pa.Table,
    name: str,
    options: TableOptions,
    rows: Rows = PLAIN_ROWS,
    names: Sequence[str] | None = None,  # of a wide table, by default all
) -> Sequences:
    """Convert a table in the wide layout if options, in the list or the long layout as it is."""
    if options.layout == "wide":
        id_column, steps = find_wide(table.column_names if names is None else names, name, options)
        return from_wide_table(table, name, id_column, steps, options.column_types, rows)
    check_has_rows(table.num_rows, table.column_names, name)
    options = find_layout(table.schema, name, options)
    if options.lists:
        return Sequences.from_arrow(table, options.id, options.columns, options.column_types)
    return from_long_table(table, options, rows)


def holds_nested_lists(schema: pa.Schema, options: TableOptions) -> bool:
    """Return whether the only feature of an examined table is a column of lists of lists."""
    return len(options.features) == 1 and is_nested(schema.field(options.features[0]))


# Parts of a table: some rows of a file or of batches


class Part(NamedTuple):
    """Some rows of a source."""

    table: pa.Table
    path: Path | None  # of the file; None for batches
    first: int  # number of the first row in the file


def rows_of(parts: Sequence[Part], path: Path | None) -> Rows:
    """Describe the rows of parts together; rows of other files than ``path`` name their file."""
    starts = np.cumsum([0, *(len(part.table) for part in parts)])
    begins = [(part.path, part.first) for part in parts]  # not the tables, which need memory

    def number(row: int) -> str:
        i = int(np.searchsorted(starts, row, side="right")) - 1
        file, first = begins[i]
        place = f"{first + row - starts[i]}"
        return place if file == path else f"{place} of {file}"

    return Rows(number=number)


@contextlib.contextmanager
def naming(path: Path | str | None) -> Iterator[None]:
    """Put the name of a file in front of errors about its data."""
    try:
        yield
    except RefoldError as error:
        if path is None or isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error.message.marked}") from error


def check_has_rows(count: int, names: Sequence[str], name: str) -> None:
    """Raise ``FileFormatError`` if a table has columns only."""
    if not count:
        raise FileFormatError(f"{name} has columns ({', '.join(names)}), but no rows.")


# Long tables: one row per step. An empty sequence has one row, a marker, without time and values.


def from_long_table(table: pa.Table, options: TableOptions, rows: Rows) -> Sequences:
    """Convert a long table as `Sequences.from_table` does, with markers as empty sequences."""
    id_column, time, features = str(options.id), options.time, options.features
    markers = np.zeros(table.num_rows, bool)
    if time is not None and table[time].null_count:
        # the id of a marker has no other row
        encoded = table[id_column].combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        markers = (np.bincount(codes + 1)[codes + 1] == 1) & (codes >= 0)
        for name in (time, *features):
            markers &= table[name].is_null().to_numpy()
    real = table
    if markers.any():
        kept, real = np.flatnonzero(~markers), table.filter(~markers)
        rows = replace(rows, number=lambda row, number=rows.number: number(kept.item(row)))
    sort, gaps = options.sort, options.time_gaps
    parts = parts_from_table(
        real, id_column, time, features, options.column_types, rows, sort=sort, with_gaps=gaps
    )
    if real is table:
        return Sequences(*parts)
    # Put the empty sequences in the order of the file.
    codes, ids = first_rows(table[id_column])
    lengths = np.zeros(len(ids), np.int64)
    lengths[np.unique(codes[~markers])] = np.diff(parts.offsets)
    return Sequences(parts.values, offsets_from_lengths(lengths), ids, parts.schema)


def to_long_table(sequences: Sequences, id: str = "id", time: str = "time") -> pa.Table:  # noqa: A002
    """Return one row per step, as `Sequences.to_table`, and a marker for each empty sequence."""
    parts = Parts(sequences.values, sequences.offsets, sequences.ids, sequences.schema)
    return table_from_parts(parts, id, time, markers=True)


# Wide tables: one row per sequence and one column per step.


def find_wide(
    names: Sequence[str], name: str, options: TableOptions
) -> tuple[str | None, list[str]]:
    """Return the id column of a wide table, if there is one, and the step columns in order."""
    if options.time is not None:
        raise SchemaError(
            f"{name} is read as a wide table, which has no times. Leave {argument('time=')} out."
        )
    if options.time_gaps:
        check_times(None)
    id_column = find_key(options.id, "id", names, name)
    if options.columns is not None:
        _check_exist(options.columns, names, name)
        check_id_is_no_feature(options.columns, id_column)
        return id_column, list(options.columns)
    others = [column for column in names if column != id_column]
    try:
        steps = step_columns(others)
    except SchemaError as error:
        raise SchemaError(f"{name} {error.message.marked}") from error
    if not steps:
        raise SchemaError(f"{name} has no step columns besides {', '.join(names)}.")
    step_names = set(steps)
    if left := [column for column in others if column not in step_names]:
        listed = ", ".join(map(repr, left[:3])) + (", ..." if len(left) > 3 else "")
        warn(
            f"{name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{listed} {'is' if len(left) == 1 else 'are'} left out. Choose others with "
            f"{argument('columns=')}."
        )
    return id_column, steps


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
                f"has the column {after[0]!r} after {before[0]!r}, so the steps are not one series "
                f"in order. Name the steps of one feature with {argument('columns=')}."
            )
    return [match[0] for match in steps] or list(names)


def step_type(column_types: ColumnTypes) -> str | None:
    """Return the type of the one feature of a wide table, which has any name."""
    names = [*column_types][:1] if isinstance(column_types, Mapping) else ["x0"]
    return resolve_column_types(column_types, names)[0]


def from_wide_table(
    table: pa.Table,
    name: str,
    id_column: str | None,
    steps: Sequence[str],
    column_types: ColumnTypes,
    rows: Rows,
) -> Sequences:
    """Convert a table with one row per sequence and one column per step."""
    check_has_rows(table.num_rows, table.column_names, name)
    ids = None
    if id_column is not None:
        check_id_type(table[id_column].type, id_column)
        check_has_ids(table[id_column], id_column, rows)
        ids = table[id_column].to_pylist()
    raws = {column: as_raw(table[column], column) for column in steps}
    texts = [column for column, raw in raws.items() if raw.dtype == object]
    if texts and step_type(column_types) is None and len(texts) < len(raws):
        cells = enumerate(raws[texts[0]])
        row, value = next((row, cell) for row, cell in cells if not is_missing(cell))
        raise SchemaError(
            f"Column {texts[0]!r} holds text, {value!r} in {rows(row)}, but others hold numbers. "
            f"Name the step columns with {argument('columns=')}, or the id column with "
            f"{argument('id=')}."
        )
    x = np.stack(list(raws.values()), axis=1)
    empty = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), bool) if texts else np.isnan(x)
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


def labels_of_table(
    table: pa.Table, name: str, label: str, id_column: str | None
) -> tuple[list, list]:
    """Return the ids and labels of the rows; without ids, rows are numbered from 0."""
    id_column = id_column or "id"
    if pa.types.is_nested(table[label].type):
        raise SchemaError(f"{name}: column {label!r} holds lists. Expected one label per sequence.")
    if id_column in table.column_names and not pa.types.is_nested(table[id_column].type):
        # drop the repeats of a sequence with one row per step
        table = table.select([id_column, label]).group_by([id_column, label], use_threads=False)
        table = table.aggregate([])
    values = table[label].to_pylist()
    if id_column not in table.column_names:
        return list(range(len(values))), values
    ids = table[id_column]
    if pa.types.is_floating(ids.type):  # 1.0 is 1 if all are integers, as for ids of sequences
        with contextlib.suppress(pa.ArrowException):
            ids = ids.cast(pa.int64())
    return ids.to_pylist(), values
