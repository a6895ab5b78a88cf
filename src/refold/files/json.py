"""JSON lines, one sequence or one event per line, and JSON files with an array of either."""

import contextlib
import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.files.formats import Format, decode_utf8
from refold.files.tables import (
    LONG_OPTIONS,
    TABLE_OPTIONS,
    TableOptions,
    check_label,
    from_file_table,
)
from refold.files.text import text_sequences
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import Rows
from refold.sequences._schema import Column, decode_column, has_default_names
from refold.sequences._sequences import Sequences
from refold.sequences.types import UNKNOWN

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A sequence is a list of rows, a flat list, a string, or an object of named lists. An event is an
# object of single values, like a row of a long table.
_Cell = bool | int | float | str | None


class Entries(NamedTuple):
    """The values of a file, one per sequence or event, and their places in it."""

    values: list[Any]
    rows: Rows  # "line 3" or "entry 2"


def parse_jsonl(data: bytes, name: str) -> Entries:
    """Return the value of each line that is not blank."""
    values, numbers = [], []
    for number, line in enumerate(data.removeprefix(_BYTE_ORDER_MARK).split(b"\n"), start=1):
        if line.strip():
            values.append(_decode(line, name, number))
            numbers.append(number)
    if not values:
        raise FileFormatError(f"{name} is empty: it holds only blank lines.")
    return Entries(values, Rows("line", numbers.__getitem__))


def parse_json(data: bytes, name: str) -> Entries:
    """Return the entries of a JSON array, a lone object or string, or JSON lines."""
    data = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = _decode(data, name)
    except FileFormatError:
        with contextlib.suppress(FileFormatError):  # some files of this name are JSON lines
            return parse_jsonl(data, name)
        raise
    if isinstance(value, list):
        return Entries(value, Rows("entry"))
    return Entries([value], Rows("line", lambda _: 1))


def _decode(data: bytes, name: str, number: int | None = None) -> Any:
    """Return the value of a text or of a line with this number; an error names the line."""
    import msgspec  # here, because most programs read no JSON, and it takes 0.05 s

    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if b"NaN" in data or b"Infinity" in data:
            # Python's module writes these words, and JSON has none of them
            with contextlib.suppress(ValueError, RecursionError):
                return json.loads(data)
        decode_utf8(data, name, number or 1)
        at = re.search(r"\(byte (\d+)\)", str(error))
        line = number or 1 + data.count(b"\n", 0, int(at[1]) if at else len(data.rstrip()))
        advice = "" if number is None else ". Expected one whole sequence per line"
        raise FileFormatError(f"{name}, line {line} is not JSON: {error}{advice}.") from error


def read_json(data: bytes, name: str, *, lines: bool, **options: Any) -> Sequences:
    """Read one sequence or event per line or entry, or the columns of a table."""
    entries = (parse_jsonl if lines else parse_json)(data, name)
    if not lines and len(entries.values) == 1 and isinstance(entries.values[0], dict):
        entries = _rows_of_table(entries, name, options.get("id") or "id")
    return _convert(entries, name, **options)


def _rows_of_table(entries: Entries, name: str, id_key: str) -> Entries:
    """Return the rows of an object that holds a table by columns, else the object."""
    table = entries.values[0]
    # The columns of a table are arrays or, as pandas writes them, objects by row.
    if not isinstance(table.get(id_key), list | dict):
        return entries
    rows = [*table[id_key]] if isinstance(table[id_key], dict) else range(len(table[id_key]))
    columns = []
    for key, column in table.items():
        cells = column if isinstance(column, dict) else dict(enumerate(column))
        if {*cells} != {*rows}:
            raise FileFormatError(
                f"{name}: {key!r} has other rows than {id_key!r}, which has {len(rows)}. All "
                "columns of a table need the same rows."
            )
        columns.append([cells[row] for row in rows])
    records = [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return Entries(records, Rows())


def json_columns(data: bytes, name: str, *, lines: bool) -> list[str]:
    """Return the keys of the first entry, or none if it is not an object."""
    if lines:  # later lines may be large, and need not be parsed
        data = data.removeprefix(_BYTE_ORDER_MARK).lstrip().partition(b"\n")[0]
    first = (parse_jsonl if lines else parse_json)(data, name).values[:1]
    return list(first[0]) if first and isinstance(first[0], dict) else []


def json_labels(
    data: bytes, name: str, label: str, id_column: str | None, *, lines: bool
) -> pa.Table:
    """Return the labels of the entries, and their ids if they have any."""
    entries = (parse_jsonl if lines else parse_json)(data, name)
    _check(entries, entries.values, dict[str, Any], name)
    keys = list(dict.fromkeys(key for value in entries.values for key in value))
    check_label(keys, name, label, id_column)
    id_column = id_column or "id"
    used = [key for key in keys if key in {label, id_column}]
    return _table(entries, name, used, as_text={label, id_column})


def _convert(
    entries: Entries, name: str, *, unit: str = "characters", **table_options: Any
) -> Sequences:
    values, options = entries.values, TableOptions(**table_options)
    # all sequences have the type of the first one that is not empty
    first = next((value for value in values if value != []), [])
    type_ = _type_of(first)
    _check(entries, values, type_, name)
    if isinstance(first, dict):
        return _from_objects(entries, name, unit, options)
    for option in (*LONG_OPTIONS, "id", "columns", "sort", "layout"):
        if getattr(options, option):
            raise SchemaError(
                f"{name} holds no objects with names, which {argument(f'{option}=')} needs. Leave "
                "it out."
            )
    if isinstance(first, str):
        return text_sequences(values, unit=unit, column_types=options.column_types)
    if type_ == list[list[_Cell]]:
        width = len(first[0])
        for i, steps in enumerate(values):
            for step, row in enumerate(steps):
                if len(row) != width:
                    raise FileFormatError(
                        f"{name}, {entries.rows(i)}, step {step} has {len(row)} features. Expected "
                        f"{width}, as all steps need the same; write null for a missing one."
                    )
        # as objects, because a row may mix numbers, tokens and booleans
        values = [np.array(steps, dtype=object) if steps else [] for steps in values]
    return Sequences(*parts_from_list(values, rows=entries.rows, column_types=options.column_types))


def _type_of(value: Any) -> Any:
    """Return the type of sequences of the form of an example, or of all forms."""
    if isinstance(value, list):
        return list[list[_Cell]] if value and isinstance(value[0], list) else list[_Cell]
    return {str: str, dict: dict[str, Any]}.get(type(value), list | str | dict)


def _check(
    entries: Entries, values: Sequence[Any], type_: Any, name: str, key: str | None = None
) -> None:
    """Raise ``FileFormatError`` for the first value of another type, with its place."""
    import msgspec

    for row, value in enumerate(values):
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            place = f"{name}, {entries.rows(row)}" + ("" if key is None else f", {key!r}")
            raise FileFormatError(f"{place}: {error}. All need the same form.") from error


def _from_objects(entries: Entries, name: str, unit: str, options: TableOptions) -> Sequences:
    """Convert objects with one list, value or string per feature, as the rows of a table."""
    id_key, time_key = options.id or "id", options.time or "time"
    keys = list(dict.fromkeys(key for value in entries.values for key in value))
    if options.columns is not None:
        keys = [key for key in keys if key in {id_key, time_key, *options.columns}] or keys
    table = _table(entries, name, keys, as_text={id_key})
    features = [key for key in keys if key != id_key]
    if len(features) == 1 and features != [time_key] and options.layout is None:
        texts = table[features[0]]
        ids = table[id_key].to_pylist() if id_key in keys else None
        # if an id repeats, its texts are steps
        is_unique = ids is None or len({*map(str, ids)}) == len(ids)
        if pa.types.is_string(texts.type) and not texts.null_count and is_unique:
            column = {"name": features[0], "column_types": options.column_types}
            return text_sequences(texts.to_pylist(), unit=unit, ids=ids, **column)
    return from_file_table(table, name, options, entries.rows)


def _table(entries: Entries, name: str, keys: Sequence[str], as_text: set[str]) -> pa.Table:
    """Return some keys of objects as a table; integers that no type holds are text or floats."""
    types = {bool: bool | None, str: str | None, list: list[_Cell]}
    columns = {}
    for key in keys:  # all lists, all numbers, all booleans or all text
        cells = [value.get(key) for value in entries.values]
        first = next((cell for cell in cells if cell is not None), None)
        _check(entries, cells, types.get(type(first), int | float | None), name, key)
        try:
            columns[key] = pa.array(cells)
        except OverflowError:
            to = str if key in as_text else float
            columns[key] = pa.array([None if cell is None else to(cell) for cell in cells])
        except pa.ArrowException as error:
            raise DataError(f"{name}: {key!r} mixes numbers and text in its lists.") from error
    return pa.table(columns)


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
        if not column.has_integer_categories:
            return cells
        whole = True
    else:
        if values.dtype == np.float32:
            # By way of the shortest decimal: 0.1, not 0.10000000149011612.
            values = values.astype(str).astype(np.float64)
        cells, present = values.tolist(), values[~np.isnan(values)]
        whole = len(present) and (present == np.round(present)).all()
        whole = whole and np.abs(present).max() < 2**53
    return [None if cell != cell else int(cell) if whole else cell for cell in cells]


JSONL = Format(
    "jsonl",
    (".jsonl", ".ndjson"),
    partial(read_json, lines=True),
    TABLE_OPTIONS | {"unit"},
    write_jsonl,
    frozenset({"id", "layout"}),
    ("list",),
    columns=partial(json_columns, lines=True),
    labels=partial(json_labels, lines=True),
)
JSON = Format(
    "json",
    (".json",),
    partial(read_json, lines=False),
    TABLE_OPTIONS | {"unit"},
    columns=partial(json_columns, lines=False),
    labels=partial(json_labels, lines=False),
)
