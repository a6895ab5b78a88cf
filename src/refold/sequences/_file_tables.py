"""Tables from files of any origin: which column is the id, which the time, and which layout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from refold.errors import FileFormatError, SchemaError
from refold.sequences._arrow_columns import check_id_type, pandas_index
from refold.sequences._columns import Kinds
from refold.sequences._long import from_long_table
from refold.sequences._parts import PLAIN_ROWS, Rows
from refold.sequences._sequences import Sequences

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TableLayout", "find_id", "find_layout", "find_time", "from_file_table"]


class TableLayout(NamedTuple):
    """What the columns of a table are for."""

    lists: bool  # one row a sequence, else one row a step
    id: str | None
    time: str | None
    features: list[str]


def from_file_table(
    table: "pa.Table",
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
    kinds: Kinds,
    rows: Rows = PLAIN_ROWS,
    sort: bool = False,
) -> Sequences:
    """Read a table in the list layout if a chosen column holds lists, else in the long one.

    Raises
    ------
    FileFormatError
        If the table has no rows.
    SchemaError
        If a column is not there, or nothing tells the sequences of a long table apart.
    """
    if not table.num_rows:
        columns_found = ", ".join(table.column_names)
        raise FileFormatError(f"{name} has columns ({columns_found}), but no rows.")
    layout = find_layout(table.schema, name, id=id, time=time, columns=columns)
    features = layout.features
    if layout.lists:
        if sort:
            raise SchemaError(
                f"{name} has one row a sequence, whose steps have no times. Leave sort= out."
            )
        return Sequences.from_arrow(table, id=layout.id, columns=features, kinds=kinds)
    identity = find_id(table.column_names, name, id)
    return from_long_table(
        table, id=identity, time=layout.time, columns=features, kinds=kinds, rows=rows, sort=sort
    )


def find_layout(
    schema: "pa.Schema",
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
) -> TableLayout:
    """Say which layout a table has, and what its columns are for.

    Raises
    ------
    SchemaError
        If a column is not there, nothing tells the sequences of a long table apart, or the ids
        are lists.
    """
    names = schema.names
    lists = [column for column in columns or names if column in names and _is_list(schema, column)]
    if lists:
        identity = _asked(id, "id", names, name)
        if identity is not None:
            check_id_type(schema.field(identity).type, identity)
        if time is not None:
            raise SchemaError(f"{name} has one row a sequence. Leave time= out.")
        features = _features(columns, lists, names, name)
        return TableLayout(lists=True, id=identity, time=None, features=features)
    identity, order = find_id(names, name, id), find_time(names, name, time)
    check_id_type(schema.field(identity).type, identity)
    used = {identity, order, *pandas_index(schema.metadata or {})}
    others = [column for column in names if column not in used]
    features = _features(columns, others, names, name)
    return TableLayout(lists=False, id=identity, time=order, features=features)


def find_id(names: Sequence[str], name: str, asked: str | None) -> str:
    """Return the column that tells sequences apart: the one asked for, else ``id``."""
    found = _asked(asked, "id", names, name)
    if found is None:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with id=; its columns are {', '.join(names)}."
        )
    return found


def find_time(names: Sequence[str], name: str, asked: str | None) -> str | None:
    """Return the column that orders the steps: the one asked for, else ``time`` if there is one."""
    return _asked(asked, "time", names, name)


def _asked(asked: str | None, role: str, names: Sequence[str], name: str) -> str | None:
    if asked is None:
        return role if role in names else None
    if asked not in names:
        raise SchemaError(
            f"{name} has no {role} column {asked!r}. Its columns are {', '.join(names)}."
        )
    return asked


def _features(
    asked: Sequence[str] | None, found: list[str], names: Sequence[str], name: str
) -> list[str]:
    absent = [column for column in asked or () if column not in names]
    if absent:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {', '.join(names)}.")
    features = found if asked is None else list(asked)
    if not features:
        raise SchemaError(f"{name} has no column beside {', '.join(names)} to make sequences of.")
    return features


def _is_list(schema: "pa.Schema", column: str) -> bool:
    import pyarrow as pa

    kind = schema.field(schema.names.index(column)).type
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)
