"""Tables in files: their layout, and conversion with one row per step or per sequence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.offsets import offsets_from_lengths
from refold._support.user_warnings import warn
from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.sequences._arrow_columns import (
    as_raw,
    check_has_ids,
    check_id_is_no_feature,
    check_id_type,
    has_lists,
    pandas_index,
)
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import PLAIN_ROWS, ColumnTypes, Rows, is_missing
from refold.sequences._sequences import Sequences
from refold.sequences._tables import check_times, first_rows, parts_from_table, with_time_gaps
from refold.sequences.types import NUMERIC

NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class TableOptions:
    """The options of `refold.sequences.read` that apply to a table."""

    id: str | None = None
    time: str | None = None
    columns: Sequence[str] | None = None  # the features
    column_types: ColumnTypes = None
    sort: bool = False
    layout: str | None = None  # "wide" or "long"
    time_gaps: bool = False


class TableLayout(NamedTuple):
    """The layout of a table and the roles of its columns."""

    lists: bool  # one row per sequence, else one row per step
    id: str | None
    time: str | None
    features: list[str]
    time_gaps: bool = False

    @property
    def columns(self) -> list[str]:
        """The names of all columns to read."""
        keys = [name for name in (self.id, self.time) if name is not None]
        return list(dict.fromkeys([*keys, *self.features]))


def find_layout(schema: pa.Schema, name: str, options: TableOptions) -> TableLayout:
    """Return the layout of a table and the roles of its columns."""
    names, columns = schema.names, options.columns
    fields = {column: schema.field(names.index(column)) for column in names}
    lists = [column for column in columns or names if column in names and has_lists(fields[column])]
    if lists:
        id_column = find_key(options.id, "id", names, name)
        if id_column is not None:
            check_id_type(fields[id_column].type, id_column)
        if options.time is not None:
            raise SchemaError(f"{name} has one row per sequence. Leave {argument('time=')} out.")
        if options.time_gaps:
            check_times(None)
        features = _features(columns, lists, names, name)
        check_id_is_no_feature(features, id_column)
        return TableLayout(lists=True, id=id_column, time=None, features=features)
    id_column = find_id(names, name, options.id)
    order = find_key(options.time, "time", names, name)
    if options.time_gaps:
        check_times(order)
    check_id_type(fields[id_column].type, id_column)
    used = {id_column, order, *pandas_index(schema.metadata or {})}
    others = [column for column in names if column not in used]
    features = _features(columns, others, names, name)
    check_id_is_no_feature(features, id_column)
    return TableLayout(
        lists=False,
        id=id_column,
        time=order,
        features=features,
        time_gaps=options.time_gaps,
    )


def find_id(names: Sequence[str], name: str, chosen: str | None) -> str:
    """Return the id column: the chosen one, else ``id``."""
    column = find_key(chosen, "id", names, name)
    if column is None:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with {argument('id=')}; its columns are {_listed(names)}. "
            f"If a row is a whole sequence, pass {argument(layout='wide')}."
        )
    return column


def find_key(chosen: str | None, role: str, names: Sequence[str], name: str) -> str | None:
    """Return the chosen column, else the one named after its role if it exists."""
    if chosen is None:
        return role if role in names else None
    if chosen not in names:
        raise SchemaError(
            f"{name} has no {role} column {chosen!r}. Its columns are {_listed(names)}."
        )
    return chosen


def check_columns_exist(columns: Sequence[str], names: Sequence[str], name: str) -> None:
    """Raise ``SchemaError`` if a column that is asked for does not exist."""
    existing = set(names)
    absent = [column for column in columns if column not in existing]
    if absent:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {_listed(names)}.")


def _features(
    chosen: Sequence[str] | None, default: list[str], names: Sequence[str], name: str
) -> list[str]:
    check_columns_exist(chosen or (), names, name)
    features = default if chosen is None else list(chosen)
    if not features:
        raise SchemaError(f"{name} has no feature columns besides {', '.join(names)}.")
    return features


def step_columns(names: Sequence[str]) -> list[str]:
    """Return the step columns: those whose names end in a number, or all if none do."""
    series = _series(names)
    if len(series) > 1 and any(map(str.isalpha, "".join(series))):
        first, second = (columns[0] for columns in list(series.values())[:2])
        raise SchemaError(
            f"has several series of numbered columns, such as {first!r} and "
            f"{second!r}. A wide table has one feature: name its steps with {argument('columns=')}."
        )
    for prefix, columns in series.items():
        for before, after in pairwise(columns):
            if float(before[len(prefix) :]) >= float(after[len(prefix) :]):
                raise SchemaError(
                    f"has the column {after!r} after {before!r}, so the steps are not in "
                    f"order. Name them in order with {argument('columns=')}."
                )
    numbered = {column for columns in series.values() for column in columns}
    return [column for column in names if column in numbered or not series]


def _series(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the series of numbered columns by the text before their numbers."""
    series: dict[str, list[str]] = {}
    for column in names:
        if numbered := NUMBERED.fullmatch(column):
            series.setdefault(numbered[1], []).append(column)
    return {prefix: columns for prefix, columns in series.items() if len(columns) > 1}


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
    _check_has_rows(table, name)
    layout = find_layout(table.schema, name, options)
    if layout.lists:
        if options.sort or options.layout:
            raise SchemaError(
                f"{name} has one row per sequence, with one list per feature. Leave "
                f"{argument('sort=' if options.sort else 'layout=')} out."
            )
        return Sequences.from_arrow(table, layout.id, layout.features, options.column_types)
    roles = replace(options, id=layout.id, time=layout.time, columns=layout.features)
    return from_long_table(table, roles, rows)


def _check_has_rows(table: pa.Table, name: str) -> None:
    if not table.num_rows:
        raise FileFormatError(f"{name} has columns ({', '.join(table.column_names)}), but no rows.")


def to_long_table(
    sequences: Sequences,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> pa.Table:
    """Return one row per step, as `Sequences.to_table`, and a marker for each empty sequence."""
    ids, counts = np.unique(sequences.ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"The id {ids[counts > 1][0]!s} belongs to {counts[counts > 1][0]} sequences, which "
            "the long layout would join. Give each its own id with Sequences.with_ids, or write "
            "the list layout."
        )
    lengths = sequences.lengths
    table = sequences[lengths > 0].to_table(id, time)
    if lengths.all():
        return table
    repeats = np.maximum(lengths, 1)
    markers = np.repeat(lengths == 0, repeats)
    # A null index gives a null row.
    rows = pa.array(np.maximum(np.cumsum(~markers) - 1, 0), mask=markers)
    ids = np.repeat(sequences.ids, repeats)
    columns = {name: table[name].take(rows) for name in table.column_names}
    columns[id] = pa.array(ids.tolist(), table.schema.field(id).type)
    return pa.table(columns, metadata=table.schema.metadata)


def find_markers(table: pa.Table, time: str, features: Sequence[str]) -> np.ndarray:
    """Return the mask of rows of a long table without a time and values."""
    markers = np.ones(table.num_rows, bool)
    for name in (time, *features):
        markers &= table[name].is_null().to_numpy()
    return markers


def from_long_table(table: pa.Table, roles: TableOptions, rows: Rows) -> Sequences:
    """Convert a long table as `Sequences.from_table` does, with markers as empty sequences."""
    id_column, time, features = str(roles.id), roles.time, list(roles.columns or ())
    markers = np.zeros(table.num_rows, bool)
    if time is not None and table[time].null_count:
        # A marker stands for an empty sequence. It has neither a time nor values, and its id has no
        # other row.
        codes = (
            table[id_column].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
        )
        alone = np.bincount(codes + 1)[codes + 1] == 1
        markers = find_markers(table, time, features) & alone & (codes >= 0)
    if markers.all():
        lists = {
            name: pa.array([[]] * table.num_rows, pa.list_(table.schema.field(name).type))
            for name in features
        }
        empty = pa.table({id_column: table[id_column], **lists}, metadata=table.schema.metadata)
        sequences = Sequences.from_arrow(empty, id_column, features, roles.column_types)
        if not roles.time_gaps:
            return sequences
        schema = with_time_gaps(sequences.schema)
        values = np.empty((0, schema.num_columns), sequences.dtype)
        return Sequences(values, sequences.offsets, sequences.ids, schema)
    real = table
    if markers.any():
        kept, real = np.flatnonzero(~markers), table.filter(~markers)
        rows = replace(rows, number=lambda row, number=rows.number: number(kept.item(row)))
    sort, gaps = roles.sort, roles.time_gaps
    parts = parts_from_table(
        real, id_column, time, features, roles.column_types, rows, sort=sort, with_gaps=gaps
    )
    if real is table:
        return Sequences(*parts)
    # Put the empty sequences in the order of the file.
    codes, ids = first_rows(table[id_column])
    lengths = np.zeros(len(ids), np.int64)
    lengths[np.unique(codes[~markers])] = np.diff(parts.offsets)
    return Sequences(parts.values, offsets_from_lengths(lengths), ids, parts.schema)


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
        check_columns_exist(options.columns, names, name)
        check_id_is_no_feature(options.columns, id_column)
        return id_column, list(options.columns)
    others = [column for column in names if column != id_column]
    try:
        steps = step_columns(others)
    except SchemaError as error:
        raise SchemaError(f"{name} {error.message.marked}") from error
    if not steps:
        raise SchemaError(f"{name} has no step columns besides {', '.join(names)}.")
    chosen = set(steps)
    if left := [column for column in others if column not in chosen]:
        listed = ", ".join(map(repr, left[:3])) + (", ..." if len(left) > 3 else "")
        warn(
            f"{name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{listed} {'is' if len(left) == 1 else 'are'} left out. Choose others with "
            f"{argument('columns=')}."
        )
    return id_column, steps


def step_type(column_types: ColumnTypes) -> str | None:
    """Return the type of the one feature of a wide table."""
    if column_types is None or isinstance(column_types, str):
        return column_types  # type: ignore[return-value]
    types = list(column_types.values()) if isinstance(column_types, Mapping) else list(column_types)
    if len(types) != 1:
        raise SchemaError(
            f"column_types has {len(types)} entries, and a wide table has one feature. Give one "
            f"type, such as {argument(column_types=NUMERIC.name)}."
        )
    return types[0]  # type: ignore[return-value]


def from_wide_table(
    table: pa.Table,
    name: str,
    id_column: str | None,
    steps: Sequence[str],
    column_types: ColumnTypes,
    rows: Rows,
) -> Sequences:
    """Convert a table with one row per sequence and one column per step."""
    _check_has_rows(table, name)
    ids = None
    if id_column is not None:
        check_id_type(table[id_column].type, id_column)
        check_has_ids(table[id_column], id_column, rows)
        ids = table[id_column].to_pylist()
    raws = {column: as_raw(table[column], column)[0] for column in steps}
    texts = [column for column, raw in raws.items() if raw.dtype == object]
    if texts and step_type(column_types) is None and len(texts) < len(raws):
        _refuse_text(raws, texts[0], rows)
    x = np.stack(list(raws.values()), axis=1)
    empty = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), bool) if texts else np.isnan(x)
    # Empty cells at the end of a row are not steps; those before others are missing entries.
    lengths = np.where(empty, 0, np.arange(1, x.shape[1] + 1)).max(axis=1)
    lines = [row[:length] for row, length in zip(x, lengths, strict=True)]
    return Sequences(*parts_from_list(lines, column_types=column_types, ids=ids, rows=rows))


def _refuse_text(raws: dict[str, np.ndarray], column: str, rows: Rows) -> None:
    row, value = next((i, cell) for i, cell in enumerate(raws[column]) if not is_missing(cell))
    raise SchemaError(
        f"Column {column!r} holds text, {value!r} in {rows(row)}, but others hold numbers. Name "
        f"the step columns with {argument('columns=')}, or the id column with {argument('id=')}."
    )
