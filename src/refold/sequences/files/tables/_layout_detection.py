"""Detection of the layout, the id column and the time column of a table."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from refold.errors import FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import check_id_type, pandas_index
from refold.sequences.files.tables._long_layout import from_long_table
from refold.sequences.files.tables._step_columns import looks_wide
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import PLAIN_ROWS, Rows

__all__ = [
    "TableLayout",
    "check_columns_exist",
    "find_id",
    "find_key",
    "find_layout",
    "find_time",
    "from_file_table",
]


class TableLayout(NamedTuple):
    """The layout of a table and the roles of its columns."""

    lists: bool  # one row per sequence, else one row per step
    id: str | None
    time: str | None
    features: list[str]


def from_file_table(
    table: pa.Table,
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
    column_types: ColumnTypes,
    rows: Rows = PLAIN_ROWS,
    sort: bool = False,
    layout: str | None = None,
) -> Sequences:
    """Read a table in the list layout if a chosen column holds lists, else in the long layout.

    Raises
    ------
    FileFormatError
        If the table has no rows.
    SchemaError
        If a column does not exist, or a long table has no id column.
    """
    if not table.num_rows:
        columns_found = ", ".join(table.column_names)
        raise FileFormatError(f"{name} has columns ({columns_found}), but no rows.")
    found = find_layout(table.schema, name, id=id, time=time, columns=columns)
    features = found.features
    if found.lists:
        if sort or layout:
            raise SchemaError(
                f"{name} has one row per sequence, with one list per feature. Leave "
                f"{'sort' if sort else 'layout'}= out."
            )
        return Sequences.from_arrow(table, id=found.id, columns=features, column_types=column_types)
    id_column = find_id(table.column_names, name, id)
    sequences = from_long_table(
        table,
        id=id_column,
        time=found.time,
        columns=features,
        column_types=column_types,
        rows=rows,
        sort=sort,
    )
    if layout is None and found.time is None and looks_wide(features) and len(sequences) > 1:
        _warn_about_single_steps(sequences, name)
    return sequences


def find_layout(
    schema: pa.Schema,
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
) -> TableLayout:
    """Return the layout of a table and the roles of its columns.

    Raises
    ------
    SchemaError
        If a column does not exist, a long table has no id column, or the ids are lists.
    """
    names = schema.names
    lists = [column for column in columns or names if column in names and _is_list(schema, column)]
    if lists:
        id_column = find_key(id, "id", names, name)
        if id_column is not None:
            check_id_type(schema.field(id_column).type, id_column)
        if time is not None:
            raise SchemaError(f"{name} has one row per sequence. Leave time= out.")
        features = _features(columns, lists, names, name)
        return TableLayout(lists=True, id=id_column, time=None, features=features)
    id_column, order = find_id(names, name, id), find_time(names, name, time)
    check_id_type(schema.field(id_column).type, id_column)
    used = {id_column, order, *pandas_index(schema.metadata or {})}
    others = [column for column in names if column not in used]
    features = _features(columns, others, names, name)
    return TableLayout(lists=False, id=id_column, time=order, features=features)


def find_id(names: Sequence[str], name: str, asked: str | None) -> str:
    """Return the id column: the one asked for, else ``id``."""
    found = find_key(asked, "id", names, name)
    if found is None:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with id=; its columns are {_listed(names)}.{_wide_hint(names)}"
        )
    return found


def find_time(names: Sequence[str], name: str, asked: str | None) -> str | None:
    """Return the time column: the one asked for, else ``time`` if it exists."""
    return find_key(asked, "time", names, name)


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


def _warn_about_single_steps(sequences: Sequences, name: str) -> None:
    if (sequences.lengths == 1).all():
        warnings.warn(
            f"{name}: Every id has one row, so every sequence has one step."
            f"{_wide_hint(sequences.schema.names)}",
            UserWarning,
            stacklevel=4,
        )


def _wide_hint(names: Sequence[str]) -> str:
    if not looks_wide(names):
        return ""
    return " If a row is a whole sequence, pass layout='wide'."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:10])}, ..., {names[-1]}"


def _is_list(schema: pa.Schema, column: str) -> bool:
    type_ = schema.field(schema.names.index(column)).type
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(type_) for test in tests)
