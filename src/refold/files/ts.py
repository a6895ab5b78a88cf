"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line."""

# A case lists its dimensions, separated by colons. A dimension is a list of values separated by
# commas, with ? for a missing one. If the header says so, a label follows the last colon. Cases may
# differ in length, but the dimensions of a case may not.

import contextlib
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.files.formats import Format, check_numbers_only, decode_utf8
from refold.files.tables import check_label
from refold.sequences._arrow_columns import integers_from_text
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import ColumnTypes, Rows
from refold.sequences._sequences import Sequences

_STAMPED = re.compile(r"\(([^()]+),([^(),]*)\)")


class Case(NamedTuple):
    """One line of data, split but not yet parsed as numbers."""

    line: int
    dimensions: list[str]
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    tags, cases = _tags_and_cases(data, name)
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
    layout = "array" if items and items[0].shape[1] > 1 else "series"
    rows = Rows("line", lines.__getitem__)
    return Sequences(*parts_from_list(items, column_types=column_types, layout=layout, rows=rows))


def ts_labels(data: bytes, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    """Return the numbers and the labels of the cases."""
    tags, cases = _tags_and_cases(data, name)
    if id_column is not None:
        raise SchemaError(
            f"{name} has no ids: the cases of a .ts file are numbered from 0. Leave "
            f"{argument('id=')} out."
        )
    if not _has_labels(tags):
        raise SchemaError(f"{name} has no labels: its header says @classLabel false.")
    check_label(["label"], name, label, None)
    labels = pa.array([case.label for case in cases], pa.string())
    return list(range(len(labels))), integers_from_text(labels).to_pylist()


def _tags_and_cases(data: bytes, name: str) -> tuple[dict[str, Any], Iterator[Case]]:
    """Return the tags of the header, and the cases with checked labels and dimensions."""
    text = decode_utf8(data, name).split("\n")
    lines = ((number, line.strip()) for number, line in enumerate(text, start=1))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    tags = _read_header(lines, name)
    return tags, _cases(lines, tags, name)


def _flag(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) else None


def _class_label(text: str) -> tuple[bool, list[str]] | None:
    flag, *labels = text.split() or [""]
    is_labeled = _flag(flag)
    return None if is_labeled is None else (is_labeled, labels)


# The value of the text after each tag, None if it is wrong, and what is expected.
_TAGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "@problemName": (str, "a name"),
    "@timeStamps": (_flag, "true or false"),
    "@missing": (_flag, "true or false"),
    "@univariate": (_flag, "true or false"),
    "@dimensions": (_count, "a positive integer"),
    "@dimension": (_count, "a positive integer"),
    "@equalLength": (_flag, "true or false"),
    "@seriesLength": (_count, "a positive integer"),
    "@classLabel": (_class_label, "true and the labels, or false,"),
    "@targetLabel": (_flag, "true or false"),
    "@data": (lambda text: None if text else True, "nothing"),
}


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> dict[str, Any]:
    """Read the tags up to ``@data``, in lower case, with their values."""
    parsers = {tag.lower(): parser for tag, parser in _TAGS.items()}
    tags: dict[str, Any] = {}
    for number, line in lines:
        tag, *words = line.split()
        key, text, place = tag.lower(), " ".join(words), f"{name}, line {number}"
        if key not in parsers:
            raise FileFormatError(
                f"{place}: {tag[:40]!r} is not a tag. Expected one of {', '.join(_TAGS)}, which "
                "comes before the cases."
            )
        parse, expected = parsers[key]
        value = parse(text)
        if value is None:
            raise FileFormatError(f"{place}: expected {expected} after {tag}. Got {text[:40]!r}.")
        values = {"@dimensions" if key == "@dimension" else key: value}
        if key == "@univariate" and value:
            values["@dimensions"] = 1
        differs = any(tags.setdefault(key, value) != value for key, value in values.items())
        if differs and key != "@problemname":
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
    return tags


def _has_labels(tags: dict[str, Any]) -> bool:
    return tags.get("@classlabel", (False,))[0] or tags.get("@targetlabel", False)


def _cases(lines: Iterator[tuple[int, str]], tags: dict[str, Any], name: str) -> Iterator[Case]:
    width, expected = tags.get("@dimensions"), "the header says"
    labels = tags.get("@classlabel", (True, []))[1]
    # times contain colons
    ends = r"(?<=\))\s*:" if tags.get("@timestamps") else ":"
    for number, line in lines:
        place, parts, label = f"{name}, line {number}", re.split(ends, line), "?"
        if _has_labels(tags):
            label = parts.pop().strip()
            if not label:
                raise FileFormatError(f"{place} has no label after its last ':'. Write ? for none.")
            if labels and label not in (*labels, "?"):
                raise FileFormatError(
                    f"{place} has the label {label[:40]!r}, which @classLabel does not list: "
                    f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''}."
                )
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
                f"{' and a label' if _has_labels(tags) else ''}, but {expected} {width}."
            )
        yield Case(number, parts, None if label == "?" else label)


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
        cells = text.split(",") if text.strip() else []
        columns.append([_number(cell.strip(), where, value) for value, cell in enumerate(cells)])
        if len(columns[i]) != len(columns[0]):
            raise FileFormatError(
                f"{where} has {len(columns[i])} values, but dimension 0 has {len(columns[0])}. "
                "The dimensions of a case need equal lengths; write ? for a missing value."
            )
    return np.array(columns, np.float64).T


def _number(cell: str, where: str, value: int) -> float:
    try:
        # Python would read 1_0 as 10
        return np.nan if cell == "?" else float(cell.replace("_", "?"))
    except ValueError:
        raise FileFormatError(
            f"{where}, value {value} is {cell[:40]!r}. Expected a number, or ? for a missing value."
        ) from None


def _without_times(text: str, where: str) -> tuple[list[str], str]:
    """Return the times of a dimension, which must ascend, and its values with commas."""
    pairs = _STAMPED.findall(text)
    if _STAMPED.sub("", text).replace(",", "").strip():
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
        raise DataError(
            f"The sequence with id {sequences.ids[lengths == 0][0]!s} is empty, which a .ts file "
            "cannot hold. Leave it out, or write .npz or .parquet."
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


TS = Format("ts", (".ts",), read_ts, frozenset({"column_types"}), write_ts, labels=ts_labels)
