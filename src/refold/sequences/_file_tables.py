"""Tables from files of any origin: which column is the id, which the time, and which layout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refold.errors import FileFormatError, SchemaError
from refold.sequences._columns import Kinds
from refold.sequences._long import from_long_table
from refold.sequences._sequences import Sequences

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["find_id", "find_time", "from_file_table"]


def from_file_table(
    table: "pa.Table",
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
    kinds: Kinds,
) -> Sequences:
    """Read a table in the list layout if a chosen column holds lists, else in the long one.

    Raises
    ------
    FileFormatError
        If the table has no rows.
    SchemaError
        If a column is not there, or nothing tells the sequences of a long table apart.
    """
    names = table.column_names
    if not table.num_rows:
        raise FileFormatError(f"{name} has columns ({', '.join(names)}), but no rows.")
    lists = [column for column in columns or names if column in names and _is_list(table, column)]
    if lists:
        identity = _asked(id, "id", names, name)
        if time is not None:
            raise SchemaError(f"{name} has one row a sequence. Leave time= out.")
        columns = _features(columns, lists, names, name)
        return Sequences.from_arrow(table, id=identity, columns=columns, kinds=kinds)
    identity, order = find_id(names, name, id), find_time(names, name, time)
    others = [column for column in names if column not in {identity, order}]
    columns = _features(columns, others, names, name)
    return from_long_table(table, id=identity, time=order, columns=columns, kinds=kinds)


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


def _is_list(table: "pa.Table", column: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(column).type
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)
