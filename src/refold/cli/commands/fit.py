"""``refold fit``: train an autoencoder on a file of sequences, and save it."""

import contextlib
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import refold
from refold.cli._checkpoint_lock import locked_checkpoint
from refold.cli._cluster import TrainingCluster
from refold.cli._console import log
from refold.cli._error_messages import Stopped
from refold.cli._files_and_streams import MODEL_FORMATS, check_one_stream, plan_output
from refold.cli._options import Data, Quiet, Seed, Windows
from refold.cli._reading import TrainingData, require_in_memory
from refold.cli._saved_models import load_estimator, loading
from refold.errors import ParameterError

__all__ = ["Settings", "fit"]

_model = functools.partial(typer.Option, rich_help_panel="Model")
_training = functools.partial(typer.Option, rich_help_panel="Training")


@dataclass(frozen=True)
class Settings:
    """Arguments of the estimator; those that are None have its defaults, or those of a model."""

    latent_dim: Annotated[
        float | None,
        _model(
            metavar="N",
            help="Latent dimensions; 0.95: as many as explain 95 % of the held-out variance. "
            r"\[default: 16]",
        ),
    ] = None
    architecture: Annotated[
        str | None, _model(metavar="NAME", help="default, dense, repeat or reshape.")
    ] = None
    decoder: Annotated[
        str | None,
        _model(metavar="NAME", help=r"parallel or autoregressive. \[default: depends on the data]"),
    ] = None
    patch: Annotated[
        int | None,
        _model(
            metavar="N",
            help=r"Steps that the LSTMs read and write at once. \[default: depends on the lengths]",
        ),
    ] = None
    rocket_dim: Annotated[
        int | None,
        _model(
            metavar="N",
            help="Latent dimensions for ROCKET features. "
            r"\[default: depends on the data]",
        ),
    ] = None
    length_dim: Annotated[
        int | None,
        _model(
            metavar="N",
            help="1 keeps the exact length in a latent dimension, 0 predicts it from the code. "
            r"\[default: 1 if lengths differ and there are 8 or more dimensions]",
        ),
    ] = None
    forecast_steps: Annotated[
        int | None, _model(metavar="N", help="Steps to forecast, for `refold forecast`.")
    ] = None
    units: Annotated[int | None, _model(metavar="N", help="Units per recurrent layer.")] = None
    depth: Annotated[
        int | None, _model(metavar="N", help="Recurrent layers in the encoder, and in the decoder.")
    ] = None
    cell: Annotated[str | None, _model(metavar="NAME", help=r"lstm or gru. \[default: lstm]")] = (
        None
    )
    scale: Annotated[
        str | None,
        _model(metavar="SCALE", help="Standardize by features, by sequence, or none."),
    ] = None
    max_epochs: Annotated[int | None, _training(metavar="N", help="Maximum number of epochs.")] = (
        None
    )
    batch_size: Annotated[
        int | None, _training(metavar="N", help="Sequences per training step.")
    ] = None
    learning_rate: Annotated[float | None, _training(metavar="R", help="Peak learning rate.")] = (
        None
    )
    validation_fraction: Annotated[
        float | None, _training(metavar="R", help="Fraction held out for early stopping.")
    ] = None
    calibration_fraction: Annotated[
        float | None,
        _training(
            metavar="R",
            help="Fraction set aside to calibrate `refold detect` and `refold forecast`.",
        ),
    ] = None
    patience: Annotated[
        int | None,
        _training(
            metavar="N",
            help="Epochs without a better validation loss before training stops. "
            r"\[default: a tenth of the epochs, up to a quarter while the loss falls]",
        ),
    ] = None
    refit: Annotated[
        bool | None,
        _training(
            "--refit/--no-refit",
            help=r"Retrain on all sequences at the end. \[default: below 2000 sequences]",
            show_default=False,
        ),
    ] = None
    latent_steps: Annotated[
        int | None,
        _model(
            metavar="N",
            help=r"Steps of latent optimization per code. \[default: depends on the data]",
        ),
    ] = None
    optimizer: Annotated[
        str | None, _training(metavar="NAME", help="Name of a Keras optimizer.")
    ] = None
    time_budget: Annotated[
        float | None, _training(metavar="SECONDS", help="Time limit for training.")
    ] = None
    time_warp: Annotated[
        float | None,
        _training(
            metavar="STEPS",
            help="Standard deviation of random time warps of the training sequences, 0 for none. "
            r"\[default: depends on the data]",
        ),
    ] = None
    denoise: Annotated[
        str | None,
        _training(
            metavar="HOW",
            help="Corrupt the input: noise 0.3, time-step dropout steps:0.2, or 0.3,steps:0.2.",
        ),
    ] = None
    variational: Annotated[
        bool | None,
        _model(
            "--variational",
            help="Train a variational autoencoder, with codes distributed as N(0, 1).",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the estimator that are set."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        if self.latent_dim is not None and self.latent_dim.is_integer():
            given["latent_dim"] = int(self.latent_dim)
        if self.scale == "none":
            given["scale"] = None
        return given


def fit(
    data: Data,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", help="File for the model, or -.")
    ],
    settings: Settings,
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
    windows: Windows,
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
    if checkpoint_seconds < 0:
        raise ParameterError(f"--checkpoint-seconds cannot be negative. Got {checkpoint_seconds}.")

    old = None if base is None else load_estimator(base)
    on = cluster.on
    opened: Any = reading.opened_to_fit(data, old) if on is None else contextlib.nullcontext()
    with (
        locked_checkpoint(checkpoint, resume=resume, lock=on is None),
        opened as sequences,
    ):
        if windows.window is not None and on is None:
            sequences = _cut(require_in_memory(sequences, data), windows, settings)
        with loading(quiet=quiet):
            given = settings.arguments()
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


def _cut(series: Any, windows: Windows, settings: Settings) -> Any:
    cut = windows.cut(series)
    if settings.calibration_fraction and cut.overlap:
        raise ParameterError(
            "Overlapping windows share steps, so those set aside would not be new to the model. "
            f"Add --stride {windows.window}, with series of a multiple of {windows.window} steps, "
            "or replace --calibration-fraction by other series in `refold detect --normal`."
        )
    return cut.sequences
