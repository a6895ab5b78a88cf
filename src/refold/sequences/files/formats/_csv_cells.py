"""Conversion of CSV columns to numbers, categories or times, with missing entries."""

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from refold.errors import FileFormatError
from refold.sequences.files._integer_text import matches
from refold.sequences.files.formats._csv_dialect import CsvText
from refold.sequences.schema._schema import ColumnType

__all__ = ["convert_column", "convert_times"]

# An integer category. pandas writes 1.0 if another entry of the column is missing.
LABEL = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$"
# A number whose comma may also group three digits of an integer.
GROUPED = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


def convert_column(
    cells: pa.ChunkedArray,
    column: str,
    wanted: ColumnType | None,
    source: CsvText,
    *,
    points: bool = False,
) -> pa.ChunkedArray:
    """Convert a column to the type of its present entries, and reject text among numbers.

    Parameters
    ----------
    cells : pyarrow.ChunkedArray
        The cells as Arrow read them.
    column : str
        The name of the column.
    wanted : str or None
        The type to convert to; inferred if None.
    source : CsvText
        The file. Numbers may have a decimal comma unless the delimiter is a comma.
    points : bool
        Whether other columns have decimal points.

    Raises
    ------
    FileFormatError
        If some of the cells are numbers and others are not.
    """
    if pa.types.is_null(cells.type):
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    if wanted == "categorical":
        integers = matches(cells, LABEL)
        whole = integers | cells.is_null().to_numpy()
        return _floats(cells) if integers.any() and whole.all() else cells
    present = _without_words(cells)
    missing = present.is_null().to_numpy()
    if wanted is None and missing.all():  # quoted words such as "NA" are categories
        return cells
    present = _with_points(present, column, source, points=points)
    numbers = matches(present, NUMBER)
    if (numbers | missing).all():
        return _floats(present)
    for type_ in (pa.bool_(), pa.timestamp("ns")):
        with contextlib.suppress(pa.ArrowInvalid):
            return present.cast(type_)
    count = int(numbers.sum())
    if wanted is None and 2 * count <= len(cells) - int(missing.sum()):
        return cells
    row = int(np.argmin(numbers | missing))
    others = f", but {count} of the {len(cells)} entries are" if wanted is None else ""
    raise FileFormatError(
        f"{source.name}, line {source.line(row)}, column {column!r}: {cells[row].as_py()!r} is not "
        f"a number{others}. Fix it, or leave it empty if it is missing; if the column is "
        f"categorical, pass column_types={{{column!r}: 'categorical'}}."
    )


def convert_times(cells: pa.ChunkedArray, column: str, source: CsvText) -> pa.ChunkedArray:
    """Return times with nulls for missing ones, and with decimal points."""
    if not pa.types.is_string(cells.type):
        return cells
    return _with_points(_without_words(cells), column, source, points=False)


def _with_points(
    cells: pa.ChunkedArray, column: str, source: CsvText, *, points: bool
) -> pa.ChunkedArray:
    """Return text with decimal commas replaced by decimal points.

    Raises
    ------
    FileFormatError
        If the column has both, or if a comma may also group digits.
    """
    commas = np.zeros(len(cells), bool)
    if source.delimiter != ",":
        commas = matches(cells, DECIMAL_COMMA)
    if not commas.any():
        return cells
    row = int(np.argmax(commas))
    place = f"{source.name}, line {source.line(row)}, column {column!r}: {cells[row].as_py()!r}"
    pointed = matches(cells, NUMBER) & matches(cells, r"\.")
    if pointed.any():
        other = int(np.argmax(pointed))
        raise FileFormatError(
            f"{place} has a decimal comma, but {cells[other].as_py()!r} in line "
            f"{source.line(other)} has a decimal point. Use one of them for all numbers."
        )
    if (matches(cells, GROUPED) == commas).all() and (points or source.delimiter != ";"):
        raise FileFormatError(
            f"{place} may have a decimal comma or be an integer. Write numbers with a decimal "
            "point, and without commas between digits."
        )
    options = pc.ReplaceSubstringOptions(",", ".")
    replaced = pc.call_function("replace_substring", [cells], options)
    return pc.call_function("if_else", [_mask(commas), replaced, cells])


def _without_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with nulls in place of NA, null and other words that Arrow takes as missing.

    Arrow itself replaces only words without quotes.
    """
    if not pa.types.is_string(cells.type):
        return cells
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    is_word = pc.call_function("is_in", [cells], pc.SetLookupOptions(value_set=words))
    return pc.call_function("if_else", [is_word, pa.scalar(None, pa.string()), cells])


def _floats(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as floats; some versions of Arrow cannot parse a leading plus sign."""
    numbers = [None if cell is None else float(cell) for cell in cells.to_pylist()]
    return pa.chunked_array([pa.array(numbers, pa.float64())])


def _mask(chosen: np.ndarray) -> pa.Array:
    return pa.array(chosen)
