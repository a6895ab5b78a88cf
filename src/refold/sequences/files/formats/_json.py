"""JSON lines, one sequence or one event per line, and JSON files with an array of either."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from refold.errors import FileFormatError, SchemaError, argument
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files.formats._json_entries import (
    Entry,
    are_events,
    check_cells,
    entries_of_columns,
    from_events,
    parse_json,
    parse_lines,
)
from refold.sequences.files.formats._text import text_sequences
from refold.sequences.files.tables._layout_detection import TableOptions
from refold.sequences.schema._column_types import ColumnTypes, decode_column, resolve_column_types
from refold.sequences.schema._parts import Parts, Rows, check_ids
from refold.sequences.schema._schema import (
    Column,
    Layout,
    Schema,
    has_default_names,
)
from refold.sequences.types import CATEGORICAL, UNKNOWN

# A sequence is an array of rows, a flat array, a string, or an object of named arrays. An event is
# an object of single values, like a row of a long table.
FORMS = {
    "text": "a string",
    "flat": "a list of numbers or tokens",
    "rows": "a list of rows",
    "object": "an object of named lists",
}


def read_jsonl(data: bytes, name: str, **options: Any) -> Sequences:
    """Read one sequence or event per line; blank lines are skipped."""
    return _convert(parse_lines(decode_utf8(data, name), name), name, **options)


def read_json(data: bytes, name: str, **options: Any) -> Sequences:
    """Read an array of sequences or events, or an object: a table by columns or one sequence."""
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
    entries: list[Entry], name: str, *, unit: str = "characters", **options: Any
) -> Sequences:
    form, asked = _common_form(entries, name), TableOptions(**options)
    if form == "object":
        if asked.layout is not None or are_events(entries, asked):
            return from_events(entries, name, asked)
    elif asked.id is not None or asked.columns is not None:
        raise SchemaError(
            f"{name} holds {FORMS[form]} per line, without names. Leave {argument('id=')} and "
            f"{argument('columns=')} out."
        )
    for option in ("time", "sort", "layout", "time_gaps"):
        if getattr(asked, option):
            raise SchemaError(
                f"{name} holds {FORMS[form]} for each sequence, but {argument(f'{option}=')} needs "
                "files with one object per step. Leave it out."
            )
    if form == "object":
        return _from_objects(entries, name, asked, unit)
    if form == "text":
        return _from_strings([entry.value for entry in entries], name, asked.column_types, unit)
    if form == "rows":
        return _from_rows(entries, name, asked.column_types)
    for entry in entries:
        check_cells(entry.value, f"{name}, {entry.place}")
    parts = _parts(entries, [entry.value for entry in entries], asked.column_types)
    return Sequences(*(_as_words(parts) if unit == "words" else parts))


def _form(value: object) -> str | None:
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


def _parts(entries: list[Entry], items: Iterable[Any], types: ColumnTypes, **options: Any) -> Parts:
    """Convert one item per entry; messages name the places of the entries."""
    rows = Rows("", lambda row: entries[row].place)
    return parts_from_list(items, column_types=types, rows=rows, **options)


def _as_words(parts: Parts) -> Parts:
    """Return tokens in the layout of words, and other sequences unchanged."""
    if parts.schema.layout != "tokens":
        return parts
    return parts.with_schema(Schema(parts.schema.columns, "words"))


def _from_rows(entries: list[Entry], name: str, column_types: ColumnTypes) -> Sequences:
    width: int | None = None
    first = ""
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
    items = [np.array(entry.value, dtype=object) if entry.value else [] for entry in entries]
    return Sequences(*_parts(entries, items, column_types))


def _from_objects(entries: list[Entry], name: str, asked: TableOptions, unit: str) -> Sequences:
    """Convert objects with one list per feature, or with one string."""
    first, id_key, columns = entries[0].value, asked.id, asked.columns
    if id_key is not None and id_key not in first:
        raise SchemaError(f"{name} has no id {id_key!r}. Its keys are {', '.join(first)}.")
    id_key = id_key or ("id" if "id" in first else None)
    if columns is None:
        columns = [key for key in first if key != id_key]
    if not columns:
        raise SchemaError(f"{name}, {entries[0].place} has no feature columns besides the id.")
    text = len(columns) == 1 and isinstance(first.get(columns[0]), str)
    for entry in entries:
        _check_object(entry, name, id_key, columns, str if text else list)
    ids = None
    if id_key is not None:
        ids = check_ids([entry.value[id_key] for entry in entries], len(entries))
    if text:
        lines = [entry.value[columns[0]] for entry in entries]
        return _from_strings(lines, name, asked.column_types, unit, ids=ids, column=columns[0])
    items = [np.array([entry.value[one] for one in columns], dtype=object).T for entry in entries]
    parts = _parts(entries, items, asked.column_types, names=columns, ids=ids)
    if len(columns) == 1:
        found = parts.schema.columns
        layout: Layout = "tokens" if found[0].column_type.has_categories else "series"
        parts = parts.with_schema(Schema(found, layout))
    return Sequences(*(_as_words(parts) if unit == "words" else parts))


def _from_strings(
    lines: list[str],
    name: str,
    column_types: ColumnTypes,
    unit: str,
    *,
    ids: np.ndarray | None = None,
    column: str = "token",
) -> Sequences:
    """Return sequences of the characters or words of strings."""
    if resolve_column_types(column_types, [column])[0] not in {None, CATEGORICAL.name}:
        raise SchemaError(
            f"{name} holds strings, whose steps are categorical. Leave {argument('column_types=')} "
            "out."
        )
    return text_sequences(lines, unit=unit, ids=ids, name=column)


def _check_object(
    entry: Entry, name: str, id_key: str | None, columns: Sequence[str], form: type
) -> None:
    """Raise an error unless an object has an id, and columns of one form and length."""
    place = f"{name}, {entry.place}"
    if id_key is not None and not isinstance(entry.value.get(id_key), str | int):
        raise SchemaError(f"{place}: the id {id_key!r} must be text or an integer.")
    lengths = {}
    for column in columns:
        if column not in entry.value:
            raise SchemaError(f"{place} lacks {column!r}. It has {', '.join(entry.value)}.")
        cells = entry.value[column]
        if not isinstance(cells, form):
            wanted = "a list, one entry per step" if form is list else "a string, as before"
            raise FileFormatError(f"{place}: {column!r} must be {wanted}.")
        check_cells(cells, f"{place}, {column!r}")
        lengths[column] = len(cells)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{column!r} {length}" for column, length in lengths.items())
        raise FileFormatError(f"{place} has lists of different lengths: {found}.")


def write_jsonl(sequences: Sequences, *, layout: str | None = None, id: str = "id") -> bytes:  # noqa: A002
    """Return one line per sequence; null is a missing entry, or an unknown integer category."""
    schema = sequences.schema
    own_ids = not np.array_equal(sequences.ids, np.arange(len(sequences)))
    # A line is an object with an id and named lists if it must be, or if ids or names would be
    # lost. Otherwise it is rows, a flat list or a string.
    named = layout == "list" or own_ids or id != "id" or not has_default_names(schema)
    if named and id in schema.names:
        raise SchemaError(f"A feature has the name of the id column, {id!r}. Rename it.")
    cells = [_cells(sequences.values[:, i], column) for i, column in enumerate(schema.columns)]
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    # A string cannot hold a missing entry; then all lines are lists.
    text = schema.layout == "characters" and not {None, UNKNOWN} & set(cells[0])
    lines = []
    for identity, (start, stop) in zip(sequences.ids.tolist(), bounds, strict=True):
        parts = [column[start:stop] for column in cells]
        value: list[Any] = parts
        if text:
            value = ["".join(map(str, parts[0]))]
        elif schema.layout == "array" and not named:
            value = [list(map(list, zip(*parts, strict=True)))]
        entry = value[0]
        if named:
            entry = {id: identity, **dict(zip(schema.names, value, strict=True))}
        lines.append(json.dumps(entry, ensure_ascii=False, allow_nan=False))
    return "".join(line + "\n" for line in lines).encode()


def _cells(values: np.ndarray, column: Column) -> list[Any]:
    """Return a flat column as JSON values, None where missing."""
    if column.column_type.has_categories:
        cells = decode_column(values, column).tolist()
        if column.has_integer_categories:
            return [None if cell != cell else int(cell) for cell in cells]
        return cells
    if values.dtype == np.float32:
        # By way of the shortest decimal: 0.1, not 0.10000000149011612.
        values = values.astype(str).astype(np.float64)
    missing = np.isnan(values)
    whole = not missing.all() and bool((values[~missing] == np.round(values[~missing])).all())
    if whole and np.abs(values[~missing]).max() < 2**53:
        return [None if cell != cell else int(cell) for cell in values.tolist()]
    return [None if cell != cell else cell for cell in values.tolist()]
