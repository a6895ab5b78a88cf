"""Functions that write messages, tables and JSON to the standard streams, and files."""

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
from refold._support.atomic_files import atomic_writer, require_local_path
from refold._support.messages import pluralize, write_all
from refold._support.optional_imports import check_installed
from refold.errors import Message, ParameterError

STANDARD_STREAM = "-"
# Formats are the suffixes of file names without the dot.
CODE_FORMATS = ("parquet", "csv", "jsonl", "npy")
MODEL_FORMATS = ("refold",)
PICTURE_FORMATS = ("png", "svg")
PAGE_FORMATS = ("html",)
ONNX_FORMATS = ("onnx",)
TABLE_FORMATS = ("jsonl", "csv", "tsv", "parquet")
# Formats of files that hold no sequences, so `refold.sequences` does not know them.
_FORMATS_WITHOUT_SEQUENCES = {*MODEL_FORMATS, *PICTURE_FORMATS, *PAGE_FORMATS, *ONNX_FORMATS}
# Options that are not the name of their Python argument with hyphens, by this argument.
_IRREGULAR_OPTIONS = {"missing_values": "--missing", "n": "-n", "warm_start": "--from"}


# Messages and tables


def log_line(message: str, *, label: str = "", label_color: str = "") -> None:
    """Write a message as one line to standard error; a label before the message is in color."""
    line = " ".join(message.split())
    prefix = Text(label, style=f"bold {label_color}") + ": " if label else Text()
    Console(stderr=True, soft_wrap=True).print(prefix + line, highlight=False)


def spell_as_options(message: object) -> str:
    """Return a message in which Python arguments are spelled as options: alpha is --alpha."""
    return (
        message.spell_for_command_line(_spell_as_option)
        if isinstance(message, Message)
        else str(message)
    )


def _spell_as_option(argument_text: str) -> str:
    """Return a Python argument as an option: max_steps is --max-steps, and n=[2, 4] is -n 2,4."""
    name, _, literal = argument_text.partition("=")
    option = _IRREGULAR_OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if literal in ("", "True"):  # an argument without a value, or a flag that is set
        return option
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):  # no Python literal, so it is already as a user writes it
        return f"{option} {literal}"
    if isinstance(value, dict):
        value = ",".join(f"{key}={item}" for key, item in value.items())
    elif isinstance(value, list):
        value = ",".join(map(str, value))
    return f"{option} {'none' if value is None else value}"


def print_line(line: str) -> None:
    """Write one line to standard output, without buffering."""
    print(line, flush=True)  # noqa: T201


def print_json(value: object) -> None:
    """Write one JSON object as a line to standard output."""
    print_line(json.dumps(value))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, num_text_columns: int = 1
) -> None:
    """Print a table with columns of text at the left, and columns of numbers after them."""
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        justify = "left" if i < num_text_columns else "right"
        # only columns of text after the first one are wrapped to several lines
        no_wrap = i == 0 or i >= num_text_columns
        # a long word such as a hash is folded, because cutting would lose its end
        table.add_column(heading, justify=justify, no_wrap=no_wrap, overflow="fold")
    for row in rows:
        table.add_row(*row)
    # without markup, because Rich would read the brackets in "speed [m/s]" as a style
    Console(markup=False, emoji=False).print(table)


# Formats


def find_format_name_or_none(file_name: str) -> str | None:
    """Return the format that the suffix of a file name stands for; None if it is unknown."""
    data_format = refold.sequences.find_format_or_none(file_name)
    if data_format is not None:
        return data_format.name
    suffix = Path(file_name).suffix.lower().lstrip(".")
    return suffix if suffix in _FORMATS_WITHOUT_SEQUENCES else None


# Files


def check_no_streams(command_or_option: str, *file_names: str | None) -> None:
    """Refuse standard input and output for a command or an option that needs file names."""
    if STANDARD_STREAM in file_names:
        raise ParameterError(
            f"{command_or_option} needs named files. Standard input and output cannot be used."
        )


# All files are checked before the work, so that a missing folder does not cost an hour of training.
class CommandFiles:
    """The inputs and outputs of a command, which are checked before the work.

    At most one input is standard input, and no output overwrites an input or another output.
    """

    def __init__(self, *input_files: str | None) -> None:
        # None stands for an input that is not set
        self.input_files = [name for name in input_files if name is not None]
        if self.input_files.count(STANDARD_STREAM) > 1:
            raise ParameterError("Only one input can be standard input. Name a file for the other.")
        self._used_paths = {
            os.path.realpath(name) for name in self.input_files if name != STANDARD_STREAM
        }

    def add_output(
        self, file_name: str, formats: Sequence[str] | None = None, *, option: str | None = None
    ) -> "OutputTarget":
        """Return an output, after checks of its format and folder.

        By default, the formats are those in which sequences can be written. Errors about a standard
        stream name the option; None stands for -o.
        """
        if formats is None:
            data_formats = refold.sequences.FORMATS.items()
            formats = [name for name, data_format in data_formats if data_format.writer is not None]
        if file_name == STANDARD_STREAM:
            # only JSON lines can be written to standard output, and only by -o
            if option is not None or "jsonl" not in formats:
                raise ParameterError(f"{option or '-o'} cannot be standard output. Name a file.")
            if sys.stdout is None:
                raise ParameterError("Standard output is closed. Name a file with -o.")
            return OutputTarget(file_name, "jsonl", None)

        path, format_name = require_local_path(file_name), find_format_name_or_none(file_name)
        data_format = refold.sequences.FORMATS.get(format_name or "")
        # the last suffix of a compressed file is not a suffix of its format, as in x.csv.gz
        is_compressed = data_format is not None and path.suffix.lower() not in data_format.suffixes
        if format_name is None or format_name not in formats or is_compressed:
            expected = ", ".join(f".{ending}" for ending in formats)
            raise ParameterError(f"The output {file_name!r} must end in {expected}.")
        problem = "it is a folder" if path.is_dir() else None
        try:  # only a trial tells whether the folder takes files
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            problem = f"{error.strerror}: the folder {str(path.parent)!r}"
        if problem is not None:
            raise ParameterError(
                f"The output {str(path)!r} cannot be written: {problem}. Name a file in a folder "
                "that exists and that you can write to."
            )
        if os.path.realpath(path) in self._used_paths:
            raise ParameterError(
                f"The output {file_name!r} would overwrite an input or another output. "
                "Name another file."
            )
        self._used_paths.add(os.path.realpath(path))
        return OutputTarget(file_name, format_name, path)

    def add_optional_output(
        self, option: str, file_name: str | None, formats: Sequence[str] | None = None
    ) -> "OutputTarget | None":
        """Return the checked output of an option; None if the option is not set."""
        return None if file_name is None else self.add_output(file_name, formats, option=option)

    def add_optional_picture(
        self, file_name: str | None, option: str = "--picture"
    ) -> "OutputTarget | None":
        """Return the checked image file of an option; None if the option is not set."""
        if file_name is not None:
            check_installed("matplotlib", extra="plots", purpose="A picture")
        return self.add_optional_output(option, file_name, PICTURE_FORMATS)


@dataclass(frozen=True)
class OutputTarget:
    """A checked output: standard output, or a file that appears only when it is complete."""

    file_name: str  # as the user wrote it
    format_name: str
    path: Path | None  # None: standard output

    @contextmanager
    def open_stream(self) -> Iterator[Any]:
        """Yield the binary stream of the file or of standard output."""
        if self.path is None:
            yield sys.stdout.buffer
            return
        with atomic_writer(self.path) as stream:
            yield stream

    def write_table(self, table: Any) -> None:
        """Write a `pyarrow.Table` as JSON lines, CSV or Parquet."""
        with self.open_stream() as stream:
            write_tables(stream, self.format_name, [table])

    def write_picture(self, figure: Any) -> None:
        """Write a matplotlib figure."""
        with self.open_stream() as stream:
            figure.savefig(stream, format=self.format_name, dpi=160)

    def write_sequences(
        self,
        arrays: Sequence[Any],
        schema: "refold.sequences.Schema",
        ids: Any = None,
        *,
        # This function takes the lengths (num_sequences,). It returns the times of all steps, one
        # sequence after the other, or None. Without it, the sequences have no times.
        get_times: Callable[[Any], Any] | None = None,
        quiet: bool,
    ) -> "refold.Sequences":
        """Write sequences, given as arrays; log their number, and return them as `Sequences`."""
        sequences = refold.sequences.Sequences.from_list(arrays, schema=schema, ids=ids)
        if get_times is not None:
            sequences.times = get_times(sequences.lengths)
        # the columns of ids and times are named as in the training data, unless a feature has the
        # same name
        id_column = name_id_column(schema)
        time_column = schema.choose_time_name({id_column}, has_times=sequences.times is not None)
        destination = self.path or sys.stdout.buffer
        arguments: dict[str, Any] = {"id": id_column, "time": time_column}
        if sequences.times is not None and self.format_name in ("jsonl", "parquet"):
            # the default layout, with a list for each sequence, cannot hold the times of steps
            arguments["layout"] = "long"
        refold.sequences.write(sequences, destination, format=self.format_name, **arguments)
        self.log_number_of_sequences(len(sequences), quiet=quiet)
        return sequences

    def log_number_of_sequences(self, num_sequences: int, *, quiet: bool) -> None:
        """Say how many sequences were written, unless they went to standard output."""
        if not quiet and self.path is not None:
            log_line(f"Wrote {pluralize(num_sequences, 'sequence')} to {self.file_name}")


def write_tables(
    byte_stream: Any, format_name: str | None, tables: Iterable[Any], **parquet_options: Any
) -> None:
    """Write tables with the same columns to a binary stream, one below the other."""
    # not at the top, because `refold --help` does not need PyArrow
    import pyarrow.parquet as pq
    from pyarrow import csv

    writer = None
    for table in tables:
        if format_name == "jsonl":
            write_all(byte_stream, refold.sequences.table_to_jsonl(table))
            continue
        if writer is None and format_name == "parquet":
            writer = pq.ParquetWriter(byte_stream, table.schema, **parquet_options)
        elif writer is None:
            delimiter = "\t" if format_name == "tsv" else ","
            options = csv.WriteOptions(delimiter=delimiter)
            writer = csv.CSVWriter(byte_stream, table.schema, write_options=options)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def name_id_column(schema: "refold.sequences.Schema", other_columns: Sequence[str] = ()) -> str:
    """Return the name of the id column as in the data, or "id" if another column has that name."""
    name = schema.id_name
    return "id" if name is None or name in {*other_columns, *schema.names} else name
