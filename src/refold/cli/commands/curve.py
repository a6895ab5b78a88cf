"""``refold curve``: the held-out error by the number of latent dimensions."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold.cli._error_messages import Stopped, log
from refold.cli._files_and_streams import read_formats, readable
from refold.cli._freed_memory import give_blocks_back
from refold.cli._options import (
    Columns,
    ColumnTypes,
    Data,
    IdColumn,
    InputFormat,
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
        typer.Option(
            "--output", "-o", metavar="PICTURE", help="Image file for a figure: .png or .svg."
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of latent dimensions, comma-separated.")
    ] = "2,4,8,16,32",
    units: Annotated[
        int | None, typer.Option(metavar="N", help="Units per recurrent layer.")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of epochs per size.")
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(metavar="R", help="Fraction of the sequences held out for the error."),
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Time limit for training per size.")
    ] = None,
    seed: Seed = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    missing: Missing = None,
    input_format: InputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Ctrl-C stops it and prints the sizes that are done.
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
        result = refold.error_curve(sequences, chosen, estimator=estimator)
    if as_json:
        typer.echo(json.dumps(result._asdict()))
    else:
        _print(result)
    if target is not None:
        write_picture(refold.plots.error_by_size(result).figure, target)
        if not quiet:
            log(f"Wrote the figure to {target.name}")
    if not result.complete:
        raise Stopped(f"Stopped by Ctrl-C after {len(result.sizes)} of {len(chosen)} sizes.")


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ParameterError(
            f"--sizes must be comma-separated integers, such as 2,4,8. Got {text!r}."
        ) from error
    if min(sizes) < 1:
        raise ParameterError(f"--sizes must be at least 1 each. Got {min(sizes)}.")
    return sorted(set(sizes))


def _print(result: Any) -> None:
    headings = ["latent dimensions"]
    columns = [[str(size) for size in result.sizes]]
    if result.measure == "NMSE":
        headings += ["Refold, NMSE", "PCA, NMSE"]
        columns += [[f"{value:.3g}" for value in part] for part in (result.errors, result.pca)]
    if result.accuracy:
        headings += ["Refold, accuracy", "PCA, accuracy"]
        columns += [
            [refold.evaluation.as_percent(value) for value in part]
            for part in (result.accuracy, result.pca_accuracy)
        ]
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    Console().print(table)
