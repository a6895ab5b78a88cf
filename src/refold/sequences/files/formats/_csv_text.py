"""The text of a CSV file: its delimiter, its header, line numbers, and the types of its cells."""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from refold.errors import FileFormatError, argument
from refold.sequences.conversion._arrow_columns import matches
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.types import CATEGORICAL

DELIMITERS = (",", ";", "\t", "|")
# Number of rows used to find the delimiter.
NUM_SAMPLED = 20
# An integer category. pandas writes 1.0 if another entry of the column is missing.
LABEL = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$"
# A number whose comma may also group three digits of an integer.
GROUPED = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


class CsvText:
    """The text of a CSV file, whose delimiter is the expected one unless the text shows another."""

    def __init__(self, data: bytes, name: str, expected: str) -> None:
        self.data, self.text, self.name = data, decode_utf8(data, name), name
        first = _first_lines(self.text)
        self.delimiter = _find_delimiter(first, expected)
        self._check_quotes()
        self.header = self._header(first)

    def line(self, row: int) -> int | None:
        """Return the line number of a row below the header."""
        return next(islice((line for _, line in self.rows()), row, None), None)

    def rows(self) -> Iterator[tuple[list[str], int]]:
        """Yield the fields and the line number of each row below the header."""
        reader = _reader(self.text, self.delimiter)
        rows = ((fields, reader.line_num) for fields in reader if fields)
        next(rows, None)
        # Rows end where the csv module cannot read on, as at a giant field.
        with contextlib.suppress(csv.Error):
            yield from rows

    def check_rows(self) -> None:
        """Raise ``FileFormatError`` if a row has more or fewer fields than the header."""
        for fields, line in self.rows():
            if len(fields) != len(self.header):
                raise FileFormatError(
                    f"{self.name}, line {line} has {len(fields)} fields, but the header has "
                    f"{len(self.header)}. If it is the last line, the file may be cut short."
                )

    def _check_quotes(self) -> None:
        """Raise ``FileFormatError`` if a quoted cell is open at the end, with all later rows."""
        if self.data.count(b'"') % 2 == 0:
            return
        begins, end = f"{self.delimiter}\r\n", 0
        while (start := self.text.find('"', end)) >= 0:
            end = start + 1
            if start and self.text[start - 1] not in begins:
                continue  # within a cell, a quote is a character
            while (end := self.text.find('"', end) + 1) and self.text.startswith('"', end):
                end += 1  # two quotes stand for one
            if not end:
                line = (self.text.count("\n", 0, start) or self.text.count("\r", 0, start)) + 1
                raise FileFormatError(
                    f"{self.name}, line {line}: the quote that begins a cell is never closed. "
                    "Close it, or remove it."
                )

    def _header(self, first: str) -> list[str]:
        try:
            header = next(filter(None, _reader(first, self.delimiter)), [])
        except csv.Error as error:
            raise FileFormatError(f"{self.name}, line 1 is not CSV: {error}.") from error
        if not header:
            raise FileFormatError(f"{self.name} is empty: it holds only blank lines.")
        if _is_data(header):
            raise FileFormatError(
                f"{self.name} has no header: its first line holds numbers, such as {header[0]!r}. "
                "Add a first line with the column names."
            )
        column, count = Counter(header).most_common(1)[0]
        if count > 1:
            raise FileFormatError(f"{self.name} has the column {column!r} twice in its header.")
        return header


def _first_lines(text: str) -> str:
    """Return enough lines for the sampled rows, whose quoted cells may span lines."""
    end = 0
    for _ in range(10 * NUM_SAMPLED):
        end = text.find("\n", end) + 1
        if not end:
            return text
    return text[:end]


def _find_delimiter(text: str, expected: str) -> str:
    """Return the delimiter that splits the header and the rows into equally many cells."""
    widths = {one: _widths(text, one) for one in sorted(DELIMITERS, key=expected.__ne__)}
    several = [one for one, found in widths.items() if found and found[0] > 1]
    regular = [one for one in several if len(set(widths[one])) == 1]
    if regular:
        return max(regular, key=lambda one: widths[one][0])
    return expected if expected in several or not several else several[0]


def _widths(text: str, delimiter: str) -> list[int]:
    """Return the number of fields of each sampled row."""
    widths: list[int] = []
    with contextlib.suppress(csv.Error):  # on a giant cell, use the rows before it
        for row in islice(filter(None, _reader(text, delimiter)), NUM_SAMPLED):
            widths.append(len(row))
    return widths


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _is_data(header: list[str]) -> bool:
    """Return whether all names are numbers, some with decimals, that do not ascend like times."""
    try:
        numbers = [float(cell.replace(",", ".")) for cell in header]
    except ValueError:
        return False
    fractions = any("." in cell or "," in cell for cell in header)
    return fractions and any(not before < after for before, after in pairwise(numbers))


def convert_column(
    cells: pa.ChunkedArray,
    column: str,
    wanted: str | None,
    source: CsvText,
    *,
    points: bool = False,  # whether other columns have decimal points
) -> pa.ChunkedArray:
    """Convert a column to the wanted type, by default that of its present entries."""
    if pa.types.is_null(cells.type):
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    if wanted == CATEGORICAL.name:
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
        f"categorical, pass {argument(column_types={column: CATEGORICAL.name})}."
    )


def convert_times(cells: pa.ChunkedArray, column: str, source: CsvText) -> pa.ChunkedArray:
    """Return times with nulls for missing ones, and with decimal points."""
    if not pa.types.is_string(cells.type):
        return cells
    return _with_points(_without_words(cells), column, source, points=False)


def _with_points(
    cells: pa.ChunkedArray, column: str, source: CsvText, *, points: bool
) -> pa.ChunkedArray:
    """Return text with decimal commas replaced by decimal points."""
    commas = np.zeros(len(cells), bool)
    if source.delimiter != ",":  # a comma between digits may be decimal
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
    return pc.call_function("if_else", [pa.array(commas), replaced, cells])


def _without_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with nulls in place of NA, null and other words that mean missing."""
    if not pa.types.is_string(cells.type):
        return cells
    # Arrow itself replaces only words without quotes.
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    is_word = pc.call_function("is_in", [cells], pc.SetLookupOptions(value_set=words))
    return pc.call_function("if_else", [is_word, pa.scalar(None, pa.string()), cells])


def _floats(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as floats; some versions of Arrow cannot parse a leading plus sign."""
    numbers = [None if cell is None else float(cell) for cell in cells.to_pylist()]
    return pa.chunked_array([pa.array(numbers, pa.float64())])
