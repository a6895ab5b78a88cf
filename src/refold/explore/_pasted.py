"""Sequences that a user pastes or drops on the page: JSON, CSV and the other file formats."""

import csv
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from refold.errors import DataError, FileFormatError, ParameterError, RefoldError, SchemaError
from refold.sequences import FORMATS, Schema, Sequences, read

# Most sequences that are placed at once.
MOST = 500
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


def read_pasted(content: bytes, name: str, schema: Schema) -> Sequences:
    """Read sequences for a schema from a file's content, or from text if ``name`` is empty."""
    suffix = Path(name).suffix.lower()
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    if suffix in ("", ".json"):
        text = _decoded(content)
        if suffix == ".json" or text.lstrip()[:1] in '[{"':
            found = _from_json(text, schema)
        else:
            found = _from_lines(text, schema) or _from_file(content, ".csv", schema)
    elif suffix == ".csv":
        found = _from_lines(_decoded(content), schema) or _from_file(content, suffix, schema)
    else:
        found = _from_file(content, suffix, schema)
    if not len(found):
        raise DataError("There is no sequence in this. Paste sequences as JSON or CSV.")
    if len(found) > MOST:
        raise ParameterError(
            f"There are {len(found)} sequences, and the page places {MOST} at once. Paste fewer."
        )
    return found.align(schema)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError(
            "This is not text in UTF-8. Drop the file itself, so that its name tells its format."
        ) from None


def _from_json(text: str, schema: Schema) -> Sequences:
    try:
        given: Any = json.loads(text)
    except RecursionError:
        raise FileFormatError("This JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            given = [json.loads(line) for line in lines] if len(lines) > 1 else None
        except (json.JSONDecodeError, RecursionError):
            given = None
        if given is None:
            raise FileFormatError(
                f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
            ) from None
    if isinstance(given, dict):
        given = given.get("sequences", [given])
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        raise FileFormatError("Expected a list of sequences, such as [[0.1, 0.9], [0.5]].")
    records = [one for one in given if isinstance(one, dict)]
    if len(records) == len(given):
        return _from_records(records, schema)
    flat = not any(isinstance(one, list | str) for one in given)
    single = schema.layout == "array" and all(
        isinstance(one, list)
        and len(one) == schema.num_columns
        and not any(isinstance(value, list | dict) for value in one)
        for one in given
    )
    tokens = schema.layout in ("tokens", "words") and all(isinstance(one, str) for one in given)
    given = [given] if flat or single or tokens else given
    try:
        return Sequences.from_list(given, schema=schema)
    except RefoldError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise FileFormatError(
            "The sequences cannot be read. Expected lists of numbers, of tokens, or of rows."
        ) from error


def _from_records(records: list[dict[str, Any]], schema: Schema) -> Sequences:
    """Read objects: one per sequence with a list per column, or one per step of one sequence."""
    names = schema.names
    for record in records:
        missing = [name for name in names if name not in record]
        if missing:
            raise SchemaError(
                f"An object lacks {missing[0]!r}. The columns of the model are {', '.join(names)}."
            )
    whole = [[record[name] for name in names] for record in records]
    per_step = not any(isinstance(one, list) for row in whole for one in row)
    try:
        if per_step:
            sequences = [whole]
        else:
            sequences = [list(map(list, zip(*columns, strict=True))) for columns in whole]
    except (TypeError, ValueError):
        raise FileFormatError("The columns of an object must be lists of equal length.") from None
    if schema.layout != "array":
        sequences = [[row[0] for row in one] for one in sequences]
        if schema.layout == "characters":
            sequences = ["".join(map(str, one)) for one in sequences]
    return Sequences.from_list(sequences, schema=schema)


def _from_lines(text: str, schema: Schema) -> Sequences | None:
    """Read lines of numbers without a header: a sequence each, or a step each; else None."""
    if not schema.numeric.all():
        return None
    lines = [line for line in csv.reader(text.strip().splitlines()) if line]
    try:
        rows = [[float(cell) if cell.strip() else None for cell in line] for line in lines]
    except (ValueError, csv.Error):
        return None
    if schema.num_columns == 1:
        if all(len(row) == 1 for row in rows):  # one value per line
            rows = [[row[0] for row in rows]]
        sequences: list[Any] = [_without_end(row) for row in rows]
    else:
        sequences = [rows]
    if schema.layout == "array" and schema.num_columns == 1:
        sequences = [[[value] for value in one] for one in sequences]
    return Sequences.from_list(sequences, schema=schema)


def _without_end(row: list[float | None]) -> list[float | None]:
    """Drop empty cells at the end, which fill rows to the same width."""
    while len(row) > 1 and row[-1] is None:
        row = row[:-1]
    return row


def _from_file(content: bytes, suffix: str, schema: Schema) -> Sequences:
    if not _SUFFIX.fullmatch(suffix) or suffix[1:] not in FORMATS:
        raise FileFormatError(
            f"A file {suffix!r} cannot be read. Use one of {', '.join(FORMATS)}, or JSON."
        )
    remembered = {"id": schema.id_name, "time": schema.time_name}
    options: dict[str, Any] = {name: value for name, value in remembered.items() if value}
    if FORMATS[suffix[1:]].is_table and schema.names[0] != "x0":
        options["columns"] = [*schema.names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pasted{suffix}"
        path.write_bytes(content)
        first = None
        for some in (options, {k: v for k, v in options.items() if k == "columns"}, {}):
            try:
                return read(path, **some)
            except (SchemaError, ParameterError) as error:
                first = first or error
            except (FileFormatError, DataError) as error:
                raise type(error)(_without_path(str(error), path)) from None
        raise type(first)(_without_path(str(first), path))  # type: ignore[misc]


def _without_path(message: str, path: Path) -> str:
    return message.replace(str(path), path.name)
