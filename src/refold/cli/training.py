"""``refold fit``, ``curve`` and ``doctor``: training, and what to know before it."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.output import short_number
from refold._support.paths import sole_training
from refold._support.rules import check, number
from refold.cli import _options as options
from refold.cli._inputs import TrainingData, check_cluster
from refold.cli._outputs import (
    MODEL_FORMATS,
    Files,
    as_options,
    check_named,
    log,
    print_json,
    print_line,
    print_table,
)
from refold.errors import ParameterError

_TRAINING = Parameter(group=options.PANELS["Training"])
_CLUSTER = Parameter(group=options.PANELS["Cluster"])
# Findings that are worth a line before a training, which itself warns of suspicious values.
_SERIOUS = {
    *("unsorted-time", "repeated-end", "heavy-tails", "different-levels"),
    *("few-sequences", "id-like"),
}
# Numbers of latent dimensions of a curve.
_SIZES = (2, 4, 8, 16, 32)


def fit(
    data: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="MODEL")],
    arguments: options.FitOptions = options.FitOptions(),
    base: Annotated[str | None, Parameter(name="--from", metavar="MODEL"), _TRAINING] = None,
    seed: options.Seed = None,
    resume: Annotated[bool, _TRAINING] = False,
    checkpoint_seconds: Annotated[float, Parameter(metavar="SECONDS"), _TRAINING] = 60.0,
    reading: TrainingData = TrainingData(),
    on: options.OnCluster = None,
    processes: Annotated[options.PositiveOrNone, _CLUSTER] = None,
    quiet: options.Quiet = False,
) -> None:
    """Train an autoencoder on sequences, and save it in one file.

    Args:
        output: File for the model.
        base: Continue from the weights of a model. Options that are left out are as in its fit.
        resume: Continue an interrupted run from MODEL.checkpoint, if it exists.
        checkpoint_seconds: Least time between two writes of MODEL.checkpoint, at ends of epochs.
        processes: Processes that train together, each on a part of the data. [default: 2]
    """
    files = Files(base, data)
    target = files.output(output, MODEL_FORMATS)
    checkpoint = Path(f"{output}.checkpoint")
    options.check_needs("--processes", processes, "--on CLUSTER", on)
    check("checkpoint_seconds", checkpoint_seconds, number(least=0))
    with sole_training(checkpoint):  # an error if another training run is using it
        state = refold.Checkpoint(checkpoint, checkpoint_seconds)
    if checkpoint.exists() and not resume:
        raise ParameterError(
            f"The checkpoint {str(checkpoint)!r} of an interrupted training run would be "
            "overwritten. Continue that run with --resume, or delete the file to start over."
        )
    if resume and not quiet and not checkpoint.exists():
        log(f"There is no checkpoint {str(checkpoint)!r}, so a new training run starts.")
    model = refold.SequenceAutoencoder()
    if base is not None:
        model = refold.SequenceAutoencoder.load(base)
    values = arguments.values() | {"random_state": seed, "verbose": 0 if quiet else 1}
    if reading.missing is not None:
        values["missing_values"] = reading.missing
    model.set_params(**values, warm_start=base is not None)

    started, source = time.perf_counter(), data
    if on is not None:
        check_cluster(reading, {"from": base, "window": model.window})
        check_named("--on", data)
        settings: Any = reading.arguments | {"on": on, "processes": processes or 2}
        model = refold.cluster.fit(model, data, checkpoint=state, resume=resume, **settings)
    else:
        trained = None if base is None else model.model_
        as_series = model.window is not None
        with reading.opened(trained, data, files, as_series=as_series) as sequences:
            if not (quiet or base is not None or checkpoint.exists()):
                _log_findings(sequences, model)
            model.fit(sequences, checkpoint=state, resume=resume)
            source = f"{len(sequences)} series, in windows of {model.window} steps,"
            if not as_series:
                source = f"{len(sequences) - model.model_.num_calibrated} sequences"
    seconds = time.perf_counter() - started
    model.set_params(warm_start=False)
    model.save(str(target.path))
    if not model.interrupted_:
        checkpoint.unlink(missing_ok=True)
    if not quiet:
        shapes = f"{model.n_shapes_} padded shape{'s' * (model.n_shapes_ > 1)}"
        log(f"Trained on {source} in {seconds:.1f} s, in batches of {shapes}. Model: {output}")
    if model.interrupted_:
        raise KeyboardInterrupt(
            "Stopped by Ctrl-C in the refit. The validated weights were written. --resume "
            f"continues from {str(checkpoint)!r}."
        )


def _log_findings(sequences: Any, estimator: "refold.SequenceAutoencoder") -> None:
    """Log what a cheap look at the data finds, before a training that may take hours."""
    if not sequences.lengths.any() or (estimator.window is not None and sequences.is_mapped):
        return  # the fit raises the error; windows of mapped data would be one more copy on disk
    diagnosis = refold.diagnosis.diagnose(sequences, estimator=estimator, short_fit=False)
    for finding in diagnosis.findings:
        if finding.name in _SERIOUS:
            log(as_options(finding.message), label=finding.name, color="yellow")


def curve(
    data: options.DataFile,
    /,
    *,
    output: Annotated[options.Picture, Parameter(alias="-o")] = None,
    sizes: options.Integers = None,
    arguments: options.CurveOptions = options.CurveOptions(),
    seed: options.Seed = None,
    reading: TrainingData = TrainingData(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Each size is a fit with these options, and has a --time-budget of its own. Ctrl-C stops the
    command, which then prints the sizes that are done.

    Args:
        output: Image file for a figure: .png or .svg.
        sizes: Numbers of latent dimensions, comma-separated. [default: 2,4,8,16,32]
    """
    files, chosen = Files(data), sorted(set(sizes or _SIZES))
    target = files.picture(output, "--output")
    with reading.opened(None, data, files, as_series=arguments.is_cut) as sequences:
        estimator = refold.SequenceAutoencoder(
            **arguments.values(),
            missing_values=reading.missing,
            random_state=seed,
            verbose=0 if quiet else 1,
        )
        result = refold.error_curve(sequences, chosen, estimator=estimator)
    if as_json:
        print_json(asdict(result))
    else:
        _print_curve(result)
    if target is not None:
        target.write_picture(refold.plots.error_by_size(result).figure)
        if not quiet:
            log(f"Wrote the figure to {target.name}")
    if not result.complete:
        done = f"{len(result.sizes)} of {len(chosen)} sizes"
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {done}.")


def _print_curve(result: "refold.ErrorCurve") -> None:
    columns = {"latent dimensions": [str(size) for size in result.sizes]}
    if result.measure == "NMSE":
        columns["Refold, NMSE"] = [short_number(value) for value in result.errors]
        columns["PCA, NMSE"] = [short_number(value) for value in result.pca]
    if result.accuracy:
        percent = refold.evaluation.as_percent
        columns["Refold, accuracy"] = [percent(value) for value in result.accuracy]
        columns["PCA, accuracy"] = [percent(value) for value in result.pca_accuracy]
    print_table([*columns], zip(*columns.values(), strict=True), left=0)


def doctor(
    data: options.DataFile,
    /,
    *,
    arguments: options.FitOptions = options.FitOptions(),
    seed: options.Seed = None,
    reading: TrainingData = TrainingData(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Look for reasons why a model does not learn: in the data, and in a short fit.

    Takes the options of `refold fit`. Prints one finding per line, the most important first. The
    fit ends after 30 seconds, or after --time-budget.
    """
    with reading.opened(None, data, Files(data), as_series=arguments.is_cut) as sequences:
        estimator = refold.SequenceAutoencoder(
            **arguments.values(), random_state=seed, missing_values=reading.missing
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
    if not findings and not quiet:
        log("Nothing looks wrong.")
    if not quiet and (errors := diagnosis.text()) is not None:
        log(errors)
