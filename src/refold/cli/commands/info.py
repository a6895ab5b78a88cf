"""``refold info``: a description of a saved model, or of the installation."""

import json
import platform
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold._support.console import describe_epochs
from refold.cli._saved_models import load_model

__all__ = ["info"]


def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Model file from `refold fit`, or -."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a model: its columns, layers and training.

    Without MODEL, describe the installation: versions, device and LSTM kernel.
    """
    facts = _installation() if model is None else _facts(load_model(model))
    if as_json:
        typer.echo(json.dumps(facts))
    elif model is None:
        _print_installation(facts)
    else:
        _print(facts)


def _installation() -> dict[str, Any]:
    runtime = refold.layers.runtime()
    return {
        **{name: version(name) for name in ("refold", "keras", "jax", "numpy")},
        "python": platform.python_version(),
        "backend": runtime.backend,
        "device": runtime.device,
        "lstm_kernel": runtime.kernel,
        "why_no_lstm_kernel": runtime.why_not,
    }


def _facts(model: Any) -> dict[str, Any]:
    history = model.history_
    parameters = model.get_params(deep=False)
    del parameters["verbose"]
    phases = list(history.get("phase", ()))
    best = model._fitted.best
    # cell and decoder describe the default architecture only
    specification, is_default = model._fitted.network.specification, model.architecture == "default"
    return {
        "columns": [
            {"name": column.name, "type": column.type, "categories": list(column.categories)}
            for column in model.schema_.columns
        ],
        "layout": model.schema_.layout,
        "id": model.schema_.id_name,
        "time": model.schema_.time_name,
        "max_steps": int(model.max_steps_),
        "cell": specification.cell if is_default else None,
        "decoder": specification.decoder if is_default else None,
        "patch": model.patch_,
        "rocket_dim": model.rocket_dim_,
        "latent_steps": model.latent_steps_,
        "forecast_steps": int(model.forecast_steps),
        "code_size": len(model.get_feature_names_out()),
        "active_dimensions": model.active_dimensions_,
        "num_parameters": int(model.n_parameters_),
        "epochs": phases.count("validated"),
        "refit_epochs": phases.count("refit"),
        "best_epoch": model.best_epoch_,
        "best_validation_loss": None if best is None else best[1],
        "seconds": history["seconds"][-1] if history.get("seconds") else None,
        "parameters": parameters,
    }


def _print_installation(facts: dict[str, Any]) -> None:
    table = _table()
    table.add_row("refold", facts["refold"])
    table.add_row("keras", f"{facts['keras']}, on {facts['backend']}")
    for name in ("jax", "numpy", "python"):
        table.add_row(name, facts[name])
    if facts["device"] is not None:
        table.add_row("device", facts["device"])
    table.add_row("LSTM kernel", facts["lstm_kernel"] or f"none: {facts['why_no_lstm_kernel']}")
    _show(table)


def _table() -> Any:
    table: Any = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table


def _show(table: Any) -> None:
    Console(markup=False, emoji=False).print(table)  # a name may be "speed [m/s]"


def _print(facts: dict[str, Any]) -> None:
    table = _table()
    parameters = facts["parameters"]
    column_types: dict[str, int] = {}
    for column in facts["columns"]:
        column_types[column["type"]] = column_types.get(column["type"], 0) + 1
    counts = ", ".join(f"{count} {name}" for name, count in column_types.items())
    table.add_row("columns", counts)
    table.add_row("names", _shortened([column["name"] for column in facts["columns"]]))
    if facts["id"] is not None:
        table.add_row("ids", f"column {facts['id']}")
    if facts["time"] is not None:
        table.add_row("times", f"column {facts['time']}")
    table.add_row("longest sequence", f"{facts['max_steps']} steps")
    active, rocket = facts["active_dimensions"], facts["rocket_dim"]
    used = "" if active is None else f", {active} of them active"
    used += f", {rocket} of them ROCKET features" if rocket else ""
    table.add_row("code", f"{facts['code_size']} latent dimensions{used}")
    if facts["forecast_steps"]:
        table.add_row("forecasts", f"{facts['forecast_steps']} steps")
    table.add_row("architecture", str(parameters.get("architecture")))
    if facts["decoder"] is not None:
        table.add_row("cell", facts["cell"])
        table.add_row("decoder", facts["decoder"])
        table.add_row("patch", f"{facts['patch']} step{'s' * (facts['patch'] > 1)}")
        optimized = f"{facts['latent_steps']} steps" if facts["latent_steps"] else "none"
        table.add_row("latent optimization", optimized)
    table.add_row("parameters", f"{facts['num_parameters']:,}")
    refit = f", then {facts['refit_epochs']} on all data" if facts["refit_epochs"] else ""
    table.add_row("epochs", f"{describe_epochs(facts['best_epoch'], facts['epochs'])}{refit}")
    if facts["best_validation_loss"] is not None:
        table.add_row("best validation loss", f"{facts['best_validation_loss']:.5g}")
    if facts["seconds"] is not None:
        table.add_row("training", f"{facts['seconds']:.1f} s")
    _show(table)


def _shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])}, ... {names[-1]}"
