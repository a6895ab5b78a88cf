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
from refold.files.tables import TABLE_OPTIONS, TableOptions, check_label, from_file_table
from refold.files.text import text_sequences
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import Rows, check_ids, resolve_column_types
from refold.sequences._schema import Column, Schema, decode_column, has_default_names
from refold.sequences._sequences import Sequences
from refold.sequences.types import CATEGORICAL, UNKNOWN

# A sequence is a list of rows, a flat list, a string, or an object of named lists. An event is an
# object of single values, like a row of a long table.
_Cell = bool | int | float | str | None
_TYPES = {"text": str, "flat": list[_Cell], "rows": list[list[_Cell]], "object": dict[str, Any]}
_FORMS = {
    "text": "a string",
    "flat": "a list of numbers or tokens",
    "rows": "a list of rows",
    "object": "an object",
}
_MISMATCH = re.compile(r"Expected `(.+)`, got `(.+)` - at `\$\[(\d+)\](.*)`")


class Entries(NamedTuple):
    """The values of a file, one per sequence or event, and their places in it."""

    values: list[Any]
    rows: Rows  # "line 3" or "entry 2"


def parse_jsonl(data: bytes, name: str) -> Entries:
    """Return the value of each line that is not blank."""
    values, numbers = [], []
    for number, line in enumerate(_without_mark(data).split(b"\n"), start=1):
        if line.strip():
            values.append(_decode(line, name, number))
            numbers.append(number)
    if not values:
        raise FileFormatError(f"{name} is empty: it holds only blank lines.")
    return Entries(values, Rows("line", numbers.__getitem__))


def parse_json(data: bytes, name: str) -> Entries:
    """Return the entries of a JSON array, or a lone object or string."""
    data = _without_mark(data)
    try:
        value = _decode(data, name) if data.strip() else None
    except FileFormatError as error:
        if "trailing characters" not in str(error):
            raise
        value = None
    if value is None:  # more values follow, as in JSON lines, or there is none
        return parse_jsonl(data, name)
    if isinstance(value, dict | str):
        return Entries([value], Rows("line", lambda _: 1))
    if not isinstance(value, list) or not value:
        raise FileFormatError(
            f"{name} holds {json.dumps(value)[:40]}. Expected an array of sequences or of records, "
            "with at least one, an object or a string."
        )
    return Entries(value, Rows("entry"))


def _without_mark(data: bytes) -> bytes:
    return data.removeprefix(b"\xef\xbb\xbf")


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


def read_jsonl(data: bytes, name: str, **options: Any) -> Sequences:
    """Read one sequence or event per line; blank lines are skipped."""
    return _convert(parse_jsonl(data, name), name, **options)


def read_json(data: bytes, name: str, **options: Any) -> Sequences:
    """Read an array of sequences or events, or an object: a table by columns or one sequence."""
    entries = parse_json(data, name)
    if len(entries.values) == 1 and isinstance(entries.values[0], dict):
        entries = _rows_of_table(entries, name, options.get("id") or "id")
    return _convert(entries, name, **options)


def json_columns(data: bytes, name: str, *, lines: bool) -> list[str]:
    """Return the keys of the first entry, or none if it is not an object."""
    if lines:  # later lines may be large, and need not be parsed
        data = _without_mark(data).lstrip().partition(b"\n")[0]
    first = (parse_jsonl if lines else parse_json)(data, name).values[0]
    return list(first) if isinstance(first, dict) else []


def json_labels(
    data: bytes, name: str, label: str, id_column: str | None, *, lines: bool
) -> tuple[list, list]:
    """Return the ids and labels of the entries."""
    ids, values = [], []
    entries = (parse_jsonl if lines else parse_json)(data, name)
    for row, value in enumerate(entries.values):
        place = f"{name}, {entries.rows(row)}"
        if not isinstance(value, dict):
            raise SchemaError(f"{place} has no names, so it has no {label!r}.")
        check_label(list(value), place, label, id_column)
        ids.append(value.get(id_column or "id", len(ids)))
        values.append(value[label])
    _check(entries, values, _Cell, name, label)
    return ids, values


def _rows_of_table(entries: Entries, name: str, id_key: str) -> Entries:
    """Return the rows of an object that holds a table by columns, else the object."""
    table = entries.values[0]
    # The columns of a table are arrays or, as pandas writes them, objects by row.
    if not isinstance(table.get(id_key), list | dict):
        return entries
    ids, columns = table[id_key], []
    size, rows = len(ids), sorted(ids) if isinstance(ids, dict) else None
    for key, column in table.items():
        cells = column
        if isinstance(column, dict) and sorted(column) == rows:
            cells = [column[row] for row in ids]
        if not isinstance(cells, list) or len(cells) != size:
            raise FileFormatError(
                f"{name}: {key!r} has other rows than {id_key!r}, which has {size}. All columns "
                "of a table need the same rows."
            )
        columns.append(cells)
    records = [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return Entries(records, Rows())


def _convert(
    entries: Entries, name: str, *, unit: str = "characters", **table_options: Any
) -> Sequences:
    values, options = entries.values, TableOptions(**table_options)
    form = _form(entries, name)
    _check(entries, values, _TYPES[form], name)
    if form == "object":
        if _hold_strings(values, options):
            return _from_strings(entries, name, options, unit)
        sequences = _from_records(entries, name, options)
        return _as_words(sequences) if unit == "words" else sequences
    for option in ("id", "time", "columns", "sort", "layout", "time_gaps"):
        if getattr(options, option):
            raise SchemaError(
                f"{name} holds {_FORMS[form]} for each sequence, but {argument(f'{option}=')} "
                "needs objects with names. Leave it out."
            )
    if form == "text":
        return _from_strings(entries, name, options, unit)
    if form == "rows":
        width: int | None = None
        for i, steps in enumerate(values):
            for step, row in enumerate(steps):
                width = len(row) if width is None else width
                if not row or len(row) != width:
                    raise FileFormatError(
                        f"{name}, {entries.rows(i)}, step {step} has {len(row)} features. Expected "
                        f"{max(1, width)}, as all steps need the same; write null for a missing "
                        "one."
                    )
        # as objects, because a row may mix numbers and tokens
        values = [np.array(rows, dtype=object) if rows else [] for rows in values]
    parts = parts_from_list(values, rows=entries.rows, column_types=options.column_types)
    return _as_words(Sequences(*parts)) if unit == "words" else Sequences(*parts)


def _as_words(sequences: Sequences) -> Sequences:
    """Return sequences of tokens as sequences of words, which are joined by spaces in text."""
    if sequences.schema.layout == "tokens":
        sequences.schema = Schema(sequences.schema.columns, "words")
    return sequences


def _form(entries: Entries, name: str) -> str:
    """Return the form of the first sequence that is not an empty list, which fits two forms."""
    row, value = next(
        ((i, entry) for i, entry in enumerate(entries.values) if entry != []), (0, [1.0])
    )
    if isinstance(value, list):
        return "rows" if isinstance(value[0], list) else "flat"
    form = {str: "text", dict: "object"}.get(type(value))
    if form is None:
        raise FileFormatError(
            f"{name}, {entries.rows(row)} is {json.dumps(value)}. Expected a list, a string or an "
            "object for each sequence."
        )
    return form


def _check(
    entries: Entries, values: Sequence[Any], type_: Any, name: str, key: str | None = None
) -> None:
    """Raise ``FileFormatError`` for the first value of another type, with its place."""
    import msgspec

    try:
        msgspec.convert(values, list[type_])
    except msgspec.ValidationError as error:
        match = _MISMATCH.fullmatch(str(error))
        if match is None:
            raise
        expected, got, row, path = match.groups()
        place = f"{name}, {entries.rows(int(row))}" + ("" if key is None else f", {key!r}")
        if key is None and not path:
            form = _FORMS[_form(entries, name)]
            raise FileFormatError(
                f"{place} is of type {got}, but others are {form}. All need the same form."
            ) from error
        inner = zip((", step ", ", feature "), re.findall(r"\d+", path), strict=False)
        place += "".join(f"{noun}{index}" for noun, index in inner)
        raise FileFormatError(f"{place}: expected {expected}. Got {got}.") from error


def _hold_strings(values: list[dict[str, Any]], options: TableOptions) -> bool:
    """Return whether each object is a sequence of characters or words, with or without an id."""
    id_key, time_key = options.id or "id", options.time or "time"
    if options.layout is not None or any(time_key in value for value in values):
        return False
    for value in values:
        cells = [value[key] for key in options.columns or value if key in value and key != id_key]
        if len(cells) != 1 or not isinstance(cells[0], str):
            return False
    # if an id repeats, its texts are steps
    ids = [value[id_key] for value in values if id_key in value]
    return len({*map(str, ids)}) == len(ids)


def _from_strings(entries: Entries, name: str, options: TableOptions, unit: str) -> Sequences:
    """Return sequences of the characters or words of strings."""
    texts, ids, column = entries.values, None, "token"
    if isinstance(texts[0], dict):
        id_key = options.id or "id"
        column = next(iter(options.columns or [key for key in texts[0] if key != id_key]))
        if id_key in texts[0]:
            ids = [value.get(id_key) for value in entries.values]
            _check(entries, ids, bool | int | str, name, id_key)
            ids = check_ids(ids, len(ids))
        texts = [value.get(column) for value in entries.values]
        _check(entries, texts, str, name, column)
    if resolve_column_types(options.column_types, [column])[0] not in {None, CATEGORICAL.name}:
        raise SchemaError(
            f"{name} holds strings, whose steps are categorical. Leave {argument('column_types=')} "
            "out."
        )
    return text_sequences(texts, unit=unit, ids=ids, name=column)


def _from_records(entries: Entries, name: str, options: TableOptions) -> Sequences:
    """Convert objects with one list or one value per feature, as the rows of a table."""
    keys = used = list(dict.fromkeys(key for value in entries.values for key in value))
    if options.columns is not None:
        roles = {options.id or "id", options.time or "time", *options.columns}
        used = [key for key in keys if key in roles] or keys
    types = {bool: bool | None, str: str | None, list: list[_Cell]}
    columns = {}
    for key in used:  # all lists, all numbers, all booleans or all text
        cells = [value.get(key) for value in entries.values]
        first = next((cell for cell in cells if cell is not None), None)
        _check(entries, cells, types.get(type(first), int | float | None), name, key)
        try:
            columns[key] = pa.array(cells)
        except OverflowError:  # integers that no type of Arrow holds; ids become text
            to = str if key == (options.id or "id") else float
            columns[key] = pa.array([None if cell is None else to(cell) for cell in cells])
        except pa.ArrowException as error:
            raise DataError(f"{name}: {key!r} mixes numbers and text in its lists.") from error
    return from_file_table(pa.table(columns), name, options, entries.rows, names=keys)


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
    read_jsonl,
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
    read_json,
    TABLE_OPTIONS | {"unit"},
    columns=partial(json_columns, lines=False),
    labels=partial(json_labels, lines=False),
)
