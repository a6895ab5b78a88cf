"""CSV and TSV files: one row per step, with an id and an optional time, or one per sequence."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow.compute import ReplaceSubstringOptions, SetLookupOptions, TrimOptions, call_function

from refold._support.output import warn
from refold.errors import FileFormatError, argument
from refold.files.formats import Format, decode_utf8
from refold.files.tables import (
    TABLE_OPTIONS,
    TableOptions,
    check_label,
    find_layout,
    from_file_table,
    step_type,
    to_long_table,
)
from refold.sequences._parts import Rows, resolve_column_types
from refold.sequences._schema import check_unique
from refold.sequences._sequences import Sequences
from refold.sequences._tables import integers_from_text, matches
from refold.sequences.types import CATEGORICAL

_CATEGORICAL = CATEGORICAL.name
_DELIMITERS = (",", ";", "\t", "|")
# Number of rows used to find the delimiter.
_NUM_SAMPLED = 20
# Bytes that are parsed at a time.
_BLOCK_BYTES = 1 << 26
# Names that pandas and R give to a first column that holds the index of a table.
_INDEX_NAMES = ("", "Unnamed: 0")
_QUOTE_IN_CELL = re.compile(rb'\w" *\w')
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


def read_csv(data: bytes, name: str, **table_options: Any) -> Sequences:
    """Read a CSV or TSV file with a header."""
    options, file = TableOptions(**table_options), CsvFile(data, name)
    header = _without_index(file, options)
    options = find_layout(pa.schema([(column, pa.null()) for column in header]), name, options)
    is_wide, names, time = options.layout == "wide", options.features, options.time
    if is_wide:  # one feature of any name
        types = [step_type(options.column_types)] * len(names)
    else:
        types = resolve_column_types(options.column_types, names)
    by_name = list(zip(names, types, strict=True))
    categorical = [column for column, type_ in by_name if type_ == _CATEGORICAL]
    as_text = [*categorical, options.id, time if options.time_format is not None else None]
    table = file.table(text=[column for column in as_text if column is not None], only=header)
    convert = partial(_convert_column, file=file, inferred=table.schema)
    cells = dict(zip(table.column_names, table.columns, strict=True))
    if options.id is not None:
        cells[options.id] = integers_from_text(cells[options.id])
    if is_wide and categorical:
        # the categories of all steps are text, or all are integers
        chunks = [chunk for step in names for chunk in cells[step].chunks]
        joined = convert(pa.chunked_array(chunks), names[0], _CATEGORICAL)
        cells |= {step: joined.slice(i * len(table), len(table)) for i, step in enumerate(names)}
    else:
        for column, type_ in by_name:
            cells[column] = convert(cells[column], column, type_)
    if time is not None:
        cells[time] = _convert_times(cells[time], time, options.time_format, file, table.schema)
    return from_file_table(pa.table(cells), name, options, Rows("line", file.line))


def csv_columns(data: bytes, name: str) -> list[str]:
    """Return the column names, without an unnamed index."""
    return [column for column in CsvFile(data, name).header if column]


def csv_labels(data: bytes, name: str, label: str, id_column: str | None) -> pa.Table:
    """Return the columns of the file, ids as text."""
    table = CsvFile(data, name).table(text=[id_column or "id"])
    check_label(table.column_names, name, label, id_column)
    return table


class CsvFile:
    """The text of a CSV file, with the delimiter and the header that it shows."""

    def __init__(self, data: bytes, name: str) -> None:
        decode_utf8(data, name)  # names a line that is not UTF-8
        self.data, self.name = data, name
        self.delimiter = self._find_delimiter()
        self._check_quotes()
        self.header, _ = next(self._rows(self.delimiter), ([], 0))
        if not self.header:
            raise FileFormatError(f"{self.name} is empty: it holds only blank lines.")
        check_unique(self.header)

    def line(self, row: int) -> int | None:
        """Return the line number of a row below the header."""
        return next(islice(self._rows(self.delimiter), row + 1, None), ([], None))[1]

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
            for fields, line in self._rows(self.delimiter):
                if len(fields) != len(self.header):
                    raise FileFormatError(
                        f"{self.name}, line {line} has {len(fields)} fields, but the header has "
                        f"{len(self.header)}. If it is the last line, the file may be cut short."
                    ) from error
            reason = " ".join(str(error).split())
            raise FileFormatError(f"{self.name} is damaged: {reason}") from error

    def _rows(self, delimiter: str, *last: str) -> Iterator[tuple[list[str], int]]:
        """Yield the fields and the last line of the header, of each row, and of lines behind."""
        lines = io.TextIOWrapper(io.BytesIO(self.data), "utf-8-sig", newline="")
        reader = csv.reader(chain(lines, last), delimiter=delimiter)
        limit = csv.field_size_limit(len(self.data))  # by default too low for long texts
        try:
            for fields in reader:
                if fields:  # not a blank line
                    yield fields, reader.line_num
        finally:
            csv.field_size_limit(limit)

    def _find_delimiter(self) -> str:
        """Return the delimiter that splits the header and the rows into equally many cells."""

        def fit(delimiter: str) -> tuple[bool, bool, int]:
            rows = islice(self._rows(delimiter), _NUM_SAMPLED)
            widths = [len(fields) for fields, _ in rows] or [0]
            return widths[0] > 1, len(set(widths)) == 1, widths[0]

        return max(_DELIMITERS, key=fit)

    def _check_quotes(self) -> None:
        """Raise ``FileFormatError`` if a quoted cell is open at the end, with all later rows."""
        count = self.data.count(b'"')
        # an even number is wrong only with a quote within a cell, such as that of 5" pipe
        if not count or (count % 2 == 0 and not _QUOTE_IN_CELL.search(self.data)):
            return
        # A last line of two empty cells is a row of its own, unless it continues an open cell.
        last, ends = [""], [0]
        for fields, end in self._rows(self.delimiter, self.delimiter):
            last = fields
            ends.append(end)
        if last != ["", ""]:
            raise FileFormatError(
                f"{self.name}, line {ends[-2] + 1}: the quote that begins a cell is never closed. "
                "Close it, or remove it."
            )


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


def _convert_column(
    cells: pa.ChunkedArray,
    column: str,
    requested: str | None,
    file: CsvFile,
    inferred: pa.Schema,  # of all columns
) -> pa.ChunkedArray:
    """Convert a column to the requested type, by default that of its present entries."""
    if pa.types.is_null(cells.type):
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    if requested == _CATEGORICAL:
        integers = matches(cells, _INTEGER_CATEGORY)
        whole = integers | cells.is_null().to_numpy()
        return _floats(cells) if integers.any() and whole.all() else cells
    present = _without_words(cells)
    missing = present.is_null().to_numpy()
    if requested is None and missing.all():  # quoted words such as "NA" are categories
        return cells
    present = _with_points(present, column, file, inferred)
    numbers = matches(present, _NUMBER)
    if (numbers | missing).all():
        return _floats(present)
    count = int(numbers.sum())
    if requested is None and 2 * count <= len(cells) - int(missing.sum()):
        return cells
    row = int(np.argmin(numbers | missing))
    others = f", but {count} of the {len(cells)} entries are" if requested is None else ""
    raise FileFormatError(
        f"{file.name}, line {file.line(row)}, column {column!r}: {cells[row].as_py()!r} is not "
        f"a number{others}. Fix it, or leave it empty if it is missing; if the column is "
        f"categorical, pass {argument(column_types={column: _CATEGORICAL})}."
    )


def _convert_times(
    cells: pa.ChunkedArray, column: str, time_format: str | None, file: CsvFile, inferred: pa.Schema
) -> pa.ChunkedArray:
    """Return times that are text with decimal points and nulls, and others as they are."""
    if getattr(cells.type, "tz", None) is not None:  # Arrow gives UTC for all zones
        cells = file.table(text=[column], only=[column])[column]
    if not pa.types.is_string(cells.type):
        return cells
    cells = _without_words(cells)
    return _with_points(cells, column, file, inferred) if time_format is None else cells


def _with_points(
    cells: pa.ChunkedArray, column: str, file: CsvFile, inferred: pa.Schema
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
    has_points = any(map(pa.types.is_floating, inferred.types))
    if (matches(cells, _GROUPED) == commas).all() and (has_points or file.delimiter != ";"):
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
TSV = replace(CSV, name="tsv", suffixes=(".tsv",), writer=partial(write_csv, delimiter="\t"))
