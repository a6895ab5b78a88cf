"""``refold curve``: the held-out error by the number of latent dimensions."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

import refold
from refold._support.number_text import short_number
from refold.cli._console import log, print_table
from refold.cli._error_messages import Stopped
from refold.cli._options import AsJson, Data, Quiet, Seed
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._reading import TrainingData
from refold.errors import ParameterError

__all__ = ["curve"]


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
    reading: TrainingData,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Ctrl-C stops it and prints the sizes that are done.
    """
    chosen, target = _sizes(sizes), plan_picture(output)
    settings: dict[str, Any] = {
        "units": units,
        "max_epochs": max_epochs,
        "validation_fraction": validation_fraction,
        "time_budget": time_budget,
        "random_state": seed,
        "missing_values": reading.missing_values,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    with reading.opened_to_fit(data) as sequences:
        estimator = refold.SequenceAutoencoder(**settings, verbose=0 if quiet else 1)
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
