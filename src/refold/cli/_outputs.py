"""What a command writes: lines, tables and JSON on the standard streams, and files."""

import ast
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import refold
from refold._support.optional_imports import optional
from refold._support.output import counted, write_all
from refold._support.paths import atomic_writer, local_path
from refold.errors import Message, ParameterError

STREAM = "-"
CODE_FORMATS = ("parquet", "csv", "jsonl", "npy")
MODEL_FORMATS = ("refold",)
PICTURE_FORMATS = ("png", "svg")
PAGE_FORMATS = ("html",)
GRAPH_FORMATS = ("onnx",)
TABLE_FORMATS = ("jsonl", "csv", "parquet")
# Formats of files that have no sequences.
_OTHER_FORMATS = {*MODEL_FORMATS, *PICTURE_FORMATS, *PAGE_FORMATS, *GRAPH_FORMATS}
# Options with another name than their argument.
_OPTIONS = {"missing_values": "--missing", "n": "-n", "warm_start": "--from"}


# Lines and tables


def log(message: str, *, label: str = "", color: str = "") -> None:
    """Write one line to standard error, with the label in color if it is a terminal."""
    line = " ".join(message.split())
    head = Text(label, style=f"bold {color}") + ": " if label else Text()
    Console(stderr=True, soft_wrap=True).print(head + line, highlight=False)


def as_options(text: object) -> str:
    """Return a message with its arguments as options."""
    return text.spelled_with(_option) if isinstance(text, Message) else str(text)


def _option(argument: str) -> str:
    """Return the option of an argument: "scale='features'" is "--scale features"."""
    name, _, value = argument.partition("=")
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    return option if value in ("", "True") else f"{option} {_value(value)}"


def _value(text: str) -> str:
    """Return a Python literal as users of the command line write it."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def print_line(text: str) -> None:
    """Write one line to standard output, at once."""
    print(text, flush=True)  # noqa: T201


def print_json(value: object) -> None:
    """Write one JSON object as a line to standard output."""
    print_line(json.dumps(value))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table: `left` columns of text, then numbers."""
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        justify = "left" if i < left else "right"
        is_whole = i == 0 or i >= left
        # a hash is a long word, and its end counts
        table.add_column(heading, justify=justify, no_wrap=is_whole, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, emoji=False).print(table)  # a column may be "speed [m/s]"


# Formats


def format_of(name: str) -> str | None:
    """Return the format of a file by the suffix of its name; None if it is unknown."""
    known = refold.sequences.format_named(name)
    if known is not None:
        return known.name
    suffix = Path(name).suffix.lower().lstrip(".")
    return suffix if suffix in _OTHER_FORMATS else None


def data_formats() -> tuple[str, ...]:
    """Return the formats that sequences can be written to."""
    formats = refold.sequences.FORMATS.items()
    return tuple(name for name, known in formats if known.writer is not None)


# Files


def check_named(what: str, *names: str | None) -> None:
    """Refuse standard streams where files need names."""
    if STREAM in names:
        raise ParameterError(f"{what} needs named files. Standard input and output cannot be used.")


# All inputs and outputs are checked before the work, so that a long command does not fail at its
# end.
class Files:
    """The inputs and outputs of a command, which are checked before the work.

    At most one input is standard input, and no output overwrites an input or another output. A
    missing folder does not cost an hour of training.
    """

    def __init__(self, *inputs: str | None) -> None:
        self.inputs = [name for name in inputs if name is not None]
        if self.inputs.count(STREAM) > 1:
            raise ParameterError("Only one input can be standard input. Name a file for the other.")
        self._taken = {os.path.realpath(name) for name in self.inputs if name != STREAM}

    def output(self, name: str, formats: tuple[str, ...], *, option: str | None = None) -> "Output":
        """Check an output: its format, its folder, and that it is no input or other output."""
        if name == STREAM:
            # standard output is JSON lines
            if option is not None or "jsonl" not in formats:
                raise ParameterError(f"{option or '-o'} cannot be standard output. Name a file.")
            if sys.stdout is None:
                raise ParameterError("Standard output is closed. Name a file with -o.")
            return Output(name, "jsonl", None)

        path, chosen = local_path(name), format_of(name)
        known = refold.sequences.FORMATS.get(chosen or "")
        is_compressed = known is not None and path.suffix.lower() not in known.suffixes
        if chosen not in formats or is_compressed:
            expected = ", ".join(f".{ending}" for ending in formats)
            raise ParameterError(f"The output {name!r} must end in {expected}.")
        _check_folder(path)
        if os.path.realpath(path) in self._taken:
            raise ParameterError(
                f"The output {name!r} would overwrite an input or another output. Name another "
                "file."
            )
        self._taken.add(os.path.realpath(path))
        return Output(name, chosen, path)

    def optional(self, option: str, name: str | None, formats: tuple[str, ...]) -> "Output | None":
        """Check the output of an option; None if it is not set."""
        return None if name is None else self.output(name, formats, option=option)

    def picture(self, name: str | None, option: str = "--picture") -> "Output | None":
        """Check the image file of a figure; None if it is not requested."""
        if name is not None:
            optional("matplotlib", extra="plots", purpose="A picture")
        return self.optional(option, name, PICTURE_FORMATS)


def _check_folder(path: Path) -> None:
    """Check that a file can be written where the path says."""
    problem = "it is a folder" if path.is_dir() else None
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        problem = f"{error.strerror}: the folder {str(path.parent)!r}"
    if problem is not None:
        raise ParameterError(
            f"The output {str(path)!r} cannot be written: {problem}. Name a file in a folder that "
            "exists and that you can write to."
        )


@dataclass(frozen=True)
class Output:
    """A checked output: standard output, or a file, which is written whole or not at all."""

    name: str
    format: str
    path: Path | None  # None: standard output

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """Yield a binary stream: of a file that appears when it is complete, or standard output."""
        if self.path is None:
            yield sys.stdout.buffer
            return
        with atomic_writer(self.path) as stream:
            yield stream

    def write_table(self, table: Any) -> None:
        """Write a `pyarrow.Table` as JSON lines, CSV or Parquet."""
        with self.writing() as stream:
            write_tables(stream, self.format, [table])

    def write_picture(self, figure: Any) -> None:
        """Write a matplotlib figure."""
        with self.writing() as stream:
            figure.savefig(stream, format=self.format, dpi=160)

    def write_sequences(
        self,
        arrays: Sequence[Any],
        schema: "refold.sequences.Schema",
        ids: Any = None,
        *,
        times_of: Callable[[Any], Any] | None = None,  # from lengths to times, or to None
        quiet: bool,
    ) -> "refold.Sequences":
        """Write decoded arrays, log it, and return them as sequences."""
        sequences = refold.sequences.Sequences.from_list(arrays, schema=schema, ids=ids)
        if times_of is not None:
            sequences.times = times_of(sequences.lengths)
        # ids and times have the names of the data, unless a feature has that name
        identity = id_name(schema)
        time = schema.time_column({identity}, has_times=sequences.times is not None)
        place = self.path or sys.stdout.buffer
        names: dict[str, Any] = {"id": identity, "time": time}
        if sequences.times is not None and self.format == "parquet":
            names["layout"] = "long"  # lists have no place for times
        refold.sequences.write(sequences, place, format=self.format, **names)
        if not quiet and self.path is not None:
            log(f"Wrote {counted(len(sequences), 'sequence')} to {self.name}")
        return sequences


def write_tables(
    stream: Any, format_name: str | None, tables: Iterable[Any], **parquet: Any
) -> None:
    """Write tables with the same columns as one to a binary stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    writer = None
    for table in tables:
        if format_name == "jsonl":
            for i, column in enumerate(table.columns):
                if pa.types.is_temporal(column.type):  # JSON has no times
                    table = table.set_column(i, table.column_names[i], column.cast(pa.string()))
            write_all(stream, "".join(f"{json.dumps(row)}\n" for row in table.to_pylist()).encode())
            continue
        if writer is None and format_name == "parquet":
            writer = pq.ParquetWriter(stream, table.schema, **parquet)
        elif writer is None:
            writer = csv.CSVWriter(stream, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def id_name(schema: "refold.sequences.Schema", own: Sequence[str] = ()) -> str:
    """Return a name for the column of ids: that of the data, unless the table has it already."""
    name = schema.id_name
    return "id" if name is None or name in {*own, *schema.names} else name
