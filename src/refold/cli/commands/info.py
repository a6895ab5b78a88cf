"""``refold info``: a description of a saved model, or of the installation."""

import platform
from collections import Counter
from typing import Any

import refold
from refold._support.display import number_text
from refold._support.optional_imports import is_installed
from refold._support.output import describe_epochs
from refold.cli import _options as options
from refold.cli._console import print_facts, print_json
from refold.cli._models import load_model

__all__ = ["info"]

LIBRARIES = ("keras", "jax", "numpy")


def info(model: options.OptionalFile = None, /, *, as_json: options.AsJson = False) -> None:
    """Describe a model: its columns, layers and training.

    Without MODEL, describe the installation: versions, device and LSTM kernel.

    Parameters
    ----------
    model
        Model file from `refold fit`, or -.
    """
    facts = _installation() if model is None else _facts(load_model(model))
    if as_json:
        print_json(facts)
    elif model is None:
        _print_installation(facts)
    else:
        _print(facts)


def _installation() -> dict[str, Any]:
    # not at the top, because it takes as long to import as a model to load
    from importlib.metadata import version

    complete = is_installed("keras") and is_installed("jax")
    runtime = refold.layers.runtime() if complete else None
    return {
        "refold": refold.__version__,
        **{name: version(name) if is_installed(name) else None for name in LIBRARIES},
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


def _print_installation(facts: dict[str, Any]) -> None:
    kernel = facts["lstm_kernel"] or f"none: {facts['why_no_lstm_kernel']}"
    shown = {name: facts[name] or "not installed" for name in ("refold", *LIBRARIES)}
    if facts["backend"] is not None:
        shown["keras"] += f", on {facts['backend']}"
    print_facts(
        shown | {"python": facts["python"], "device": facts["device"], "LSTM kernel": kernel}
    )


def _print(facts: dict[str, Any]) -> None:
    types = Counter(column["type"] for column in facts["columns"])
    active, rocket = facts["active_dimensions"], facts["rocket_dim"]
    used = "" if active is None else f", {active} of them active"
    used += f", {rocket} of them ROCKET features" if rocket else ""
    used += ", 1 of them the length" if facts["length_dim"] else ""
    patch, steps = facts["patch"], facts["latent_steps"]
    loss = facts["best_validation_loss"]
    refit = f", then {facts['refit_epochs']} on all data" if facts["refit_epochs"] else ""
    default = facts["decoder"] is not None

    def given(name: str, text: str) -> str | None:
        return text.format(facts[name]) if facts[name] is not None else None

    print_facts(
        {
            "columns": ", ".join(f"{count} {name}" for name, count in types.items()),
            "names": _shortened([column["name"] for column in facts["columns"]]),
            "ids": given("id", "column {}"),
            "times": given("time", "column {}"),
            "longest sequence": f"{facts['max_steps']} steps",
            "code": f"{facts['code_size']} latent dimensions{used}",
            "forecasts": f"{facts['forecast_steps']} steps" if facts["forecast_steps"] else None,
            "architecture": str(facts["parameters"].get("architecture")),
            "cell": facts["cell"],
            "decoder": facts["decoder"],
            "patch": f"{patch} step{'s' * (patch > 1)}" if default else None,
            "latent optimization": (f"{steps} steps" if steps else "none") if default else None,
            "parameters": f"{facts['num_parameters']:,}",
            "model hash": facts["model_hash"][:12],
            "epochs": f"{describe_epochs(facts['best_epoch'], facts['epochs'])}{refit}",
            "best validation loss": None if loss is None else number_text(loss),
            "training": given("seconds", "{:.1f} s"),
        }
    )


def _shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])}, ... {names[-1]}"
