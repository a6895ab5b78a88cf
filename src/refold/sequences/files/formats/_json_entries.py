"""Entries of JSON lines and JSON files, each with the line where it begins.

Entries may be events: objects of single values, one per step, like the rows of a long table.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import pyarrow as pa

from refold.errors import FileFormatError
from refold.sequences._sequences import Sequences
from refold.sequences.files.tables._layout_detection import TableOptions
from refold.sequences.files.tables._table_reader import from_file_table
from refold.sequences.schema._parts import Rows

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
BLANK = re.compile(r"[ \t\n\r]*")


class Entry(NamedTuple):
    """The value of a line or of an entry of an array, and its place in the file."""

    place: str  # "line 3", or "entry 2, line 3"
    value: Any


def parse_lines(text: str, name: str) -> list[Entry]:
    """Return the value of each line that is not blank, with its number."""
    lines = text.split("\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error)
            if isinstance(error, json.JSONDecodeError):
                reason = f"{error.msg} at character {error.colno}"
            cut = " The file seems to be cut short." if number == len(lines) else ""
            raise FileFormatError(
                f"{name}, line {number} is not JSON: {reason}.{cut} "
                "Expected one whole sequence per line."
            ) from error
        _check_characters(line, value, f"{name}, line {number}")
        entries.append(Entry(f"line {number}", value))
    if not entries:
        raise FileFormatError(f"{name} is empty: it holds only blank lines.")
    return entries


def parse_json(text: str, name: str) -> list[Entry]:
    """Return the entries of a JSON array, each with its line, or a lone object."""
    start = _blank(text, 0)
    if start == len(text):
        raise FileFormatError(f"{name} is empty: it holds only blank lines.")
    if text[start] == "[":
        entries, end = _array(text, start, name)
    else:
        value, end = _value(text, start, name)
        if not isinstance(value, dict):
            if _blank(text, end) < len(text):
                return parse_lines(text, name)
            raise FileFormatError(
                f"{name} holds {json.dumps(value)[:40]}. Expected an array of sequences or of "
                "records, or an object."
            )
        entries = [Entry("line 1" if start == 0 else f"line {_line(text, start)}", value)]
    if _blank(text, end) < len(text):  # more values follow, as in JSON lines
        return parse_lines(text, name)
    if not entries:
        raise FileFormatError(f"{name} holds an empty array. Expected at least one sequence.")
    _check_characters(text, [entry.value for entry in entries], name)
    return entries


def check_cells(cells: Iterable[Any], place: str) -> None:
    """Raise ``FileFormatError`` if a cell is a list or an object."""
    for position, cell in enumerate(cells):
        if isinstance(cell, list | dict):
            raise FileFormatError(
                f"{place}: entry {position} is {_container_name(cell)}. "
                "Expected a number, a token or null."
            )


def _container_name(value: object) -> str:
    return "a list" if isinstance(value, list) else "an object"


def _array(text: str, start: int, name: str) -> tuple[list[Entry], int]:
    """Return the entries of an array, and where it ends."""
    entries: list[Entry] = []
    line, counted = 1, 0
    position = _blank(text, start + 1)
    if text[position : position + 1] == "]":
        return entries, position + 1
    while True:
        line, counted = line + text.count("\n", counted, position), position
        value, position = _value(text, position, name)
        entries.append(Entry(f"entry {len(entries)}, line {line}", value))
        position = _blank(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            return entries, position + 1
        if mark != ",":
            raise _not_json(text, position, name, "Expecting ',' delimiter")
        position = _blank(text, position + 1)


def _value(text: str, start: int, name: str) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _not_json(text, error.pos, name, error.msg) from error
    except (ValueError, RecursionError) as error:
        raise _not_json(text, start, name, str(error)) from error


def _not_json(text: str, position: int, name: str, reason: str) -> FileFormatError:
    column = position - text.rfind("\n", 0, position)
    cut = "" if text[position:].strip() else " The file seems to be cut short."
    return FileFormatError(
        f"{name}, line {_line(text, position)} is not JSON: {reason} at character {column}.{cut}"
    )


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _blank(text: str, start: int) -> int:
    found = BLANK.match(text, start)
    return start if found is None else found.end()


def _check_characters(line: str, value: object, place: str) -> None:
    """Raise ``FileFormatError`` if an escape is half a surrogate pair, which UTF-8 cannot hold."""
    if not SURROGATE.search(line):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise FileFormatError(
            f"{place} holds {half}, half of a surrogate pair. Write both halves, or the character "
            "itself."
        ) from error


def are_events(entries: list[Entry], asked: TableOptions) -> bool:
    """Return whether objects are steps rather than sequences."""
    id_key, keys = asked.id or "id", {asked.id or "id", asked.time or "time"}
    for entry in entries:
        chosen = [
            key for key in asked.columns or entry.value if key in entry.value and key not in keys
        ]
        if not chosen:
            continue
        values = [entry.value[key] for key in chosen]
        # a step has neither lists nor objects
        if any(isinstance(value, list | dict) for value in values):
            return False
        if len(chosen) > 1 or not isinstance(values[0], str):
            return True
        # A lone string is a sequence of characters, unless there are times or an id repeats.
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
    asked = replace(asked, layout=asked.layout or "long")
    return from_file_table(table, name, asked, rows, names=keys)


def entries_of_columns(entry: Entry, name: str, id_key: str | None) -> list[Entry]:
    """Return the rows of an object that holds a table by columns, or nothing if it does not."""
    ids = entry.value.get(id_key or "id")
    # The ids of a table are an array or, as pandas writes them, an object by row.
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
                f"{name}, {entry.place}: {key!r} is {_container_name(cell)}. Expected a number, "
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


def _fits_integer(cell: object) -> bool:
    return cell is None or (isinstance(cell, int) and abs(cell) < 1 << 63)


def _form(cell: object) -> str:
    if isinstance(cell, bool):
        return "true or false"
    return "a number" if isinstance(cell, Real) else "text"
