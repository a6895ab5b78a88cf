"""``refold doctor``: likely reasons why a model of some data does not learn."""

import json
from dataclasses import replace

import typer

import refold
from refold.cli._console import log
from refold.cli._error_messages import as_options
from refold.cli._options import AsJson, Data, Quiet, Seed, WindowOptions
from refold.cli._reading import TrainingData, require_in_memory
from refold.cli._saved_models import loading
from refold.cli.commands.fit import FitOptions

__all__ = ["doctor"]


def doctor(
    data: Data,
    *,
    options: FitOptions,
    seed: Seed = None,
    windows: WindowOptions,
    reading: TrainingData,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look for reasons why a model does not learn: in the data, and in a short fit.

    Takes the options of `refold fit`. Prints one finding per line, the most important first. The
    fit ends after 30 seconds, or after --time-budget.
    """
    with reading.opened_to_fit(data) as sequences:
        if windows.window is not None:
            sequences = windows.cut(require_in_memory(sequences, data)).sequences
        with loading(quiet=quiet):
            estimator = refold.SequenceAutoencoder(
                **options.arguments(),
                random_state=seed,
                missing_values=reading.missing_values,
            )
        found = refold.diagnosis.diagnose(sequences, estimator=estimator)
    findings = [replace(one, message=as_options(one.message)) for one in found.findings]
    if as_json:
        typer.echo(json.dumps(replace(found, findings=tuple(findings)).to_dict()))
        return
    for one in findings:
        typer.echo(f"{one.name}: {one.message}")
    if quiet:
        return
    if not findings:
        log("Nothing looks wrong.")
    if (errors := found.text()) is not None:
        log(errors)
