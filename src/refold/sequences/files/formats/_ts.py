"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line.

A case lists its dimensions, separated by ``:``. A dimension is a list of values separated by
commas, with ``?`` for a missing one. If the header says so, a label follows the last ``:``.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from refold.errors import DataError, FileFormatError
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files.formats._ts_header import Header, read_header
from refold.sequences.schema._column_types import ColumnTypes, encode_columns
from refold.sequences.schema._parts import Places, offsets_from_lengths
from refold.sequences.schema._schema import Schema, default_names
from refold.sequences.schema._validation import check_values

__all__ = ["Case", "read_ts", "ts_cases"]

STAMPED = re.compile(r"\(([^()]+),([^(),]*)\)")


class Case(NamedTuple):
    """One line of data, split but not yet parsed as numbers."""

    line: int
    dimensions: list[str]
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    r"""Read one sequence per case, with one feature per dimension.

    Cases may differ in length, but the dimensions of a case may not. For labels, see `read_labels`.

    Raises
    ------
    FileFormatError
        If a tag or a line of data is malformed, or they contradict each other.

    Examples
    --------
    >>> text = "@timeStamps false\n@classLabel true a b\n@data\n1,2,3:4,5,?:a\n6:7:b\n"
    >>> sequences = read_ts(text.encode(), "two.ts")
    >>> sequences.lengths.tolist(), sequences[1].tolist()
    ([3, 1], [[6.0, 7.0]])
    """
    header, cases = ts_cases(data, name)
    columns: list[list[np.ndarray]] = []
    lengths, lines = [], []
    length, first = header.length, 0
    for case in cases:
        place = f"{name}, line {case.line}"
        parts = _values(case, place, stamped=header.stamped)
        if header.equal and length is None:
            length, first = len(parts[0]), case.line
        if header.equal and len(parts[0]) != length:
            expected = f"line {first} has {length}" if first else f"@seriesLength says {length}"
            raise FileFormatError(
                f"{place} has {len(parts[0])} values per dimension, but {expected}. "
                "Write @equalLength false if lengths differ."
            )
        columns = columns or [[] for _ in parts]
        for column, values in zip(columns, parts, strict=True):
            column.append(values)
        lengths.append(len(parts[0]))
        lines.append(case.line)
    if not lengths:
        raise FileFormatError(f"{name} has no cases after @data.")
    raws = [np.concatenate(column) for column in columns]
    offsets = offsets_from_lengths(lengths)
    places = Places(offsets, note=lambda sequence, _: f"line {lines[sequence]}")
    values, found = encode_columns(raws, default_names(len(raws)), column_types, places)
    schema = Schema(found, "series" if len(raws) == 1 else "array")
    check_values(values, schema, places)
    return Sequences(values, offsets, schema=schema)


def ts_cases(data: bytes, name: str) -> tuple[Header, Iterator[Case]]:
    """Return the header and the cases, with checked labels and numbers of dimensions.

    Raises
    ------
    FileFormatError
        If a tag is malformed or, during iteration, a line does not match the tags.
    """
    lines = decode_utf8(data, name).split("\n")
    header = read_header(lines, name)
    return header, _cases(lines, header, name)


def _cases(lines: list[str], header: Header, name: str) -> Iterator[Case]:
    width, first = header.dimensions, 0
    for number, text in enumerate(lines[header.line :], start=header.line + 1):
        line = text.strip()
        if not line or line[0] in "#%":
            continue
        place = f"{name}, line {number}"
        parts = _split(line, stamped=header.stamped)
        label = _label(parts.pop(), header, place) if header.labelled else None
        if not parts:
            raise FileFormatError(
                f"{place} is {line[:40]!r}, without a ':'. Expected the values of a dimension, "
                "then ':' and the label. The file may be cut short."
            )
        if width is None:
            width, first = len(parts), number
        if len(parts) != width:
            expected = f"line {first} has {width}" if first else f"the header says {width}"
            raise FileFormatError(
                f"{place} has {len(parts)} dimension{'s' * (len(parts) != 1)}"
                f"{' and a label' if header.labelled else ''}, but {expected}."
            )
        yield Case(number, parts, label)


def _split(line: str, *, stamped: bool) -> list[str]:
    if not stamped:
        return line.split(":")
    # times contain colons
    parts = re.split(r"\)\s*:", line)
    return [*(f"{part})" for part in parts[:-1]), parts[-1]]


def _label(text: str, header: Header, place: str) -> str | None:
    label = text.strip()
    if label == "?":
        return None
    if not label:
        raise FileFormatError(f"{place} has no label after its last ':'. Write ? for none.")
    if header.labels and label not in header.labels:
        raise FileFormatError(
            f"{place} has the label {label[:40]!r}, which @classLabel does not list: "
            f"{', '.join(header.labels[:10])}{', ...' if len(header.labels) > 10 else ''}."
        )
    return label


def _values(case: Case, place: str, *, stamped: bool) -> list[np.ndarray]:
    """Return the values of each dimension of a case, which must have equal lengths."""
    parts, times = [], None
    for i, text in enumerate(case.dimensions):
        where = f"{place}, dimension {i}"
        if stamped:
            found, text = _without_times(text, where)
            if times is not None and found != times:
                raise FileFormatError(
                    f"{where} has other times than dimension 0. All need the same times."
                )
            times = found
        parts.append(_numbers(text, where))
        if len(parts[i]) != len(parts[0]):
            raise FileFormatError(
                f"{where} has {len(parts[i])} values, but dimension 0 has {len(parts[0])}. "
                "The dimensions of a case need equal lengths; write ? for a missing value."
            )
    return parts


def _numbers(text: str, where: str) -> np.ndarray:
    if not text.strip():
        return np.zeros(0)
    cells = text.split(",")
    try:
        if "_" in text:
            raise ValueError
        return np.array([np.nan if cell.strip() == "?" else float(cell) for cell in cells])
    except ValueError:
        for i, cell in enumerate(cells):
            if not _is_number(cell):
                shown = (
                    f"is {cell.strip()[:40]!r}, which is not a number"
                    if cell.strip()
                    else "is empty"
                )
                raise FileFormatError(
                    f"{where}, value {i} {shown}. Write ? for a missing value."
                ) from None
        raise


def _is_number(cell: str) -> bool:
    try:
        return cell.strip() == "?" or ("_" not in cell and float(cell) is not None)
    except ValueError:
        return False


def _without_times(text: str, where: str) -> tuple[list[str], str]:
    """Return the times of a dimension, which must ascend, and its values with commas."""
    found = STAMPED.findall(text)
    if STAMPED.sub("", text).replace(",", "").strip():
        raise FileFormatError(
            f"{where} is {text.strip()[:40]!r}. Expected (time,value) pairs, as @timeStamps is "
            "true."
        )
    times = [time.strip() for time, _ in found]
    # dates in the notation of the archives sort as text
    keys = [float(time) for time in times] if all(map(_is_number, times)) else times
    for i, (before, after) in enumerate(pairwise(keys), start=1):
        if not before < after:
            raise DataError(
                f"{where}: the time {times[i]!r} comes after {times[i - 1]!r}. Times must ascend."
            )
    return times, ",".join(value for _, value in found)
