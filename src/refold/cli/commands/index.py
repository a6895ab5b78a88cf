"""``refold index``: codes of sequences in an index to search in."""

from typing import Annotated, Any

import typer

import refold
from refold._support.freed_memory import return_freed_memory
from refold._support.rules import check_only_one
from refold.cli._console import log
from refold.cli._files_and_streams import STREAM
from refold.cli._options import LabelFile, LatentSteps, Model, Quiet, split
from refold.cli._reading import Reading, check_label_files
from refold.cli._saved_models import load_model
from refold.errors import ParameterError

__all__ = ["index"]


def index(
    model: Model,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="File of sequences to add, or -.")
    ] = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="INDEX", help="File of the index.")
    ],
    add: Annotated[bool, typer.Option("--add", help="Add the rows to an existing index.")] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Add the rows to an existing index, and replace those with their ids."
        ),
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Ids of rows to remove from an existing index."),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Columns to store with the codes, one value per sequence, for hits and --where.",
        ),
    ] = None,
    labels: LabelFile = None,
    distance: Annotated[
        str,
        typer.Option(
            metavar="VECTORS",
            help="What distances are measured on: features of the sequences, or the code.",
        ),
    ] = "features",
    latent_steps: LatentSteps = None,
    reading: Reading,
    quiet: Quiet = False,
) -> None:
    """Encode sequences into an index for `refold search`, or change an index."""
    check_only_one("DATA to add, or ids with --remove", data, remove)
    columns = [] if metadata is None else split(metadata, option="--metadata")
    if columns:
        check_label_files(data, labels)
    if STREAM in (model, data) and model == data:
        raise ParameterError("Only one input can be standard input. Name a file for the other.")
    refold.search.load_duckdb()  # before the work, an error if it is missing
    loaded, verbose = load_model(model, latent_steps=latent_steps), int(not quiet)
    if data is None:
        opened = refold.search.Index.open(output, loaded, verbose=verbose)
        count = opened.remove(split(str(remove), option="--remove", noun="id"))
        done = f"Removed {count} of {len(opened) + count} rows from"
    else:
        with reading.described(loaded, data, columns, labels) as (source, found):
            if source.is_mapped:
                return_freed_memory()
            described = {name: _numbers(values) for name, values in found.items()}
            if add or replace:
                opened = refold.search.Index.open(output, loaded, verbose=verbose)
                opened.add(source, metadata=described, replace=replace)
            else:
                opened = refold.search.Index.create(
                    output,
                    loaded,
                    source,
                    metadata=described,
                    distance=distance,
                    verbose=verbose,
                )
        done = f"Wrote {len(source)} rows to"
    if not quiet:
        log(f"{done} {output}. It has {len(opened)} rows.")


def _numbers(values: Any) -> Any:
    """Return numbers if all values are numbers; labels are read as integers or text."""
    try:
        return values.astype(float) if values.dtype.kind == "U" else values
    except ValueError:
        return values
