"""``refold report``: an HTML page about a model and a data set."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from refold.cli._error_messages import log
from refold.cli._files_and_streams import (
    PAGE_FORMATS,
    Output,
    format_among,
    plan_output,
    read_formats,
    readable,
)
from refold.cli._labels import labels_of, leave_out
from refold.cli._options import (
    Columns,
    ColumnTypes,
    Data,
    IdColumn,
    InputFormat,
    LatentSteps,
    Layout,
    Model,
    Quiet,
    Sort,
    TimeColumn,
    Unit,
    read_options,
)
from refold.cli._saved_models import load_model, opened
from refold.errors import ParameterError

if TYPE_CHECKING:
    from refold.report import Result

__all__ = ["report"]


def report(
    model: Model,
    data: Data,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PAGE", help="File for the page: .html.")
    ],
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of labels, one value per sequence, for colors."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=r"File with that column. \[default: DATA]"),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Training data, to fit PCA on, if DATA is other data. "
            r"\[default: cross-fit on DATA]",
        ),
    ] = None,
    max_sequences: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Sequences to show, drawn at random if there are more."
        ),
    ] = 2000,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Random seed of the draws."),
    ] = 0,
    latent_steps: LatentSteps = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    quiet: Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.
    """
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    target = _plan(output)
    if labels is not None and label is None:
        raise ParameterError(
            "--labels is a file with a column of labels. Name the column with --label."
        )
    if label is not None and "-" in (data, labels):
        raise ParameterError(
            "--label needs named files for the sequences and labels. Standard input cannot be used."
        )
    if [model, data, train].count("-") > 1:
        raise ParameterError("Only one input can be standard input. Name files for the others.")
    loaded = load_model(model, latent_steps=latent_steps)
    loaded.verbose = 0  # the stages of the page are logged instead
    from refold.report import report as write_report

    with contextlib.ExitStack() as files:

        def named(name: str) -> Path:
            given = format_among((data, train), name, input_format)
            return files.enter_context(readable(name, format_name=given, formats=read_formats()))

        def sequences(path: Path) -> Any:
            chosen = dict(options)
            if label is not None and labels is None:
                leave_out(label, path, chosen, loaded.schema_)
            return files.enter_context(opened(loaded, str(path), chosen, None))

        file = named(data)
        source = sequences(file)
        found = None
        if label is not None:
            found = labels_of(labels or file, label, source, id_column)
        fitted_on = None if train is None else sequences(named(train))
        shown = "standard input" if data == "-" else Path(data).name
        with target.writing() as path:
            result = write_report(
                loaded,
                source,
                path,
                labels=found,
                label_name=label,
                train=fitted_on,
                title=shown,
                max_sequences=max_sequences,
                seed=seed,
                verbose=0 if quiet else 1,
            )
    _print(result)
    if not quiet:
        log(f"Open {output} in a browser.")


def _plan(output: str) -> Output:
    """Check the output and the packages before the work."""
    target = plan_output(output, format_name=None, formats=PAGE_FORMATS, default="html")
    if target.path is None:
        raise ParameterError("The table goes to standard output. Name a file with -o for the page.")
    from refold.report import check_packages

    check_packages()
    return target


def _print(result: "Result") -> None:
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"codes of {result.code_size} dimensions", no_wrap=True)
    same = result.pca_size in (0, result.code_size)
    for heading in ("Refold", "PCA" if same else f"PCA, {result.pca_size} dimensions"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in result.scores:
        pca = "none" if score.pca is None else score.number(score.pca)
        table.add_row(score.meaning, score.number(score.value), pca)
    Console().print(table)
