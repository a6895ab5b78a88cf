"""The text of a CSV file: its delimiter, its header, and the line number of each row."""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

from refold.errors import FileFormatError

__all__ = ["CsvText"]

DELIMITERS = (",", ";", "\t", "|")
# Number of rows used to find the delimiter.
NUM_SAMPLED = 20


class CsvText:
    """The text of a CSV file.

    Parameters
    ----------
    text : str
        The whole text.
    name : str
        The file name, for messages.
    expected : str
        The delimiter, unless the text shows another.

    Raises
    ------
    FileFormatError
        If the header is missing or unreadable, or has a name twice.
    """

    def __init__(self, text: str, name: str, expected: str) -> None:
        self.text, self.name = text, name
        first = _first_lines(text)
        self.delimiter = _find_delimiter(first, expected)
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
