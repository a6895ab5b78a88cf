"""What a command writes: lines, tables and JSON on the standard streams, and files."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

import refold
from refold._support.optional_imports import optional
from refold._support.output import write_all
from refold.errors import ParameterError, SchemaError

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
# For a line about drift.
_MIN_SEQUENCES = 50
_MAX_P_VALUE = 0.001


# Lines and tables


def log(message: str, *, label: str = "", color: str = "") -> None:
    """Write one line to standard error, with the label in color if it is a terminal."""
    line = " ".join(message.split())
    head = Text(label, style=f"bold {color}") + ": " if label else Text()
    Console(stderr=True, soft_wrap=True).print(head + line, highlight=False)


def log_drift(drift: Any) -> None:
    """Log a line if enough sequences differ significantly from the training data."""
    if drift.num_sequences >= _MIN_SEQUENCES and drift.p_value <= _MAX_P_VALUE:
        log(
            f"Drift: these sequences differ from the training data ({drift}). Check them; "
            "`refold fit DATA --from MODEL` trains the model further."
        )


def print_line(text: str) -> None:
    """Write one line to standard output, at once."""
    print(text, flush=True)  # noqa: T201


def print_json(value: object) -> None:
    """Write one JSON object as a line to standard output."""
    print_line(json.dumps(value))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table of numbers, of which the first `left` columns are text."""
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        justify = "left" if i < left else "right"
        table.add_column(heading, justify=justify, no_wrap=i == 0 or i >= left)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, emoji=False).print(table)  # a column may be "speed [m/s]"


def print_facts(facts: Mapping[str, str | None]) -> None:
    """Print names and texts in two columns; a text is None if there is nothing to say."""
    table: Any = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in facts.items():
        if text is not None:
            table.add_row(name, text)
    Console(markup=False, emoji=False).print(table)


@contextmanager
def loading(*, quiet: bool) -> Iterator[None]:
    """Show in a terminal that Keras and JAX are loading, which takes seconds."""
    if quiet:
        yield
        return
    with Console(stderr=True).status("loading Keras and JAX"):
        yield


# Formats


def format_of(path: Path) -> str | None:
    """Return the format of a file by its suffix; None if it is unknown."""
    known = refold.sequences.format_named(path.name)
    if known is not None:
        return known.name
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in _OTHER_FORMATS else None


def plain_format(name: str) -> str:
    """Normalize the name of a format: ``csv`` for ``.CSV`` and ``csv.gz``."""
    name = name.lstrip(".").lower()
    known = refold.sequences.format_named(f"file.{name}") if "." in name else None
    return name if known is None else known.name


def check_format(format_name: str, formats: Iterable[str]) -> str:
    """Return the plain name of a format, which must be one of some."""
    chosen = plain_format(format_name)
    if chosen not in formats:
        raise ParameterError(
            f"The format must be one of {', '.join(formats)}. Got {format_name!r}."
        )
    return chosen


def data_formats() -> tuple[str, ...]:
    """Return the formats that sequences can be written to."""
    formats = refold.sequences.FORMATS.items()
    return tuple(name for name, known in formats if known.writer is not None)


# Files


def check_named(what: str, *names: str | None) -> None:
    """Refuse standard streams where files need names."""
    if STREAM in names:
        raise ParameterError(f"{what} needs named files. Standard input and output cannot be used.")


class Files:
    """The inputs and outputs of a command, which are checked before the work.

    At most one input is standard input, and no output overwrites an input or another output. A
    missing folder does not cost an hour of training.
    """

    def __init__(self, *inputs: str | None) -> None:
        self.inputs = [name for name in inputs if name is not None]
        if self.inputs.count(STREAM) > 1:
            others = "a file for the other" if len(inputs) == 2 else "files for the others"
            raise ParameterError(f"Only one input can be standard input. Name {others}.")
        named = [name for name in self.inputs if name != STREAM]
        self._taken = {os.path.realpath(name): "an input" for name in named}

    def output(
        self,
        name: str,
        formats: tuple[str, ...],
        format_name: str | None = None,
        *,
        option: str | None = None,
    ) -> "Output":
        """Check an output: a file has the format of its suffix, a stream or device `format_name`.

        Without `format_name`, a stream has JSON lines if they are among the formats. The value of
        an `option` must be a file.
        """
        if option is not None and name == STREAM:
            raise ParameterError(f"{option} cannot be standard output. Name a file.")
        path = None if name == STREAM else refold.sequences.local_path(name)
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            default = "jsonl" if "jsonl" in formats else formats[0]
            chosen = check_format(format_name or default, formats)
            if path is None:
                _check_standard_output(chosen)
            return Output(name, chosen, path, copied=True)

        chosen = format_of(path)
        known = refold.sequences.FORMATS.get(chosen or "")
        is_compressed = known is not None and path.suffix.lower() not in known.suffixes
        if chosen not in formats or is_compressed:
            endings = [f".{ending}" for ending in formats]
            last = endings.pop()
            expected = f"{', '.join(endings)} or {last}" if endings else last
            raise ParameterError(f"The output {name!r} must end in {expected}.")
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
        if output_format is None and STREAM not in self.inputs and input_format is not None:
            chosen = plain_format(input_format)
            output_format = chosen if chosen in formats else None
        return self.output(name, formats, output_format)

    def optional(self, option: str, name: str | None, formats: tuple[str, ...]) -> "Output | None":
        """Check the output of an option; None if it is not set."""
        return None if name is None else self.output(name, formats, option=option)

    def picture(self, name: str | None, option: str = "--picture") -> "Output | None":
        """Check the image file of a figure; None if it is not requested."""
        target = self.optional(option, name, PICTURE_FORMATS)
        if target is not None:
            optional("matplotlib", extra="plots", purpose="A picture")
        return target


def _check_standard_output(chosen: str) -> None:
    """Check that standard output is open, and no terminal if the format is binary."""
    known, problem = refold.sequences.FORMATS.get(chosen), None
    if sys.stdout is None:
        problem = "Standard output is closed"
    elif sys.stdout.isatty() and (known is None or not known.is_text):
        problem = f"The format {chosen} is binary and would garble the terminal"
    if problem is not None:
        raise ParameterError(f"{problem}. Name a file with -o.")


def _check_folder(path: Path) -> None:
    """Check that a file can be written where the path says."""
    folder, problem = path.parent, None
    if path.is_dir():
        problem = "it is a folder. Name a file"
    elif not folder.is_dir():
        problem = f"there is no folder {str(folder)!r}. Create it first, or name another"
    else:
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            problem = f"the folder {str(folder)!r} is not writable ({error.strerror}). Name another"
    if problem is not None:
        raise ParameterError(f"The output {str(path)!r} cannot be written: {problem}.")


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


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    """Copy all bytes, even if an unbuffered target accepts only some per write."""
    while chunk := source.read(_CHUNK_BYTES):
        write_all(target, chunk)
    target.flush()


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


# Columns of ids and times


def id_name(schema: "refold.sequences.Schema", own: Sequence[str] = ()) -> str:
    """Return a name for the column of ids: that of the data, unless the table has it already."""
    name = schema.id_name
    return "id" if name is None or name in {*own, *schema.names} else name


def check_names(schema: "refold.sequences.Schema", reserved: Iterable[str], what: str) -> None:
    """Check before the work that no column has a name that the output needs for itself."""
    for name in reserved:
        if name in schema.names:
            raise SchemaError(
                f"The model has a column {name!r}, and {what} needs this name for itself. Rename "
                "the column and fit again, or write sequences as .npz."
            )


def check_feature_names(schema: "refold.sequences.Schema", format_name: str) -> None:
    """Check before the work that no feature has the name of the column of ids or times."""
    columns, chosen = _file_names(schema), refold.sequences.FORMATS[format_name]
    reserved = [columns["id"]] if "id" in chosen.write_options else []
    if "time" in chosen.write_options and chosen.layouts[0] == "long":
        reserved.append(columns["time"])
    check_names(schema, reserved, f"a .{format_name} file of sequences")


def write_sequences(
    arrays: Sequence[Any],
    schema: "refold.sequences.Schema",
    target: Output,
    ids: Any = None,
    *,
    quiet: bool,
) -> Any:
    """Write decoded arrays to an output, log it, and return them as sequences."""
    sequences = refold.sequences.Sequences.from_list(arrays, schema=schema)
    if ids is not None:
        sequences = sequences.with_ids(ids)
    with target.writing() as path:
        refold.sequences.write(sequences, path, **_file_names(schema))
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {target.name}")
    return sequences


def _file_names(schema: "refold.sequences.Schema") -> dict[str, str]:
    """Return names for the columns of ids and times: those of the data if they are free."""
    identity, time = id_name(schema), schema.time_name
    if time is None or time in {identity, *schema.names}:
        time = "time"
    return {"id": identity, "time": time}
