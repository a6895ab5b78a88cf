"""``refold fit``: train an autoencoder on a file of sequences, and save it."""

import contextlib
import functools
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import refold
from refold._support.rules import check, number
from refold.cli._argument_options import argument_options
from refold.cli._checkpoint_lock import locked_checkpoint
from refold.cli._cluster import TrainingCluster
from refold.cli._console import log
from refold.cli._error_messages import Stopped
from refold.cli._files_and_streams import MODEL_FORMATS, check_one_stream, plan_output
from refold.cli._options import Data, Quiet, Seed, WindowOptions
from refold.cli._reading import TrainingData, require_in_memory
from refold.cli._saved_models import load_estimator, loading
from refold.errors import ParameterError

__all__ = ["FitOptions", "fit"]

_training = functools.partial(typer.Option, rich_help_panel="Training")


class FitOptions(argument_options()):
    """All arguments of the estimator that are options."""


def fit(
    data: Data,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", help="File for the model, or -.")
    ],
    options: FitOptions,
    base: Annotated[
        str | None,
        _training(
            "--from",
            metavar="MODEL",
            help="Continue from the weights of a model. Options that are left out are as in its "
            "fit.",
        ),
    ] = None,
    seed: Seed = None,
    resume: Annotated[
        bool,
        _training(
            "--resume", help="Continue an interrupted run from MODEL.checkpoint, if it exists."
        ),
    ] = False,
    checkpoint_seconds: Annotated[
        float,
        _training(
            metavar="SECONDS",
            help="Least time between two writes of MODEL.checkpoint, at ends of epochs.",
        ),
    ] = 60.0,
    windows: WindowOptions,
    reading: TrainingData,
    cluster: TrainingCluster,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder on sequences, and save it in one file."""
    check_one_stream(base, data)
    target = plan_output(output, MODEL_FORMATS)
    checkpoint = None if target.copied else Path(f"{output}.checkpoint")
    if resume and checkpoint is None:
        raise ParameterError(
            "--resume needs a checkpoint next to the model, and the output is a stream. Name a "
            "file with -o."
        )
    check("checkpoint_seconds", checkpoint_seconds, number(least=0))

    old = None if base is None else load_estimator(base)
    on = cluster.on
    opened: Any = reading.opened_to_fit(data, old) if on is None else contextlib.nullcontext()
    with (
        locked_checkpoint(checkpoint, resume=resume, lock=on is None),
        opened as sequences,
    ):
        given = options.arguments()
        if windows.window is not None and on is None:
            cut = windows.cut(require_in_memory(sequences, data))
            _check_new_to_model(cut, windows, given.get("calibration_fraction"))
            sequences = cut.sequences
        with loading(quiet=quiet):
            if reading.missing_values is not None:
                given["missing_values"] = reading.missing_values
            model = refold.SequenceAutoencoder() if old is None else old
            model.set_params(**given, random_state=seed, verbose=0 if quiet else 1)
            model.set_params(warm_start=old is not None)
        started = time.perf_counter()
        if resume and not quiet and checkpoint is not None and not checkpoint.exists():
            log(f"There is no checkpoint {str(checkpoint)!r}, so a new training run starts.")
        kept = None if checkpoint is None else refold.Checkpoint(checkpoint, checkpoint_seconds)
        if on is None:
            model.fit(sequences, checkpoint=kept, resume=resume)
        else:
            refused = {"--from": base, "--window": windows.window}
            model = cluster.fit(model, data, reading, refused, checkpoint=kept, resume=resume)
        seconds = time.perf_counter() - started
        model.set_params(warm_start=False)
        with target.writing() as path:
            model.save(path)
        if checkpoint is not None and not model.interrupted_:
            checkpoint.unlink(missing_ok=True)
    if not quiet:
        where = "standard output" if target.path is None else output
        shapes = f"{model.n_shapes_} padded shape{'s' * (model.n_shapes_ > 1)}"
        source = data if on else f"{len(sequences) - model.num_calibrated_} sequences"
        log(f"Trained on {source} in {seconds:.1f} s, in batches of {shapes}. Model: {where}")
    if model.interrupted_:
        more = "" if checkpoint is None else f" --resume continues from {str(checkpoint)!r}."
        raise Stopped(f"Stopped by Ctrl-C in the refit. The validated weights were written.{more}")


def _check_new_to_model(
    cut: Any, windows: WindowOptions, calibration_fraction: float | None
) -> None:
    if calibration_fraction and cut.overlap:
        raise ParameterError(
            "Overlapping windows share steps, so those set aside would not be new to the model. "
            f"Add --stride {windows.window}, with series of a multiple of {windows.window} steps, "
            "or replace --calibration-fraction by other series in `refold detect --normal`."
        )
