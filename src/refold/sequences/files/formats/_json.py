"""JSON lines, one sequence or one event per line, and JSON files with an array of either.

A sequence is an array of rows, a flat array, a string, or an object of named arrays. An event is
an object of single values, like a row of a long table.
"""

import json
from collections.abc import Sequence
from typing import Any

from refold.errors import FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files.formats._json_entries import (
    Entry,
    as_objects,
    check_cells,
    parse_json,
    parse_lines,
)
from refold.sequences.files.formats._json_events import are_events, entries_of_columns, from_events
from refold.sequences.files.formats._json_objects import from_objects, from_strings
from refold.sequences.schema._column_types import ColumnTypes, encode_columns
from refold.sequences.schema._parts import Places, Rows, offsets_from_lengths
from refold.sequences.schema._schema import Schema, default_names
from refold.sequences.schema._validation import check_values

__all__ = ["json_columns", "read_json", "read_jsonl"]

FORMS = {
    "text": "a string",
    "flat": "a list of numbers or tokens",
    "rows": "a list of rows",
    "object": "an object of named lists",
}


def read_jsonl(data: bytes, name: str, **options: Any) -> Sequences:
    r"""Read one sequence or event per line; blank lines are skipped.

    Raises
    ------
    FileFormatError
        If a line is not JSON, or has another form than the lines before it.
    SchemaError
        If objects lack the id or a column.

    Examples
    --------
    >>> read_jsonl(b'[[1, 2], [3, 4]]\n[]\n', "pairs.jsonl").lengths
    array([2, 0])
    """
    return _convert(parse_lines(decode_utf8(data, name), name), name, **options)


def read_json(data: bytes, name: str, **options: Any) -> Sequences:
    """Read an array of sequences or events, or an object: a table by columns or one sequence.

    Raises
    ------
    FileFormatError
        If the text is not JSON, or its entries have different forms.
    SchemaError
        If objects lack the id or a column.

    Examples
    --------
    >>> read_json(b"[[0.5, 1.5], [2.5]]", "two.json").lengths
    array([2, 1])
    """
    entries = parse_json(decode_utf8(data, name), name)
    if len(entries) == 1 and isinstance(entries[0].value, dict):
        entries = entries_of_columns(entries[0], name, options.get("id")) or entries
    return _convert(entries, name, **options)


def json_columns(data: bytes, name: str, *, lines: bool) -> list[str]:
    """Return the keys of the first entry, or none if it is not an object."""
    text = decode_utf8(data, name)
    if lines:
        text = text.lstrip().partition("\n")[0]
    first = (parse_lines if lines else parse_json)(text, name)[0].value
    return list(first) if isinstance(first, dict) else []


def _convert(
    entries: list[Entry],
    name: str,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    unit: str = "characters",
    sort: bool = False,
    layout: str | None = None,
) -> Sequences:
    form = _common_form(entries, name)
    if form == "object":
        if layout is not None or are_events(entries, id, time, columns):
            return from_events(
                entries,
                name,
                id=id,
                time=time,
                columns=columns,
                column_types=column_types,
                sort=sort,
                layout=layout,
            )
    elif id is not None or columns is not None:
        raise SchemaError(
            f"{name} holds {FORMS[form]} per line, without names. Leave id= and columns= out."
        )
    for option, given in (("time", time), ("sort", sort), ("layout", layout)):
        if given:
            raise SchemaError(
                f"{name} holds {FORMS[form]} for each sequence, but {option}= needs files with one "
                "object per step. Leave it out."
            )
    if form == "object":
        return from_objects(entries, name, id, columns, column_types, unit)
    if form == "text":
        return from_strings([entry.value for entry in entries], name, column_types, unit=unit)
    return (_from_rows if form == "rows" else _from_flat)(entries, name, column_types, unit)


def _form(value: Any) -> str | None:
    """Return the form of one value, or "" for an empty list, which fits two forms."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "object"
    if not isinstance(value, list):
        return None
    if not value:
        return ""
    return "rows" if isinstance(value[0], list) else "flat"


def _common_form(entries: list[Entry], name: str) -> str:
    common, first = "", ""
    for place, value in entries:
        form = _form(value)
        if form is None:
            raise FileFormatError(
                f"{name}, {place} is {json.dumps(value)}. Expected a list, a string or an "
                "object for each sequence."
            )
        if not common:
            common, first = form, place
        elif form != common and not (form == "" and common in {"flat", "rows"}):
            found = FORMS.get(form, "an empty list")
            raise FileFormatError(
                f"{name}, {place} is {found}, but {first} is {FORMS[common]}. "
                "All lines need the same form."
            )
    return common or "flat"


def _from_flat(entries: list[Entry], name: str, column_types: ColumnTypes, unit: str) -> Sequences:
    for entry in entries:
        check_cells(entry.value, f"{name}, {entry.place}")
    values = [entry.value for entry in entries]
    rows = Rows("", lambda row: entries[row].place)
    parts = parts_from_list(values, column_types=column_types, rows=rows)
    if parts.schema.layout == "tokens" and unit == "words":
        parts = parts._replace(schema=Schema(parts.schema.columns, "words"))
    return Sequences(*parts)


def _from_rows(entries: list[Entry], name: str, column_types: ColumnTypes, unit: str) -> Sequences:
    del unit  # applies to strings and tokens
    width: int | None = None
    first = ""
    rows: list[list[Any]] = []
    for where, value in entries:
        for step, row in enumerate(value):
            place = f"{name}, {where}, step {step}"
            if not isinstance(row, list):
                raise FileFormatError(f"{place} is not a list. Expected a list of features.")
            if width is None:
                width, first = len(row), where
            if not row:
                raise FileFormatError(f"{place} has no features. Expected at least one.")
            if len(row) != width:
                raise FileFormatError(
                    f"{place} has {len(row)} features, but {first} begins with {width}. "
                    "All steps need the same."
                )
            check_cells(row, place)
            rows.append(row)
    raws = [as_objects(column) for column in zip(*rows, strict=True)]
    offsets = offsets_from_lengths([len(entry.value) for entry in entries])
    names = default_names(len(raws))
    places = Places(offsets, note=lambda sequence, _: entries[sequence].place)
    values, columns = encode_columns(raws, names, column_types, places)
    check_values(values, Schema(columns), places)
    return Sequences(values, offsets, schema=Schema(columns))
