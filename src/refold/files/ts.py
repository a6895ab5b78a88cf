"""``.ts`` files of the UEA and UCR archives: a header of tags, then one case per line."""

# A case lists its dimensions, separated by colons. A dimension is a list of values separated by
# commas, with ? for a missing one. If the header says so, a label follows the last colon. Cases may
# differ in length, but the dimensions of a case may not.

import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.files.formats import Format, check_numbers_only, decode_utf8
from refold.files.tables import check_label
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import ColumnTypes, Rows
from refold.sequences._sequences import Sequences
from refold.sequences._tables import integers_from_text

_FLAG, _COUNT, _TEXT = "true or false", "a positive integer", "text"
# What follows each tag. The tags of a file may have capital letters.
_TAGS = {
    "@problemname": _TEXT,
    "@timestamps": _FLAG,
    "@missing": _FLAG,
    "@univariate": _FLAG,
    "@dimensions": _COUNT,
    "@dimension": _COUNT,
    "@equallength": _FLAG,
    "@serieslength": _COUNT,
    "@classlabel": _FLAG,  # then the labels
    "@targetlabel": _FLAG,
    "@data": _TEXT,
}
_STAMPED = re.compile(r"\(([^()]+),([^(),]*)\)")


class Case(NamedTuple):
    """One line of data."""

    line: int
    values: np.ndarray  # (length, dimensions)
    label: str | None  # None if there is none or it is "?"


def read_ts(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read one sequence per case, with one feature per dimension."""
    tags, cases = _read(data, name)
    length = tags.get("@serieslength")
    if tags.get("@equallength", length is not None):
        for case in cases:
            length = len(case.values) if length is None else length
            if len(case.values) != length:
                raise FileFormatError(
                    f"{name}, line {case.line} has {len(case.values)} values per dimension. "
                    f"Expected {length}, as of other cases or @seriesLength. Write @equalLength "
                    "false if lengths differ."
                )
    items = [case.values for case in cases]
    layout = "array" if items and items[0].shape[1] > 1 else "series"
    rows = Rows("line", lambda i: cases[i].line)
    return Sequences(*parts_from_list(items, column_types=column_types, layout=layout, rows=rows))


def ts_labels(data: bytes, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    """Return the numbers and the labels of the cases."""
    tags, cases = _read(data, name)
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


def _read(data: bytes, name: str) -> tuple[dict[str, Any], list[Case]]:
    """Return the tags of the header, in lower case, and the cases."""
    text = decode_utf8(data, name).split("\n")
    lines = ((number, line.strip()) for number, line in enumerate(text, start=1))
    lines = ((number, line) for number, line in lines if line and line[0] not in "#%")
    tags = _read_header(lines, name)
    cases: list[Case] = []
    for number, line in lines:
        case = _read_case(line, number, tags, name)
        # without a tag, the first case tells the number of dimensions
        width = tags.setdefault("@dimensions", case.values.shape[1])
        if case.values.shape[1] != width:
            raise FileFormatError(
                f"{name}, line {number} has {case.values.shape[1]} dimensions"
                f"{' and a label' if _has_labels(tags) else ''}, but the header or the first case "
                f"has {width}."
            )
        cases.append(case)
    return tags, cases


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> dict[str, Any]:
    """Return the values of the tags up to ``@data``."""
    tags: dict[str, Any] = {}
    for number, line in lines:
        tag, *words = line.split()
        key, word, value = tag.lower(), " ".join(words[:1]), None
        expected = _TAGS.get(key)
        if expected is None:
            raise FileFormatError(
                f"{name}, line {number}: {tag[:40]!r} is not a tag. Expected one of "
                f"{', '.join(_TAGS)}, which comes before the cases."
            )
        if expected == _FLAG:
            value = {"true": True, "false": False}.get(word.lower())
        elif expected == _COUNT:
            value = int(word) if word.isdecimal() and int(word) else None
        else:
            value = word
        if value is None:
            raise FileFormatError(
                f"{name}, line {number}: expected {expected} after {tag}. Got {word[:40]!r}."
            )
        tags["@dimensions" if key == "@dimension" else key] = value
        if key == "@classlabel":
            tags["labels"] = words[1:]
        if key == "@data":
            break
    if "@data" not in tags or not {"@classlabel", "@targetlabel"} & {*tags}:
        raise FileFormatError(
            f"{name} needs a line with @classLabel or @targetLabel, which tells whether cases end "
            "in a label, and then a line @data before the cases."
        )
    if tags.get("@univariate"):
        tags.setdefault("@dimensions", 1)
    return tags


def _has_labels(tags: dict[str, Any]) -> bool:
    return tags.get("@classlabel", False) or tags.get("@targetlabel", False)


def _read_case(line: str, number: int, tags: dict[str, Any], name: str) -> Case:
    place, label = f"{name}, line {number}", None
    is_stamped = tags.get("@timestamps", False)
    # times contain colons
    dimensions = re.split(r"(?<=\))\s*:" if is_stamped else ":", line)
    if _has_labels(tags):
        label = dimensions.pop().strip()
        if not dimensions or not label:
            raise FileFormatError(
                f"{place} is {line[:40]!r}. Expected the values of each dimension, then ':' and "
                "the label, or ? for none. The file may be cut short."
            )
        labels = tags.get("labels")
        if labels and label not in (*labels, "?"):
            raise FileFormatError(
                f"{place} has the label {label[:40]!r}, which @classLabel does not list: "
                f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''}."
            )
    columns, all_times = [], []
    for i, text in enumerate(dimensions):
        where = f"{place}, dimension {i}"
        if is_stamped:
            times, text = _without_times(text, where)
            all_times.append(times)
        cells = text.split(",") if text.strip() else []
        columns.append([_number(cell.strip(), where, value) for value, cell in enumerate(cells)])
        if len(columns[i]) != len(columns[0]) or any(times != all_times[0] for times in all_times):
            raise FileFormatError(
                f"{where} has {len(columns[i])} values, or other times than dimension 0, which has "
                f"{len(columns[0])}. All need the same; write ? for a missing value."
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
    columns = [column.astype(str).tolist() for column in sequences.values.T]
    cells = [["?" if cell == "nan" else cell for cell in column] for column in columns]
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    cases = [":".join(",".join(column[start:stop]) for column in cells) for start, stop in bounds]
    return "".join(f"{line}\n" for line in [*header, *cases]).encode()


TS = Format("ts", (".ts",), read_ts, frozenset({"column_types"}), write_ts, labels=ts_labels)
