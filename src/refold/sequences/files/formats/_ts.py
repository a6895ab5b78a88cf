"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line."""

import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from refold.errors import DataError, FileFormatError
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import ColumnTypes, Rows
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import check_numbers_only, decode_utf8

# A case lists its dimensions, separated by colons. A dimension is a list of values separated by
# commas, with ? for a missing one. If the header says so, a label follows the last colon. Cases may
# differ in length, but the dimensions of a case may not.
FLAGS = ("@timestamps", "@missing", "@univariate", "@equallength", "@targetlabel")
COUNTS = ("@dimensions", "@dimension", "@serieslength")
TAGS = (
    "@problemName, @timeStamps, @missing, @univariate, @dimensions, @dimension, @equalLength, "
    "@seriesLength, @classLabel, @targetLabel, @data"
)
BOOLEANS = {"true": True, "false": False}
STAMPED = re.compile(r"\(([^()]+),([^(),]*)\)")


class Case(NamedTuple):
    """One line of data, split but not yet parsed as numbers."""

    line: int
    dimensions: list[str]
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    tags, cases = ts_cases(data, name)
    length = tags.get("@serieslength")
    is_equal = tags.get("@equallength", length is not None)
    expected = f"@seriesLength says {length}"
    items, lines = [], []
    for case in cases:
        place = f"{name}, line {case.line}"
        values = _values(case, place, stamped=tags.get("@timestamps", False))
        if is_equal and length is None:
            length, expected = len(values), f"line {case.line} has {len(values)}"
        if is_equal and len(values) != length:
            raise FileFormatError(
                f"{place} has {len(values)} values per dimension, but {expected}. "
                "Write @equalLength false if lengths differ."
            )
        items.append(values)
        lines.append(case.line)
    if not items:
        raise FileFormatError(f"{name} has no cases after @data.")
    layout = "series" if items[0].shape[1] == 1 else "array"
    rows = Rows("line", lines.__getitem__)
    return Sequences(*parts_from_list(items, column_types=column_types, layout=layout, rows=rows))


def ts_cases(data: bytes, name: str) -> tuple[dict[str, Any], Iterator[Case]]:
    """Return the tags of the header, and the cases with checked labels and dimensions."""
    text = decode_utf8(data, name).split("\n")
    lines = ((number, line.strip()) for number, line in enumerate(text, start=1))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    tags = _read_header(lines, name)
    return tags, _cases(lines, tags, name)


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> dict[str, Any]:
    """Read the tags up to ``@data``, in lower case, with their values."""
    tags: dict[str, Any] = {}
    for number, line in lines:
        tag, *words = line.split()
        key, text = tag.lower(), " ".join(words)
        place = f"{name}, line {number}"
        if key not in TAGS.lower().split(", "):
            raise FileFormatError(
                f"{place}: {tag[:40]!r} is not a tag. Expected one of {TAGS}, which comes before "
                "the cases."
            )
        value, expected = _tag_value(key, text)
        if value is None:
            raise FileFormatError(f"{place}: expected {expected} after {tag}. Got {text[:40]!r}.")
        key = "@dimensions" if key == "@dimension" else key
        if tags.setdefault(key, value) != value and key != "@problemname":
            raise FileFormatError(f"{place}: {tag} contradicts an earlier line. Keep one of them.")
        if key == "@data":
            break
    if "@data" not in tags:
        raise FileFormatError(f"{name} has no line @data, which comes before the cases.")
    if "@classlabel" not in tags and "@targetlabel" not in tags:
        raise FileFormatError(
            f"{name} has neither @classLabel nor @targetLabel, so it is unknown whether cases end "
            "in a label. Add @classLabel false, or true and the labels."
        )
    if tags.get("@univariate") and tags.setdefault("@dimensions", 1) != 1:
        raise FileFormatError(
            f"{name}: @univariate is true, but there are {tags['@dimensions']} @dimensions. "
            "Correct one of them."
        )
    return tags


def _tag_value(key: str, text: str) -> tuple[Any, str]:
    """Return what follows a tag, or None if it is wrong, and what is expected."""
    if key in FLAGS:
        return BOOLEANS.get(text.lower()), "true or false"
    if key in COUNTS:
        return int(text) if text.isdecimal() and int(text) else None, "a positive integer"
    if key == "@classlabel":
        flag, *labels = text.split() or [""]
        is_labeled = BOOLEANS.get(flag.lower())
        value = None if is_labeled is None else (is_labeled, labels)
        return value, "true and the labels, or false,"
    if key == "@data":
        return None if text else True, "nothing"
    return text, "a name"


def has_labels(tags: dict[str, Any]) -> bool:
    """Return whether cases end in a label."""
    return tags.get("@classlabel", (False,))[0] or tags.get("@targetlabel", False)


def _cases(lines: Iterator[tuple[int, str]], tags: dict[str, Any], name: str) -> Iterator[Case]:
    width, expected = tags.get("@dimensions"), "the header says"
    for number, line in lines:
        place = f"{name}, line {number}"
        # times contain colons
        ends = r"(?<=\))\s*:" if tags.get("@timestamps") else ":"
        parts = re.split(ends, line)
        label = _label(parts.pop(), tags, place) if has_labels(tags) else None
        if not parts:
            raise FileFormatError(
                f"{place} is {line[:40]!r}, without a ':'. Expected the values of a dimension, "
                "then ':' and the label. The file may be cut short."
            )
        if width is None:
            width, expected = len(parts), f"line {number} has"
        if len(parts) != width:
            raise FileFormatError(
                f"{place} has {len(parts)} dimension{'s' * (len(parts) != 1)}"
                f"{' and a label' if has_labels(tags) else ''}, but {expected} {width}."
            )
        yield Case(number, parts, label)


def _label(text: str, tags: dict[str, Any], place: str) -> str | None:
    label, labels = text.strip(), tags.get("@classlabel", (True, []))[1]
    if not label:
        raise FileFormatError(f"{place} has no label after its last ':'. Write ? for none.")
    if labels and label not in (*labels, "?"):
        raise FileFormatError(
            f"{place} has the label {label[:40]!r}, which @classLabel does not list: "
            f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''}."
        )
    return None if label == "?" else label


def _values(case: Case, place: str, *, stamped: bool) -> np.ndarray:
    """Return the values (length, dimensions) of a case."""
    columns, first_times = [], None
    for i, text in enumerate(case.dimensions):
        where = f"{place}, dimension {i}"
        if stamped:
            times, text = _without_times(text, where)
            first_times = first_times or times
            if times != first_times:
                raise FileFormatError(
                    f"{where} has other times than dimension 0. All need the same times."
                )
        columns.append(_numbers(text, where))
        if len(columns[i]) != len(columns[0]):
            raise FileFormatError(
                f"{where} has {len(columns[i])} values, but dimension 0 has {len(columns[0])}. "
                "The dimensions of a case need equal lengths; write ? for a missing value."
            )
    return np.stack(columns, axis=1)


def _numbers(text: str, where: str) -> np.ndarray:
    cells = text.split(",") if text.strip() else []
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            # Python would read 1_0 as 10
            values[i] = np.nan if cell.strip() == "?" else float(cell.replace("_", "?"))
        except ValueError:
            raise FileFormatError(
                f"{where}, value {i} is {cell.strip()[:40]!r}. Expected a number, or ? for a "
                "missing value."
            ) from None
    return values


def _without_times(text: str, where: str) -> tuple[list[str], str]:
    """Return the times of a dimension, which must ascend, and its values with commas."""
    pairs = STAMPED.findall(text)
    if STAMPED.sub("", text).replace(",", "").strip():
        raise FileFormatError(
            f"{where} is {text.strip()[:40]!r}. Expected (time,value) pairs, as @timeStamps is "
            "true."
        )
    times = [time.strip() for time, _ in pairs]
    keys: list[Any] = times
    with contextlib.suppress(ValueError):  # dates in the notation of the archives sort as text
        keys = [float(time) for time in times]
    for i, (before, after) in enumerate(pairwise(keys), start=1):
        if not before < after:
            raise DataError(
                f"{where}: the time {times[i]!r} comes after {times[i - 1]!r}. Times must ascend."
            )
    return times, ",".join(value for _, value in pairs)


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
