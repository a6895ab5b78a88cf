"""``refold fit``: train an autoencoder on a file of sequences, and save it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.rules import check, number
from refold.cli import _options as options
from refold.cli._cluster import TrainingCluster
from refold.cli._console import loading, log
from refold.cli._files import MODEL_FORMATS, Files
from refold.cli._models import load_estimator
from refold.cli._reading import TrainingData, require_in_memory
from refold.errors import ParameterError

__all__ = ["fit"]

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

    Parameters
    ----------
    output
        File for the model, or -.
    base
        Continue from the weights of a model. Options that are left out are as in its fit.
    resume
        Continue an interrupted run from MODEL.checkpoint, if it exists.
    checkpoint_seconds
        Least time between two writes of MODEL.checkpoint, at ends of epochs.
    """
    files = Files(base, data)
    target = files.output(output, MODEL_FORMATS)
    checkpoint = None if target.copied else Path(f"{output}.checkpoint")
    if resume and checkpoint is None:
        raise ParameterError(
            "--resume needs a checkpoint next to the model, and the output is a stream. Name a "
            "file with -o."
        )
    check("checkpoint_seconds", checkpoint_seconds, number(least=0))
    chosen = arguments.chosen()
    if reading.missing_values is not None:
        chosen["missing_values"] = reading.missing_values

    trained = None if base is None else load_estimator(base)
    on_cluster = cluster.on is not None
    opened: Any = contextlib.nullcontext()
    if not on_cluster:
        opened = reading.opened_to_fit(data, files, trained)
    # on a cluster, another process trains, and locks the checkpoint
    with _locked(checkpoint, resume=resume, lock=not on_cluster), opened as sequences:
        if windows.window is not None and not on_cluster:
            cut = windows.cut(require_in_memory(sequences, data))
            _check_new_to_model(cut, windows, chosen.get("calibration_fraction"))
            sequences = cut.sequences
        with loading(quiet=quiet):
            model = refold.SequenceAutoencoder() if trained is None else trained
            model.set_params(**chosen, random_state=seed, verbose=0 if quiet else 1)
            model.set_params(warm_start=trained is not None)
        started = time.perf_counter()
        if resume and not quiet and checkpoint is not None and not checkpoint.exists():
            log(f"There is no checkpoint {str(checkpoint)!r}, so a new training run starts.")
        state = None if checkpoint is None else refold.Checkpoint(checkpoint, checkpoint_seconds)
        if on_cluster:
            refused = {"--from": base, "--window": windows.window}
            model = cluster.fit(model, data, reading, refused, checkpoint=state, resume=resume)
        else:
            model.fit(sequences, checkpoint=state, resume=resume)
        seconds = time.perf_counter() - started
        model.set_params(warm_start=False)
        with target.writing() as path:
            model.save(path)
        if checkpoint is not None and not model.interrupted_:
            checkpoint.unlink(missing_ok=True)
    if not quiet:
        where = "standard output" if target.path is None else output
        shapes = f"{model.n_shapes_} padded shape{'s' * (model.n_shapes_ > 1)}"
        source = data if on_cluster else f"{len(sequences) - model.num_calibrated_} sequences"
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
            if stop.args or not checkpoint.exists():
                raise
            raise KeyboardInterrupt(
                f"Stopped by Ctrl-C. --resume continues from {str(checkpoint)!r}."
            ) from stop


def _check_new_to_model(
    cut: Any, windows: options.WindowOptions, calibration_fraction: float | None
) -> None:
    if calibration_fraction and cut.overlap:
        raise ParameterError(
            "Overlapping windows share steps, so those set aside would not be new to the model. "
            f"Add --stride {windows.window}, with series of a multiple of {windows.window} steps, "
            "or replace --calibration-fraction by other series in `refold detect --normal`."
        )
