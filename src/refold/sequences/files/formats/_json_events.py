"""JSON objects of single values, one per step, like the rows of a long table."""

from numbers import Real
from typing import Any

import pyarrow as pa

from refold.errors import FileFormatError
from refold.sequences._sequences import Sequences
from refold.sequences.files.formats._json_entries import Entry, container_name
from refold.sequences.files.tables._layout_detection import TableOptions
from refold.sequences.files.tables._table_reader import from_file_table
from refold.sequences.schema._parts import Rows

__all__ = ["are_events", "entries_of_columns", "from_events"]


def are_events(entries: list[Entry], asked: TableOptions) -> bool:
    """Return whether objects are steps rather than sequences.

    They are if no chosen value of the first object is a list or an object. A lone string is a
    sequence of characters, unless there are times or an id repeats.
    """
    id_key, keys = asked.id or "id", {asked.id or "id", asked.time or "time"}
    for entry in entries:
        chosen = [
            key for key in asked.columns or entry.value if key in entry.value and key not in keys
        ]
        if not chosen:
            continue
        values = [entry.value[key] for key in chosen]
        if any(isinstance(value, list | dict) for value in values):
            return False
        if len(chosen) > 1 or not isinstance(values[0], str):
            return True
        ids = [str(one.value.get(id_key)) for one in entries]
        timed = asked.time is not None or "time" in entry.value
        return timed or (id_key in entry.value and len(set(ids)) < len(ids))
    return False


def from_events(entries: list[Entry], name: str, asked: TableOptions) -> Sequences:
    """Convert objects with one value per feature; an absent key is a missing entry."""
    keys = used = list(dict.fromkeys(key for entry in entries for key in entry.value))
    if asked.columns is not None:
        wanted = {asked.id or "id", asked.time or "time", *asked.columns}
        used = [key for key in keys if key in wanted]
    table = pa.table({key: _column(entries, key, name) for key in used})
    rows = Rows("", lambda row: entries[row].place)
    asked = asked._replace(layout=asked.layout or "long")
    return from_file_table(table, name, asked, rows, names=keys)


def entries_of_columns(entry: Entry, name: str, id_key: str | None) -> list[Entry]:
    """Return the rows of an object that holds a table by columns, or nothing if it does not.

    It does if its ids are an array or, as pandas writes them, an object by row.
    """
    ids = entry.value.get(id_key or "id")
    if not isinstance(ids, list | dict):
        return []
    form, rows = type(ids), list(ids) if isinstance(ids, dict) else list(range(len(ids)))
    for key, column in entry.value.items():
        same = isinstance(column, form) and len(column) == len(rows)
        if not same or (isinstance(column, dict) and list(column) != rows):
            raise FileFormatError(
                f"{name}: {key!r} has other rows than {id_key or 'id'!r}, which has {len(rows)}. "
                "All columns of a table need the same rows."
            )
    return [
        Entry(f"row {row}", {key: column[row] for key, column in entry.value.items()})
        for row in rows
    ]


def _column(entries: list[Entry], key: str, name: str) -> pa.Array:
    """Return the values of a key, which must be all numbers, all booleans or all text."""
    cells = [entry.value.get(key) for entry in entries]
    first: tuple[str, str] | None = None
    for entry, cell in zip(entries, cells, strict=True):
        if cell is None:
            continue
        if isinstance(cell, list | dict):
            raise FileFormatError(
                f"{name}, {entry.place}: {key!r} is {container_name(cell)}. Expected a number, "
                "text or null, since an object is one step."
            )
        form = _form(cell)
        first = first or (form, entry.place)
        if form != first[0]:
            raise FileFormatError(
                f"{name}, {entry.place}: {key!r} is {form}, but {first[1]} has {first[0]}. All "
                "values of a column need one type."
            )
    if first and first[0] == "a number" and not all(map(_fits_integer, cells)):
        cells = [None if cell is None else float(cell) for cell in cells]
    return pa.array(cells)


def _fits_integer(cell: Any) -> bool:
    return cell is None or (isinstance(cell, int) and abs(cell) < 1 << 63)


def _form(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true or false"
    return "a number" if isinstance(cell, Real) else "text"
