"""``refold report``: an HTML page about a model and a data set."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from refold.cli._console import log, print_table
from refold.cli._files_and_streams import PAGE_FORMATS, check_one_stream, plan_file
from refold.cli._options import Data, LabelFile, LatentSteps, Model, Quiet, check_needs
from refold.cli._reading import Reading, check_label_files
from refold.cli._saved_models import load_model

__all__ = ["report"]


def report(
    model: Model,
    data: Data,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PAGE", help="File for the page: .html.")
    ],
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of labels, one value per sequence, for colors."),
    ] = None,
    labels: LabelFile = None,
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
    reading: Reading,
    quiet: Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.
    """
    reason = "The table goes to standard output. Name a file with -o for the page."
    target = plan_file(output, PAGE_FORMATS, reason)
    from refold.report import check_packages
    from refold.report import report as write_report

    check_packages()
    check_needs("--labels", labels, "--label NAME", label)
    if label is not None:
        check_label_files(data, labels)
    check_one_stream(model, data, train)
    # the stages of the page are logged instead of the progress
    loaded = load_model(model, latent_steps=latent_steps)
    with contextlib.ExitStack() as files:
        given = reading.labelled(loaded, data, label, labels, (train,))
        source, found = files.enter_context(given)
        fitted_on = None
        if train is not None:
            left_out = label if labels is None else None
            opened = reading.opened(loaded, train, (data,), left_out=left_out)
            fitted_on = files.enter_context(opened)
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
    same = result.pca_size in (0, result.code_size)
    print_table(
        (
            f"codes of {result.code_size} dimensions",
            "Refold",
            "PCA" if same else f"PCA, {result.pca_size} dimensions",
        ),
        [
            (
                score.meaning,
                score.number(score.value),
                "none" if score.pca is None else score.number(score.pca),
            )
            for score in result.scores
        ],
    )
    if not quiet:
        log(f"Open {output} in a browser.")
