"""JSON objects of named lists or strings, one per sequence."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.files.formats._json_entries import Entry, as_objects, check_cells
from refold.sequences.files.formats._text import text_sequences
from refold.sequences.schema._column_types import ColumnTypes, encode_columns, resolve_column_types
from refold.sequences.schema._parts import Places, offsets_from_lengths
from refold.sequences.schema._schema import Layout, Schema
from refold.sequences.schema._validation import check_ids, check_values

__all__ = ["from_objects", "from_strings"]


def from_objects(
    entries: list[Entry],
    name: str,
    id_key: str | None,
    columns: Sequence[str] | None,
    column_types: ColumnTypes,
    unit: str,
) -> Sequences:
    """Convert objects with one list per feature, or with one string.

    Raises
    ------
    SchemaError
        If an object lacks the id or a column.
    FileFormatError
        If a column is not a list, or the lists of an object differ in length.
    """
    id_key = _id_key(entries[0].value, id_key, name)
    if columns is None:
        columns = [key for key in entries[0].value if key != id_key]
    if not columns:
        raise SchemaError(f"{name}, {entries[0].place} has no feature columns besides the id.")
    text = len(columns) == 1 and isinstance(entries[0].value.get(columns[0]), str)
    lengths = [_length(entry, name, id_key, columns, str if text else list) for entry in entries]
    ids = None
    if id_key is not None:
        ids = check_ids([entry.value[id_key] for entry in entries], len(entries))
    if text:
        lines = [entry.value[columns[0]] for entry in entries]
        return from_strings(lines, name, column_types, unit=unit, ids=ids, column=columns[0])
    offsets = offsets_from_lengths(lengths)
    raws = [
        as_objects([cell for entry in entries for cell in entry.value[column]])
        for column in columns
    ]
    places = Places(offsets, ids, note=lambda sequence, _: entries[sequence].place)
    values, found = encode_columns(raws, list(columns), column_types, places)
    layout: Layout = "array"
    if len(columns) == 1:
        words: Layout = "words" if unit == "words" else "tokens"
        layout = words if found[0].type == "categorical" else "series"
    schema = Schema(found, layout)
    check_values(values, schema, places)
    return Sequences(values, offsets, ids, schema)


def from_strings(
    lines: list[str],
    name: str,
    column_types: ColumnTypes,
    *,
    unit: str,
    ids: np.ndarray | None = None,
    column: str = "token",
) -> Sequences:
    """Return sequences of the characters or words of strings."""
    if resolve_column_types(column_types, [column])[0] not in {None, "categorical"}:
        raise SchemaError(
            f"{name} holds strings, whose steps are categorical. Leave column_types= out."
        )
    return text_sequences(lines, unit=unit, ids=ids, name=column)


def _id_key(first: dict[str, Any], asked: str | None, name: str) -> str | None:
    if asked is not None and asked not in first:
        raise SchemaError(f"{name} has no id {asked!r}. Its keys are {', '.join(first)}.")
    return asked or ("id" if "id" in first else None)


def _length(entry: Entry, name: str, id_key: str | None, columns: Sequence[str], form: type) -> int:
    """Return the number of steps of an object; its lists must have equal lengths."""
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
    return lengths[columns[0]]
