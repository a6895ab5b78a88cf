"""The header of a ``.ts`` file: its tags and what they say about the data."""

from typing import NamedTuple

from refold.errors import FileFormatError

__all__ = ["Header", "read_header"]

BOOLEANS = ("timestamps", "missing", "univariate", "equallength", "targetlabel")
COUNTS = ("dimensions", "serieslength")
KNOWN = (
    "problemName, timeStamps, missing, univariate, dimensions, equalLength, seriesLength, "
    "classLabel, targetLabel, data"
)


class Header(NamedTuple):
    """The tags that the reader of the data needs."""

    line: int  # of @data
    stamped: bool  # values are (time,value) pairs
    equal: bool  # all cases have the same length
    length: int | None
    dimensions: int | None
    labelled: bool
    labels: tuple[str, ...]  # empty if any label is valid


def read_header(lines: list[str], name: str) -> Header:
    """Read the tags up to ``@data``; lines that begin with ``#`` or ``%`` are comments.

    Raises
    ------
    FileFormatError
        If there is no ``@data``, a tag is unknown or has an invalid value, two tags contradict
        each other, or none says whether cases have labels.
    """
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
    flags = {key: _boolean(tags, key, name) for key in BOOLEANS}
    counts = {key: _count(tags, key, name) for key in COUNTS}
    labelled, labels = _labels(tags, name)
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
        labelled=labelled or bool(flags["targetlabel"]),
        labels=labels,
    )


def _boolean(tags: dict[str, tuple[int, list[str]]], key: str, name: str) -> bool | None:
    if key not in tags:
        return None
    line, words = tags[key]
    if len(words) != 1 or words[0].lower() not in {"true", "false"}:
        raise FileFormatError(
            f"{name}, line {line}: expected true or false. Got {' '.join(words)[:40]!r}."
        )
    return words[0].lower() == "true"


def _count(tags: dict[str, tuple[int, list[str]]], key: str, name: str) -> int | None:
    if key not in tags:
        return None
    line, words = tags[key]
    if len(words) != 1 or not words[0].isdecimal() or int(words[0]) < 1:
        raise FileFormatError(
            f"{name}, line {line}: expected a positive integer. Got {' '.join(words)[:40]!r}."
        )
    return int(words[0])


def _labels(tags: dict[str, tuple[int, list[str]]], name: str) -> tuple[bool, tuple[str, ...]]:
    if "classlabel" not in tags:
        return False, ()
    line, words = tags["classlabel"]
    if not words or words[0].lower() not in {"true", "false"}:
        raise FileFormatError(
            f"{name}, line {line}: expected true and the labels, or false. "
            f"Got {' '.join(words)[:40]!r}."
        )
    return words[0].lower() == "true", tuple(words[1:])
