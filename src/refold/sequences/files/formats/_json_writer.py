"""Writer of JSON lines, with the shortest decimal that restores each number."""

import json
from typing import Any

import numpy as np

from refold.errors import SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.schema._decoding import decode_column
from refold.sequences.schema._schema import UNKNOWN, Column, has_default_names

__all__ = ["write_jsonl"]


def write_jsonl(sequences: Sequences, *, layout: str | None = None, id: str = "id") -> bytes:  # noqa: A002
    """Return one line per sequence.

    A line is an object with an id and named lists if ``layout`` is ``"list"``, or if ids or names
    would be lost otherwise; else rows, a flat list or a string. A missing entry is ``null``, and
    so is an unknown entry of a column with integer categories.
    """
    schema = sequences.schema
    own_ids = not np.array_equal(sequences.ids, np.arange(len(sequences)))
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
    if column.type == "categorical":
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
