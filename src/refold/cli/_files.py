"""Inputs and outputs of commands: files and the standard streams, with one interface."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import refold
from refold._support.output import write_all
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


class Files:
    """The inputs and outputs of a command, which are checked before the work.

    At most one input is standard input, and no output overwrites an input or another output. A
    missing folder does not cost an hour of training.
    """

    def __init__(self, *inputs: str | None) -> None:
        if inputs.count(STREAM) > 1:
            others = "a file for the other" if len(inputs) == 2 else "files for the others"
            raise ParameterError(f"Only one input can be standard input. Name {others}.")
        self._inputs = [name for name in inputs if name is not None]
        named = [name for name in self._inputs if name != STREAM]
        self._taken = {os.path.realpath(name): "an input" for name in named}

    def opened(self, name: str, format_name: str | None) -> AbstractContextManager[Path]:
        """Open one of the inputs as `readable` does."""
        # if one of them is standard input, --format is not for those with a known suffix
        has_suffix = format_of(Path(name)) in refold.sequences.FORMATS
        is_for_other = has_suffix and STREAM in self._inputs
        return readable(name, None if is_for_other else format_name)

    def output(
        self, name: str, formats: tuple[str, ...], format_name: str | None = None
    ) -> "Output":
        """Check an output: a file has the format of its suffix, a stream or device `format_name`.

        Without `format_name`, a stream has JSON lines if they are among the formats.
        """
        path = None if name == STREAM else refold.sequences.local_path(name)
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            default = "jsonl" if "jsonl" in formats else formats[0]
            chosen = _check_format(format_name or default, formats)
            if path is None:
                _check_standard_output(chosen)
            return Output(name, chosen, path, copied=True)
        chosen = format_of(path)
        if chosen not in formats or _is_compressed(path, chosen):
            raise ParameterError(f"The output {name!r} must end in {_endings(formats)}.")
        _check_folder(path)
        place = os.path.realpath(path)
        if place in self._taken:
            raise ParameterError(
                f"The output {name!r} would overwrite {self._taken[place]}. Name another file."
            )
        self._taken[place] = "another output"
        return Output(name, chosen, path, copied=False)

    def converted(
        self,
        name: str,
        formats: tuple[str, ...],
        input_format: str | None,
        output_format: str | None,
    ) -> "Output":
        """Check the output of a conversion: standard output has the format of the input."""
        if output_format is None and STREAM not in self._inputs and input_format is not None:
            chosen = plain_format(input_format)
            output_format = chosen if chosen in formats else None
        return self.output(name, formats, output_format)

    @overload
    def named_output(self, option: str, name: str, formats: tuple[str, ...]) -> "Output": ...

    @overload
    def named_output(
        self, option: str, name: str | None, formats: tuple[str, ...]
    ) -> "Output | None": ...

    def named_output(
        self, option: str, name: str | None, formats: tuple[str, ...]
    ) -> "Output | None":
        """Check an output that must be a file; None if it is not requested."""
        if name is None:
            return None
        if name == STREAM:
            raise ParameterError(f"{option} cannot be standard output. Name a file.")
        return self.output(name, formats)

    def picture(self, name: str | None, option: str = "--picture") -> "Output | None":
        """Check the image file of a figure; None if it is not requested."""
        target = self.named_output(option, name, PICTURE_FORMATS)
        if target is not None:
            from refold._support.optional_imports import optional

            optional("matplotlib", extra="plots", purpose="A picture")
        return target


@dataclass(frozen=True)
class Output:
    """A checked output: a file, a device or standard output. It is written whole or not at all."""

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
        with tempfile.TemporaryDirectory(prefix="refold-") as folder:
            made = Path(folder) / f"output.{self.format}"
            yield made
            with made.open("rb") as source:
                if self.path is None:
                    _copy(source, sys.stdout.buffer)
                else:
                    with refold.sequences.atomic_writer(self.path) as target:
                        _copy(source, target)

    def write_table(self, table: Any) -> None:
        """Write a `pyarrow.Table` as JSON lines, CSV or Parquet."""
        with self.writing() as path:
            write_tables(path, [table])

    def write_picture(self, figure: Any) -> None:
        """Write a matplotlib figure."""
        with self.writing() as path, refold.sequences.atomic_writer(path) as file:
            figure.savefig(file, format=self.format, dpi=160)


def write_tables(path: Path, tables: Iterable[Any], **parquet: Any) -> None:
    """Write tables with the same columns as one, in the format of the suffix."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    chosen, writer = format_of(path), None
    with refold.sequences.atomic_writer(path) as stream:
        for table in tables:
            if chosen == "jsonl":
                stream.writelines(f"{json.dumps(row)}\n".encode() for row in table.to_pylist())
                continue
            if writer is None and chosen == "parquet":
                writer = pq.ParquetWriter(stream, table.schema, **parquet)
            elif writer is None:
                writer = csv.CSVWriter(stream, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


@contextmanager
def readable(
    name: str, format_name: str | None = None, formats: tuple[str, ...] | None = None
) -> Iterator[Path]:
    """Yield a path to an input whose suffix is that of its format."""
    shown = "standard input" if name == STREAM else name
    formats = formats or tuple(refold.sequences.FORMATS)
    chosen = None if format_name is None else _check_format(format_name, formats)
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


def plain_format(name: str) -> str:
    """Normalize the name of a format: ``csv`` for ``.CSV`` and ``csv.gz``."""
    name = name.lstrip(".").lower()
    known = refold.sequences.format_named(f"file.{name}") if "." in name else None
    return name if known is None else known.name


def format_of(path: Path) -> str | None:
    """Return the format of a file by its suffix; None if it is unknown."""
    known = refold.sequences.format_named(path.name)
    if known is not None:
        return known.name
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in _OTHER_FORMATS else None


def data_formats() -> tuple[str, ...]:
    """Return the formats that sequences can be written to."""
    formats = refold.sequences.FORMATS.items()
    return tuple(name for name, known in formats if known.writer is not None)


def _is_compressed(path: Path, name: str) -> bool:
    """Return whether a file has a compression suffix, which is only supported for reading."""
    known = refold.sequences.FORMATS.get(name)
    return known is not None and path.suffix.lower() not in known.suffixes


def _check_format(format_name: str, formats: tuple[str, ...]) -> str:
    """Return the plain name of a format, which must be one of some."""
    chosen = plain_format(format_name)
    if chosen not in formats:
        raise ParameterError(
            f"The format must be one of {', '.join(formats)}. Got {format_name!r}."
        )
    return chosen


def _check_standard_output(chosen: str) -> None:
    """Check that standard output is open, and no terminal if the format is binary."""
    if sys.stdout is None:
        raise ParameterError("Standard output is closed. Name a file with -o.")
    known = refold.sequences.FORMATS.get(chosen)
    if sys.stdout.isatty() and (known is None or not known.is_text):
        raise ParameterError(
            f"The format {chosen} is binary and would garble the terminal. "
            "Name a file with -o, or redirect standard output to a file or pipe."
        )


def _check_folder(path: Path) -> None:
    """Check that a file can be written where the path says."""
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


def _endings(formats: tuple[str, ...]) -> str:
    names = [f".{name}" for name in formats]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


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
