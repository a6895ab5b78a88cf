"""``refold report``: an HTML page about a model and a data set."""

import contextlib
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from refold.cli import _options as options
from refold.cli._console import log, print_table
from refold.cli._files import PAGE_FORMATS, Files
from refold.cli._models import load_model
from refold.cli._reading import Reading

__all__ = ["report"]


def report(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="PAGE")],
    label: options.Name = None,
    labels: options.LabelFile = None,
    train: options.SideFile = None,
    max_sequences: options.Positive = 2000,
    seed: options.FixedSeed = 0,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.

    Parameters
    ----------
    output
        File for the page: .html.
    label
        Column of labels, one value per sequence, for colors.
    train
        Training data, to fit PCA on, if DATA is other data. [default: cross-fit on DATA]
    max_sequences
        Sequences to show, drawn at random if there are more.
    """
    files = Files(model, data, train)
    target = files.named_output("--output", output, PAGE_FORMATS)
    from refold.report import check_packages
    from refold.report import report as write_report

    check_packages()
    options.check_needs("--labels", labels, "--label NAME", label)
    # the stages of the page are logged instead of the progress
    loaded = load_model(model, latent_steps=latent_steps)
    columns = [] if label is None else [label]
    with contextlib.ExitStack() as opened:
        described = reading.described(loaded, data, files, columns, labels)
        source, values = opened.enter_context(described)
        fitted_on = None
        if train is not None:
            left_out = label if labels is None else None
            others = reading.opened(loaded, train, files, left_out=left_out)
            fitted_on = opened.enter_context(others)
        shown = "standard input" if data == "-" else Path(data).name
        with target.writing() as path:
            result = write_report(
                loaded,
                source,
                path,
                labels=None if label is None else values[label],
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
