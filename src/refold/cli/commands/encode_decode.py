"""``refold encode``, ``decode`` and ``reconstruct``: sequences to codes and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

import refold
from refold.cli._error_messages import log
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
    ColumnTypes,
    Data,
    IdColumn,
    InputFormat,
    LatentSteps,
    Layout,
    Model,
    OutputFormat,
    Quiet,
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
    str, typer.Option("--output", "-o", metavar="CODES", help="File for the codes, or -.")
]
DataOutput = Annotated[
    str, typer.Option("--output", "-o", metavar="DATA", help="File for the sequences, or -.")
]
Lengths = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTHS",
        help="Lengths of the sequences: 10, or 3,5,7, or a text file with one per line. "
        r"\[default: decoded from the code]",
    ),
]


def encode(
    model: Model,
    data: Data,
    output: CodesOutput = "-",
    latent_steps: LatentSteps = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    quiet: Quiet = False,
) -> None:
    """Encode sequences as codes, one row per sequence."""
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
    _log_written(target, f"{len(source)} codes with {width} dimensions", quiet=quiet)


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
    """Decode codes to sequences, each with its own length."""
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
    latent_steps: LatentSteps = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Encode sequences and decode them again."""
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
    """Encode sequences, block by block if the file is larger than memory."""
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
    _log_written(target, f"{len(sequences)} sequences", quiet=quiet)


def _log_written(target: Output, what: str, *, quiet: bool) -> None:
    if not quiet and target.path is not None:
        log(f"Wrote {what} to {target.name}")


def read_lengths(text: str | None, num_codes: int) -> list[int] | None:
    """Parse the value of ``--lengths``."""
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
            f"--lengths has {len(lengths)} lengths for {num_codes} codes. Give one, or {num_codes}."
        )
    return lengths


def _lengths_of(file: str) -> list[int]:
    try:
        return [int(part) for part in Path(file).read_text(encoding="utf-8-sig").split()]
    except PermissionError:
        raise
    except (ValueError, OSError) as error:
        raise ParameterError(
            f"--lengths must be comma-separated integers or a file with one per line. Got {file!r}."
        ) from error
