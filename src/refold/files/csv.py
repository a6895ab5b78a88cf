"""CSV and TSV files: a long table with one row per step, or a wide one with a row per sequence.

`CsvFile` finds the delimiter and the header. Arrow parses the cells and infers the types of the
columns. Then `sequences_from_csv` corrects columns that Arrow read as text: numbers with a decimal
comma or a plus sign, and integers that are categories.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow.compute import ReplaceSubstringOptions, SetLookupOptions, TrimOptions, call_function

from refold._support.messages import warn
from refold.errors import FileFormatError, argument
from refold.files.formats import Format, decode_utf8
from refold.files.tables import (
    TABLE_OPTION_NAMES,
    TableOptions,
    check_label_column,
    resolve_table_options,
    sequences_from_table,
    to_long_table,
)
from refold.sequences._encoding import RowNamer, expand_column_types
from refold.sequences._schema import Schema, check_unique_names
from refold.sequences._sequences import Sequences
from refold.sequences._tables import cells_contain_regex, integers_from_text_if_exact
from refold.sequences.types import CATEGORICAL

# Characters that may separate cells. If two of them fit equally well, the earlier one is chosen.
_CANDIDATE_DELIMITERS = (",", ";", "\t", "|")
# The delimiter is found from this many rows at the start of a file. More rows would take time. A
# wrong delimiter could divide fewer rows into equally many cells by chance.
_NUM_ROWS_TO_FIND_DELIMITER = 20
# Bytes that Arrow parses at a time: 64 MiB. A block must hold a whole row, and a row of a wide
# table may be long.
_BLOCK_BYTES = 1 << 26
# Names of a first column that holds the index of a table: R and pandas leave the name empty, and
# pandas names an empty name "Unnamed: 0" when it reads it.
_INDEX_COLUMN_NAMES = ("", "Unnamed: 0")
# A quote that neither begins nor ends a cell, such as the quote in 5" pipe.
_INNER_QUOTE_PATTERN = re.compile(rb'\w" *\w')
# A category that is an integer: without leading zeros, and with few enough digits to be exact as a
# float. It may end in .0, because pandas writes 1.0 if another entry of the column is missing.
_INTEGER_CATEGORY_PATTERN = r"^(0|-?[1-9]\d{0,14})(\.0*)?$"
# A number with a decimal point, or without a fraction.
_NUMBER_PATTERN = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
# A number with a decimal comma.
_DECIMAL_COMMA_PATTERN = r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$"
# A number whose comma may be decimal or separate thousands: 1,234.
_AMBIGUOUS_COMMA_PATTERN = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


def sequences_to_csv(
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


def sequences_from_csv(content: bytes, file_name: str, **table_options: Any) -> Sequences:
    """Read a CSV or TSV file with a header."""
    options, file = TableOptions(**table_options), CsvFile(content, file_name)
    header = file.header
    used_columns = {options.id, options.time, *options.features}
    # a first column without a name is an index of pandas or R, unless the user names it
    if len(header) > 1 and header[0] in _INDEX_COLUMN_NAMES and header[0] not in used_columns:
        if options.columns is None:  # columns that the user chose need no warning
            warn(
                f"{file_name}: The first column ({header[0]!r}) has no name, like an index of "
                "pandas. It is left out. If it holds data, name it."
            )
        header = header[1:]
    # The types of some cells depend on the layout, so the layout must be known before the cells are
    # read. The names of the columns tell the layout.
    untyped = pa.schema([(column, pa.null()) for column in header])
    options = resolve_table_options(untyped, file_name, options)
    is_wide, features, time = options.layout == "wide", options.features, options.time
    if is_wide:
        # All columns are steps of one feature. The file does not name the feature, so the user may
        # call it by any name in a mapping of types.
        column_types, feature_name = options.column_types, "x0"
        if isinstance(column_types, Mapping):
            feature_name = next(iter(column_types), "x0")
        types = expand_column_types(column_types, [feature_name]) * len(features)
    else:
        types = expand_column_types(options.column_types, features)
    features_and_types = list(zip(features, types, strict=True))
    categorical = [column for column, type_ in features_and_types if type_ == CATEGORICAL.name]
    # Columns whose cells are read as text. None stands for no column, and drops out below.
    text_columns = [*categorical, options.id, time if options.time_format is not None else None]
    table = file.read_table(text_columns={*header} & {*text_columns}, columns=header)
    cells = dict(zip(table.column_names, table.columns, strict=True))
    if options.id is not None:
        cells[options.id] = integers_from_text_if_exact(cells[options.id])
    if is_wide and categorical:
        # All steps share their categories, which are all text or all integers. So the columns are
        # joined, converted as one column, and then cut again.
        chunks = [chunk for step in features for chunk in cells[step].chunks]
        joined = _parse_if_all_integers(pa.chunked_array(chunks))
        cells |= {step: joined.slice(i * len(table), len(table)) for i, step in enumerate(features)}
    else:
        for column, type_ in features_and_types:
            cells[column] = _convert_column(cells[column], column, type_, file)
    # Arrow converts times with a time zone to UTC, and forgets the zone. So read the text instead.
    if time is not None and getattr(cells[time].type, "tz", None) is not None:
        cells[time] = file.read_table(text_columns=[time], columns=[time])[time]
    if time is not None and pa.types.is_string(cells[time].type):
        cells[time] = _replace_missing_words(cells[time])
        if options.time_format is None:  # otherwise, a comma may belong to the format of the times
            cells[time] = _replace_decimal_commas(cells[time], time, file)
    row_namer = RowNamer("line", file.find_line_number)
    return sequences_from_table(pa.table(cells), file_name, options, row_namer)


def column_names_from_csv(content: bytes, file_name: str) -> list[str]:
    """Return the column names of the header; an index without a name is left out."""
    return [column for column in CsvFile(content, file_name).header if column]


def label_table_from_csv(
    content: bytes, file_name: str, label_column: str, id_column: str | None
) -> pa.Table:
    """Return all columns of the file, with ids as text."""
    table = CsvFile(content, file_name).read_table(text_columns=[id_column or "id"])
    check_label_column(table.column_names, file_name, label_column, id_column)
    return table


def table_from_csv(content: bytes, file_name: str, *, schema: Schema, as_text: bool) -> pa.Table:
    """Return all rows and columns; if ``as_text``, only cells of features are converted."""
    file = CsvFile(content, file_name)
    text_columns = {*file.header} - {*schema.names} if as_text else {schema.id_name or "id"}
    return file.read_table(text_columns=text_columns)


class CsvFile:
    """The bytes of a CSV file, and the delimiter and the header that are found in them."""

    def __init__(self, content: bytes, file_name: str) -> None:
        decode_utf8(content, file_name)  # raises an error that names a line that is not UTF-8
        self.content, self.name = content, file_name
        # Whether `read_table` found floats. Arrow reads numbers with decimal points as floats, and
        # numbers with decimal commas as text. If there are floats, commas are probably not decimal.
        self.has_floats = False
        scores = {}
        for delimiter in _CANDIDATE_DELIMITERS:
            rows = islice(self._parse_rows(delimiter), _NUM_ROWS_TO_FIND_DELIMITER)
            widths = [len(cells) for cells, _ in rows] or [0]  # the number of cells of each row
            # Python compares tuples entry by entry. So a delimiter that divides rows into several
            # cells is better than others. Of these, those with equally many cells in each row are
            # better, and of these, the one with the largest number of cells.
            scores[delimiter] = widths[0] > 1, len(set(widths)) == 1, widths[0]
        self.delimiter = max(_CANDIDATE_DELIMITERS, key=scores.__getitem__)
        self._check_quotes()
        self.header, _ = next(self._parse_rows(self.delimiter), ([], 0))
        if not self.header:
            raise FileFormatError(f"{self.name} is empty: it holds only blank lines.")
        check_unique_names(self.header)

    def find_line_number(self, row: int) -> int | None:
        """Return the number of the last line of a row; row 0 is the first one below the header."""
        # the header is the parsed row 0, so the data row 0 is the parsed row 1
        return next(islice(self._parse_rows(self.delimiter), row + 1, None), ([], None))[1]

    def describe_cell(self, cells: pa.ChunkedArray, row: int, column_name: str) -> str:
        """Return the location and the text of a cell of this column, for messages."""
        line_number = self.find_line_number(row)
        return f"{self.name}, line {line_number}, column {column_name!r}: {cells[row].as_py()!r}"

    def read_table(
        self, *, text_columns: Iterable[str] = (), columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the cells of some columns, by default all, with the types that Arrow infers."""
        convert_options = arrow_csv.ConvertOptions(
            # 007 and 7 are different ids and categories, but the same number
            column_types=dict.fromkeys(text_columns, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            include_columns=None if columns == self.header else columns,  # None: all
        )
        parse_options = arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        read_options = arrow_csv.ReadOptions(block_size=min(len(self.content) + 1, _BLOCK_BYTES))
        stream = io.BytesIO(self.content)
        try:
            table = arrow_csv.read_csv(stream, read_options, parse_options, convert_options)
        except pa.ArrowException as error:
            # Arrow's message has no line number, so look for the usual cause: a row of other length
            for cells, line in self._parse_rows(self.delimiter):
                if len(cells) != len(self.header):
                    raise FileFormatError(
                        f"{self.name}, line {line} has {len(cells)} fields, but the header has "
                        f"{len(self.header)}. If it is the last line, the file may be cut short."
                    ) from error
            reason = " ".join(str(error).split())
            raise FileFormatError(f"{self.name} is damaged: {reason}") from error
        self.has_floats |= any(map(pa.types.is_floating, table.schema.types))
        return table

    def _parse_rows(self, delimiter: str, *lines_to_append: str) -> Iterator[tuple[list[str], int]]:
        """Yield the cells of each row, the header first, and the number of the row's last line."""
        lines = io.TextIOWrapper(io.BytesIO(self.content), "utf-8-sig", newline="")
        reader = csv.reader(chain(lines, lines_to_append), delimiter=delimiter)
        # the default limit of Python's module, 131072 characters in a cell, is too low for long
        # texts
        previous_limit = csv.field_size_limit(len(self.content))
        try:
            for cells in reader:
                if cells:  # not a blank line
                    yield cells, reader.line_num
        finally:
            csv.field_size_limit(previous_limit)

    def _check_quotes(self) -> None:
        """Raise ``FileFormatError`` if a quote is never closed, so a cell swallows later rows."""
        # Usually, the rows need no parsing: quotes that only begin and end cells come in pairs.
        num_quotes = self.content.count(b'"')
        if num_quotes % 2 == 0 and not (num_quotes and _INNER_QUOTE_PATTERN.search(self.content)):
            return
        # At the end, a line is added that is only the delimiter. It becomes a row of two empty
        # cells, unless a cell is open: then the line continues this cell.
        last_row = [""]
        last_line_numbers = [0]  # the number of the last line of each row
        for cells, line_number in self._parse_rows(self.delimiter, self.delimiter):
            last_row = cells
            last_line_numbers.append(line_number)
        if last_row != ["", ""]:
            # the last row has the open cell, and begins in the line after the previous row
            raise FileFormatError(
                f"{self.name}, line {last_line_numbers[-2] + 1}: the quote that begins a cell is "
                "never closed. Close it, or remove it."
            )


def _convert_column(
    cells: pa.ChunkedArray, column_name: str, requested_type: str | None, csv_file: CsvFile
) -> pa.ChunkedArray:
    """Return a feature as numbers or categories: as requested, else as most of its cells look."""
    if pa.types.is_null(cells.type):  # all cells are empty
        return cells.cast(pa.float64())
    if not pa.types.is_string(cells.type):
        return cells
    if requested_type == CATEGORICAL.name:
        return _parse_if_all_integers(cells)
    numbers = _replace_missing_words(cells)
    is_missing = numbers.is_null().to_numpy()
    # All cells may be words for a missing value. Arrow has replaced words without quotes by nulls,
    # so the words that are left had quotes. If a column holds no other text than quoted words such
    # as "NA", they are categories.
    if requested_type is None and is_missing.all():
        return cells
    numbers = _replace_decimal_commas(numbers, column_name, csv_file)
    is_number = cells_contain_regex(numbers, _NUMBER_PATTERN)
    if (is_number | is_missing).all():
        return _parse_floats(numbers)
    num_numbers = int(is_number.sum())
    # If at least half of the entries are other words, the column is categorical. Otherwise, these
    # words are mistakes in a column of numbers, and the first one causes the error.
    if requested_type is None and 2 * num_numbers <= len(cells) - int(is_missing.sum()):
        return cells
    row = int(np.argmin(is_number | is_missing))
    counts = "" if requested_type else f", but {num_numbers} of the {len(cells)} entries are"
    raise FileFormatError(
        f"{csv_file.describe_cell(cells, row, column_name)} is not a number{counts}. Fix it, or "
        "leave it empty if it is missing; if the column is categorical, pass "
        f"{argument(column_types={column_name: CATEGORICAL.name})}."
    )


def _parse_if_all_integers(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as categories: as numbers if all are integers, and otherwise unchanged."""
    is_integer = cells_contain_regex(cells, _INTEGER_CATEGORY_PATTERN)
    is_integer_or_missing = is_integer | cells.is_null().to_numpy()
    return _parse_floats(cells) if is_integer.any() and is_integer_or_missing.all() else cells


def _replace_decimal_commas(
    cells: pa.ChunkedArray, column_name: str, csv_file: CsvFile
) -> pa.ChunkedArray:
    """Return text with decimal commas replaced by decimal points."""
    has_comma = np.zeros(len(cells), bool)
    if csv_file.delimiter != ",":  # otherwise, commas separate cells and are not decimal
        has_comma = cells_contain_regex(cells, _DECIMAL_COMMA_PATTERN)
    if not has_comma.any():
        return cells
    row = int(np.argmax(has_comma))
    cell = csv_file.describe_cell(cells, row, column_name)
    has_point = cells_contain_regex(cells, _NUMBER_PATTERN) & cells_contain_regex(cells, r"\.")
    if has_point.any():
        point_row = int(np.argmax(has_point))
        raise FileFormatError(
            f"{cell} has a decimal comma, but {cells[point_row].as_py()!r} in line "
            f"{csv_file.find_line_number(point_row)} has a decimal point. Use one of them for all "
            "numbers."
        )
    # If all numbers with commas look like 1,234, the commas may separate thousands. In countries
    # with decimal commas, Excel separates cells by semicolons. So commas in a file with semicolons
    # are decimal, unless other columns have numbers with decimal points.
    is_ambiguous = (cells_contain_regex(cells, _AMBIGUOUS_COMMA_PATTERN) == has_comma).all()
    if is_ambiguous and (csv_file.has_floats or csv_file.delimiter != ";"):
        raise FileFormatError(
            f"{cell} may have a decimal comma or be an integer. Write numbers with a decimal "
            "point, and without commas between digits."
        )
    with_points = call_function("replace_substring", [cells], ReplaceSubstringOptions(",", "."))
    return call_function("if_else", [pa.array(has_comma), with_points, cells])


def _replace_missing_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text with nulls in place of NA, null and other words that mean missing."""
    # Arrow itself replaces only words without quotes.
    words = pa.array(arrow_csv.ConvertOptions().null_values)
    is_missing = call_function("is_in", [cells], SetLookupOptions(value_set=words))
    return call_function("if_else", [is_missing, pa.scalar(None, pa.string()), cells])


def _parse_floats(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text that holds only numbers as floats."""
    # some versions of Arrow cannot parse spaces and a leading plus sign, so both are trimmed
    trimmed = call_function("utf8_trim", [cells], TrimOptions(" \t\r\n\v\f+"))
    return trimmed.cast(pa.float64())


CSV = Format(
    "csv",
    (".csv",),
    reader=sequences_from_csv,
    read_options=TABLE_OPTION_NAMES,
    writer=sequences_to_csv,
    write_options=frozenset({"id", "time"}),
    layouts=("long",),
    is_table=True,
    column_reader=column_names_from_csv,
    label_reader=label_table_from_csv,
    table_reader=table_from_csv,
)
TSV = replace(CSV, name="tsv", suffixes=(".tsv",), writer=partial(sequences_to_csv, delimiter="\t"))
