"""``refold encode``, ``decode`` and ``reconstruct``: what a saved model is for."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

import refold
from refold.cli._error_messages import remark
from refold.cli._files_and_streams import (
    CODE_FORMATS,
    Output,
    check_apart,
    data_formats,
    plain_format,
    plan_output,
    readable,
)
from refold.cli._freed_memory import give_blocks_back
from refold.cli._options import (
    Clip,
    Columns,
    Data,
    IdColumn,
    InputFormat,
    Kinds,
    Layout,
    Model,
    OutputFormat,
    Quiet,
    Refine,
    Sort,
    TimeColumn,
    Unit,
    read_options,
)
from refold.cli._saved_models import check_names, file_names, id_name, load_model, opened, whole
from refold.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Lengths", "decode", "encode", "read_lengths", "reconstruct"]

Codes = Annotated[str, typer.Argument(metavar="CODES", help="File of codes, or -.")]
CodesOutput = Annotated[
    str, typer.Option("--output", "-o", metavar="CODES", help="Where the codes go, or -.")
]
DataOutput = Annotated[
    str, typer.Option("--output", "-o", metavar="DATA", help="Where the sequences go, or -.")
]
Lengths = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTHS",
        help="Steps of each sequence: 10, or 3,5,7, or a text file with one a line. "
        r"\[default: what the model reads from the code]",
    ),
]


def encode(
    model: Model,
    data: Data,
    output: CodesOutput = "-",
    latent_steps: Refine = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    quiet: Quiet = False,
) -> None:
    """Turn sequences into codes, one row of numbers each."""
    from refold.cli._code_writer import write_codes

    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    target = _plan(output, (model, data), CODE_FORMATS, input_format, output_format)
    loaded = load_model(model, latent_steps=latent_steps)
    loaded.verbose = 0 if quiet else 1
    with opened(loaded, data, options, input_format) as source, target.writing() as path:
        blocks = _encoded(loaded, source, quiet=quiet)
        write_codes(path, blocks, len(source), id_name(source.schema))
        width = len(loaded.get_feature_names_out())
    _say(target, f"{len(source)} codes of {width} numbers", quiet=quiet)


def decode(
    model: Model,
    codes: Codes,
    output: DataOutput = "-",
    lengths: Lengths = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    *,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Turn codes back into sequences, each of its own length."""
    from refold.cli._code_reader import read_codes

    target = _plan(output, (model, codes), data_formats(), input_format, output_format)
    loaded = load_model(model)
    check_names(loaded.schema_, target.format)
    loaded.verbose = 0 if quiet else 1
    with readable(codes, format_name=input_format, formats=CODE_FORMATS) as path:
        values, ids = read_codes(path, loaded.schema_.id_name)
    lengths_to_write = read_lengths(lengths, len(values))
    decoded = loaded.inverse_transform(values, lengths=lengths_to_write, clip=clip)
    _write(decoded, loaded.schema_, ids, target, quiet=quiet)


def reconstruct(
    model: Model,
    data: Data,
    output: DataOutput = "-",
    latent_steps: Refine = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Encode sequences and decode them again, to see what the codes keep."""
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    target = _plan(output, (model, data), data_formats(), input_format, output_format)
    loaded = load_model(model, latent_steps=latent_steps)
    check_names(loaded.schema_, target.format)
    loaded.verbose = 0 if quiet else 1
    with opened(loaded, data, options, input_format) as source:
        sequences = whole(source, data)
    schema = loaded.schema_.read_with(sequences.schema.id_name, sequences.schema.time_name)
    _write(loaded.reconstruct(sequences, clip=clip), schema, sequences.ids, target, quiet=quiet)


def _plan(
    output: str,
    inputs: tuple[str, str],
    formats: tuple[str, ...],
    input_format: str | None,
    output_format: str | None,
) -> Output:
    if inputs == ("-", "-"):
        raise ParameterError("Only one input can be standard input. Name a file for the other.")
    if output_format is None and "-" not in inputs and input_format is not None:
        chosen = plain_format(input_format)
        output_format = chosen if chosen in formats else None
    target = plan_output(output, format_name=output_format, formats=formats, default="jsonl")
    check_apart([target], inputs)
    return target


def _encoded(model: Any, source: Any, *, quiet: bool) -> Iterator[tuple[Any, Any]]:
    """Encode sequences, from files larger than memory block by block."""
    if isinstance(source, refold.sequences.Sequences):
        yield model.encode(source), source.ids
        return
    give_blocks_back()
    model.verbose = 0
    blocks = model.encode_blocks(source)
    yield from track(
        blocks, "encode", source.num_blocks, console=Console(stderr=True), disable=quiet
    )


def _write(decoded: Any, schema: Any, ids: "np.ndarray", target: Output, *, quiet: bool) -> None:
    sequences = refold.sequences.Sequences.from_list(decoded, schema=schema, ids=ids)
    with target.writing() as path:
        refold.sequences.write(sequences, path, **file_names(schema))
    _say(target, f"{len(sequences)} sequences", quiet=quiet)


def _say(target: Output, what: str, *, quiet: bool) -> None:
    if not quiet and target.path is not None:
        remark(f"Wrote {what} to {target.name}")


def read_lengths(text: str | None, num_codes: int) -> list[int] | None:
    """Read lengths from what ``--lengths`` was given."""
    if text is None:
        return None
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        lengths = _lengths_of(text)
    if any(length < 0 for length in lengths):
        raise ParameterError(f"--lengths cannot be negative. Got {min(lengths)}.")
    if len(lengths) == 1:
        return lengths * num_codes
    if len(lengths) != num_codes:
        raise ParameterError(
            f"--lengths gives {len(lengths)} lengths for {num_codes} codes. "
            f"Give one, or {num_codes}."
        )
    return lengths


def _lengths_of(file: str) -> list[int]:
    try:
        return [int(part) for part in Path(file).read_text(encoding="utf-8-sig").split()]
    except PermissionError:
        raise
    except (ValueError, OSError) as error:
        raise ParameterError(
            f"--lengths must be whole numbers with commas, or a file with one a line. Got {file!r}."
        ) from error
