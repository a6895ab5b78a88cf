"""``refold curve``: the held-out error by the size of the code, to choose a size by."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold.cli._error_messages import Stopped, remark
from refold.cli._files_and_streams import read_formats, readable
from refold.cli._freed_memory import give_blocks_back
from refold.cli._options import (
    Columns,
    Data,
    IdColumn,
    InputFormat,
    Kinds,
    Layout,
    Missing,
    Quiet,
    Seed,
    Sort,
    TimeColumn,
    Unit,
    read_missing,
    read_options,
)
from refold.cli._picture_files import plan_picture, write_picture
from refold.errors import ParameterError

__all__ = ["curve"]


def curve(
    data: Data,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PICTURE", help="Where a picture goes: .png, .svg."),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers in a code, with commas.")
    ] = "2,4,8,16,32",
    units: Annotated[int | None, typer.Option(metavar="N", help="Size of an LSTM layer.")] = None,
    max_epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Most epochs to train, by size.")
    ] = None,
    validation_fraction: Annotated[
        float | None, typer.Option(metavar="R", help="Share held out to measure on.")
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Time for training, by size.")
    ] = None,
    seed: Seed = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    missing: Missing = None,
    input_format: InputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    quiet: Quiet = False,
) -> None:
    """Fit several sizes of the code, and show the held-out error of each beside PCA's.

    Ctrl-C ends it with the sizes that are done.
    """
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    chosen, target = _sizes(sizes), plan_picture(output)
    settings: dict[str, Any] = {
        "units": units,
        "max_epochs": max_epochs,
        "validation_fraction": validation_fraction,
        "time_budget": time_budget,
        "random_state": seed,
        "missing_values": read_missing(missing),
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    with readable(data, format_name=input_format, formats=read_formats()) as path:
        sequences = refold.sequences.read_or_scan(path, **options)
        if isinstance(sequences, refold.sequences.Scan):
            give_blocks_back()
        estimator = refold.SequenceAutoencoder(**settings, verbose=0 if quiet else 1)
        found = refold.error_curve(sequences, chosen, estimator=estimator)
    if as_json:
        typer.echo(json.dumps(found._asdict()))
    else:
        _print(found)
    if target is not None:
        write_picture(refold.plots.error_by_size(found).figure, target)
        if not quiet:
            remark(f"Picture: {target.name}")
    if not found.complete:
        raise Stopped(f"Stopped by Ctrl-C after {len(found.sizes)} of {len(chosen)} sizes.")


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ParameterError(
            f"--sizes must be whole numbers with commas, such as 2,4,8. Got {text!r}."
        ) from error
    if min(sizes) < 1:
        raise ParameterError(f"--sizes must be at least 1 each. Got {min(sizes)}.")
    return sorted(set(sizes))


def _print(found: Any) -> None:
    headings = ["code size"]
    columns = [[str(size) for size in found.sizes]]
    if found.measure == "NMSE":
        headings += ["Refold, NMSE", "PCA, NMSE"]
        columns += [[f"{value:.3g}" for value in part] for part in (found.errors, found.pca)]
    if found.accuracy:
        headings += ["Refold, accuracy", "PCA, accuracy"]
        columns += [
            [refold.evaluation.as_percent(value) for value in part]
            for part in (found.accuracy, found.pca_accuracy)
        ]
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    Console().print(table)
