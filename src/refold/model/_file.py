"""Content of a model file: network specification and weights, schema, scalers and history."""

import hashlib
import json
import os
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import numpy as np

import refold
from refold._support.optional_imports import check_training_packages
from refold.errors import ModelFileError, spelled
from refold.model._container import (
    pack_container,
    read_container,
    unpack_container,
    write_container,
)
from refold.model._mixture import Mixture
from refold.model._statistics import Calibration, Fingerprints, History, ReferenceStatistics
from refold.network.packed.network import FittedNetwork, PackedNetwork
from refold.network.specification import Specification, are_default, weights_of
from refold.sequences import Scaler, Schema

Record = TypeVar("Record", ReferenceStatistics, Calibration, Mixture)

# Start of the names of weights.
_WEIGHTS = "weights/"
_MAX_STEPS = 10**7
# Sizes of the default model. None can exceed the largest dimension of a weight.
_SIZES = ("latent_dim", "units", "depth", "patch")
# Names of arrays in a file, by the part of the model that has them.
_REFERENCE = {
    "codes": "known/codes",
    "mean": "known/center",
    "deviation": "known/unit",
    "precision": "known/precision",
    "typical": "known/units",
}
_CALIBRATION = {
    "scores": "calibration/scores",
    "steps": "calibration/steps",
    "residuals": "residuals/absolute",
}
_MIXTURE = {field.name: f"mixture/{field.name}" for field in fields(Mixture)}
_FINGERPRINTS = {"held_back": "held_back", "trained": "trained"}
_SCALERS = {"scaler": "scaler", "error_scaler": "units"}


def write_model(path: str | os.PathLike[str], model: "refold.Model") -> None:
    """Write a model to a file, atomically."""
    write_container(path, dumps(model))


def dumps(model: "refold.Model") -> bytes:
    """Return a model as the bytes of a file."""
    history = model.history
    config: dict[str, Any] = {
        "parameters": model.arguments,
        "specification": asdict(model.network.specification),
        "schema": model.schema.to_dict(),
        "history": history.epochs,
        "latent_steps": model.default_latent_steps,
        "active_dimensions": model.active_dimensions,
        "initial_loss": history.initial_loss,
        "keeps_initial": history.keeps_initial,
    }
    arrays: dict[str, Any] = {
        f"{_WEIGHTS}{name}": array for name, array in model.network.arrays().items()
    }
    reference = model.reference
    mixture = None if reference is None else reference.mixture
    for part, names in (
        (reference, _REFERENCE),
        (mixture, _MIXTURE),
        (model.calibration, _CALIBRATION),
        (model.fingerprints, _FINGERPRINTS),
    ):
        if part is not None:
            arrays |= {names[name]: getattr(part, name) for name in names}
    arrays["held_out_errors"] = model.held_out_errors
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if not len(model.fingerprints.held_back):
        del arrays["held_back"]
    for part, name in _SCALERS.items():
        state = getattr(model, part).to_dict()
        arrays |= {f"{name}/{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
        config[name] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    return pack_container(config, arrays)


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the fields of a model from a file."""
    return _restored(*read_container(path), str(path))


def loads(data: bytes, source: str) -> dict[str, Any]:
    """Return the fields of a model from the bytes of a file; ``source`` names it in messages."""
    return _restored(*unpack_container(data, source), source)


def fingerprint(model: "refold.Model") -> str:
    """Return a hash (64 hexadecimal digits) of all that codes and what they decode to depend on.

    Training history, calibration and arguments have no influence on it.
    """
    arrays = dict(model.network.arrays())
    scaler = model.scaler.to_dict()
    arrays |= {f"scaler/{k}": v for k, v in scaler.items() if isinstance(v, np.ndarray)}
    if model.reference is not None:  # of which features are computed
        arrays["known"] = model.reference.codes
    about = {
        "specification": asdict(model.network.specification),
        "schema": model.schema.to_dict(),
        "scaler": {k: v for k, v in scaler.items() if not isinstance(v, np.ndarray)},
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _restored(config: dict[str, Any], arrays: dict[str, np.ndarray], source: str) -> dict[str, Any]:
    """Return the fields of a model from the content of its file."""
    if "checkpoint" in config:
        raise ModelFileError(
            f"{source} is a checkpoint of a training, not a model. Resume it with "
            f"{spelled('fit(..., checkpoint=, resume=True)', '`refold fit --resume`')}."
        )
    try:
        specification = Specification(**config["specification"])
        _check_sizes(specification, arrays)
        reference = _part(ReferenceStatistics, _REFERENCE, arrays)
        if reference is not None:
            reference = replace(reference, mixture=_part(Mixture, _MIXTURE, arrays))
        arguments, default = config["parameters"], config.get("latent_steps", 0)
        latent_steps = arguments.get("latent_steps", "auto")
        if specification.cell == "gru":  # early files may have steps, which are gone
            default = latent_steps = 0
            arguments = arguments | {"latent_steps": "auto"}
        return {
            "network": _network(specification, arrays),
            "schema": Schema.from_dict(config["schema"]),
            **{part: _scaler(name, config, arrays) for part, name in _SCALERS.items()},
            "history": History(
                config["history"], config.get("initial_loss"), config.get("keeps_initial", False)
            ),
            "latent_steps": default if latent_steps == "auto" else latent_steps,
            "default_latent_steps": default,
            "reference": reference,
            "calibration": _part(Calibration, _CALIBRATION, arrays),
            "held_out_errors": arrays.get("held_out_errors"),
            "fingerprints": Fingerprints(
                arrays.get("held_back", np.zeros(0, np.uint64)), arrays.get("trained")
            ),
            "active_dimensions": config.get("active_dimensions"),
            "arguments": arguments,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{source} does not hold what a model needs ({type(error).__name__}: {error}). Fit "
            "and save the model again."
        ) from error


def _network(specification: Specification, arrays: dict[str, np.ndarray]) -> FittedNetwork:
    """Make a network from stored weights."""
    weights = {
        name.removeprefix(_WEIGHTS): array
        for name, array in arrays.items()
        if name.startswith(_WEIGHTS)
    }
    if not are_default(specification):
        check_training_packages("A model that is not the default one")
        # not at the top, because the default model needs no Keras
        from refold.network.keras.network import load_network

        return load_network(specification, weights)
    expected = weights_of(specification)
    for name, shape, _ in expected:
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape} instead of {shape}")
    return PackedNetwork(specification, {weight.name: weights[weight.name] for weight in expected})


def _scaler(name: str, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> Scaler:
    prefix = f"{name}/"
    stored = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return Scaler.from_dict(config[name] | stored)


def _part(
    record: type[Record], names: dict[str, str], arrays: dict[str, np.ndarray]
) -> Record | None:
    """Return a record from its stored arrays, or None if there are none."""
    stored: dict[str, Any] = {
        field: arrays[name] for field, name in names.items() if name in arrays
    }
    return record(**stored) if stored else None


def _check_sizes(specification: Specification, arrays: dict[str, np.ndarray]) -> None:
    """Refuse sizes that the stored weights do not have, before the network is built."""
    weights = [array for name, array in arrays.items() if name.startswith("weights/")]
    largest = max((max(array.shape, default=0) for array in weights), default=0)
    default = specification.architecture == "default"
    for name in _SIZES if default else ("latent_dim",):
        size = getattr(specification, name)
        if not isinstance(size, int) or not 1 <= size <= max(largest, len(arrays)):
            raise ValueError(f"{name} is {size}, and no weights are of that size")
    if not isinstance(specification.max_steps, int) or specification.max_steps > _MAX_STEPS:
        raise ValueError(f"max_steps is {specification.max_steps}, more than any model has")

    steps = specification.forecast_steps
    if not isinstance(steps, int) or not 0 <= steps < max(1, specification.max_steps):
        raise ValueError(f"forecast_steps is {steps}, and sequences have no more than max_steps")
    recent = specification.recent_steps
    if not isinstance(recent, int) or not 0 <= recent <= specification.max_steps:
        raise ValueError(f"recent_steps is {recent}, and sequences have no more than max_steps")
