"""``refold info``, ``adapt``, ``export`` and ``serve``, which show, change or serve a model."""

import platform
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import refold
from refold._support.atomic_files import require_local_path
from refold._support.messages import describe_columns, format_number
from refold._support.optional_imports import is_installed
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.cli._inputs import ReadOptions, load_model
from refold.errors import MissingExtraError, ParameterError


def info(
    model_file: options.OptionalModelFile = None, /, *, as_json: options.AsJson = False
) -> None:
    """Describe a model (its columns, layers and training), or the model of a file of codes.

    Without MODEL, describe the installation: versions, device and LSTM kernel.

    Args:
        model_file: Model file from `refold fit`, or Parquet file from `refold encode`.
    """
    model = None
    if model_file is None:
        properties = _get_installation_properties()
    elif outputs.find_format_name_or_none(model_file) == "parquet":
        # not at the top, because it imports PyArrow, which `refold --help` does not need
        from refold.cli._code_files import read_code_file_properties

        properties = read_code_file_properties(require_local_path(model_file))
    else:
        model = load_model(model_file)
        properties = _get_model_properties(model)
    if as_json:
        outputs.print_json(properties)
        return
    rows = []
    if model is not None:
        columns = describe_columns(model.schema)
        rows.append(("columns", "any that are numeric" if model.any_columns else columns))
    for name, value in properties.items():
        # lists and dicts are only in the JSON
        if value is not None and not isinstance(value, list | dict):
            text = format_number(value) if isinstance(value, float) else str(value)
            rows.append((name.replace("_", " "), text))
    outputs.print_table(("name", "value"), rows, num_text_columns=2)


def _get_installation_properties() -> dict[str, Any]:
    """Return versions of libraries that can change results, the device and the LSTM kernel."""
    # not at the top, because this import takes as long as the loading of a model
    from importlib.metadata import version

    libraries = ("keras", "jax", "numpy")
    # a small installation lacks Keras and JAX, so it has only the LSTM kernel
    has_training_packages = is_installed("keras") and is_installed("jax")
    runtime = refold.layers.get_lstm_runtime_info() if has_training_packages else None
    return {
        "refold": refold.__version__,
        **{name: version(name) if is_installed(name) else None for name in libraries},
        "python": platform.python_version(),
        "backend": runtime.backend if runtime else None,
        "device": runtime.device if runtime else None,
        "lstm_kernel": runtime.kernel if runtime else refold.kernels.variant(),
        "why_no_lstm_kernel": runtime.why_not if runtime else refold.kernels.why_not(),
    }


def _get_model_properties(model: "refold.Model") -> dict[str, Any]:
    """Return properties of a model, its training and its arguments."""
    history, best_epoch_and_loss = model.history.epochs, model.history.best_epoch_and_loss
    # Each epoch belongs to a phase. In the phase "validated", the loss of held-out sequences is
    # measured after each epoch. The phase "refit" then trains on all sequences.
    phases = list(history.get("phase", ()))
    # only the default architecture has a choice of cell and decoder
    specification = model.specification
    is_default = specification.architecture == "default"
    # only pretrained models read curves: series that are resampled to a fixed number of points
    pretrained_notes = refold.model.PRETRAINED_MODEL_NOTES if specification.is_curve_network else {}
    return {
        "architecture": specification.architecture,
        **pretrained_notes,
        "columns": [
            {"name": column.name, "type": column.type, "categories": list(column.categories)}
            for column in model.schema.columns
        ],
        "layout": model.schema.layout,
        "id": model.schema.id_name,
        "time": model.schema.time_name,
        "max_steps": model.max_training_length,
        "cell": specification.cell if is_default else None,
        "decoder": specification.decoder if is_default else None,
        **{name: getattr(specification, name) for name in ("patch", "rocket_dim", "length_dim")},
        "latent_steps": model.latent_steps,
        "forecast_steps": specification.forecast_steps,
        **{name: getattr(model, name) for name in ("window", "step", "code_size")},
        "active_dimensions": model.active_dimensions,
        "model_hash": model.hash,
        "refold_version": model.version,
        "calibration_sequences": model.num_calibrated,
        "num_parameters": model.network.num_parameters,
        "epochs": phases.count("validated"),
        "refit_epochs": phases.count("refit"),
        "best_epoch": model.history.best_epoch,
        "best_validation_loss": None if best_epoch_and_loss is None else best_epoch_and_loss[1],
        # the history has the time since the start of the training at the end of each epoch
        "seconds": history["seconds"][-1] if history.get("seconds") else None,
        "parameters": {key: value for key, value in model.arguments.items() if key != "verbose"},
    }


def adapt(
    model_file: options.PretrainedModelName,
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="MODEL")],
    window: options.OptionalPositiveInt = None,
    max_lost_variance: Annotated[float | None, Parameter(metavar="R")] = None,
    normal_file: Annotated[str | None, Parameter(name="--normal", metavar="DATA")] = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Write a pretrained model for the columns of your data, without training.

    Most commands take `series` as it is. They need a model of your own for windows, for the names
    of the columns in decoded data, for streams, and for a service of several columns.

    Args:
        output: File for the model: .refold.
        window: Cut longer series into windows of N steps.
        max_lost_variance: Cut only series whose codes would lose more than this share of variance.
        normal_file: Normal series to calibrate `refold detect` and `refold stream` on.
    """
    files = outputs.CommandFiles(data_file, normal_file)
    target = files.add_output(output, outputs.MODEL_FORMATS)
    model = load_model(model_file)
    if not model.any_columns:
        raise ParameterError(
            f"{model_file} has columns of its own. Adapt `series`, which takes any, or `series-16`."
        )
    # windows may be cut from one long series, so a file without ids is read as one series
    has_windows = window is not None or max_lost_variance is not None
    with read_options.open_sequences(
        model, data_file, files, may_be_long_series=has_windows
    ) as sequences:
        model = model.adapt(sequences, window=window, max_lost_variance=max_lost_variance)
    model = read_options.calibrate_model(model, normal_file, files)
    model.save(str(target.path))
    if not quiet:
        outputs.log_line(f"Wrote {output}: {model!r}.")


def export(
    model_file: options.ModelFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="FILE")],
    part: Literal["encoder", "decoder", "forecaster"] = "encoder",
    category_indices: bool = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the encoder, the decoder or the forecaster as an ONNX file, for other languages.

    Args:
        output: File to write: .onnx.
        part: Part of the model to write.
        category_indices: Read and write categories as indices, not as text.
    """
    target = outputs.CommandFiles().add_output(output, outputs.ONNX_FORMATS)
    model = load_model(model_file)
    exported = refold.export.to_onnx(
        model, str(target.path), part, category_indices=category_indices
    )
    if quiet:
        return
    noun = "codes" if part == "encoder" else "values"
    outputs.log_line(f"Wrote the {part} to {output} ({exported.num_bytes / 1000:,.0f} kB).")
    if exported.largest_difference is not None:
        outputs.log_line(
            f"In a check on decoded sequences, the {noun} from ONNX Runtime differ from those of "
            f"Refold by at most {exported.largest_difference:.1g} standard deviations."
        )
    if part == "encoder" and model.latent_steps:
        outputs.log_line(
            f"Refold encodes this model with {model.latent_steps} steps of latent optimization, "
            "which are not part of the graph: codes are those of --latent-steps 0."
        )


def _make_setting_option(setting_name: str, metavar: str = "N") -> Parameter:
    """Return the annotation of an option for a setting. The help shows the setting's default."""

    def show_setting_default(_: object) -> str:
        # only for the help, because this import takes as long as all others together
        try:
            from refold.serve import ServeSettings
        except MissingExtraError:
            return "shown if the extra `serve` is installed"
        return str(getattr(ServeSettings, setting_name))

    return Parameter(metavar=metavar, show_default=show_setting_default)


@Parameter(name="*", group=options.HELP_PANELS["Limits"])
@dataclass(frozen=True)
class ServiceLimitOptions:
    """Limits of the service.

    Args:
        max_body: Maximum size of the body of a request.
        max_total_body: Maximum size of all bodies at a time, together.
        max_sequences: Maximum number of sequences or codes in a request.
        max_steps: Maximum number of steps in a request, and in its answer.
        max_seconds: Maximum time for a request.
        max_queue: Maximum number of requests that wait.
        max_connections: Maximum number of open connections.
    """

    max_body: Annotated[int | None, _make_setting_option("max_body", "BYTES")] = None
    max_total_body: Annotated[int | None, _make_setting_option("max_total_body", "BYTES")] = None
    max_sequences: Annotated[int | None, _make_setting_option("max_sequences")] = None
    max_steps: Annotated[int | None, _make_setting_option("max_steps")] = None
    max_seconds: Annotated[float | None, _make_setting_option("max_seconds", "S")] = None
    max_queue: Annotated[int | None, _make_setting_option("max_queue")] = None
    max_connections: Annotated[int | None, _make_setting_option("max_connections")] = None


def serve(
    models: Annotated[list[str], Parameter(allow_leading_hyphen=False)],
    /,
    *,
    index_files: Annotated[list[str] | None, Parameter(name="--index", metavar="INDEX")] = None,
    host: Annotated[str | None, _make_setting_option("host", "ADDRESS")] = None,
    port: Annotated[int | None, _make_setting_option("port")] = None,
    token_file: options.FileOption = None,
    anonymous: bool = False,
    allowed_hosts: Annotated[
        list[str] | None, Parameter(name="--allowed-host", metavar="NAME")
    ] = None,
    limit_options: ServiceLimitOptions = ServiceLimitOptions(),
) -> None:
    """Serve models over HTTP: encode, decode, reconstruct, detect, forecast, generate and search.

    Each option is also an environment variable, such as REFOLD_SERVE_PORT. After SIGTERM, the
    service answers the open requests and stops.

    Args:
        models: Model files, each as FILE or NAME=FILE. The name is part of the URL.
        index_files: Index from `refold index` to search in, as FILE or NAME=FILE. Repeat for more.
        host: Address to bind.
        port: Port; 0 takes a free one.
        token_file: File with the token that clients send. REFOLD_SERVE_TOKEN can hold it instead.
        anonymous: Serve other machines without a token.
        allowed_hosts: Name that the Host header may have. Repeat for more.
    """
    from refold.serve import named_indexes, named_paths, read_settings
    from refold.serve import serve as serve_models

    # None leaves a setting to its environment variable
    access = {"anonymous": anonymous or None, "allowed_hosts": allowed_hosts or None}
    settings = read_settings(
        host=host, port=port, token_file=token_file, **access, **vars(limit_options)
    )
    model_paths = named_paths(models)
    index_paths = named_indexes(index_files or [], model_paths)
    serve_models(model_paths, settings, indexes=index_paths)
