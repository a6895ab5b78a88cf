"""``refold fit``: train an autoencoder on a file of sequences and save it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

import refold
from refold.cli._checkpoint_lock import sole_checkpoint
from refold.cli._error_messages import remark
from refold.cli._files_and_streams import MODEL_FORMATS, plan_output, read_formats, readable
from refold.cli._freed_memory import give_blocks_back
from refold.cli._options import (
    Columns,
    Data,
    IdColumn,
    InputFormat,
    Kinds,
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
        str, typer.Option("--output", "-o", metavar="MODEL", help="Where the model goes, or -.")
    ],
    latent_dim: Annotated[
        float,
        typer.Option(
            metavar="N",
            help=r"Numbers in a code; 0.95: as many as explain so much held out. \[default: 16]",
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
            help=r"parallel, or autoregressive: step by step. \[default: by the columns]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=r"Steps that the LSTMs take at once. \[default: by the lengths]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    rocket_dim: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Numbers of the code for telling sequences apart. "
            r"\[default: 8 from a size of 32 on]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    forecast_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Steps ahead, for `refold forecast`.", rich_help_panel=MODEL_PANEL
        ),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(metavar="N", help="Size of a recurrent layer.", rich_help_panel=MODEL_PANEL),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Recurrent layers in encoder and decoder.",
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
            metavar="WAY",
            help="Standardise by features, by sequence, or none.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most epochs to train.", rich_help_panel=TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Sequences a training step.", rich_help_panel=TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Highest rate of learning.", rich_help_panel=TRAINING),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(metavar="R", help="Share held out to stop by.", rich_help_panel=TRAINING),
    ] = None,
    calibration_fraction: Annotated[
        float | None,
        typer.Option(metavar="R", help="Share kept for `refold detect`.", rich_help_panel=TRAINING),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Epochs without a better validation loss before training stops. "
            r"\[default: a tenth of the epochs; while the loss falls, up to a quarter]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            help=r"Train once more on all sequences. \[default: below 2000]",
            show_default=False,
            rich_help_panel=TRAINING,
        ),
    ] = None,
    latent_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=r"Steps of the search for each code. \[default: by the data]",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Optimizer of Keras, by name.", rich_help_panel=TRAINING),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time for training.", rich_help_panel=TRAINING),
    ] = None,
    denoise: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Corrupt the input: noise, 0.3; or dropped steps, steps:0.2; or 0.3,steps:0.2.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    variational: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--variational",
            help="Train codes to be distributed as N(0, 1).",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False,
    seed: Seed = None,
    resume: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--resume",
            help="Go on with a training that was stopped, from MODEL.checkpoint, if it is there.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Write MODEL.checkpoint whenever so much time has passed.",
            rich_help_panel=TRAINING,
        ),
    ] = 60.0,
    window: Window = None,
    stride: Stride = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    missing: Missing = None,
    input_format: InputFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder on sequences and save it in one file."""
    given = dict(locals()) | {"random_state": seed, "missing_values": read_missing(missing)}
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    if stride is not None and window is None:
        raise ParameterError("--stride is of windows. Add --window N.")
    target = plan_output(output, format_name=None, formats=MODEL_FORMATS, default="refold")
    checkpoint = None if target.copied else Path(f"{output}.checkpoint")
    if resume and checkpoint is None:
        raise ParameterError(
            "--resume goes on from a file beside the model, and the output is a stream. Name a "
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
                    "Windows that overlap share steps, so those set aside would be known to the "
                    f"model. Add --stride {window}, with series of a multiple of {window} steps, "
                    "or leave --calibration-fraction out and give other series by `refold detect "
                    "--normal`."
                )
            sequences = cut.sequences
        with loading(quiet=quiet):
            known = refold.SequenceAutoencoder().get_params()
        model = refold.SequenceAutoencoder(**_settings(given, known), verbose=0 if quiet else 1)
        started = time.perf_counter()
        if resume and not quiet and checkpoint is not None and not checkpoint.exists():
            remark(f"There is no {str(checkpoint)!r} to go on from, so training starts anew.")
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
        remark(
            f"Trained on {count} sequences in {seconds:.1f} s, in batches of {shapes}. "
            f"Model: {where}"
        )
        if checkpoint is not None and model.interrupted_:
            remark(f"--resume goes on with the training from {str(checkpoint)!r}.")


def _settings(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are arguments of the estimator, under its names.

    An option that was not given is None.  It is left out, so that the estimator's default counts.
    """
    settings = {name: given[name] for name in known if given.get(name) is not None}
    if settings["latent_dim"].is_integer():
        settings["latent_dim"] = int(settings["latent_dim"])
    if settings.get("scale") == "none":
        settings["scale"] = None
    return settings
