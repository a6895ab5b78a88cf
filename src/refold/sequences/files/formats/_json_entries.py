"""Entries of JSON lines and JSON files, each with the line where it begins."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from refold.errors import FileFormatError

__all__ = ["Entry", "check_cells", "container_name", "parse_json", "parse_lines"]

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
    """Return the entries of a JSON array, each with its line, or a lone object.

    Several values after one another are read as JSON lines.

    Examples
    --------
    >>> parse_json('[[1, 2], [3]]', "two.json")[1]
    Entry(place='entry 1, line 1', value=[3])
    """
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
    if _blank(text, end) < len(text):
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
                f"{place}: entry {position} is {container_name(cell)}. "
                "Expected a number, a token or null."
            )


def container_name(value: Any) -> str:
    """Return ``a list`` or ``an object``."""
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


def _check_characters(line: str, value: Any, place: str) -> None:
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
