"""``refold fit``, ``curve`` and ``doctor``: training, and what to know before it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.display import short_number
from refold._support.rules import check, number
from refold.cli import _options as options
from refold.cli._cluster import TrainingCluster, check_cluster
from refold.cli._inputs import TrainingData, readable, require_in_memory
from refold.cli._outputs import (
    MODEL_FORMATS,
    Files,
    check_named,
    loading,
    log,
    print_json,
    print_line,
    print_table,
)
from refold.cli._process import as_options
from refold.errors import ParameterError

_TRAINING = Parameter(group=options.PANELS["Training"])


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
    windows: options.WindowOptions = options.WindowOptions(),
    reading: TrainingData = TrainingData(),
    cluster: TrainingCluster = TrainingCluster(),
    quiet: options.Quiet = False,
) -> None:
    """Train an autoencoder on sequences, and save it in one file.

    Args:
        output: File for the model, or -.
        base: Continue from the weights of a model. Options that are left out are as in its fit.
        resume: Continue an interrupted run from MODEL.checkpoint, if it exists.
        checkpoint_seconds: Least time between two writes of MODEL.checkpoint, at ends of epochs.
    """
    files = Files(base, data)
    target = files.output(output, MODEL_FORMATS)
    checkpoint = None if target.copied else Path(f"{output}.checkpoint")
    options.check_needs("--resume", resume, "-o FILE", checkpoint)  # not a stream
    check("checkpoint_seconds", checkpoint_seconds, number(least=0))
    chosen = arguments.chosen()
    if reading.missing_values is not None:
        chosen["missing_values"] = reading.missing_values

    trained = None
    if base is not None:
        with readable(base, formats=MODEL_FORMATS) as path:
            trained = refold.SequenceAutoencoder.load(path)
    opened: Any = contextlib.nullcontext()
    if cluster.on is None:
        opened = reading.opened(None if trained is None else trained.model_, data, files)
    # on a cluster, another process trains, and locks the checkpoint
    with _locked(checkpoint, resume=resume, lock=cluster.on is None), opened as sequences:
        if windows.window is not None and cluster.on is None:
            cut = windows.cut(require_in_memory(sequences, data))
            if chosen.get("calibration_fraction") and cut.overlap:
                raise ParameterError(
                    "Overlapping windows share steps, so those set aside would not be new to the "
                    f"model. Add --stride {windows.window}, with series of a multiple of "
                    f"{windows.window} steps, or replace --calibration-fraction by other series "
                    "in `refold detect --normal`."
                )
            sequences = cut.sequences
        with loading(quiet=quiet):
            model = refold.SequenceAutoencoder() if trained is None else trained
            model.set_params(**chosen, random_state=seed, verbose=0 if quiet else 1)
            model.set_params(warm_start=trained is not None)
        started = time.perf_counter()
        if resume and not quiet and checkpoint is not None and not checkpoint.exists():
            log(f"There is no checkpoint {str(checkpoint)!r}, so a new training run starts.")
        state = None if checkpoint is None else refold.Checkpoint(checkpoint, checkpoint_seconds)
        if cluster.on is None:
            model.fit(sequences, checkpoint=state, resume=resume)
        else:
            taken = ("id", "columns", "column_types")
            check_cluster(reading, taken, {"from": base, "window": windows.window})
            check_named("--on", data)
            model = refold.cluster.fit(
                model,
                data,
                checkpoint=state,
                resume=resume,
                on=cluster.on,
                processes=cluster.processes or 2,
                **reading.options,
            )
        seconds = time.perf_counter() - started
        model.set_params(warm_start=False)
        with target.writing() as path:
            model.save(path)
        if checkpoint is not None and not model.interrupted_:
            checkpoint.unlink(missing_ok=True)
    if not quiet:
        where = "standard output" if target.path is None else output
        shapes = f"{model.n_shapes_} padded shape{'s' * (model.n_shapes_ > 1)}"
        source = data
        if cluster.on is None:
            source = f"{len(sequences) - model.num_calibrated_} sequences"
        log(f"Trained on {source} in {seconds:.1f} s, in batches of {shapes}. Model: {where}")
    if model.interrupted_:
        hint = "" if checkpoint is None else f" --resume continues from {str(checkpoint)!r}."
        raise KeyboardInterrupt(
            f"Stopped by Ctrl-C in the refit. The validated weights were written.{hint}"
        )


@contextlib.contextmanager
def _locked(checkpoint: Path | None, *, resume: bool, lock: bool) -> Iterator[None]:
    """Lock a checkpoint for one training run, and never overwrite that of an interrupted run."""
    if checkpoint is None:
        yield
        return
    from refold._support.file_lock import sole_training

    with sole_training(checkpoint if lock else None):
        if checkpoint.exists() and not resume:
            raise ParameterError(
                f"The checkpoint {str(checkpoint)!r} of an interrupted training run would be "
                "overwritten. Continue that run with --resume, or delete the file to start over."
            )
        try:
            yield
        except KeyboardInterrupt as stop:
            if not stop.args and checkpoint.exists():
                stop.args = (f"Stopped by Ctrl-C. --resume continues from {str(checkpoint)!r}.",)
            raise


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

    Args:
        output: Image file for a figure: .png or .svg.
        sizes: Numbers of latent dimensions, comma-separated.
    """
    files = Files(data)
    expected = "comma-separated integers, such as 2,4,8"
    chosen = sorted(set(options.numbers(sizes, int, "--sizes", expected)))
    target = files.picture(output, "--output")
    with reading.opened(None, data, files) as sequences:
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
        _print_curve(result)
    if target is not None:
        target.write_picture(refold.plots.error_by_size(result).figure)
        if not quiet:
            log(f"Wrote the figure to {target.name}")
    if not result.complete:
        done = f"{len(result.sizes)} of {len(chosen)} sizes"
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {done}.")


def _print_curve(result: "refold.ErrorCurve") -> None:
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
    with reading.opened(None, data, Files(data)) as sequences:
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
