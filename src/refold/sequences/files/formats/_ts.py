"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from refold.errors import DataError, FileFormatError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files._file_access import check_numbers_only, decode_utf8
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import Rows

# A case lists its dimensions, separated by colons. A dimension is a list of values separated by
# commas, with ? for a missing one. If the header says so, a label follows the last colon. Cases may
# differ in length, but the dimensions of a case may not.
BOOLEANS = ("timestamps", "missing", "univariate", "equallength", "targetlabel")
COUNTS = ("dimensions", "serieslength")
KNOWN = (
    "problemName, timeStamps, missing, univariate, dimensions, equalLength, seriesLength, "
    "classLabel, targetLabel, data"
)
STAMPED = re.compile(r"\(([^()]+),([^(),]*)\)")


class Header(NamedTuple):
    """The tags that the reader of the data needs."""

    line: int  # of @data
    stamped: bool  # values are (time,value) pairs
    equal: bool  # all cases have the same length
    length: int | None
    dimensions: int | None
    labeled: bool
    labels: tuple[str, ...]  # empty if any label is valid


class Case(NamedTuple):
    """One line of data, split but not yet parsed as numbers."""

    line: int
    dimensions: list[str]
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    header, cases = ts_cases(data, name)
    items: list[np.ndarray] = []
    lines: list[int] = []
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
        items.append(np.stack(parts, axis=1))
        lines.append(case.line)
    if not items:
        raise FileFormatError(f"{name} has no cases after @data.")
    layout = "series" if items[0].shape[1] == 1 else "array"
    rows = Rows("line", lines.__getitem__)
    return Sequences(*parts_from_list(items, column_types=column_types, layout=layout, rows=rows))


def ts_cases(data: bytes, name: str) -> tuple[Header, Iterator[Case]]:
    """Return the header and the cases, with checked labels and numbers of dimensions."""
    lines = decode_utf8(data, name).split("\n")
    header = _read_header(lines, name)
    return header, _cases(lines, header, name)


def _cases(lines: list[str], header: Header, name: str) -> Iterator[Case]:
    width, first = header.dimensions, 0
    for number, text in enumerate(lines[header.line :], start=header.line + 1):
        line = text.strip()
        if not line or line[0] in "#%":
            continue
        place = f"{name}, line {number}"
        parts = _split(line, stamped=header.stamped)
        label = _label(parts.pop(), header, place) if header.labeled else None
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
                f"{' and a label' if header.labeled else ''}, but {expected}."
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


def _read_header(lines: list[str], name: str) -> Header:
    """Read the tags up to ``@data``; lines that begin with ``#`` or ``%`` are comments."""
    tags: dict[str, tuple[int, list[str]]] = {}
    for number, text in enumerate(lines, start=1):
        line = text.strip()
        if not line or line[0] in "#%":
            continue
        tag, *words = line.split()
        key = _key(tag, f"{name}, line {number}")
        if key in tags and tags[key][1] != words and key != "problemname":
            raise FileFormatError(f"{name}, line {number}: {tag} contradicts line {tags[key][0]}.")
        tags[key] = number, words
        if key == "data":
            if words:
                raise FileFormatError(
                    f"{name}, line {number}: nothing may follow @data. Got {words[0][:40]!r}."
                )
            return _header(tags, name)
    raise FileFormatError(f"{name} has no line @data, which comes before the cases in a .ts file.")


def _key(tag: str, place: str) -> str:
    if not tag.startswith("@"):
        raise FileFormatError(
            f"{place}: expected a tag that begins with @, as @data comes before the cases. "
            f"Got {tag[:40]!r}."
        )
    key = tag[1:].lower()
    key = "dimensions" if key == "dimension" else key
    if key not in KNOWN.lower().split(", "):
        raise FileFormatError(f"{place}: the tag {tag[:40]!r} is unknown. Known: {KNOWN}.")
    return key


def _header(tags: dict[str, tuple[int, list[str]]], name: str) -> Header:
    flags = {key: _value(tags, key, name, "true or false", _boolean) for key in BOOLEANS}
    counts = {key: _value(tags, key, name, "a positive integer", _count) for key in COUNTS}
    expected = "true and the labels, or false"
    labeled, labels = _value(tags, "classlabel", name, expected, _labels) or (False, ())
    if "classlabel" not in tags and "targetlabel" not in tags:
        raise FileFormatError(
            f"{name} has neither @classLabel nor @targetLabel, so it is unknown whether cases end "
            "in a label. Add @classLabel false, or true and the labels."
        )
    dimensions, equal = counts["dimensions"], flags["equallength"]
    equal = counts["serieslength"] is not None if equal is None else equal
    if flags["univariate"] and dimensions not in (None, 1):
        line = tags["dimensions"][0]
        raise FileFormatError(
            f"{name}, line {line}: {dimensions} dimensions, but @univariate is true."
        )
    return Header(
        line=tags["data"][0],
        stamped=bool(flags["timestamps"]),
        equal=equal,
        length=counts["serieslength"] if equal else None,
        dimensions=1 if flags["univariate"] else dimensions,
        labeled=labeled or bool(flags["targetlabel"]),
        labels=labels,
    )


def _value(
    tags: dict[str, tuple[int, list[str]]],
    key: str,
    name: str,
    expected: str,
    parse: Callable[[list[str]], Any],
) -> Any:
    """Return what a tag says, None without such a tag."""
    if key not in tags:
        return None
    line, words = tags[key]
    value = parse(words)
    if value is None:
        raise FileFormatError(
            f"{name}, line {line}: expected {expected}. Got {' '.join(words)[:40]!r}."
        )
    return value


def _boolean(words: list[str]) -> bool | None:
    known = {"true": True, "false": False}
    return known.get(words[0].lower()) if len(words) == 1 else None


def _count(words: list[str]) -> int | None:
    positive = len(words) == 1 and words[0].isdecimal() and int(words[0]) >= 1
    return int(words[0]) if positive else None


def _labels(words: list[str]) -> tuple[bool, tuple[str, ...]] | None:
    labeled = _boolean(words[:1])
    return None if labeled is None else (labeled, tuple(words[1:]))


def write_ts(sequences: Sequences) -> bytes:
    """Return one case per line, without labels; a missing value is ``?``."""
    schema, lengths = sequences.schema, sequences.lengths
    check_numbers_only(sequences, "a .ts")
    if not len(lengths):
        raise DataError("There is no sequence, and a .ts file needs at least one case.")
    # other readers would reject an empty case
    if not lengths.all():
        identity = sequences.ids[lengths == 0][0]
        raise DataError(
            f"The sequence with id {identity!s} is empty, which a .ts file cannot hold. "
            "Leave it out, or write .npz or .parquet."
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
    columns = [column.astype(str).tolist() for column in sequences.values.T]
    cells = [["?" if cell == "nan" else cell for cell in column] for column in columns]
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    cases = [":".join(",".join(column[start:stop]) for column in cells) for start, stop in bounds]
    return "".join(f"{line}\n" for line in [*header, *cases]).encode()
