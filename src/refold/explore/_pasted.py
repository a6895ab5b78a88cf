"""Sequences that a user pastes or drops on the page: JSON, CSV and the other file formats."""

import csv
import io
from typing import Any

from refold.errors import DataError, FileFormatError, ParameterError, RefoldError, SchemaError
from refold.sequences import FORMATS, Schema, Sequences, format_named, parse_json, read

# Cap on the sequences that are placed at once.
MAX_SEQUENCES = 500


def read_pasted(content: bytes, name: str, schema: Schema) -> Sequences:
    """Read sequences for a schema from a file's content, or from text if ``name`` is empty."""
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    is_json = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{", b'"')
    chosen = format_named(name or ("pasted.json" if is_json else "pasted.csv"))
    if chosen is None:
        raise FileFormatError(f"{name} cannot be read. Use one of {', '.join(FORMATS)}.")
    sequences = None
    if chosen.name == "json":
        sequences = _from_json(content, schema)
    elif chosen.name == "csv":
        sequences = _from_numbers(content, schema)
    if sequences is None:
        sequences = _from_file(content, name or "This", chosen.name, schema)
    if len(sequences) > MAX_SEQUENCES:
        raise ParameterError(
            f"There are {len(sequences)} sequences, and the page places {MAX_SEQUENCES} at once. "
            "Paste fewer."
        )
    return sequences.align(schema)


def _from_json(content: bytes, schema: Schema) -> Sequences:
    """Read sequences in the forms of a file, or a single one."""
    values: Any = parse_json(content, "This").values
    if isinstance(values[0], dict):  # as the service takes them
        values = values[0].get("sequences", values)
    try:
        if isinstance(values[0], dict):
            values = _from_records(values, schema)
        elif _is_single(values, schema):
            values = [values]
        return Sequences.from_list(values, schema=schema)
    except RefoldError:
        raise
    except (TypeError, ValueError, LookupError, OverflowError, AttributeError) as error:
        raise FileFormatError(
            "The sequences cannot be read. Expected lists of numbers, of tokens, or of rows, such "
            "as [[0.1, 0.9], [0.5]], or objects whose columns are lists of equal length."
        ) from error


def _is_single(values: list[Any], schema: Schema) -> bool:
    """Return whether values are the steps of one sequence."""
    if schema.layout in ("tokens", "words") and all(isinstance(value, str) for value in values):
        return True
    if not any(isinstance(value, list | str) for value in values):
        return True
    return schema.layout == "array" and all(
        len(value) == schema.num_columns and not any(isinstance(cell, list) for cell in value)
        for value in values
    )


def _from_records(records: list[dict[str, Any]], schema: Schema) -> list[Any]:
    """Return the sequences of objects: one each with lists, or a step each of a single one."""
    for record in records:
        missing = [name for name in schema.names if name not in record]
        if missing:
            raise SchemaError(
                f"An object lacks {missing[0]!r}. The columns of the model are "
                f"{', '.join(schema.names)}."
            )
    cells = [[record[name] for name in schema.names] for record in records]
    if any(isinstance(cell, list) for row in cells for cell in row):
        sequences = [list(zip(*columns, strict=True)) for columns in cells]
    else:
        sequences = [cells]
    if schema.layout == "array":
        return sequences
    series = [[step for (step,) in sequence] for sequence in sequences]
    return ["".join(one) for one in series] if schema.layout == "characters" else series


def _from_numbers(content: bytes, schema: Schema) -> Sequences | None:
    """Read lines of numbers without a header: a sequence each, or a step each; else None."""
    if not schema.numeric.all():
        return None
    try:
        lines = list(csv.reader(content.decode("utf-8-sig").strip().splitlines()))
        rows = [[float(cell) if cell.strip() else None for cell in line] for line in lines if line]
    except (ValueError, csv.Error):
        return None
    if schema.num_columns > 1 or all(len(row) == 1 for row in rows):  # each line is a step
        sequences: list[Any] = [rows]
    else:
        for row in rows:  # empty cells at the end fill rows to the same width
            while len(row) > 1 and row[-1] is None:
                row.pop()
        sequences = [[[value] for value in row] for row in rows]
    if schema.layout != "array":
        sequences = [[value for (value,) in sequence] for sequence in sequences]
    return Sequences.from_list(sequences, schema=schema)


def _from_file(content: bytes, name: str, format: str, schema: Schema) -> Sequences:  # noqa: A002
    """Read the content of a file, with the ids, times and columns of the model if it has them."""
    keys = {"id": schema.id_name, "time": schema.time_name}
    options: dict[str, Any] = {key: column for key, column in keys.items() if column}
    columns: dict[str, Any] = {"columns": [*schema.names]} if schema.names[0] != "x0" else {}
    columns = columns if FORMATS[format].is_table else {}
    first: RefoldError | None = None
    for chosen in (options | columns, columns, {}):
        stream: Any = io.BytesIO(content)
        stream.name = name
        try:
            return read(stream, format=format, **chosen)
        except (SchemaError, ParameterError) as error:
            first = first or error
    raise first or FileFormatError(f"{name} cannot be read.")
