"""``refold curve``: the held-out error by the number of latent dimensions."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

import refold
from refold._support.display import short_number
from refold.cli import _options as options
from refold.cli._console import log, print_json, print_table
from refold.cli._files import Files
from refold.cli._reading import TrainingData
from refold.errors import ParameterError

__all__ = ["curve"]


def curve(
    data: options.DataFile,
    /,
    *,
    output: Annotated[options.Picture, Parameter(alias="-o")] = None,
    sizes: Annotated[str, Parameter(metavar="N,N,...")] = "2,4,8,16,32",
    arguments: options.CurveOptions = options.CurveOptions(),
    seed: options.Seed = None,
    reading: TrainingData = TrainingData(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Each size is a fit with these options, and has a --time-budget of its own. Ctrl-C stops the
    command, which then prints the sizes that are done.

    Parameters
    ----------
    output
        Image file for a figure: .png or .svg.
    sizes
        Numbers of latent dimensions, comma-separated.
    """
    files = Files(data)
    chosen, target = _sizes(sizes), files.picture(output, "--output")
    with reading.opened_to_fit(data, files) as sequences:
        estimator = refold.SequenceAutoencoder(
            **arguments.chosen(),
            missing_values=reading.missing_values,
            random_state=seed,
            verbose=0 if quiet else 1,
        )
        result = refold.error_curve(sequences, chosen, estimator=estimator)
    if as_json:
        print_json(asdict(result))
    else:
        _print(result)
    if target is not None:
        target.write_picture(refold.plots.error_by_size(result).figure)
        if not quiet:
            log(f"Wrote the figure to {target.name}")
    if not result.complete:
        done = f"{len(result.sizes)} of {len(chosen)} sizes"
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {done}.")


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
