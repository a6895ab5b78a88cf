"""``refold curve``: the held-out error by the number of latent dimensions."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

import refold
from refold._support.number_text import short_number
from refold.cli._argument_options import argument_options
from refold.cli._console import log, print_table
from refold.cli._error_messages import Stopped
from refold.cli._options import AsJson, Data, Quiet, Seed
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._reading import TrainingData
from refold.errors import ParameterError

__all__ = ["curve"]


class CurveOptions(argument_options("units", "max_epochs", "validation_fraction", "time_budget")):
    """Arguments of the fit of each size."""


def curve(
    data: Data,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="PICTURE", help="Image file for a figure: .png or .svg."
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of latent dimensions, comma-separated.")
    ] = "2,4,8,16,32",
    options: CurveOptions,
    seed: Seed = None,
    reading: TrainingData,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Each size is a fit with these options, and has a --time-budget of its own. Ctrl-C stops the
    command, which then prints the sizes that are done.
    """
    chosen, target = _sizes(sizes), plan_picture(output)
    with reading.opened_to_fit(data) as sequences:
        estimator = refold.SequenceAutoencoder(
            **options.arguments(),
            missing_values=reading.missing_values,
            random_state=seed,
            verbose=0 if quiet else 1,
        )
        result = refold.error_curve(sequences, chosen, estimator=estimator)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
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


def _print(result: "refold.ErrorCurve") -> None:
    headings = ["latent dimensions"]
    columns = [[str(size) for size in result.sizes]]
    if result.measure == "NMSE":
        headings += ["Refold, NMSE", "PCA, NMSE"]
        columns += [[short_number(value) for value in part] for part in (result.errors, result.pca)]
    if result.accuracy:
        headings += ["Refold, accuracy", "PCA, accuracy"]
        columns += [
            [refold.evaluation.as_percent(value) for value in part]
            for part in (result.accuracy, result.pca_accuracy)
        ]
    print_table(headings, zip(*columns, strict=True), left=0)
