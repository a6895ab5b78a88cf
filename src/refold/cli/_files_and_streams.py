"""Files and the standard streams, so that a command treats them alike.

Outputs are looked at before any work is done: a folder that isn't there is found before an
hour of training, not after. What goes to a stream is made whole first and copied then.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import refold
from refold._support.streams import write_all
from refold.errors import ParameterError, RefoldError

__all__ = [
    "CODE_FORMATS",
    "MODEL_FORMATS",
    "PAGE_FORMATS",
    "PICTURE_FORMATS",
    "TABLE_FORMATS",
    "Output",
    "check_apart",
    "data_formats",
    "format_among",
    "format_of",
    "plan_output",
    "read_formats",
    "readable",
]

STREAM = "-"
CODE_FORMATS = ("parquet", "csv", "jsonl", "npy")
MODEL_FORMATS = ("refold",)
PICTURE_FORMATS = ("png", "svg")
PAGE_FORMATS = ("html",)
TABLE_FORMATS = ("jsonl", "csv", "parquet")
_PART = 1 << 20


@dataclass(frozen=True)
class Output:
    """Where a result goes: a file, a device or standard output, known to be usable."""

    name: str
    format: str
    path: Path | None  # None: standard output
    copied: bool  # a stream or a device: made elsewhere, then copied

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Give the path to write to; what lies there at the end has reached its place."""
        if not self.copied and self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="refold-") as folder:
            made = Path(folder) / f"output.{self.format}"
            yield made
            with made.open("rb") as source:
                if self.path is None:
                    _copy(source, sys.stdout.buffer)
                else:
                    with refold.sequences.atomic_writer(self.path) as target:
                        _copy(source, target)


def plan_output(
    name: str, *, format_name: str | None, formats: tuple[str, ...], default: str
) -> Output:
    """Check an output before the work: its format, its folder, and that it can be written.

    The name of a file says its format; a stream or a device has the one asked for.

    Parameters
    ----------
    name : str
        File name, or ``-`` for standard output.
    format_name : str or None
        Format asked for, of a stream or a device.
    formats : tuple of str
        Formats that this output can have.
    default : str
        Format of a stream for which none was asked.

    Raises
    ------
    ParameterError
        If the format is not one of ``formats``, the folder is missing
        or cannot be written, or a terminal would receive binary data.
    """
    path = None if name == STREAM else Path(name)
    if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
        chosen = _known(format_name or default, formats)
        if path is None and sys.stdout is None:
            raise ParameterError("Standard output is closed. Name a file with -o.")
        if path is None and not _is_text(chosen) and sys.stdout.isatty():
            raise ParameterError(
                f"The format {chosen} is binary and would garble the terminal. "
                "Name a file with -o, or send standard output to a file or a pipe."
            )
        return Output(name, chosen, path, copied=True)
    chosen = format_of(path)
    if chosen not in formats or _is_compressed(path, chosen):
        raise ParameterError(
            f"The output {name!r} must end in {_endings(formats)}, which says its format."
        )
    _check_folder(path)
    return Output(name, chosen, path, copied=False)


def check_apart(outputs: Iterable[Output | None], inputs: Iterable[str | None] = ()) -> None:
    """Find before the work that a result would replace another one, or what it is made of.

    Raises
    ------
    ParameterError
        If two of them are one file.
    """
    named = [name for name in inputs if name is not None and name != STREAM]
    taken = {os.path.realpath(name): "an input" for name in named}
    for output in outputs:
        if output is None or output.path is None or output.copied:
            continue
        place = os.path.realpath(output.path)
        if place in taken:
            raise ParameterError(
                f"The output {output.name!r} is {taken[place]}, too, which it would replace. Name "
                "another file."
            )
        taken[place] = "another output"


@contextmanager
def readable(name: str, *, format_name: str | None, formats: tuple[str, ...]) -> Iterator[Path]:
    """Give the path of an input, under a name that says its format.

    Standard input is copied to a temporary file first; a file that is to be read in another format
    than its name says, or whose name says nothing, gets a link. Messages about either speak of what
    the user named.
    """
    shown = "standard input" if name == STREAM else name
    chosen = None if format_name is None else _known(format_name, formats)
    if name != STREAM and chosen in {None, format_of(Path(name))}:
        yield Path(name)
        return
    if chosen is None and len(formats) > 1:
        raise ParameterError(
            f"Standard input has no name that tells its format. Add --format {'|'.join(formats)}."
        )
    chosen = chosen or next(iter(formats))
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        stand_in = Path(folder) / f"input.{chosen}"
        if name == STREAM:
            with stand_in.open("wb") as target:
                shutil.copyfileobj(sys.stdin.buffer, target)
        else:
            _link(Path(name), stand_in)
        try:
            yield stand_in
        except RefoldError as error:
            text = str(error).replace(repr(str(stand_in)), shown)
            raise type(error)(text.replace(str(stand_in), shown)) from error
        except OSError as error:
            if str(error.filename) == str(stand_in):
                error.filename = shown
            raise


def format_among(names: Sequence[str | None], name: str, format_name: str | None) -> str | None:
    """Return the format to read one of several inputs in.

    The one asked for is that of standard input if this is one of them: others are then what their
    names say, if they say something.
    """
    told = format_of(Path(name)) in read_formats()
    return None if STREAM in names and told else format_name


def plain_format(name: str) -> str:
    """Return the name of a format as we write it: ``csv`` for ``.CSV`` and ``csv.gz``."""
    name = name.lstrip(".").lower()
    found = refold.sequences.format_named(f"file.{name}") if "." in name else None
    return name if found is None else found.name


def format_of(path: Path) -> str | None:
    """Return the format that a file's name says, or None."""
    found = refold.sequences.format_named(path.name)
    if found is not None:
        return found.name
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in {*MODEL_FORMATS, *PICTURE_FORMATS, *PAGE_FORMATS} else None


def read_formats() -> tuple[str, ...]:
    """Return the formats of sequences that are read."""
    return tuple(refold.sequences.FORMATS)


def data_formats() -> tuple[str, ...]:
    """Return the formats of sequences that are written."""
    return tuple(name for name, one in refold.sequences.FORMATS.items() if one.writer is not None)


def _is_text(name: str) -> bool:
    found = refold.sequences.FORMATS.get(name)
    return found is not None and found.is_text


def _is_compressed(path: Path, name: str) -> bool:
    """Whether a file has a suffix of compression.  Text is read so, and nothing is written so."""
    found = refold.sequences.FORMATS.get(name)
    return found is not None and path.suffix.lower() not in found.suffixes


def _link(path: Path, stand_in: Path) -> None:
    try:
        stand_in.symlink_to(path.absolute())
    except OSError:  # a file system, or Windows, without links for everyone
        shutil.copyfile(path, stand_in)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    """Copy all bytes; an unbuffered target may take fewer than it is given."""
    while part := source.read(_PART):
        write_all(target, part)
    target.flush()


def _known(format_name: str, formats: tuple[str, ...]) -> str:
    chosen = plain_format(format_name)
    if chosen not in formats:
        raise ParameterError(
            f"The format must be one of {', '.join(formats)} here. Got {format_name!r}."
        )
    return chosen


def _endings(formats: tuple[str, ...]) -> str:
    names = [f".{name}" for name in formats]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _check_folder(path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise ParameterError(f"The output {str(path)!r} is a folder. Name a file.")
    if not folder.is_dir():
        raise ParameterError(
            f"The output {str(path)!r} cannot be written: there is no folder {str(folder)!r}. "
            "Make it first, or name another."
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ParameterError(
            f"The output {str(path)!r} cannot be written: the folder {str(folder)!r} does not "
            f"take files ({error.strerror}). Name another."
        ) from error
