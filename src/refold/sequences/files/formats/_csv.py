"""CSV and TSV files: one row per step, with an id and an optional time, or one per sequence."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from refold._support.user_warnings import warn
from refold.errors import FileFormatError, SchemaError, argument
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import integers_from_text
from refold.sequences.files.formats._csv_text import CsvText, convert_column, convert_times
from refold.sequences.files.tables._layout_detection import TableOptions, find_id, find_key
from refold.sequences.files.tables._table_reader import (
    find_wide,
    from_file_table,
    from_wide_table,
    step_type,
    to_long_table,
)
from refold.sequences.schema._column_types import resolve_column_types
from refold.sequences.schema._parts import Rows
from refold.sequences.types import CATEGORICAL

# Names that pandas and R give to a first column that holds the index of a table.
INDEX_NAMES = ("", "Unnamed: 0")


def write_csv(
    sequences: Sequences,
    *,
    delimiter: str = ",",
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return the text of a CSV file with ids, steps and one column per feature."""
    buffer = io.BytesIO()
    options = arrow_csv.WriteOptions(delimiter=delimiter)
    arrow_csv.write_csv(to_long_table(sequences, id, time), buffer, options)
    return buffer.getvalue()


def read_csv(data: bytes, name: str, *, delimiter: str = ",", **options: Any) -> Sequences:
    """Read a CSV file with a header; the delimiter applies unless the text shows another."""
    asked, source = TableOptions(**options), CsvText(data, name, delimiter)
    columns, rows = asked.columns, Rows("line", source.line)
    used = {asked.id, asked.time, *(columns or ())}
    header = _without_index(source, used, named=columns is not None)
    if asked.layout == "wide":
        id_column, steps = find_wide(header, name, asked)
        type_ = step_type(asked.column_types)
        if type_ == CATEGORICAL.name:
            cells = _typed(source, header, id_column, {}, text=steps)
            cells |= _integers_together([cells[step] for step in steps], steps, source)
        else:
            cells = _typed(source, header, id_column, dict.fromkeys(steps, type_))
        return from_wide_table(pa.table(cells), name, id_column, steps, asked.column_types, rows)
    id_column, order = find_id(header, name, asked.id), find_key(asked.time, "time", header, name)
    if columns is None:
        columns = [column for column in header if column not in {id_column, order}]
    types: dict[str, str | None] = {}
    if set(columns) <= set(header):  # otherwise the layout reports the unknown column
        types = dict(zip(columns, resolve_column_types(asked.column_types, columns), strict=True))
    cells = _typed(source, header, id_column, types)
    if order is not None:
        cells[order] = convert_times(cells[order], order, source)
    asked = replace(asked, id=id_column, time=order, columns=columns)
    return from_file_table(pa.table(cells), name, asked, rows)


def csv_columns(data: bytes, name: str, delimiter: str = ",") -> list[str]:
    """Return the column names, without an unnamed index."""
    header = CsvText(data, name, delimiter).header
    return [column for column in header if column]


def csv_table(
    source: CsvText, *, text: Iterable[str] = (), only: Sequence[str] | None = None
) -> pa.Table:
    """Return cells with the types that Arrow infers, those of columns in ``text`` as text."""
    convert = arrow_csv.ConvertOptions(
        # 007 and 7 are different ids and categories
        column_types=dict.fromkeys(text, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        include_columns=None if only == source.header else only,
    )
    parse = arrow_csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True)
    try:
        try:
            return arrow_csv.read_csv(io.BytesIO(source.data), None, parse, convert)
        except pa.ArrowInvalid as error:
            if "block size" not in str(error):
                raise
            # A block must hold a whole row, and a row of a wide table may be long.
            whole = arrow_csv.ReadOptions(block_size=len(source.data) + 1)
            return arrow_csv.read_csv(io.BytesIO(source.data), whole, parse, convert)
    except pa.ArrowException as error:
        source.check_rows()
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{source.name} is damaged: {reason}") from error


def _typed(
    source: CsvText,
    header: list[str],
    id_column: str | None,
    asked: dict[str, str | None],
    *,
    text: Sequence[str] = (),
) -> dict[str, pa.ChunkedArray]:
    """Return the columns with the types of their cells, and some columns as text."""
    as_text = [*text, *(column for column, type_ in asked.items() if type_ == CATEGORICAL.name)]
    as_text += [] if id_column is None else [id_column]
    table = csv_table(source, text=as_text, only=header)
    points = any(pa.types.is_floating(field.type) for field in table.schema)
    cells = dict(zip(table.column_names, table.columns, strict=True))
    if id_column is not None:
        cells[id_column] = integers_from_text(cells[id_column])
    for column, type_ in asked.items():
        cells[column] = convert_column(cells[column], column, type_, source, points=points)
    return cells


def _without_index(source: CsvText, used: set[str | None], *, named: bool) -> list[str]:
    """Return the column names without the index of a pandas table, and warn of it."""
    first, *others = source.header
    if not others or first not in INDEX_NAMES or first in used:
        return source.header
    if named:  # the index is not among the named columns
        return others
    counts = csv_table(source, only=[first]).column(0).to_pylist()
    if counts in (list(range(len(counts))), list(range(1, len(counts) + 1))):
        warn(
            f"{source.name}: The first column ({first!r}) numbers the rows, like an index of "
            "pandas. It is left out."
        )
        return others
    if first:
        return source.header
    raise SchemaError(
        f"{source.name} has a first column without a name, which does not number the rows. Name "
        f"it, or choose the columns to read with {argument('columns=')}."
    )


def _integers_together(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], source: CsvText
) -> dict[str, pa.ChunkedArray]:
    """Return categories as integers if all are, since the columns are one feature."""
    joined = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
    joined = convert_column(joined, names[0], CATEGORICAL.name, source)
    size = len(columns[0])
    return {name: joined.slice(i * size, size) for i, name in enumerate(names)}
