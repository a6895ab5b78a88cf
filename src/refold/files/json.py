"""JSON lines have one sequence or one event per line, and JSON files have an array of these.

A sequence is a list of rows, a flat list of values, a string, or an object of named lists. An event
is an object of single values. Objects are converted via an Arrow table, and the others as lists.
"""

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
    LONG_TABLE_OPTION_NAMES,
    TABLE_OPTION_NAMES,
    TableOptions,
    check_columns_exist,
    check_label_column,
    sequences_from_table,
    to_long_table,
)
from refold.files.text import sequences_from_lines
from refold.sequences._encoding import RowNamer
from refold.sequences._lists import flat_arrays_from_list
from refold.sequences._schema import Column, Schema, has_default_names, indices_to_categories
from refold.sequences._sequences import Sequences
from refold.sequences.types import UNKNOWN_TEXT

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The type of a value of one feature at one step.
_Cell = bool | int | float | str | None


class JsonEntries(NamedTuple):
    """The JSON values of a file, one per sequence or event: lines, or the items of an array."""

    values: list[Any]
    row_namer: RowNamer  # names the place of a value for messages: "line 3" or "entry 2"


def parse_jsonl_entries(content: bytes, file_name: str) -> JsonEntries:
    """Return the value of each line that is not blank."""
    values, line_numbers = [], []
    lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    for line_number, line in enumerate(lines, start=1):
        if line.strip():
            values.append(_parse_json_value(line, file_name, line_number))
            line_numbers.append(line_number)
    if not values:
        raise FileFormatError(f"{file_name} is empty: it holds only blank lines.")
    return JsonEntries(values, RowNamer("line", line_numbers.__getitem__))


def parse_json_entries(content: bytes, file_name: str) -> JsonEntries:
    """Return the items of a JSON array, the only value of a file, or the values of JSON lines."""
    content = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = _parse_json_value(content, file_name)
    except FileFormatError:
        with contextlib.suppress(FileFormatError):  # some files called .json are JSON lines
            return parse_jsonl_entries(content, file_name)
        raise
    if isinstance(value, list):
        return JsonEntries(value, RowNamer("entry"))
    return JsonEntries([value], RowNamer("line", lambda _: 1))


def _parse_json_value(content: bytes, file_name: str, line_number: int | None = None) -> Any:
    """Return the JSON value of a file, or of one line if it has a number; errors name the line."""
    import msgspec  # not at the top: the import takes 0.05 s, and most programs read no JSON

    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = str(error)
        # The message usually has the position of the wrong byte, which tells the line. An error
        # without a position is about the end of the file.
        byte_match = re.search(r"\(byte (\d+)\)", message)
        end = int(byte_match[1]) if byte_match else len(content.rstrip())
        line = line_number or 1 + content.count(b"\n", 0, end)
        if b"NaN" in content or b"Infinity" in content:
            # JSON has no such words, but Python's own module writes and reads them
            try:
                return json.loads(content)
            except json.JSONDecodeError as later_error:  # another error comes after such a word
                message, line = later_error.msg, line_number or later_error.lineno
            except (ValueError, RecursionError):
                pass  # the first error is reported
        decode_utf8(content, file_name, line_number or 1)  # raises an error if a byte is the cause
        advice = "" if line_number is None else ". Expected one whole sequence per line"
        raise FileFormatError(
            f"{file_name}, line {line} is not JSON: {message}{advice}."
        ) from error


def sequences_from_json(
    content: bytes, file_name: str, *, as_lines: bool, text_unit: str = "characters", **options: Any
) -> Sequences:
    """Read a JSON file, or the lines of a JSON lines file."""
    table_options = TableOptions(**options)
    entries = _parse_entries(content, file_name, table_options.id or "id", as_lines=as_lines)
    # All entries must have the type of the first one that is not an empty list. An empty list may
    # be a sequence of rows or of values.
    example = next((value for value in entries.values if value != []), [])
    if isinstance(example, list):
        has_rows = bool(example) and isinstance(example[0], list)
        type_: Any = list[list[_Cell]] if has_rows else list[_Cell]
    else:
        # a number or null fails the check below, whose error lists the allowed types
        types: dict[type, Any] = {str: str, dict: dict[str, Any]}
        type_ = types.get(type(example), list | str | dict)
    _check_json_types(entries, entries.values, type_, file_name)
    if isinstance(example, dict):
        return _sequences_from_objects(entries, file_name, text_unit, table_options)
    # lists and strings have no columns with names, so these options do not apply
    for option in (*LONG_TABLE_OPTION_NAMES, "id", "columns", "sort", "layout"):
        if getattr(table_options, option):
            raise SchemaError(
                f"{file_name} holds no objects with names, which {argument(f'{option}=')} needs. "
                "Leave it out."
            )
    values = entries.values
    if isinstance(example, str):
        return sequences_from_lines(values, text_unit, column_types=table_options.column_types)
    if type_ == list[list[_Cell]]:
        num_features = len(example[0])
        for i, rows in enumerate(values):
            for step, row in enumerate(rows):
                if len(row) != num_features:
                    raise FileFormatError(
                        f"{file_name}, {entries.row_namer(i)}, step {step} has {len(row)} "
                        f"features. Expected {num_features}, as all steps need the same; write "
                        "null for a missing one."
                    )
        # the dtype is object because a row may mix numbers, tokens and booleans
        values = [np.array(rows, dtype=object) if rows else [] for rows in values]
    return Sequences(
        *flat_arrays_from_list(
            values, row_namer=entries.row_namer, column_types=table_options.column_types
        )
    )


def _parse_entries(content: bytes, file_name: str, id_key: str, *, as_lines: bool) -> JsonEntries:
    """Return the entries of a file; if the only entry is a table of columns, one for each row."""
    entries = (parse_jsonl_entries if as_lines else parse_json_entries)(content, file_name)
    if not as_lines and len(entries.values) == 1 and isinstance(entries.values[0], dict):
        return _split_table_entry_into_rows(entries, file_name, id_key)
    return entries


def _split_table_entry_into_rows(entries: JsonEntries, file_name: str, id_key: str) -> JsonEntries:
    """Return one entry per row if the only entry is a table of columns; else the same entries."""
    table = entries.values[0]
    # Columns are arrays or, as pandas writes them, objects that map the key of each row to a cell.
    # An object with a single value as id is a sequence, and not a table.
    if not isinstance(table.get(id_key), list | dict):
        return entries
    ids = table[id_key]
    row_keys = [*ids] if isinstance(ids, dict) else range(len(ids))
    columns = []
    for key, column in table.items():
        cells = column if isinstance(column, dict) else dict(enumerate(column))
        if {*cells} != {*row_keys}:
            raise FileFormatError(
                f"{file_name}: {key!r} has other rows than {id_key!r}, which has {len(row_keys)}. "
                "All columns of a table need the same rows."
            )
        columns.append([cells[row] for row in row_keys])
    records = [dict(zip(table, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return JsonEntries(records, RowNamer())


def column_names_from_json(content: bytes, file_name: str, *, as_lines: bool) -> list[str]:
    """Return the keys of the first entry; an empty list if it is not an object."""
    if as_lines:  # only the first line that is not blank is parsed: a file may have many lines
        num_blank_bytes = len(content) - len(content.removeprefix(_BYTE_ORDER_MARK).lstrip())
        first_line_end = content.find(b"\n", num_blank_bytes)
        # the blank lines before the first entry stay, so that errors name the line in the file
        content = content if first_line_end == -1 else content[:first_line_end]
    values = (parse_jsonl_entries if as_lines else parse_json_entries)(content, file_name).values
    return list(values[0]) if values and isinstance(values[0], dict) else []


def label_table_from_json(
    content: bytes, file_name: str, label_column: str, id_column: str | None, *, as_lines: bool
) -> pa.Table:
    """Return the labels of the entries, and their ids if they have ids."""
    entries = (parse_jsonl_entries if as_lines else parse_json_entries)(content, file_name)
    _check_json_types(entries, entries.values, dict[str, Any], file_name)
    keys = list(dict.fromkeys(key for value in entries.values for key in value))
    check_label_column(keys, file_name, label_column, id_column)
    id_column = id_column or "id"
    used_keys = [key for key in keys if key in {label_column, id_column}]
    return _table_from_objects(entries, file_name, used_keys, keys_allowed_as_text={*used_keys})


def table_from_json(
    content: bytes, file_name: str, *, as_lines: bool, schema: Schema, **_options_of_csv: Any
) -> pa.Table:
    """Return all rows and keys of a table of events; a key of mixed types becomes JSON text."""
    entries = _parse_entries(content, file_name, schema.id_name or "id", as_lines=as_lines)
    columns = {}
    for key in dict.fromkeys(key for value in entries.values for key in value):
        cells = [value.get(key) for value in entries.values]
        try:
            columns[key] = pa.array(cells)
        except (OverflowError, pa.ArrowException):
            texts = [cell if isinstance(cell, str | None) else json.dumps(cell) for cell in cells]
            columns[key] = pa.array(texts)
    return pa.table(columns)


def _check_json_types(
    entries: JsonEntries, values: Sequence[Any], type_: Any, file_name: str, key: str | None = None
) -> None:
    """Raise ``FileFormatError`` if a value, one per entry, does not have this type."""
    import msgspec

    for row, value in enumerate(values):
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            row_and_key = entries.row_namer(row) + ("" if key is None else f", {key!r}")
            message = f"{file_name}, {row_and_key}: {error}. All need the same form."
            raise FileFormatError(message) from error


def _sequences_from_objects(
    entries: JsonEntries, file_name: str, text_unit: str, options: TableOptions
) -> Sequences:
    """Convert objects as rows of a table; each has one list, value or text for each feature."""
    id_key, time_key = options.id or "id", options.time or "time"
    keys = list(dict.fromkeys(key for value in entries.values for key in value))
    if options.columns is not None:
        check_columns_exist(options.columns, keys, file_name)  # the error lists all keys
        keys = [key for key in keys if key in {id_key, time_key, *options.columns}]
    table = _table_from_objects(entries, file_name, keys, keys_allowed_as_text={id_key})
    features = [key for key in keys if key != id_key]
    # objects with a single text besides the id are sequences of characters or words
    if len(features) == 1 and features != [time_key] and options.layout is None:
        texts = table[features[0]]
        ids = table[id_key].to_pylist() if id_key in keys else None
        # if an id repeats, each text is one step of a long table
        is_unique = ids is None or len({*map(str, ids)}) == len(ids)
        if pa.types.is_string(texts.type) and not texts.null_count and is_unique:
            column = {"feature_name": features[0], "column_types": options.column_types}
            return sequences_from_lines(texts.to_pylist(), text_unit, ids=ids, **column)
    return sequences_from_table(table, file_name, options, entries.row_namer)


def _table_from_objects(
    entries: JsonEntries, file_name: str, keys: Sequence[str], keys_allowed_as_text: set[str]
) -> pa.Table:
    """Return a table with these keys as columns. Huge integers become floats, or text if listed."""
    types = {bool: bool | None, str: str | None, list: list[_Cell]}
    columns = {}
    for key in keys:
        # a column has only lists, only numbers, only booleans or only text, besides null
        cells = [value.get(key) for value in entries.values]
        example = next((cell for cell in cells if cell is not None), None)
        type_ = types.get(type(example), int | float | None)
        _check_json_types(entries, cells, type_, file_name, key)
        try:
            columns[key] = pa.array(cells)
        except (OverflowError, pa.ArrowException) as error:
            # Arrow refuses integers of more than 64 bits, integers of more than 53 bits in a column
            # with fractions, and text in a list with numbers.
            if key in keys_allowed_as_text:
                columns[key] = pa.array([None if cell is None else str(cell) for cell in cells])
                continue
            try:
                columns[key] = pa.array(list(map(_convert_cell_to_floats, cells)))
            except TypeError:
                message = f"{file_name}: {key!r} mixes numbers and text in its lists."
                raise DataError(message) from error
    return pa.table(columns)


def _convert_cell_to_floats(json_cell: Any) -> Any:
    """Return a number or a list of numbers as floats, None as None; raise TypeError for others."""
    if isinstance(json_cell, list):
        return [_convert_cell_to_floats(item) for item in json_cell]
    if isinstance(json_cell, bool | str):
        raise TypeError
    # `float` of a huge integer raises an error, and `float` of its text is infinity
    return None if json_cell is None else float(str(json_cell))


def sequences_to_jsonl(
    sequences: Sequences,
    *,
    layout: str | None = None,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return one line per sequence; missing entries and unknown integer categories are null.

    In the long layout, a line is a step.
    """
    schema = sequences.schema
    if layout == "long":
        return table_to_jsonl(to_long_table(sequences, id, time))
    has_ids = not np.array_equal(sequences.ids, np.arange(len(sequences)))
    # A line is an object with an id and named lists if the user asks for it, or if ids or names
    # would be lost. Otherwise it is a list of rows, a flat list or a string.
    as_objects = layout == "list" or has_ids or id != "id" or not has_default_names(schema)
    if as_objects and id in schema.names:
        raise SchemaError(f"A feature has the name of the id column, {id!r}. Rename it.")
    columns = list(map(_to_json_cells, sequences.values.T, schema.columns))
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    # a string cannot hold a missing entry, so if any entry is missing, all lines are lists
    as_strings = schema.layout == "characters" and not {None, UNKNOWN_TEXT} & set(columns[0])
    lines = []
    for sequence_id, (start, stop) in zip(sequences.ids.tolist(), bounds, strict=True):
        features = [cells[start:stop] for cells in columns]
        # The values of an object, one per feature. A line that is no object has only one value.
        values: list[Any] = features
        if as_strings:
            values = ["".join(map(str, features[0]))]
        elif schema.layout == "array" and not as_objects:
            values = [list(map(list, zip(*features, strict=True)))]  # one list of rows
        json_value = values[0]
        if as_objects:
            json_value = {id: sequence_id, **dict(zip(schema.names, values, strict=True))}
        lines.append(json.dumps(json_value, ensure_ascii=False, allow_nan=False))
    return "".join(line + "\n" for line in lines).encode()


def table_to_jsonl(table: pa.Table) -> bytes:
    """Return one line per row; times become text, and NaN becomes null."""
    for i, column in enumerate(table.columns):
        if pa.types.is_temporal(column.type):  # JSON has no type for times
            column = column.cast(pa.string())
        elif pa.types.is_floating(column.type):  # nor for NaN
            column = pa.array(column.to_numpy(), from_pandas=True)
        table = table.set_column(i, table.column_names[i], column)
    return "".join(f"{json.dumps(row)}\n" for row in table.to_pylist()).encode()


def _to_json_cells(values: np.ndarray, column: Column) -> list[Any]:
    """Return the values (n,) of a column as JSON values (n,), None where missing."""
    if column.column_type.has_categories:
        cells = indices_to_categories(values, column).tolist()
        if not column.has_integer_categories:
            return cells
        as_integers = True
    else:
        if values.dtype == np.float32:
            # the text of a float32 is short, so the float64 is 0.1, and not 0.10000000149011612
            values = values.astype(str).astype(np.float64)
        cells, numbers = values.tolist(), values[~np.isnan(values)]
        as_integers = len(numbers) and (numbers == np.round(numbers)).all()
        # integers from 2**53 on are not exact as floats, and their digits would mislead
        as_integers = as_integers and np.abs(numbers).max() < 2**53
    # a missing cell is NaN, and only NaN differs from itself
    return [None if cell != cell else int(cell) if as_integers else cell for cell in cells]


JSONL = Format(
    "jsonl",
    (".jsonl", ".ndjson"),
    reader=partial(sequences_from_json, as_lines=True),
    read_options=TABLE_OPTION_NAMES | {"text_unit"},
    writer=sequences_to_jsonl,
    write_options=frozenset({"id", "time", "layout"}),
    layouts=("list", "long"),
    column_reader=partial(column_names_from_json, as_lines=True),
    label_reader=partial(label_table_from_json, as_lines=True),
    table_reader=partial(table_from_json, as_lines=True),
)
JSON = Format(
    "json",
    (".json",),
    reader=partial(sequences_from_json, as_lines=False),
    read_options=TABLE_OPTION_NAMES | {"text_unit"},
    column_reader=partial(column_names_from_json, as_lines=False),
    label_reader=partial(label_table_from_json, as_lines=False),
    table_reader=partial(table_from_json, as_lines=False),
)
