"""The cells of a CSV column: numbers, labels or times, and what is missing."""

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from refold.errors import FileFormatError
from refold.sequences.files._integer_text import matches
from refold.sequences.files.formats._csv_dialect import CsvText
from refold.sequences.schema._schema import ColumnType

__all__ = ["settle_column", "settle_times"]

# A label that is an integer; pandas writes 1.0 where another is missing.
LABEL = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$"
# What may as well be a whole number, in groups of three digits.
GROUPED = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


def settle_column(
    cells: pa.ChunkedArray,
    column: str,
    kind: ColumnType | None,
    source: CsvText,
    *,
    points: bool = False,
) -> pa.ChunkedArray:
    """Make a column what it is apart from its missing entries, and refuse text among numbers.

    Parameters
    ----------
    cells : pyarrow.ChunkedArray
        As Arrow read them.
    column : str
        Its name.
    kind : str or None
        The kind that is asked for.
    source : CsvText
        The file; numbers may have a decimal comma where commas separate no cells.
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
    if kind == "categorical":
        integers = matches(cells, LABEL)
        whole = integers | cells.is_null().to_numpy()
        return _floats(cells) if integers.any() and whole.all() else cells
    present = _without_words(cells)
    missing = present.is_null().to_numpy()
    if kind is None and missing.all():  # what is in quotes are labels
        return cells
    present = _with_points(present, column, source, points=points)
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
        f"{source.name}, line {source.line(row)}, column {column!r}: {cells[row].as_py()!r} is no "
        f"number{others}. Mend it, or leave it empty if it is missing; if the column holds labels, "
        f"pass column_types={{{column!r}: 'categorical'}}."
    )


def settle_times(cells: pa.ChunkedArray, column: str, source: CsvText) -> pa.ChunkedArray:
    """Return times without words for missing ones, and with decimal points."""
    if not pa.types.is_string(cells.type):
        return cells
    return _with_points(_without_words(cells), column, source, points=False)


def _with_points(
    cells: pa.ChunkedArray, column: str, source: CsvText, *, points: bool
) -> pa.ChunkedArray:
    """Return text with decimal points for decimal commas, if a column has some.

    Raises
    ------
    FileFormatError
        If it has both, or if a comma may as well stand between groups of digits.
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
            f"{source.line(other)} has a decimal point. Write all numbers in one way."
        )
    if (matches(cells, GROUPED) == commas).all() and (points or source.delimiter != ";"):
        raise FileFormatError(
            f"{place} may have a decimal comma or be a whole number. Write numbers with a decimal "
            "point, and without commas between digits."
        )
    options = pc.ReplaceSubstringOptions(",", ".")
    replaced = pc.call_function("replace_substring", [cells], options)
    return pc.call_function("if_else", [_mask(commas), replaced, cells])


def _without_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with nothing in place of NA, null and what else Arrow takes for missing.

    What is not in quotes it has taken so itself.
    """
    if not pa.types.is_string(cells.type):
        return cells
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    stand_in = pc.call_function("is_in", [cells], pc.SetLookupOptions(value_set=words))
    return pc.call_function("if_else", [stand_in, pa.scalar(None, pa.string()), cells])


def _floats(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as numbers; not every version of Arrow knows those with a plus in front."""
    numbers = [None if cell is None else float(cell) for cell in cells.to_pylist()]
    return pa.chunked_array([pa.array(numbers, pa.float64())])


def _mask(chosen: np.ndarray) -> pa.Array:
    return pa.array(chosen)
