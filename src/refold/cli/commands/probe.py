"""``refold probe``: the linear probe accuracy of codes and of PCA."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold.cli._error_messages import log
from refold.cli._files_and_streams import read_formats, readable
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
from refold.cli._saved_models import load_model, opened, whole
from refold.errors import ParameterError

__all__ = ["probe"]


def probe(
    model: Model,
    data: Data,
    label: Annotated[
        str, typer.Option(metavar="NAME", help="Column of labels, one value per sequence.")
    ],
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=r"File with that column. \[default: DATA]"),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, metavar="N", help="Folds of the cross-validation.")
    ] = 5,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Random seed of the folds."),
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure the linear probe accuracy of codes, next to that of PCA.

    Cross-validates a logistic regression on the codes, and on PCA codes of the same size.
    """
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    if "-" in (data, labels):
        raise ParameterError(
            "--label needs named files for the sequences and labels. Standard input cannot be used."
        )
    loaded = load_model(model, latent_steps=latent_steps)
    loaded.verbose = 0 if quiet else 1
    with readable(data, format_name=input_format, formats=read_formats()) as path:
        if labels is None:
            leave_out(label, path, options, loaded.schema_)
        with opened(loaded, str(path), options, None) as source:
            sequences = whole(source, data)
        found = labels_of(labels or path, label, sequences, id_column)
    codes = loaded.encode(sequences)
    aligned = sequences.align(loaded.schema_)
    width = max(1, int(aligned.lengths.max(initial=0))) * sum(
        column.width for column in aligned.schema.columns
    )
    pca = refold.evaluation.PCABaseline(min(codes.shape[1], len(aligned), width)).fit(aligned)
    results = {
        "Refold": refold.evaluation.probe(codes, found, folds=folds, seed=seed),
        _name_of(pca.latent_dim, codes.shape[1]): refold.evaluation.probe(
            pca.transform(aligned), found, folds=folds, seed=seed
        ),
    }
    if as_json:
        typer.echo(json.dumps({name: one._asdict() for name, one in results.items()}))
    else:
        _print(results, codes.shape[1])
    if not quiet:
        one = results["Refold"]
        log(
            f"{one.num_classes} classes, {one.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * one.chance:.1f} %. PCA is fitted on these "
            "sequences."
        )


def _name_of(components: int, size: int) -> str:
    return "PCA" if components == size else f"PCA, {components} dimensions"


def _print(results: dict[str, Any], size: int) -> None:
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{size} latent dimensions", no_wrap=True)
    table.add_column("linear probe accuracy", justify="right", no_wrap=True)
    for name, one in results.items():
        table.add_row(name, f"{100 * one.accuracy:.1f} % ± {100 * one.deviation:.1f}")
    Console().print(table)
