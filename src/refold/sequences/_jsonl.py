"""JSON lines: one sequence a line, as rows, a plain list, a string or an object of named lists."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import FileFormatError, SchemaError
from refold.sequences._access import decode_utf8
from refold.sequences._checks import check_ids
from refold.sequences._columns import Kinds, encode_columns, resolve_kinds
from refold.sequences._parts import Places, offsets_from_lengths
from refold.sequences._schema import Layout, Schema, default_names
from refold.sequences._sequences import Sequences
from refold.sequences._text import text_sequences

__all__ = ["parse_lines", "read_jsonl"]

FORMS = {
    "text": "a string",
    "flat": "a list of numbers or tokens",
    "rows": "a list of rows",
    "object": "an object of named lists",
}
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Entry(NamedTuple):
    """One line's value and its number, from 1."""

    line: int
    value: Any


def read_jsonl(
    data: bytes,
    name: str,
    *,
    id: str | None = None,  # noqa: A002
    columns: Sequence[str] | None = None,
    kinds: Kinds = None,
    unit: str = "characters",
) -> Sequences:
    r"""Read one sequence a line; blank lines are passed over.

    Raises
    ------
    FileFormatError
        If a line is no JSON, or has another form than the lines before it.
    SchemaError
        If objects lack the id or a column.

    Examples
    --------
    >>> read_jsonl(b'[[1, 2], [3, 4]]\n[]\n', "pairs.jsonl").lengths
    array([2, 0])
    """
    entries = parse_lines(decode_utf8(data, name), name)
    form = _common_form(entries, name)
    if form != "object" and (id is not None or columns is not None):
        raise SchemaError(f"{name} holds {FORMS[form]} a line, without names. Leave id=, columns=.")
    if form == "text":
        return _from_text([entry.value for entry in entries], name, kinds, unit=unit)
    if form == "flat":
        for entry in entries:
            _check_cells(entry.value, f"{name}, line {entry.line}")
        values = [entry.value for entry in entries]
        sequences = Sequences.from_list(values, kinds=kinds)
        if sequences.schema.layout == "tokens" and unit == "words":
            return Sequences.from_list(values, kinds=kinds, layout="words")
        return sequences
    if form == "rows":
        return _from_rows(entries, name, kinds)
    return _from_objects(entries, name, id, columns, kinds, unit)


def parse_lines(text: str, name: str) -> list[Entry]:
    """Return the value of each line that is not blank, with its number.

    Raises
    ------
    FileFormatError
        If a line is no JSON, holds half a character, or all are blank.
    """
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
                "Expected one whole sequence on each line."
            ) from error
        _check_characters(line, value, f"{name}, line {number}")
        entries.append(Entry(number, value))
    if not entries:
        raise FileFormatError(f"{name} is empty: it holds blank lines only.")
    return entries


def _from_text(
    lines: list[str],
    name: str,
    kinds: Kinds,
    *,
    unit: str,
    ids: np.ndarray | None = None,
    column: str = "token",
) -> Sequences:
    if resolve_kinds(kinds, [column])[0] not in {None, "categorical"}:
        raise SchemaError(f"{name} holds strings, whose steps are categorical. Leave kinds= out.")
    return text_sequences(lines, unit=unit, ids=ids, name=column)


def _check_characters(line: str, value: Any, place: str) -> None:
    """Raise ``FileFormatError`` where an escape is half a character, which no file can hold."""
    if not SURROGATE.search(line):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise FileFormatError(
            f"{place} holds {half}, half of a pair that is one character. Give both halves, or "
            "the character itself."
        ) from error


def _form(value: Any) -> str | None:
    """Return the form of one line, "" for an empty list, which fits two forms."""
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
    common, first = "", 0
    for line, value in entries:
        form = _form(value)
        if form is None:
            raise FileFormatError(
                f"{name}, line {line} is {json.dumps(value)}. Expected a list, a string or an "
                "object for each sequence."
            )
        if not common:
            common, first = form, line
        elif form != common and not (form == "" and common in {"flat", "rows"}):
            found = FORMS.get(form, "an empty list")
            raise FileFormatError(
                f"{name}, line {line} is {found}, but line {first} is {FORMS[common]}. "
                "All lines need the same form."
            )
    return common or "flat"


def _check_cells(cells: Iterable[Any], place: str) -> None:
    for position, cell in enumerate(cells):
        if isinstance(cell, list | dict):
            raise FileFormatError(
                f"{place}: entry {position} is {_kind(cell)}. Expected a number, a token or null."
            )


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"


def _from_rows(entries: list[Entry], name: str, kinds: Kinds) -> Sequences:
    width: int | None = None
    first = 0
    rows: list[list[Any]] = []
    for line, value in entries:
        for step, row in enumerate(value):
            place = f"{name}, line {line}, step {step}"
            if not isinstance(row, list):
                raise FileFormatError(f"{place} is no list. Expected one row of features a step.")
            if width is None:
                width, first = len(row), line
            if not row:
                raise FileFormatError(f"{place} has no features. Expected at least one.")
            if len(row) != width:
                raise FileFormatError(
                    f"{place} has {len(row)} features, but line {first} begins with {width}. "
                    "All steps need the same."
                )
            _check_cells(row, place)
            rows.append(row)
    raws = [_objects(column) for column in zip(*rows, strict=True)]
    offsets = offsets_from_lengths([len(entry.value) for entry in entries])
    names = default_names(len(raws))
    values, columns = encode_columns(raws, names, kinds, Places(offsets))
    return Sequences(values, offsets, schema=Schema(columns))


def _from_objects(
    entries: list[Entry],
    name: str,
    id_key: str | None,
    columns: Sequence[str] | None,
    kinds: Kinds,
    unit: str,
) -> Sequences:
    id_key = _id_key(entries[0].value, id_key, name)
    if columns is None:
        columns = [key for key in entries[0].value if key != id_key]
    if not columns:
        raise SchemaError(f"{name}, line {entries[0].line} has no column beside the id.")
    text = len(columns) == 1 and isinstance(entries[0].value.get(columns[0]), str)
    lengths = [_length(entry, name, id_key, columns, str if text else list) for entry in entries]
    ids = None
    if id_key is not None:
        ids = check_ids([entry.value[id_key] for entry in entries], len(entries))
    if text:
        lines = [entry.value[columns[0]] for entry in entries]
        return _from_text(lines, name, kinds, unit=unit, ids=ids, column=columns[0])
    offsets = offsets_from_lengths(lengths)
    raws = [
        _objects([cell for entry in entries for cell in entry.value[column]]) for column in columns
    ]
    values, found = encode_columns(raws, list(columns), kinds, Places(offsets, ids))
    layout: Layout = "array"
    if len(columns) == 1:
        words: Layout = "words" if unit == "words" else "tokens"
        layout = words if found[0].kind == "categorical" else "series"
    return Sequences(values, offsets, ids, Schema(found, layout))


def _id_key(first: dict[str, Any], asked: str | None, name: str) -> str | None:
    if asked is not None and asked not in first:
        raise SchemaError(f"{name} has no id {asked!r}. Its keys are {', '.join(first)}.")
    return asked or ("id" if "id" in first else None)


def _length(entry: Entry, name: str, id_key: str | None, columns: Sequence[str], form: type) -> int:
    """Return the steps of an object, whose lists must be of one length, or its lone string."""
    place = f"{name}, line {entry.line}"
    if id_key is not None and not isinstance(entry.value.get(id_key), str | int):
        raise SchemaError(f"{place}: the id {id_key!r} must be text or an integer.")
    lengths = {}
    for column in columns:
        if column not in entry.value:
            raise SchemaError(f"{place} lacks {column!r}. It has {', '.join(entry.value)}.")
        cells = entry.value[column]
        if not isinstance(cells, form):
            wanted = "a list, one entry a step" if form is list else "a string, as before"
            raise FileFormatError(f"{place}: {column!r} must be {wanted}.")
        _check_cells(cells, f"{place}, {column!r}")
        lengths[column] = len(cells)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{column!r} {length}" for column, length in lengths.items())
        raise FileFormatError(f"{place} has lists of differing length: {found}.")
    return lengths[columns[0]]


def _objects(cells: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = list(cells)
    return array
