"""``refold fit``: train an autoencoder on a file of sequences, and save it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

import refold
from refold.cli._checkpoint_lock import sole_checkpoint
from refold.cli._error_messages import log
from refold.cli._files_and_streams import MODEL_FORMATS, plan_output, read_formats, readable
from refold.cli._freed_memory import give_blocks_back
from refold.cli._options import (
    Columns,
    ColumnTypes,
    Data,
    IdColumn,
    InputFormat,
    Layout,
    Missing,
    Quiet,
    Seed,
    Sort,
    Stride,
    TimeColumn,
    Unit,
    Window,
    read_missing,
    read_options,
)
from refold.cli._saved_models import loading, whole
from refold.errors import ParameterError

__all__ = ["fit"]

MODEL_PANEL = "Model"
TRAINING = "Training"


def fit(
    data: Data,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", help="File for the model, or -.")
    ],
    latent_dim: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Latent dimensions; 0.95: as many as explain 95 % of the held-out variance. "
            r"\[default: 16]",
            show_default=False,
            rich_help_panel=MODEL_PANEL,
        ),
    ] = 16,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="default, dense, repeat or reshape.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=r"parallel or autoregressive. \[default: depends on the data]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=r"Steps that the LSTMs read and write at once. \[default: depends on the lengths]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    rocket_dim: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Latent dimensions for ROCKET features. "
            r"\[default: 8 if there are 32 or more dimensions]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    forecast_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps to forecast, for `refold forecast`.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(metavar="N", help="Units per recurrent layer.", rich_help_panel=MODEL_PANEL),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Recurrent layers in the encoder, and in the decoder.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=r"lstm or gru. \[default: lstm]", rich_help_panel=MODEL_PANEL
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE",
            help="Standardize by features, by sequence, or none.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Maximum number of epochs.", rich_help_panel=TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Sequences per training step.", rich_help_panel=TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Peak learning rate.", rich_help_panel=TRAINING),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="Fraction held out for early stopping.", rich_help_panel=TRAINING
        ),
    ] = None,
    calibration_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="Fraction set aside to calibrate `refold detect` and `refold forecast`.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Epochs without a better validation loss before training stops. "
            r"\[default: a tenth of the epochs, up to a quarter while the loss falls]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            help=r"Retrain on all sequences at the end. \[default: below 2000 sequences]",
            show_default=False,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    latent_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=r"Steps of latent optimization per code. \[default: depends on the data]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of a Keras optimizer.", rich_help_panel=TRAINING),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time limit for training.", rich_help_panel=TRAINING),
    ] = None,
    denoise: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Corrupt the input: noise 0.3, time-step dropout steps:0.2, or 0.3,steps:0.2.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    variational: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--variational",
            help="Train a variational autoencoder, with codes distributed as N(0, 1).",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False,
    seed: Seed = None,
    resume: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run from MODEL.checkpoint, if it exists.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time between two writes of MODEL.checkpoint.",
            rich_help_panel=TRAINING,
        ),
    ] = 60.0,
    window: Window = None,
    stride: Stride = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    missing: Missing = None,
    input_format: InputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder on sequences, and save it in one file."""
    given = dict(locals()) | {"random_state": seed, "missing_values": read_missing(missing)}
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    if stride is not None and window is None:
        raise ParameterError("--stride needs windows. Add --window N.")
    target = plan_output(output, format_name=None, formats=MODEL_FORMATS, default="refold")
    checkpoint = None if target.copied else Path(f"{output}.checkpoint")
    if resume and checkpoint is None:
        raise ParameterError(
            "--resume needs a checkpoint next to the model, and the output is a stream. Name a "
            "file with -o."
        )
    if checkpoint_seconds < 0:
        raise ParameterError(f"--checkpoint-seconds cannot be negative. Got {checkpoint_seconds}.")

    with (
        sole_checkpoint(checkpoint, resume=resume),
        readable(data, format_name=input_format, formats=read_formats()) as path,
    ):
        sequences = refold.sequences.read_or_scan(path, **options)
        if isinstance(sequences, refold.sequences.Scan):
            give_blocks_back()
        if window is not None:
            cut = refold.sequences.windows(whole(sequences, data), window, stride)
            if calibration_fraction and cut.overlap:
                raise ParameterError(
                    "Overlapping windows share steps, so those set aside would not be new to the "
                    f"model. Add --stride {window}, with series of a multiple of {window} steps, "
                    "or replace --calibration-fraction by other series in `refold detect "
                    "--normal`."
                )
            sequences = cut.sequences
        with loading(quiet=quiet):
            known = refold.SequenceAutoencoder().get_params()
        model = refold.SequenceAutoencoder(**_settings(given, known), verbose=0 if quiet else 1)
        started = time.perf_counter()
        if resume and not quiet and checkpoint is not None and not checkpoint.exists():
            log(f"There is no checkpoint {str(checkpoint)!r}, so a new training run starts.")
        kept = None if checkpoint is None else refold.Checkpoint(checkpoint, checkpoint_seconds)
        model.fit(sequences, checkpoint=kept, resume=resume)
        seconds = time.perf_counter() - started
        with target.writing() as path:
            model.save(path)
        if checkpoint is not None and not model.interrupted_:
            checkpoint.unlink(missing_ok=True)
    if not quiet:
        where = "standard output" if target.path is None else output
        shapes = f"{model.n_shapes_} padded shape{'s' * (model.n_shapes_ > 1)}"
        count = len(sequences) - model.num_calibrated_
        log(
            f"Trained on {count} sequences in {seconds:.1f} s, in batches of {shapes}. "
            f"Model: {where}"
        )
        if checkpoint is not None and model.interrupted_:
            log(f"--resume continues the training from {str(checkpoint)!r}.")


def _settings(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are set, as arguments of the estimator.

    Options that are None are left out, so that the estimator's defaults apply.
    """
    settings = {name: given[name] for name in known if given.get(name) is not None}
    if settings["latent_dim"].is_integer():
        settings["latent_dim"] = int(settings["latent_dim"])
    if settings.get("scale") == "none":
        settings["scale"] = None
    return settings
