"""CSV files in the long layout: one row a step, with an id and, if there is one, a time."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import FileFormatError
from refold.sequences._access import decode_utf8
from refold.sequences._columns import Kinds, resolve_kinds
from refold.sequences._file_tables import find_id, find_time, from_file_table
from refold.sequences._integers import integers_from_text, matches
from refold.sequences._long import to_long_table
from refold.sequences._parts import Rows
from refold.sequences._schema import Kind
from refold.sequences._sequences import Sequences

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_csv", "write_csv"]

# A label that is an integer; pandas writes 1.0 where another is missing.
LABEL = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
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
    sort: bool = False,
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
    if columns is None:
        columns = [column for column in header if column not in {identity, order}]
    asked: dict[str, Kind | None] = {}
    if set(columns) <= set(header):  # else the layout says which is not there
        asked = dict(zip(columns, resolve_kinds(kinds, columns), strict=True))
    labels = [column for column, kind in asked.items() if kind == "categorical"]
    convert = arrow_csv.ConvertOptions(
        # As text first, since 007 and 7 are different ids and labels.
        column_types=dict.fromkeys([identity, *labels], pa.string()),
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
    table = _settle(table, identity, integers_from_text)
    if order is not None:
        table = _settle(table, order, _without_words)
    for column, kind in asked.items():
        table = _settle(table, column, partial(_settle_column, column, kind, text, name))
    return from_file_table(
        table,
        name,
        id=identity,
        time=order,
        columns=columns,
        kinds=kinds,
        sort=sort,
        rows=Rows("line", partial(_line, text)),
    )


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


def _line(text: str, row: int) -> int | None:
    """Return the line number of a row below the header."""
    return next(islice((line for _, line in _rows(text)), row, None), None)


def _settle(table: "pa.Table", column: str, how: Callable[[Any], Any]) -> "pa.Table":
    return table.set_column(table.column_names.index(column), column, how(table[column]))


def _settle_column(
    column: str, kind: Kind | None, text: str, name: str, cells: "pa.ChunkedArray"
) -> "pa.ChunkedArray":
    """Make a column what it is apart from its missing entries, and refuse text among numbers."""
    import pyarrow as pa

    if pa.types.is_null(cells.type):
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    present = _without_words(cells)
    missing = present.is_null().to_numpy()
    if kind == "categorical":
        integers = matches(cells, LABEL)
        whole = integers | cells.is_null().to_numpy()
        return _floats(cells) if integers.any() and whole.all() else cells
    if kind is None and missing.all():  # what is in quotes are labels
        return cells
    numbers = matches(present, NUMBER)
    if (numbers | missing).all():
        return _floats(present)
    for type_ in (pa.bool_(), pa.timestamp("ns")):
        with contextlib.suppress(pa.ArrowInvalid):
            return present.cast(type_)
    count = int(numbers.sum())
    if kind is None and 2 * count <= len(cells) - int(missing.sum()):
        return cells
    row = int(np.argmin(numbers | missing))
    others = f", but {count} of the {len(cells)} entries are" if kind is None else ""
    raise FileFormatError(
        f"{name}, line {_line(text, row)}, column {column!r}: {cells[row].as_py()!r} is no "
        f"number{others}. Mend it, or leave it empty if it is missing; if the column holds labels, "
        f"pass kinds={{{column!r}: 'categorical'}}."
    )


def _without_words(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Return text with nothing in place of NA, null and what else Arrow takes for missing.

    What is not in quotes it has taken so itself.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    if not pa.types.is_string(cells.type):
        return cells
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    stand_in = pc.call_function("is_in", [cells], pc.SetLookupOptions(value_set=words))
    return pc.call_function("if_else", [stand_in, pa.scalar(None, pa.string()), cells])


def _floats(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Return text as numbers; not every version of Arrow knows those with a plus in front."""
    import pyarrow as pa

    numbers = [None if cell is None else float(cell) for cell in cells.to_pylist()]
    return pa.chunked_array([pa.array(numbers, pa.float64())])
