"""Detection of the layout of a table: its id, time and feature columns, and steps of wide ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa

from refold.errors import SchemaError, argument
from refold.sequences.conversion._arrow_columns import (
    check_id_is_no_feature,
    check_id_type,
    has_lists,
    pandas_index,
)
from refold.sequences.conversion._time_gaps import check_times
from refold.sequences.schema._column_types import ColumnTypes

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


def find_layout(schema: pa.Schema, name: str, asked: TableOptions) -> TableLayout:
    """Return the layout of a table and the roles of its columns."""
    names, columns = schema.names, asked.columns
    fields = {column: schema.field(names.index(column)) for column in names}
    lists = [one for one in columns or names if one in names and has_lists(fields[one])]
    if lists:
        id_column = find_key(asked.id, "id", names, name)
        if id_column is not None:
            check_id_type(fields[id_column].type, id_column)
        if asked.time is not None:
            raise SchemaError(f"{name} has one row per sequence. Leave {argument('time=')} out.")
        if asked.time_gaps:
            check_times(None)
        features = _features(columns, lists, names, name)
        check_id_is_no_feature(features, id_column)
        return TableLayout(lists=True, id=id_column, time=None, features=features)
    id_column = find_id(names, name, asked.id)
    order = find_key(asked.time, "time", names, name)
    if asked.time_gaps:
        check_times(order)
    check_id_type(fields[id_column].type, id_column)
    used = {id_column, order, *pandas_index(schema.metadata or {})}
    others = [column for column in names if column not in used]
    features = _features(columns, others, names, name)
    check_id_is_no_feature(features, id_column)
    gaps = asked.time_gaps
    return TableLayout(lists=False, id=id_column, time=order, features=features, time_gaps=gaps)


def find_id(names: Sequence[str], name: str, asked: str | None) -> str:
    """Return the id column: the one asked for, else ``id``."""
    found = find_key(asked, "id", names, name)
    if found is None:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with {argument('id=')}; its columns are {_listed(names)}. "
            f"If a row is a whole sequence, pass {argument(layout='wide')}."
        )
    return found


def find_key(asked: str | None, role: str, names: Sequence[str], name: str) -> str | None:
    """Return the column asked for, else the one named after its role if it exists."""
    if asked is None:
        return role if role in names else None
    if asked not in names:
        raise SchemaError(
            f"{name} has no {role} column {asked!r}. Its columns are {_listed(names)}."
        )
    return asked


def check_columns_exist(columns: Sequence[str], names: Sequence[str], name: str) -> None:
    """Raise ``SchemaError`` if a column that is asked for does not exist."""
    known = set(names)
    absent = [column for column in columns if column not in known]
    if absent:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {_listed(names)}.")


def _features(
    asked: Sequence[str] | None, found: list[str], names: Sequence[str], name: str
) -> list[str]:
    check_columns_exist(asked or (), names, name)
    features = found if asked is None else list(asked)
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
