"""``refold stream``: the code, error and p-value of sequences whose steps come line by line."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._console import log, print_json
from refold.cli._files import STREAM, Files, format_of, plain_format
from refold.cli._models import load_model
from refold.errors import FileFormatError, ParameterError, RefoldError, SchemaError, argument

__all__ = ["stream"]

# Cells of a CSV file that mean a missing value.
MISSING = {"", "na", "n/a", "nan", "null", "none"}
# Number of the line, id and step.
Step = tuple[int, Any, Any]


def stream(
    model: options.ModelFile,
    data: options.File = STREAM,
    /,
    *,
    window: options.PositiveOrNone = None,
    every: options.Positive = 1,
    id_column: Annotated[options.Name, Parameter(name="--id")] = None,
    latent_steps: options.LatentSteps = None,
    input_format: options.InputFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Read steps line by line, and write code, error and p-value so far.

    The output is one JSON object per line, which is written at once. In a CSV file, the first line
    has the names of the columns. A JSON line is an object or a list. Other columns than those of
    the model are ignored.

    Parameters
    ----------
    data
        File with a line for each step, or -.
    window
        Encode only the last N steps. [default: all]
    every
        Write a line only for every N-th step.
    id_column
        Column with ids; each id is a stream of its own.
    input_format
        csv, tsv or jsonl. [default: the suffix, else jsonl]
    """
    Files(model, data)  # at most one is standard input
    chosen = plain_format(input_format or format_of(Path(data)) or "jsonl")
    if chosen not in FORMATS:
        raise ParameterError(f"The format must be one of {', '.join(FORMATS)}. Got {chosen!r}.")
    loaded = load_model(model, latent_steps=latent_steps)
    streams: dict[Any, Any] = {}
    count = 0
    try:
        with _opened(data) as lines:
            for line, identity, step in FORMATS[chosen](lines, loaded.schema, id_column):
                if identity not in streams:
                    streams[identity] = loaded.stream(window, every)
                try:
                    result = streams[identity].push([step])
                except RefoldError as error:
                    raise type(error)(f"Line {line}: {error.message.marked}") from error
                count += 1
                if result is not None:
                    facts = {} if id_column is None else {"id": identity}
                    print_json(facts | asdict(result) | {"code": result.code.tolist()})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {_some_steps(count)}.") from None
    if not quiet:
        log(f"Read {_some_steps(count)}.")


def _some_steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


@contextmanager
def _opened(name: str) -> Iterator[Iterator[str]]:
    """Yield the lines of a file or of standard input, each as soon as it is there."""
    if name == STREAM:
        if sys.stdin is None:
            raise ParameterError("Standard input is closed. Name a file.")
        yield _decoded(sys.stdin.buffer)
        return
    with refold.sequences.local_path(name).open("rb") as file:
        yield _decoded(file)


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise FileFormatError(f"Line {number} is not UTF-8. Write it as UTF-8.") from error


def _json_steps(
    lines: Iterator[str], schema: "refold.sequences.Schema", id_column: str | None
) -> Iterator[Step]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(
                f"Line {number} is not JSON: {' '.join(str(error).split())}. Expected one step, or "
                f"{argument(format='csv')}."
            ) from error
        is_object = isinstance(value, dict)
        identity = None
        if id_column is not None:
            if not is_object or not isinstance(value.get(id_column), str | int):
                raise SchemaError(f"Line {number} has no id in {id_column!r}. Write one as a key.")
            identity = value[id_column]
        if is_object:
            step = {name: value[name] for name in _names(schema, value) if name in value}
            if not step:
                raise SchemaError(
                    f"Line {number} has no column of the model, only {_listed(value)}. Expected "
                    f"{_listed(schema.names)}."
                )
            value = step
        yield number, identity, value


def _csv_steps(
    lines: Iterator[str],
    schema: "refold.sequences.Schema",
    id_column: str | None,
    delimiter: str = ",",
) -> Iterator[Step]:
    rows = csv.reader(lines, delimiter=delimiter)
    header = [name.strip() for name in next(rows, [])]
    names = _names(schema, header)
    if refold.sequences.has_default_names(schema) and not set(names) <= set(header):
        names = [name for name in header if name != id_column]
    for name in [*names, *([] if id_column is None else [id_column])]:
        if name not in header:
            raise SchemaError(
                f"The first line has no column {name!r}. It has {_listed(header)}. Begin with the "
                "names of the columns."
            )
    places = [header.index(name) for name in names]
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise FileFormatError(
                f"Line {rows.line_num} has {len(row)} cells, but the first line has {len(header)}."
            )
        identity = None if id_column is None else row[header.index(id_column)]
        cells = [row[place].strip() for place in places]
        step: Any = [None if cell.lower() in MISSING else cell for cell in cells]
        if names[-1] != schema.names[-1] and schema.time_gaps:
            step = dict(zip(names, step, strict=True))
        yield rows.line_num, identity, step


def _names(schema: "refold.sequences.Schema", present: Iterable[str]) -> list[str]:
    """Return the columns to read: those of the model, or times from which it computes gaps."""
    names = list(schema.names)
    if schema.time_gaps and names[-1] not in present:
        names[-1] = schema.time_name or "time"
    return names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, [*names][:10])) or "nothing"


FORMATS = {
    "jsonl": _json_steps,
    "csv": _csv_steps,
    "tsv": partial(_csv_steps, delimiter="\t"),
}
