"""``.ts`` files of the UEA and UCR archives have a header of tags, then one case per line.

A case is a sequence. Colons separate its dimensions, which are the features. A dimension is a list
of values separated by commas, with ? for a missing one. If the header says so, a label follows the
last colon. Cases may differ in length, but the dimensions of a case may not.
"""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError
from refold.files.formats import Format, check_no_categorical_columns, decode_utf8
from refold.files.tables import check_label_column
from refold.sequences._encoding import ColumnTypes, RowNamer
from refold.sequences._lists import flat_arrays_from_list
from refold.sequences._schema import join_names
from refold.sequences._sequences import Sequences
from refold.sequences._tables import integers_from_text_if_exact

# All tags that a header may have.
_HEADER_TAGS = (
    "@problemname",
    "@timestamps",
    "@missing",
    "@univariate",
    "@dimensions",
    "@dimension",
    "@equallength",
    "@serieslength",
    "@classlabel",  # true or false, then the labels
    "@targetlabel",
    "@data",
)
# A time and a value, as in (2001-01-01 10:00:00,5). Group 1 is the value. The time may contain
# colons, which would look like the ends of dimensions.
_TIME_AND_VALUE_PATTERN = re.compile(r"\([^()]+,([^(),]*)\)")


class TsCase(NamedTuple):
    """A sequence in the file, which is one line of data."""

    line_number: int  # in the file
    values: np.ndarray  # (num_steps, num_dimensions)
    label: str | None  # None if the file has no labels, or for "?"


def sequences_from_ts(
    content: bytes, file_name: str, column_types: ColumnTypes = None
) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    cases = _read_cases(content, file_name)
    arrays = [case.values for case in cases]
    layout = "array" if arrays and arrays[0].shape[1] > 1 else "series"
    row_namer = RowNamer("line", lambda i: cases[i].line_number)
    converted = flat_arrays_from_list(
        arrays, column_types=column_types, output_layout=layout, row_namer=row_namer
    )
    return Sequences(*converted)


def label_table_from_ts(
    content: bytes, file_name: str, label_column: str, id_column: str | None
) -> pa.Table:
    """Return the labels of the cases, in a table of one column."""
    # labels have no name in the file, so the only label column that a user can name is "label"
    check_label_column(["label"], file_name, label_column, id_column)
    labels = pa.array([case.label for case in _read_cases(content, file_name)], pa.string())
    return pa.table({"label": integers_from_text_if_exact(labels)})


def _read_cases(content: bytes, file_name: str) -> list[TsCase]:
    """Return the cases of a file, which all have the same number of dimensions."""
    numbered = enumerate(map(str.strip, decode_utf8(content, file_name).split("\n")), start=1)
    # an iterator without empty lines and comments: the header takes its first lines, cases the rest
    lines = ((line_number, line) for line_number, line in numbered if line and line[0] not in "#%")
    header: dict[str, list[str]] = {}  # maps each tag, in lower case, to the words behind it
    for line_number, line in lines:
        tag, *words = line.split()
        if tag.lower() not in _HEADER_TAGS:  # messages show at most 40 characters of a line
            raise FileFormatError(
                f"{file_name}, line {line_number}: {tag[:40]!r} is not a tag. Expected one of "
                f"{', '.join(_HEADER_TAGS)}, which comes before the cases."
            )
        header[tag.lower()] = words
        if tag.lower() == "@data":  # the next lines are cases
            break
    if "@data" not in header or not {"@classlabel", "@targetlabel"} & {*header}:
        raise FileFormatError(
            f"{file_name} needs a line with @classLabel or @targetLabel, which tells whether cases "
            "end in a label, and then a line @data before the cases."
        )
    cases = [_read_case(line, line_number, header, file_name) for line_number, line in lines]
    for case in cases:
        num_dimensions, expected = case.values.shape[1], cases[0].values.shape[1]
        if num_dimensions != expected:
            raise FileFormatError(
                f"{file_name}, line {case.line_number} has {num_dimensions} dimensions, but the "
                f"first case has {expected}."
            )
    return cases


def _read_case(line: str, line_number: int, header: dict[str, list[str]], file_name: str) -> TsCase:
    """Parse a line of data; times, if there are any, are left out."""
    location, label = f"{file_name}, line {line_number}", None
    true_tags = {tag for tag, words in header.items() if words and words[0].lower() == "true"}
    if "@timestamps" in true_tags:
        line = _TIME_AND_VALUE_PATTERN.sub(r"\1", line)
    dimensions = line.split(":")
    if true_tags & {"@classlabel", "@targetlabel"}:
        label = dimensions.pop().strip()
        if not dimensions or not label:
            raise FileFormatError(
                f"{location} is {line[:40]!r}. Expected the values of each dimension, then ':' and "
                "the label, or ? for none. The file may be cut short."
            )
        labels = header.get("@classlabel", [])[1:]  # all labels, behind the word "true"
        if labels and label not in (*labels, "?"):
            raise FileFormatError(
                f"{location} has the label {label[:40]!r}, but @classLabel lists "
                f"{join_names(labels)}."
            )
    values: list[list[float]] = []  # of each dimension
    for i, text in enumerate(dimensions):
        values.append([])
        for j, cell in enumerate(map(str.strip, text.split(",") if text.strip() else [])):
            try:
                # `float` would read 1_0 as 10. With ? instead of _, it raises an error.
                values[i].append(np.nan if cell == "?" else float(cell.replace("_", "?")))
            except ValueError:
                raise FileFormatError(
                    f"{location}, dimension {i}, value {j} is {cell[:40]!r}. Expected a number, or "
                    "? for a missing value."
                ) from None
        if len(values[i]) != len(values[0]):
            raise FileFormatError(
                f"{location}, dimension {i} has {len(values[i])} values, but dimension 0 has "
                f"{len(values[0])}. All need the same number; write ? for a missing value."
            )
    return TsCase(line_number, np.array(values, np.float64).T, None if label == "?" else label)


def sequences_to_ts(sequences: Sequences) -> bytes:
    """Return one case per line, without labels; a missing value is ``?``."""
    schema, lengths = sequences.schema, sequences.lengths
    check_no_categorical_columns(sequences, "a .ts")
    # other programs that read .ts files reject an empty case
    if not len(lengths) or not lengths.all():
        empty_ids = sequences.ids[lengths == 0]
        got = f"that with id {empty_ids[0]!s} is empty" if len(empty_ids) else "there is none"
        raise DataError(
            f"A .ts file needs sequences with steps, but {got}. Write .npz or .parquet."
        )
    has_missing, is_univariate = np.isnan(sequences.values).any(), schema.num_columns == 1
    has_equal_lengths = lengths.min() == lengths.max()
    header = [
        "@problemName sequences",
        "@timeStamps false",
        f"@missing {str(has_missing).lower()}",
        f"@univariate {str(is_univariate).lower()}",
        *([] if is_univariate else [f"@dimensions {schema.num_columns}"]),
        f"@equalLength {str(has_equal_lengths).lower()}",
        *([f"@seriesLength {lengths[0]}"] if has_equal_lengths else []),
        "@classLabel false",
        "@data",
    ]
    cells = np.where(np.isnan(sequences.values), "?", sequences.values.astype(str))
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    cases = [":".join(map(",".join, cells[start:stop].T)) for start, stop in bounds]
    return "".join(f"{line}\n" for line in [*header, *cases]).encode()


# name, suffixes, reader, options of the reader, writer
TS = Format(
    "ts",
    (".ts",),
    sequences_from_ts,
    frozenset({"column_types"}),
    sequences_to_ts,
    label_reader=label_table_from_ts,
)
