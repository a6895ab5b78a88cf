"""CSV and TSV files: one row a step, with an id and perhaps a time, or one row a sequence."""

import io
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from refold.errors import FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files._integer_text import integers_from_text
from refold.sequences.files.formats._csv_cells import settle_column, settle_times
from refold.sequences.files.formats._csv_dialect import CsvText
from refold.sequences.files.tables._layout_detection import find_id, find_time, from_file_table
from refold.sequences.files.tables._long_layout import to_long_table
from refold.sequences.files.tables._wide_layout import find_wide, from_wide_table, kind_of_steps
from refold.sequences.schema._column_types import Kinds, resolve_kinds
from refold.sequences.schema._parts import Rows
from refold.sequences.schema._schema import ColumnType

__all__ = ["csv_columns", "csv_table", "read_csv", "read_tsv", "write_csv", "write_tsv"]

# What a first column is called that is the index of a table, as pandas and R write it.
INDEX_NAMES = ("", "Unnamed: 0")


def write_csv(
    sequences: Sequences,
    *,
    delimiter: str = ",",
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return the text of a CSV file with ids, steps and one column a feature."""
    buffer = io.BytesIO()
    options = arrow_csv.WriteOptions(delimiter=delimiter)
    arrow_csv.write_csv(to_long_table(sequences, id, time), buffer, options)
    return buffer.getvalue()


def write_tsv(sequences: Sequences, **options: Any) -> bytes:
    """Return the text of a TSV file: as `write_csv`, with tabs."""
    return write_csv(sequences, **options, delimiter="\t")


def read_tsv(data: bytes, name: str, **options: Any) -> Sequences:
    """Read a TSV file: as `read_csv`, with tabs where the text does not say otherwise."""
    return read_csv(data, name, **options, delimiter="\t")


def read_csv(
    data: bytes,
    name: str,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: Kinds = None,
    sort: bool = False,
    layout: str | None = None,
    delimiter: str = ",",
) -> Sequences:
    """Read a CSV file with a header.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    id, time, columns, column_types, sort, layout
        As in `refold.sequences.read`.
    delimiter : str
        What separates the cells, where the text does not say otherwise.

    Raises
    ------
    FileFormatError
        If a line has another number of fields than the header, or a number is none.
    SchemaError
        If a column is not there.
    """
    source = CsvText(decode_utf8(data, name), name, delimiter)
    header = _without_index(source, data, {id, time, *(columns or ())}, told=columns is not None)
    if layout == "wide":
        identity, steps = find_wide(header, name, id=id, time=time, columns=columns)
        kind = kind_of_steps(column_types)
        if kind == "categorical":
            cells = _typed(source, data, header, identity, {}, text=steps)
            cells |= _integers_together([cells[step] for step in steps], steps, source)
        else:
            cells = _typed(source, data, header, identity, dict.fromkeys(steps, kind))
        rows = Rows("line", source.line)
        return from_wide_table(pa.table(cells), name, identity, steps, column_types, rows)
    identity, order = find_id(header, name, id), find_time(header, name, time)
    if columns is None:
        columns = [column for column in header if column not in {identity, order}]
    asked: dict[str, ColumnType | None] = {}
    if set(columns) <= set(header):  # else the layout says which is not there
        asked = dict(zip(columns, resolve_kinds(column_types, columns), strict=True))
    cells = _typed(source, data, header, identity, asked)
    if order is not None:
        cells[order] = settle_times(cells[order], order, source)
    return from_file_table(
        pa.table(cells),
        name,
        id=identity,
        time=order,
        columns=columns,
        column_types=column_types,
        sort=sort,
        layout=layout,
        rows=Rows("line", source.line),
    )


def csv_columns(data: bytes, name: str, delimiter: str = ",") -> list[str]:
    """Return the names of the columns, without an index that has no name."""
    header = CsvText(decode_utf8(data, name), name, delimiter).header
    return [column for column in header if column]


def csv_table(
    source: CsvText, data: bytes, *, text: Iterable[str] = (), only: Sequence[str] | None = None
) -> pa.Table:
    """Return the cells as Arrow reads them.

    Parameters
    ----------
    source : CsvText
        The same file as text.
    data : bytes
        The file.
    text : list of str
        Columns that stay text, since 007 and 7 are different ids and labels.
    only : list of str, optional
        The columns to read.

    Raises
    ------
    FileFormatError
        If a line has another number of fields than the header.
    """
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(text, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        include_columns=None if only == source.header else only,
    )
    parse = arrow_csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True)
    try:
        try:
            return arrow_csv.read_csv(io.BytesIO(data), None, parse, convert)
        except pa.ArrowInvalid as error:
            if "block size" not in str(error):
                raise
            # A block has to hold a whole row, and a row of a wide table may be long.
            whole = arrow_csv.ReadOptions(block_size=len(data) + 1)
            return arrow_csv.read_csv(io.BytesIO(data), whole, parse, convert)
    except pa.ArrowException as error:
        source.check_rows()
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{source.name} is damaged: {reason}") from error


def _typed(
    source: CsvText,
    data: bytes,
    header: list[str],
    identity: str | None,
    asked: dict[str, ColumnType | None],
    *,
    text: Sequence[str] = (),
) -> dict[str, pa.ChunkedArray]:
    """Return the columns with the types that their cells have, some as text."""
    as_text = [*text, *(column for column, kind in asked.items() if kind == "categorical")]
    as_text += [] if identity is None else [identity]
    table = csv_table(source, data, text=as_text, only=header)
    points = any(pa.types.is_floating(field.type) for field in table.schema)
    cells = dict(zip(table.column_names, table.columns, strict=True))
    if identity is not None:
        cells[identity] = integers_from_text(cells[identity])
    for column, kind in asked.items():
        cells[column] = settle_column(cells[column], column, kind, source, points=points)
    return cells


def _without_index(source: CsvText, data: bytes, used: set[str | None], *, told: bool) -> list[str]:
    """Return the names of the columns without the index of a pandas table, and say so."""
    first, *others = source.header
    if not others or first not in INDEX_NAMES or first in used:
        return source.header
    if told:  # the columns to read are named, and it is not among them
        return others
    counts = csv_table(source, data, only=[first]).column(0).to_pylist()
    if counts in (list(range(len(counts))), list(range(1, len(counts) + 1))):
        warnings.warn(
            f"{source.name}: The first column ({first!r}) counts the rows, as an index of pandas "
            "does. It is left out.",
            UserWarning,
            stacklevel=5,
        )
        return others
    if first:
        return source.header
    raise SchemaError(
        f"{source.name} has a first column without a name, which does not count the rows. Name it, "
        "or name the columns to read with columns=."
    )


def _integers_together(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], source: CsvText
) -> dict[str, pa.ChunkedArray]:
    """Return labels as integers if those of all columns are, which are one feature."""
    joined = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
    joined = settle_column(joined, names[0], "categorical", source)
    size = len(columns[0])
    return {name: joined.slice(i * size, size) for i, name in enumerate(names)}
