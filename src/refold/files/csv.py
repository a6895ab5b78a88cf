"""CSV and TSV files: one row per step, with an id and an optional time, or one per sequence."""

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow.compute import (
    ReplaceSubstringOptions,
    SetLookupOptions,
    TrimOptions,
    call_function,
)

from refold._support.output import warn
from refold.errors import FileFormatError, argument
from refold.files.formats import Format, decode_utf8
from refold.files.tables import (
    TABLE_OPTIONS,
    TableOptions,
    check_label,
    find_layout,
    find_wide,
    from_file_table,
    from_wide_table,
    labels_of_table,
    naming,
    step_type,
    to_long_table,
)
from refold.sequences._parts import Rows, resolve_column_types
from refold.sequences._schema import check_unique
from refold.sequences._sequences import Sequences
from refold.sequences._tables import integers_from_text, matches
from refold.sequences.types import CATEGORICAL

_DELIMITERS = (",", ";", "\t", "|")
# Number of rows used to find the delimiter.
_NUM_SAMPLED = 20
# Bytes that are parsed at a time.
_BLOCK_BYTES = 1 << 26
# Names that pandas and R give to a first column that holds the index of a table.
_INDEX_NAMES = ("", "Unnamed: 0")
_QUOTE_IN_CELL = re.compile(rb'\w" *\w')
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
# An integer category. pandas writes 1.0 if another entry of the column is missing.
_INTEGER_CATEGORY = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$"
# A number whose comma may also group three digits of an integer.
_GROUPED = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


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


def read_csv(data: bytes, name: str, *, delimiter: str = ",", **table_options: Any) -> Sequences:
    """Read a CSV file with a header; the delimiter applies unless the text shows another."""
    options, file = TableOptions(**table_options), CsvFile(data, name, delimiter)
    header, rows = _without_index(file, options), Rows("line", file.line)
    if options.layout == "wide":
        id_column, steps = find_wide(header, name, options)
        type_ = step_type(options.column_types)
        if type_ == CATEGORICAL.name:
            cells = _typed(file, header, id_column, {}, text=steps)
            cells |= _as_one_feature([cells[step] for step in steps], steps, file)
        else:
            cells = _typed(file, header, id_column, dict.fromkeys(steps, type_))
        return from_wide_table(pa.table(cells), name, id_column, steps, options.column_types, rows)
    options = find_layout(pa.schema([(column, pa.null()) for column in header]), name, options)
    types = resolve_column_types(options.column_types, options.features)
    cells = _typed(file, header, options.id, dict(zip(options.features, types, strict=True)))
    time = options.time
    if time is not None and pa.types.is_string(cells[time].type):
        cells[time] = _with_points(_without_words(cells[time]), time, file, points=False)
    return from_file_table(pa.table(cells), name, options, rows)


def csv_columns(data: bytes, name: str, delimiter: str = ",") -> list[str]:
    """Return the column names, without an unnamed index."""
    return [column for column in CsvFile(data, name, delimiter).header if column]


def csv_labels(
    data: bytes, name: str, label: str, id_column: str | None, delimiter: str = ","
) -> tuple[list, list]:
    """Return the ids and labels of the rows."""
    table = CsvFile(data, name, delimiter).table(text=[id_column or "id"])
    check_label(table.column_names, name, label, id_column)
    return labels_of_table(table, name, label, id_column)


class CsvFile:
    """The text of a CSV file, whose delimiter is the expected one unless the text shows another."""

    def __init__(self, data: bytes, name: str, expected: str) -> None:
        self.data, self.text, self.name = data, decode_utf8(data, name), name
        # The limit of a cell in the csv module is too low for long texts.
        csv.field_size_limit(max(csv.field_size_limit(), min(len(data) + 1, (1 << 31) - 1)))
        self.delimiter = self._find_delimiter(expected)
        self._check_quotes()
        self.header = self._find_header()

    def line(self, row: int) -> int | None:
        """Return the line number of a row below the header."""
        return next(islice(self._rows(), row + 1, None), ([], None))[1]

    def table(self, *, text: Iterable[str] = (), only: Sequence[str] | None = None) -> pa.Table:
        """Return cells with the types that Arrow infers, those of columns in ``text`` as text."""
        convert = arrow_csv.ConvertOptions(
            # 007 and 7 are different ids and categories
            column_types=dict.fromkeys(text, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            include_columns=None if only == self.header else only,
        )
        parse = arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        # A block must hold a whole row, and a row of a wide table may be long.
        block = arrow_csv.ReadOptions(block_size=min(len(self.data) + 1, _BLOCK_BYTES))
        try:
            return arrow_csv.read_csv(io.BytesIO(self.data), block, parse, convert)
        except pa.ArrowException as error:
            self._check_widths()
            reason = " ".join(str(error).split())
            raise FileFormatError(f"{self.name} is damaged: {reason}") from error

    def _check_widths(self) -> None:
        """Raise ``FileFormatError`` if a row has more or fewer fields than the header."""
        for fields, line in self._rows():
            if len(fields) != len(self.header):
                raise FileFormatError(
                    f"{self.name}, line {line} has {len(fields)} fields, but the header has "
                    f"{len(self.header)}. If it is the last line, the file may be cut short."
                )

    def _rows(self) -> Iterator[tuple[list[str], int]]:
        """Yield the fields and the line number of the header and of each row."""
        reader = self._reader(self.delimiter)
        return ((fields, reader.line_num) for fields in reader if fields)

    def _reader(self, delimiter: str, *, strict: bool = False) -> Any:
        lines = (match[0] for match in _LINE.finditer(self.text))
        return csv.reader(lines, delimiter=delimiter, strict=strict)

    def _find_delimiter(self, expected: str) -> str:
        """Return the delimiter that splits the header and the rows into equally many cells."""
        widths = {}
        for delimiter in sorted(_DELIMITERS, key=expected.__ne__):
            rows = islice(filter(None, self._reader(delimiter)), _NUM_SAMPLED)
            widths[delimiter] = [len(row) for row in rows] or [0]
        several = [delimiter for delimiter in widths if widths[delimiter][0] > 1]
        regular = [delimiter for delimiter in several if len(set(widths[delimiter])) == 1]
        candidates = regular or several[:1] or [expected]
        return max(candidates, key=lambda delimiter: widths[delimiter][0])

    def _check_quotes(self) -> None:
        """Raise ``FileFormatError`` if a quoted cell is open at the end, with all later rows."""
        count = self.data.count(b'"')
        # an even number is wrong only with a quote within a cell, such as that of 5" pipe
        if not count or (count % 2 == 0 and not _QUOTE_IN_CELL.search(self.data)):
            return
        reader, line = self._reader(self.delimiter, strict=True), 1
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise FileFormatError(
                    f"{self.name}, line {line}: the quote that begins a cell is never closed. "
                    "Close it, or remove it."
                ) from error

    def _find_header(self) -> list[str]:
        header = next(filter(None, self._reader(self.delimiter)), [])
        if not header:
            raise FileFormatError(f"{self.name} is empty: it holds only blank lines.")
        numbers: list[float] = []
        with contextlib.suppress(ValueError):
            numbers = [float(cell.replace(",", ".")) for cell in header]
        if any(before >= after for before, after in pairwise(numbers)):  # names may be times
            raise FileFormatError(
                f"{self.name} has no header: its first line holds numbers, such as {header[0]!r}. "
                "Add a first line with the column names."
            )
        with naming(self.name):
            check_unique(header)
        return header


def _without_index(file: CsvFile, options: TableOptions) -> list[str]:
    """Return the column names without the index of a pandas table, and warn of it."""
    first, *others = file.header
    used = {options.id, options.time, *options.features}
    if not others or first not in _INDEX_NAMES or first in used:
        return file.header
    if options.columns is None:
        warn(
            f"{file.name}: The first column ({first!r}) has no name, like an index of pandas. It "
            "is left out. If it holds data, name it."
        )
    return others


def _typed(
    file: CsvFile,
    header: list[str],
    id_column: str | None,
    types: dict[str, str | None],
    *,
    text: Sequence[str] = (),
) -> dict[str, pa.ChunkedArray]:
    """Return the columns with the types of their cells, and some columns as text."""
    as_text = [*text, *(column for column, type_ in types.items() if type_ == CATEGORICAL.name)]
    as_text += [] if id_column is None else [id_column]
    table = file.table(text=as_text, only=header)
    points = any(pa.types.is_floating(field.type) for field in table.schema)
    cells = dict(zip(table.column_names, table.columns, strict=True))
    if id_column is not None:
        cells[id_column] = integers_from_text(cells[id_column])
    for column, type_ in types.items():
        cells[column] = _convert_column(cells[column], column, type_, file, points=points)
    return cells


def _as_one_feature(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], file: CsvFile
) -> dict[str, pa.ChunkedArray]:
    """Return categories as integers if those of all columns are, since these are one feature."""
    joined = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
    joined = _convert_column(joined, names[0], CATEGORICAL.name, file)
    size = len(columns[0])
    return {name: joined.slice(i * size, size) for i, name in enumerate(names)}


def _convert_column(
    cells: pa.ChunkedArray,
    column: str,
    requested: str | None,
    file: CsvFile,
    *,
    points: bool = False,  # whether other columns have decimal points
) -> pa.ChunkedArray:
    """Convert a column to the requested type, by default that of its present entries."""
    if pa.types.is_null(cells.type):
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    if requested == CATEGORICAL.name:
        integers = matches(cells, _INTEGER_CATEGORY)
        whole = integers | cells.is_null().to_numpy()
        return _floats(cells) if integers.any() and whole.all() else cells
    present = _without_words(cells)
    missing = present.is_null().to_numpy()
    if requested is None and missing.all():  # quoted words such as "NA" are categories
        return cells
    present = _with_points(present, column, file, points=points)
    numbers = matches(present, _NUMBER)
    if (numbers | missing).all():
        return _floats(present)
    for type_ in (pa.bool_(), pa.timestamp("ns")):
        with contextlib.suppress(pa.ArrowInvalid):
            return present.cast(type_)
    count = int(numbers.sum())
    if requested is None and 2 * count <= len(cells) - int(missing.sum()):
        return cells
    row = int(np.argmin(numbers | missing))
    others = f", but {count} of the {len(cells)} entries are" if requested is None else ""
    raise FileFormatError(
        f"{file.name}, line {file.line(row)}, column {column!r}: {cells[row].as_py()!r} is not "
        f"a number{others}. Fix it, or leave it empty if it is missing; if the column is "
        f"categorical, pass {argument(column_types={column: CATEGORICAL.name})}."
    )


def _with_points(
    cells: pa.ChunkedArray, column: str, file: CsvFile, *, points: bool
) -> pa.ChunkedArray:
    """Return text with decimal commas replaced by decimal points."""
    commas = np.zeros(len(cells), bool)
    if file.delimiter != ",":  # a comma between digits may be decimal
        commas = matches(cells, _DECIMAL_COMMA)
    if not commas.any():
        return cells
    row = int(np.argmax(commas))
    place = f"{file.name}, line {file.line(row)}, column {column!r}: {cells[row].as_py()!r}"
    pointed = matches(cells, _NUMBER) & matches(cells, r"\.")
    if pointed.any():
        other = int(np.argmax(pointed))
        raise FileFormatError(
            f"{place} has a decimal comma, but {cells[other].as_py()!r} in line "
            f"{file.line(other)} has a decimal point. Use one of them for all numbers."
        )
    # Excel writes semicolons if the comma is its decimal mark, but points elsewhere contradict it.
    if (matches(cells, _GROUPED) == commas).all() and (points or file.delimiter != ";"):
        raise FileFormatError(
            f"{place} may have a decimal comma or be an integer. Write numbers with a decimal "
            "point, and without commas between digits."
        )
    replaced = call_function("replace_substring", [cells], ReplaceSubstringOptions(",", "."))
    return call_function("if_else", [pa.array(commas), replaced, cells])


def _without_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with nulls in place of NA, null and other words that mean missing."""
    # Arrow itself replaces only words without quotes.
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    is_word = call_function("is_in", [cells], SetLookupOptions(value_set=words))
    return call_function("if_else", [is_word, pa.scalar(None, pa.string()), cells])


def _floats(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as floats; some versions of Arrow cannot parse a leading plus sign."""
    bare = call_function("utf8_trim", [cells], TrimOptions(" \t\r\n\v\f+"))
    return bare.cast(pa.float64())


CSV = Format(
    "csv",
    (".csv",),
    read_csv,
    TABLE_OPTIONS,
    write_csv,
    frozenset({"id", "time"}),
    ("long",),
    is_table=True,
    columns=csv_columns,
    labels=csv_labels,
)
TSV = replace(
    CSV,
    name="tsv",
    suffixes=(".tsv",),
    reader=partial(read_csv, delimiter="\t"),
    writer=partial(write_csv, delimiter="\t"),
    columns=partial(csv_columns, delimiter="\t"),
    labels=partial(csv_labels, delimiter="\t"),
)
