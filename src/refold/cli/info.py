"""``refold info``, ``export`` and ``data``: about a model, a model as ONNX, and data to try."""

import platform
from collections import Counter
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import refold
from refold._support.display import number_text
from refold._support.optional_imports import is_installed
from refold._support.output import describe_epochs
from refold.cli import _options as options
from refold.cli._inputs import load_model
from refold.cli._outputs import (
    GRAPH_FORMATS,
    STREAM,
    TABLE_FORMATS,
    Files,
    data_formats,
    log,
    print_facts,
    print_json,
    print_table,
)
from refold.errors import ParameterError

_LIBRARIES = ("keras", "jax", "numpy")
_DATA_SETS = {
    "moving-ones": "a moving one: 8 binary features, 0 to 10 steps",
    "question": "a moving one, 5 features, zero-padded to 10 steps, as in the question",
    "random-one-hot": "random one-hot tokens: 5 binary features, 10 steps",
    "noisy-sines": "noisy sines of random length, 1 feature",
    "ramps": "four ramps, 1 feature, as in the second answer",
    "japanese-vowels": "270 utterances of 9 speakers, 12 features",
    "japanese-vowels-test": "370 other utterances of the same speakers",
}


def info(model: options.OptionalFile = None, /, *, as_json: options.AsJson = False) -> None:
    """Describe a model: its columns, layers and training.

    Without MODEL, describe the installation: versions, device and LSTM kernel.

    Args:
        model: Model file from `refold fit`, or -.
    """
    facts = _installation() if model is None else _facts(load_model(model))
    if as_json:
        print_json(facts)
    elif model is None:
        kernel = facts["lstm_kernel"] or f"none: {facts['why_no_lstm_kernel']}"
        shown = {name: facts[name] or "not installed" for name in ("refold", *_LIBRARIES)}
        if facts["backend"] is not None:
            shown["keras"] += f", on {facts['backend']}"
        shown |= {"python": facts["python"], "device": facts["device"], "LSTM kernel": kernel}
        print_facts(shown)
    else:
        print_facts(_texts(facts))


def _installation() -> dict[str, Any]:
    # not at the top, because it takes as long to import as a model to load
    from importlib.metadata import version

    complete = is_installed("keras") and is_installed("jax")
    runtime = refold.layers.runtime() if complete else None
    return {
        "refold": refold.__version__,
        **{name: version(name) if is_installed(name) else None for name in _LIBRARIES},
        "python": platform.python_version(),
        "backend": runtime.backend if runtime else None,
        "device": runtime.device if runtime else None,
        "lstm_kernel": runtime.kernel if runtime else refold.kernels.variant(),
        "why_no_lstm_kernel": runtime.why_not if runtime else refold.kernels.why_not(),
    }


def _facts(model: "refold.Model") -> dict[str, Any]:
    epochs, best = model.history.epochs, model.history.best
    phases = list(epochs.get("phase", ()))
    parameters = {name: value for name, value in model.arguments.items() if name != "verbose"}
    # cell and decoder describe the default architecture only
    specification = model.specification
    is_default = specification.architecture == "default"
    return {
        "columns": [
            {"name": column.name, "type": column.type, "categories": list(column.categories)}
            for column in model.schema.columns
        ],
        "layout": model.schema.layout,
        "id": model.schema.id_name,
        "time": model.schema.time_name,
        "max_steps": model.max_steps,
        "cell": specification.cell if is_default else None,
        "decoder": specification.decoder if is_default else None,
        "patch": specification.patch,
        "rocket_dim": specification.rocket_dim,
        "length_dim": specification.length_dim,
        "latent_steps": model.latent_steps,
        "forecast_steps": specification.forecast_steps,
        "code_size": model.code_size,
        "active_dimensions": model.active_dimensions,
        "model_hash": model.hash,
        "num_parameters": model.network.num_parameters,
        "epochs": phases.count("validated"),
        "refit_epochs": phases.count("refit"),
        "best_epoch": model.history.best_epoch,
        "best_validation_loss": None if best is None else best[1],
        "seconds": epochs["seconds"][-1] if epochs.get("seconds") else None,
        "parameters": parameters,
    }


def _texts(facts: dict[str, Any]) -> dict[str, str | None]:
    """Return the facts about a model as text for a terminal."""
    types = Counter(column["type"] for column in facts["columns"])
    names = [column["name"] for column in facts["columns"]]
    if len(names) > 12:
        names[10:] = [f"... {names[-1]}"]
    code = f"{facts['code_size']} latent dimensions"
    if facts["active_dimensions"] is not None:
        code += f", {facts['active_dimensions']} of them active"
    if facts["rocket_dim"]:
        code += f", {facts['rocket_dim']} of them ROCKET features"
    if facts["length_dim"]:
        code += ", 1 of them the length"
    epochs = describe_epochs(facts["best_epoch"], facts["epochs"])
    if facts["refit_epochs"]:
        epochs += f", then {facts['refit_epochs']} on all data"
    texts = {
        "columns": ", ".join(f"{count} {name}" for name, count in types.items()),
        "names": ", ".join(names),
        "ids": None if facts["id"] is None else f"column {facts['id']}",
        "times": None if facts["time"] is None else f"column {facts['time']}",
        "longest sequence": f"{facts['max_steps']} steps",
        "code": code,
        "forecasts": f"{facts['forecast_steps']} steps" if facts["forecast_steps"] else None,
        "architecture": str(facts["parameters"].get("architecture")),
    }
    if facts["decoder"] is not None:  # of the default architecture
        patch, steps = facts["patch"], facts["latent_steps"]
        texts |= {
            "cell": facts["cell"],
            "decoder": facts["decoder"],
            "patch": f"{patch} step{'s' * (patch > 1)}",
            "latent optimization": f"{steps} steps" if steps else "none",
        }
    loss, seconds = facts["best_validation_loss"], facts["seconds"]
    return texts | {
        "parameters": f"{facts['num_parameters']:,}",
        "model hash": facts["model_hash"][:12],
        "epochs": epochs,
        "best validation loss": None if loss is None else number_text(loss),
        "training": None if seconds is None else f"{seconds:.1f} s",
    }


def export(
    model: options.ModelFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="FILE")],
    part: Literal["encoder", "decoder", "forecaster"] = "encoder",
    packed: bool = False,
    category_indices: bool = False,
    weights: Literal["float32", "float16", "int8"] = "float32",
    opset: options.Count = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the encoder, the decoder or the forecaster as an ONNX file, for other languages.

    Args:
        output: File to write (.onnx), or -.
        part: Part of the model to write.
        packed: Take all steps in one dimension, without padding.
        category_indices: Take categories as indices, not as text.
        weights: Type of stored weights, where the error stays within 1 %.
        opset: Version of ONNX's operators. [default: 18]
    """
    target = Files(model).output(output, GRAPH_FORMATS)
    chosen = {} if opset is None else {"opset": opset}
    loaded = load_model(model)
    with target.writing() as path:
        exported = refold.export.to_onnx(
            loaded,
            path,
            part,
            packed=packed,
            category_indices=category_indices,
            weights=weights,
            **chosen,
        )
    if quiet:
        return
    what = "codes" if part == "encoder" else "values"
    log(f"Wrote the {part} to {output} ({exported.num_bytes / 1000:,.0f} kB).")
    if exported.largest_difference is not None:
        log(
            f"On sequences that the model decodes, its {what} differ from those of Refold by at "
            f"most {exported.largest_difference:.1g} standard deviations in ONNX Runtime."
        )
    if part == "encoder" and loaded.latent_steps:
        log(
            f"Refold encodes this model with {loaded.latent_steps} steps of latent optimization, "
            "which are not part of the graph: codes are those of --latent-steps 0."
        )


def data(
    name: options.OptionalFile = None,
    /,
    *,
    output: options.DataOutput = "-",
    num_sequences: Annotated[options.Count, Parameter(name="-n")] = None,
    seed: options.FixedSeed = 0,
    output_format: Annotated[options.TableFormat, Parameter(name="--format")] = None,
    labels: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set to a file, or list the data sets.

    Args:
        name: Name of the data set; without it, list them.
        num_sequences: Number of sequences.
        labels: File for the labels, one per sequence: the speakers of japanese-vowels.
    """
    if name is None:
        if output != STREAM or (num_sequences, output_format, labels) != (None, None, None):
            raise ParameterError(f"Name a data set to write: {', '.join(_DATA_SETS)}.")
        names = refold.datasets.names()
        print_table(("name", "description"), [(n, _DATA_SETS.get(n, "")) for n in names], left=2)
        return
    files = Files()
    target = files.output(output, data_formats(), output_format)
    label_target = files.optional("--labels", labels, TABLE_FORMATS)
    sequences = refold.datasets.load(name, n=num_sequences, seed=seed)
    if label_target is not None:
        import pyarrow as pa

        column, values = refold.datasets.labels_of(name)
        ids = sequences.ids.tolist()
        label_table = pa.table({"id": ids, column: values[: len(ids)]})
    with target.writing() as path:
        refold.sequences.write(sequences, path)
    if label_target is not None:
        label_target.write_table(label_table)
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {output}")
