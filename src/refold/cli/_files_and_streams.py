"""Inputs and outputs of commands: files and the standard streams, with one interface."""

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

STREAM = "-"
CODE_FORMATS = ("parquet", "csv", "jsonl", "npy", "npz")
MODEL_FORMATS = ("refold",)
PICTURE_FORMATS = ("png", "svg")
PAGE_FORMATS = ("html",)
GRAPH_FORMATS = ("onnx",)
TABLE_FORMATS = ("jsonl", "csv", "parquet")
# Formats of files that have no sequences.
_OTHER_FORMATS = {*MODEL_FORMATS, *PICTURE_FORMATS, *PAGE_FORMATS, *GRAPH_FORMATS}
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Output:
    """A checked output: a file, a device or standard output."""

    name: str
    format: str
    path: Path | None  # None: standard output
    copied: bool  # a stream or device: written to a temporary file, then copied

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the path to write to; a temporary file is copied to the output at the end."""
        if not self.copied and self.path is not None:
            yield self.path
            return
        # a stream gets the whole output or nothing
        with tempfile.TemporaryDirectory(prefix="refold-") as folder:
            made = Path(folder) / f"output.{self.format}"
            yield made
            with made.open("rb") as source:
                if self.path is None:
                    _copy(source, sys.stdout.buffer)
                else:
                    with refold.sequences.atomic_writer(self.path) as target:
                        _copy(source, target)


def plan_output(name: str, formats: tuple[str, ...], format_name: str | None = None) -> Output:
    """Check the format of an output and that it can be written."""
    # The format of a file is that of its suffix, and `format_name` that of a stream or device. All
    # is checked before the work, so a missing folder does not cost an hour of training.
    path = None if name == STREAM else refold.sequences.local_path(name)
    if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
        default = "jsonl" if "jsonl" in formats else formats[0]
        chosen = _known(format_name or default, formats)
        if path is None and sys.stdout is None:
            raise ParameterError("Standard output is closed. Name a file with -o.")
        if path is None and not _is_text(chosen) and sys.stdout.isatty():
            raise ParameterError(
                f"The format {chosen} is binary and would garble the terminal. "
                "Name a file with -o, or redirect standard output to a file or pipe."
            )
        return Output(name, chosen, path, copied=True)
    chosen = format_of(path)
    if chosen not in formats or _is_compressed(path, chosen):
        raise ParameterError(f"The output {name!r} must end in {_endings(formats)}.")
    _check_folder(path)
    return Output(name, chosen, path, copied=False)


def plan_file(name: str, formats: tuple[str, ...], reason: str) -> Output:
    """Check an output as `plan_output` does; raise an error with a reason if it is a stream."""
    target = plan_output(name, formats)
    if target.path is None:
        raise ParameterError(reason)
    return target


def plan_conversion(
    inputs: tuple[str, str],
    output: str,
    formats: tuple[str, ...],
    input_format: str | None,
    output_format: str | None,
) -> Output:
    """Check the inputs and the output of a conversion."""
    check_one_stream(*inputs)
    # standard output has the format of the input if --format names it for a file
    if output_format is None and STREAM not in inputs and input_format is not None:
        chosen = plain_format(input_format)
        output_format = chosen if chosen in formats else None
    target = plan_output(output, formats, output_format)
    check_distinct([target], inputs)
    return target


def check_one_stream(*inputs: str | None) -> None:
    """Check that at most one input is standard input."""
    if inputs.count(STREAM) > 1:
        others = "a file for the other" if len(inputs) == 2 else "files for the others"
        raise ParameterError(f"Only one input can be standard input. Name {others}.")


def check_distinct(outputs: Iterable[Output | None], inputs: Iterable[str | None] = ()) -> None:
    """Check that no output overwrites another output or an input."""
    named = [name for name in inputs if name is not None and name != STREAM]
    taken = {os.path.realpath(name): "an input" for name in named}
    for output in outputs:
        if output is None or output.path is None or output.copied:
            continue
        place = os.path.realpath(output.path)
        if place in taken:
            raise ParameterError(
                f"The output {output.name!r} would overwrite {taken[place]}. Name another file."
            )
        taken[place] = "another output"


@contextmanager
def readable(
    name: str, format_name: str | None = None, formats: tuple[str, ...] | None = None
) -> Iterator[Path]:
    """Yield a path to an input whose suffix is that of its format."""
    shown, formats = "standard input" if name == STREAM else name, formats or _read_formats()
    chosen = None if format_name is None else _known(format_name, formats)
    path = None if name == STREAM else refold.sequences.local_path(name)
    if path is not None and chosen in {None, format_of(path)}:
        yield path
        return
    if chosen is None and len(formats) > 1:
        raise ParameterError(
            f"The format of standard input is unknown. Add --format {'|'.join(formats)}."
        )
    chosen = chosen or next(iter(formats))
    # a copy of standard input, or a link to a file whose suffix is another one
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        stand_in = Path(folder) / f"input.{chosen}"
        if name == STREAM:
            with stand_in.open("wb") as target:
                shutil.copyfileobj(sys.stdin.buffer, target)
        else:
            _link(Path(name), stand_in)
        try:
            yield stand_in
        except RefoldError as error:  # with the name that the user gave
            text = error.message.marked.replace(repr(str(stand_in)), shown)
            raise type(error)(text.replace(str(stand_in), shown)) from error
        except OSError as error:
            if str(error.filename) == str(stand_in):
                error.filename = shown
            raise


def input_format_of(names: Sequence[str | None], name: str, format_name: str | None) -> str | None:
    """Return the format for one of several inputs; None for that of its suffix."""
    # if standard input is among them, `format_name` is not for files with a known suffix
    has_suffix = format_of(Path(name)) in _read_formats()
    return None if STREAM in names and has_suffix else format_name


def plain_format(name: str) -> str:
    """Normalize the name of a format: ``csv`` for ``.CSV`` and ``csv.gz``."""
    name = name.lstrip(".").lower()
    found = refold.sequences.format_named(f"file.{name}") if "." in name else None
    return name if found is None else found.name


def format_of(path: Path) -> str | None:
    """Return the format of a file by its suffix; None if it is unknown."""
    found = refold.sequences.format_named(path.name)
    if found is not None:
        return found.name
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in _OTHER_FORMATS else None


def data_formats() -> tuple[str, ...]:
    """Return the formats that sequences can be written to."""
    return tuple(name for name, one in refold.sequences.FORMATS.items() if one.writer is not None)


def _read_formats() -> tuple[str, ...]:
    return tuple(refold.sequences.FORMATS)


def _is_text(name: str) -> bool:
    found = refold.sequences.FORMATS.get(name)
    return found is not None and found.is_text


def _is_compressed(path: Path, name: str) -> bool:
    """Return whether a file has a compression suffix, which is only supported for reading."""
    found = refold.sequences.FORMATS.get(name)
    return found is not None and path.suffix.lower() not in found.suffixes


def _link(path: Path, stand_in: Path) -> None:
    try:
        stand_in.symlink_to(path.absolute())
    except OSError:  # the file system has no links, or Windows does not permit them
        shutil.copyfile(path, stand_in)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    """Copy all bytes, even if an unbuffered target accepts only some per write."""
    while chunk := source.read(_CHUNK_BYTES):
        write_all(target, chunk)
    target.flush()


def _known(format_name: str, formats: tuple[str, ...]) -> str:
    chosen = plain_format(format_name)
    if chosen not in formats:
        raise ParameterError(
            f"The format must be one of {', '.join(formats)}. Got {format_name!r}."
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
            "Create it first, or name another."
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ParameterError(
            f"The output {str(path)!r} cannot be written: the folder {str(folder)!r} is not "
            f"writable ({error.strerror}). Name another."
        ) from error
