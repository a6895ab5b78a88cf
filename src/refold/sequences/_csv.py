"""CSV files in the long layout: one row a step, with an id and, if there is one, a time."""

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from refold.errors import FileFormatError
from refold.sequences._access import decode_utf8
from refold.sequences._columns import Kinds, resolve_kinds
from refold.sequences._file_tables import find_id, find_time, from_file_table
from refold.sequences._long import to_long_table
from refold.sequences._sequences import Sequences

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_csv", "write_csv"]

INTEGER = r"^(0|-?[1-9]\d{0,17})$"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def write_csv(sequences: Sequences) -> bytes:
    """Return the text of a CSV file with ``id``, ``time`` and one column a feature."""
    from pyarrow import csv as arrow_csv

    buffer = io.BytesIO()
    arrow_csv.write_csv(to_long_table(sequences), buffer)
    return buffer.getvalue()


def read_csv(
    data: bytes,
    name: str,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    kinds: Kinds = None,
) -> Sequences:
    """Read a CSV file with a header, separated by commas.

    Raises
    ------
    FileFormatError
        If a line has another number of fields than the header, or a number is none.
    SchemaError
        If a column is not there.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = decode_utf8(data, name)
    header = _header(text, name)
    identity, order = find_id(header, name, id), find_time(header, name, time)
    convert = arrow_csv.ConvertOptions(
        # As text first, since 007 and 7 are different ids.
        column_types={identity: pa.string()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(data),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=convert,
        )
    except pa.ArrowException as error:
        _raise_ragged(text, header, name)
        raise FileFormatError(f"{name} is damaged: {' '.join(str(error).split())}") from error
    table = _settle_ids(table, identity)
    if columns is None:
        columns = [column for column in header if column not in {identity, order}]
    chosen = [column for column in columns if column in header]
    if chosen == list(columns):
        for column, kind in zip(columns, resolve_kinds(kinds, columns), strict=True):
            table = _settle_column(table, column, kind, text, name)
    return from_file_table(table, name, id=identity, time=order, columns=columns, kinds=kinds)


def _header(text: str, name: str) -> list[str]:
    try:
        header = next((row for row in csv.reader(io.StringIO(text, newline="")) if row), [])
    except csv.Error as error:
        raise FileFormatError(f"{name}, line 1 is no CSV: {error}.") from error
    if not header:
        raise FileFormatError(f"{name} is empty: it holds blank lines only.")
    if len(header) == 1:
        for separator in (";", "\t", "|"):
            if separator in header[0]:
                raise FileFormatError(
                    f"{name} seems to be separated by {separator!r}. Separate it by commas."
                )
    for column in header:
        if header.count(column) > 1:
            raise FileFormatError(f"{name} has the column {column!r} twice in its header.")
    return header


def _rows(text: str) -> Iterator[tuple[list[str], int]]:
    """Yield the fields and the line number of each row below the header."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((fields, reader.line_num) for fields in reader if fields)
    next(rows, None)
    # What the csv module cannot read, such as a giant field, has no line number then.
    with contextlib.suppress(csv.Error):
        yield from rows


def _raise_ragged(text: str, header: list[str], name: str) -> None:
    for fields, line in _rows(text):
        if len(fields) != len(header):
            raise FileFormatError(
                f"{name}, line {line} has {len(fields)} fields, but the header has {len(header)}. "
                "If it is the last line, the file may be cut short."
            )


def _settle_ids(table: "pa.Table", column: str) -> "pa.Table":
    """Make integers of the ids where that loses nothing."""
    import pyarrow as pa

    ids = table[column]
    if _matches(ids, INTEGER).all():
        ids = ids.cast(pa.int64())
    return table.set_column(table.column_names.index(column), column, ids)


def _settle_column(
    table: "pa.Table", column: str, kind: str | None, text: str, name: str
) -> "pa.Table":
    """Make an empty column numeric, and refuse text among numbers."""
    import pyarrow as pa

    cells = table[column]
    if pa.types.is_null(cells.type):
        cells = cells.cast(pa.float64())
        return table.set_column(table.column_names.index(column), column, cells)
    if kind == "categorical" or not pa.types.is_string(cells.type):
        return table
    numbers = _matches(cells, NUMBER)
    count = int(numbers.sum())
    if kind is None and 2 * count <= len(cells) - cells.null_count:
        return table
    row = int(np.argmin(numbers | cells.is_null().to_numpy()))
    line = next((line for i, (_, line) in enumerate(_rows(text)) if i == row), None)
    others = f", but {count} of the {len(cells)} entries are" if kind is None else ""
    raise FileFormatError(
        f"{name}, line {line}, column {column!r}: {cells[row].as_py()!r} is no number{others}. "
        "Mend it, or leave it empty if it is missing; if the column holds labels, "
        f"pass kinds={{{column!r}: 'categorical'}}."
    )


def _matches(cells: "pa.ChunkedArray", pattern: str) -> np.ndarray:
    """Return the mask of cells that match a regular expression; an empty one does not."""
    import pyarrow.compute as pc

    matches = pc.call_function("match_substring_regex", [cells], pc.MatchSubstringOptions(pattern))
    return matches.fill_null(False).to_numpy()  # noqa: FBT003
