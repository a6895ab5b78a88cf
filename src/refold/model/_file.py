"""The file of a model: JSON and arrays as safetensors, with a version and a checksum.

The metadata of the safetensors holds, under the name of the format, a version, the configuration as
JSON, and a SHA-256 digest of configuration and arrays. Checkpoints of a training have this format,
too.
"""

import hashlib
import json
import os
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

import refold
from refold._support.optional_imports import check_training_packages
from refold._support.paths import atomic_writer, local_path
from refold.errors import MissingFileError, ModelFileError, spelled
from refold.model._statistics import (
    Calibration,
    Fingerprints,
    History,
    Mixture,
    ReferenceStatistics,
)
from refold.network.packed.curves import CurveNetwork
from refold.network.packed.network import FittedNetwork, PackedNetwork
from refold.network.specification import Specification, are_default, weights_of
from refold.sequences import Scaler, Schema, has_default_names

FORMAT = "refold-model"
VERSION = 1
# Bytes before the header of a safetensors file, which have its length.
_LENGTH_BYTES = 8

# Digits of the hash of a pretrained model that do not depend on the names of columns.
_OF_ANY = 48
# Start of the names of weights.
_WEIGHTS = "weights/"
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

Record = TypeVar("Record", ReferenceStatistics, Calibration, Mixture)


# The format


# Files are data: JSON and plain arrays in one safetensors file, with a format version and a
# checksum, and without pickle.
def pack_container(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Serialize a configuration and arrays."""
    text = json.dumps(config, sort_keys=True, allow_nan=False)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    about = {"version": VERSION, "config": text, "sha256": _digest(text, arrays)}
    # one entry, because the order of several would differ from file to file
    return save_arrays(arrays, {FORMAT: json.dumps(about)})


def unpack_container(data: bytes, source: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Deserialize a configuration and arrays, and check them; ``source`` is for messages."""
    try:
        arrays = load_arrays(data)
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
        about = json.loads(json.loads(data[_LENGTH_BYTES:end])["__metadata__"][FORMAT])
        version = about["version"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{source} is not a Refold model, or it is cut short or damaged. Expected a file that "
            "`save` or `refold fit` wrote. Copy or save it again."
        ) from error
    if not isinstance(version, int) or version > VERSION:
        raise ModelFileError(
            f"{source} has format version {version}, and this Refold reads up to {VERSION}. "
            "Upgrade Refold, or fit the model again with this version."
        )
    text = str(about.get("config"))
    if about.get("sha256") != _digest(text, arrays):
        raise ModelFileError(
            f"{source} was changed since it was saved: its checksum does not match. Copy or save "
            "it again."
        )
    return json.loads(text), arrays


def write_container(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_writer(path) as file:
        file.write(data)


def read_container(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a configuration and arrays from a file."""
    try:
        data = local_path(path).read_bytes()
    except IsADirectoryError as error:
        raise ModelFileError(f"{path} is a folder. A model is one file.") from error
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no model file {path}.") from error
    return unpack_container(data, str(path))


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# The content


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
        "window": model.window,
        "step": model.step,
        "max_loss": model.max_loss,
        "any_columns": model.any_columns,
        "initial_loss": history.initial_loss,
        "keeps_initial": history.keeps_initial,
        "refold": refold.__version__,
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


def model_fields(
    config: dict[str, Any], arrays: dict[str, np.ndarray], source: str
) -> dict[str, Any]:
    """Return the fields of a model from the content of its file; ``source`` is for messages."""
    if "checkpoint" in config:
        raise ModelFileError(
            f"{source} is a checkpoint of a training, not a model. Resume it with "
            f"{spelled('fit(..., checkpoint=, resume=True)', '`refold fit --resume`')}."
        )
    try:
        specification = Specification(**config["specification"])
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
            **{
                part: Scaler.from_dict(config[name] | _below(f"{name}/", arrays))
                for part, name in _SCALERS.items()
            },
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
            "window": config.get("window"),
            "step": config.get("step"),
            "max_loss": config.get("max_loss"),
            "arguments": arguments,
            "version": config.get("refold"),
        }
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{source} does not hold what a model needs ({type(error).__name__}: {error}). Fit "
            "and save the model again."
        ) from error


def fingerprint(model: "refold.Model") -> str:
    """Return a hash (64 hexadecimal digits) of all that codes and what they decode to depend on."""
    # Training history, calibration and arguments have no influence on it.
    arrays = dict(model.network.arrays())
    if model.specification.grid:
        # the pretrained model gives each column the same code in any data; names come last
        of_any = _hash_of({"specification": asdict(model.specification.inner)}, arrays)
        return of_any[:_OF_ANY] + _hash_of({"names": _names_of(model)}, {})[_OF_ANY:]
    scaler = model.scaler.to_dict()
    arrays |= {f"scaler/{k}": v for k, v in scaler.items() if isinstance(v, np.ndarray)}
    if model.reference is not None:  # features are computed from these codes
        arrays["known"] = model.reference.codes
    about = {
        "specification": asdict(model.network.specification),
        "schema": model.schema.to_dict(),
        "scaler": {k: v for k, v in scaler.items() if not isinstance(v, np.ndarray)},
    }
    if model.window is not None:
        about |= {"window": model.window, "step": model.step}
    return _hash_of(about, arrays)


def _names_of(model: "refold.Model") -> list[str] | None:
    """Return the names of the columns; None if the data did not have any."""
    return None if has_default_names(model.schema) else list(model.schema.names)


def is_hash_of(stored: str, model: "refold.Model") -> bool:
    """Return whether a model has made codes with a hash; names count if both sides have them."""
    own = fingerprint(model)
    if stored == own or not model.specification.grid:
        return stored == own
    nameless = _hash_of({"names": None}, {})[_OF_ANY:]
    return stored[:_OF_ANY] == own[:_OF_ANY] and nameless in (stored[_OF_ANY:], own[_OF_ANY:])


def _hash_of(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# Default models with LSTMs stay arrays. Others are built as Keras models, which is why only their
# files need Keras.
def _network(specification: Specification, arrays: dict[str, np.ndarray]) -> FittedNetwork:
    """Make a network from stored weights."""
    weights = _below(_WEIGHTS, arrays)
    if not are_default(specification):
        check_training_packages("A model that is not the default one")
        # not at the top, because the default model needs no Keras
        from refold.network.keras.build import load_network

        return load_network(specification, weights)
    expected = weights_of(specification)
    for name, shape, _ in expected:
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape} instead of {shape}")
    network = CurveNetwork if specification.grid else PackedNetwork
    return network(specification, {weight.name: weights[weight.name] for weight in expected})


def _below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _part(
    record: type[Record], names: dict[str, str], arrays: dict[str, np.ndarray]
) -> Record | None:
    """Return a record from its stored arrays, or None if there are none."""
    stored: dict[str, Any] = {
        field: arrays[name] for field, name in names.items() if name in arrays
    }
    return record(**stored) if stored else None
