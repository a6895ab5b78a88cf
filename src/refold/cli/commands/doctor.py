"""``refold doctor``: likely reasons why a model of some data does not learn."""

from dataclasses import replace

import refold
from refold.cli import _options as options
from refold.cli._console import loading, log, print_json, print_line
from refold.cli._files import Files
from refold.cli._process import as_options
from refold.cli._reading import TrainingData, require_in_memory

__all__ = ["doctor"]


def doctor(
    data: options.DataFile,
    /,
    *,
    arguments: options.FitOptions = options.FitOptions(),
    seed: options.Seed = None,
    windows: options.WindowOptions = options.WindowOptions(),
    reading: TrainingData = TrainingData(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Look for reasons why a model does not learn: in the data, and in a short fit.

    Takes the options of `refold fit`. Prints one finding per line, the most important first. The
    fit ends after 30 seconds, or after --time-budget.
    """
    with reading.opened_to_fit(data, Files(data)) as sequences:
        if windows.window is not None:
            sequences = windows.cut(require_in_memory(sequences, data)).sequences
        with loading(quiet=quiet):
            estimator = refold.SequenceAutoencoder(
                **arguments.chosen(),
                random_state=seed,
                missing_values=reading.missing_values,
            )
        diagnosis = refold.diagnosis.diagnose(sequences, estimator=estimator)
    findings = [
        replace(finding, message=as_options(finding.message)) for finding in diagnosis.findings
    ]
    if as_json:
        print_json(replace(diagnosis, findings=tuple(findings)).to_dict())
        return
    for finding in findings:
        print_line(f"{finding.name}: {finding.message}")
    if quiet:
        return
    if not findings:
        log("Nothing looks wrong.")
    if (errors := diagnosis.text()) is not None:
        log(errors)
