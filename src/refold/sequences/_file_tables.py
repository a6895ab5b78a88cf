"""Tables from files of any origin: which column is the id, which the time, and which layout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refold.errors import FileFormatError, SchemaError
from refold.sequences._columns import Kinds
from refold.sequences._long import from_long_table
from refold.sequences._sequences import Sequences

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_file_table", "id_and_time"]


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
    id, time = id_and_time(names, name, id=id, time=time, need_id=not lists)  # noqa: A001
    if columns is None:
        columns = lists or [column for column in names if column not in {id, time}]
    absent = [column for column in columns if column not in names]
    if absent:
        raise SchemaError(f"{name} has no column {absent[0]!r}. It has {', '.join(names)}.")
    if not columns:
        raise SchemaError(f"{name} has no column beside {', '.join(names)} to make sequences of.")
    if lists and time is not None:
        raise SchemaError(f"{name} has one row a sequence. Leave time= out.")
    if lists or id is None:
        return Sequences.from_arrow(table, id=id, columns=list(columns), kinds=kinds)
    return from_long_table(table, id=id, time=time, columns=columns, kinds=kinds)


def id_and_time(
    names: Sequence[str],
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    need_id: bool = True,
) -> tuple[str | None, str | None]:
    """Return the columns of the id and the time: those asked for, else ``id`` and ``time``.

    Without ``need_id`` the table has one row a sequence: the id is optional, and there is no time
    unless it is asked for.
    """
    for role, asked in (("id", id), ("time", time)):
        if asked is not None and asked not in names:
            raise SchemaError(
                f"{name} has no {role} column {asked!r}. Its columns are {', '.join(names)}."
            )
    found = id or ("id" if "id" in names else None)
    if found is None and need_id:
        raise SchemaError(
            f"{name} has no column 'id' that tells its sequences apart. "
            f"Name one with id=; its columns are {', '.join(names)}."
        )
    return found, time or ("time" if "time" in names and need_id else None)


def _is_list(table: "pa.Table", column: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(column).type
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)
