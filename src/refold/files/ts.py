"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line."""

# A case lists its dimensions, separated by colons. A dimension is a list of values separated by
# commas, with ? for a missing one. If the header says so, a label follows the last colon. Cases may
# differ in length, but the dimensions of a case may not.

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError
from refold.files.formats import Format, check_numbers_only, decode_utf8
from refold.files.tables import check_label
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import ColumnTypes, Rows
from refold.sequences._schema import listed
from refold.sequences._sequences import Sequences
from refold.sequences._tables import integers_from_text

# The words after each tag of a header, whose tags are in lower case.
Header = dict[str, list[str]]

_TAGS = (
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
# A value with its time, which may contain colons.
_STAMPED = re.compile(r"\([^()]+,([^(),]*)\)")


class Case(NamedTuple):
    """One line of data."""

    line: int
    values: np.ndarray  # (length, dimensions)
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    cases = _read(data, name)
    items = [case.values for case in cases]
    layout = "array" if items and items[0].shape[1] > 1 else "series"
    rows = Rows("line", lambda i: cases[i].line)
    return Sequences(*parts_from_list(items, column_types=column_types, layout=layout, rows=rows))


def ts_labels(data: bytes, name: str, label: str, id_column: str | None) -> pa.Table:
    """Return the labels of the cases, in a table of one column."""
    check_label(["label"], name, label, id_column)
    labels = pa.array([case.label for case in _read(data, name)], pa.string())
    return pa.table({"label": integers_from_text(labels)})


def _read(data: bytes, name: str) -> list[Case]:
    """Return the cases of a file."""
    text = decode_utf8(data, name).split("\n")
    lines = ((number, line.strip()) for number, line in enumerate(text, start=1))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    header = _read_header(lines, name)
    cases = [_read_case(line, number, header, name) for number, line in lines]
    for case in cases:
        width, expected = case.values.shape[1], cases[0].values.shape[1]
        if width != expected:
            raise FileFormatError(
                f"{name}, line {case.line} has {width} dimensions, but the first case has "
                f"{expected}."
            )
    return cases


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> Header:
    """Return the words after each tag up to ``@data``."""
    header: Header = {}
    for number, line in lines:
        tag, *words = line.split()
        key = tag.lower()
        if key not in _TAGS:
            raise FileFormatError(
                f"{name}, line {number}: {tag[:40]!r} is not a tag. Expected one of "
                f"{', '.join(_TAGS)}, which comes before the cases."
            )
        header[key] = words
        if key == "@data":
            break
    if "@data" not in header or not {"@classlabel", "@targetlabel"} & {*header}:
        raise FileFormatError(
            f"{name} needs a line with @classLabel or @targetLabel, which tells whether cases end "
            "in a label, and then a line @data before the cases."
        )
    return header


def _is_true(header: Header, tag: str) -> bool:
    return [word.lower() for word in header.get(tag, [])[:1]] == ["true"]


def _read_case(line: str, number: int, header: Header, name: str) -> Case:
    place, label = f"{name}, line {number}", None
    if _is_true(header, "@timestamps"):
        line = _STAMPED.sub(r"\1", line)
    dimensions = line.split(":")
    if _is_true(header, "@classlabel") or _is_true(header, "@targetlabel"):
        label = dimensions.pop().strip()
        if not dimensions or not label:
            raise FileFormatError(
                f"{place} is {line[:40]!r}. Expected the values of each dimension, then ':' and "
                "the label, or ? for none. The file may be cut short."
            )
        labels = header.get("@classlabel", [])[1:]
        if labels and label not in (*labels, "?"):
            raise FileFormatError(
                f"{place} has the label {label[:40]!r}, but @classLabel lists {listed(labels)}."
            )
    columns: list[list[float]] = []
    for i, text in enumerate(dimensions):
        where = f"{place}, dimension {i}"
        cells = text.split(",") if text.strip() else []
        columns.append([_number(cell.strip(), where, value) for value, cell in enumerate(cells)])
        if len(columns[i]) != len(columns[0]):
            raise FileFormatError(
                f"{where} has {len(columns[i])} values, but dimension 0 has {len(columns[0])}. All "
                "need the same number; write ? for a missing value."
            )
    return Case(number, np.array(columns, np.float64).T, None if label == "?" else label)


def _number(cell: str, where: str, value: int) -> float:
    try:
        # Python would read 1_0 as 10
        return np.nan if cell == "?" else float(cell.replace("_", "?"))
    except ValueError:
        raise FileFormatError(
            f"{where}, value {value} is {cell[:40]!r}. Expected a number, or ? for a missing value."
        ) from None


def write_ts(sequences: Sequences) -> bytes:
    """Return one case per line, without labels; a missing value is ``?``."""
    schema, lengths = sequences.schema, sequences.lengths
    check_numbers_only(sequences, "a .ts")
    # other readers would reject an empty case
    if not len(lengths) or not lengths.all():
        empty = sequences.ids[lengths == 0]
        got = f"that with id {empty[0]!s} is empty" if len(empty) else "there is none"
        raise DataError(
            f"A .ts file needs sequences with steps, but {got}. Write .npz or .parquet."
        )
    equal, missing = lengths.min() == lengths.max(), np.isnan(sequences.values).any()
    header = [
        "@problemName sequences",
        "@timeStamps false",
        f"@missing {missing}".lower(),
        f"@univariate {schema.num_columns == 1}".lower(),
        *([f"@dimensions {schema.num_columns}"] if schema.num_columns > 1 else []),
        f"@equalLength {str(equal).lower()}",
        *([f"@seriesLength {lengths[0]}"] if equal else []),
        "@classLabel false",
        "@data",
    ]
    cells = np.where(np.isnan(sequences.values), "?", sequences.values.astype(str))
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    cases = [":".join(map(",".join, cells[start:stop].T)) for start, stop in bounds]
    return "".join(f"{line}\n" for line in [*header, *cases]).encode()


TS = Format("ts", (".ts",), read_ts, frozenset({"column_types"}), write_ts, labels=ts_labels)
