"""The file of a model: JSON and arrays as safetensors, with a version and a checksum.

The metadata of the safetensors file has one entry, whose key is the name of the format. The entry
is JSON with a version, the configuration as JSON text, and a SHA-256 checksum of the configuration
and the arrays. Checkpoints of a training have this format, too.

`dumps` writes a model with `pack_container`. `restore_model_fields` turns what `unpack_container`
reads into the fields of a model. `hash_model` is the hash that is stored next to codes, so that
other models refuse these codes.
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
from refold._support.atomic_files import atomic_writer, require_local_path
from refold._support.optional_imports import check_training_packages
from refold.errors import MissingFileError, ModelFileError, python_or_cli
from refold.model._training_statistics import (
    Calibration,
    Fingerprints,
    History,
    Mixture,
    ReferenceStatistics,
)
from refold.network.packed.network import FittedNetwork, PackedNetwork
from refold.network.packed.resampling import ColumnCurveNetwork
from refold.network.specification import Specification, is_default_lstm, list_weights
from refold.sequences import Scaler, Schema, has_default_names

# Key of the entry in the metadata of the safetensors file.
FORMAT_NAME = "refold-model"
# Version of the format. Refold refuses files with a later version than this.
FORMAT_VERSION = 1
# A safetensors file begins with the length of its JSON header, as an integer of this number of
# bytes.
_HEADER_LENGTH_BYTES = 8
# The hash of a pretrained model has 64 digits. Its first 48 digits depend on the weights, and the
# other 16 on the names of the columns.
_NUM_WEIGHT_HASH_DIGITS = 48
# In a file, names of weights begin with this.
_WEIGHT_PREFIX = "weights/"
# Names of arrays in a file, by the attributes of `ReferenceStatistics`. They must not change,
# because old files have them. Some differ from today's attributes.
_REFERENCE_ARRAY_NAMES = {
    "codes": "known/codes",
    "feature_mean": "known/center",
    "feature_std": "known/unit",
    "precision": "known/precision",
    "mean_score_components": "known/units",
}
# Names of arrays in a file, by the attributes of `Calibration`.
_CALIBRATION_ARRAY_NAMES = {
    "scores": "calibration/scores",
    "step_scores": "calibration/steps",
    "forecast_residuals": "residuals/absolute",
}
# Names of arrays in a file, by the attributes of `Mixture`.
_MIXTURE_ARRAY_NAMES = {field.name: f"mixture/{field.name}" for field in fields(Mixture)}
# Names of arrays in a file, by the attributes of `Fingerprints`.
_FINGERPRINT_ARRAY_NAMES = {"held_back_hashes": "held_back", "training_hashes": "trained"}
# Attributes of a model that are entries of the configuration of its file under the same name.
_MODEL_ATTRIBUTES_IN_CONFIG = ("active_dimensions", "window", "step", "max_lost_variance")
# Names of scalers in a file, by the attributes of a model. They must not change, either.
_SCALER_NAMES_IN_FILE = {"scaler": "scaler", "error_scaler": "units"}

RecordTypeVar = TypeVar("RecordTypeVar", ReferenceStatistics, Calibration, Mixture)


# A file holds no pickle, so it is safe to open a file from a stranger: no code of it is run.
def pack_container(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Serialize a configuration and arrays."""
    config_json = json.dumps(config, sort_keys=True, allow_nan=False)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checksum = _compute_checksum(config_json, arrays)
    metadata = {"version": FORMAT_VERSION, "config": config_json, "sha256": checksum}
    # in one entry, because the order of several entries would differ from file to file
    return save_arrays(arrays, {FORMAT_NAME: json.dumps(metadata)})


def unpack_container(packed: bytes, file_name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Deserialize a configuration and arrays, and check them; the name is for messages."""
    try:
        arrays = load_arrays(packed)
        # `load_arrays` does not return the metadata, so it is read from the header
        header_end = _HEADER_LENGTH_BYTES + int.from_bytes(packed[:_HEADER_LENGTH_BYTES], "little")
        header = json.loads(packed[_HEADER_LENGTH_BYTES:header_end])
        metadata = json.loads(header["__metadata__"][FORMAT_NAME])
        version = metadata["version"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{file_name} is not a Refold model, or it is cut short or damaged. Expected a file "
            "that `save` or `refold fit` wrote. Copy or save it again."
        ) from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{file_name} has format version {version}, and this Refold reads up to "
            f"{FORMAT_VERSION}. Upgrade Refold, or fit the model again with this version."
        )
    config_json = str(metadata.get("config"))
    if metadata.get("sha256") != _compute_checksum(config_json, arrays):
        raise ModelFileError(
            f"{file_name} was changed since it was saved: its checksum does not match. Copy or "
            "save it again."
        )
    return json.loads(config_json), arrays


def write_container(path: str | os.PathLike[str], container_bytes: bytes) -> None:
    """Write the bytes of a packed container to a file, atomically."""
    with atomic_writer(path) as file:
        file.write(container_bytes)


def read_container(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a configuration and arrays from a file."""
    try:
        packed = require_local_path(path).read_bytes()
    except IsADirectoryError as error:
        raise ModelFileError(f"{path} is a folder. A model is one file.") from error
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no model file {path}.") from error
    return unpack_container(packed, str(path))


def _compute_checksum(config_json: str, arrays: dict[str, np.ndarray]) -> str:
    """Return the checksum of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256(config_json.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def dumps(model: "refold.Model") -> bytes:
    """Return a model as the bytes of a file."""
    history = model.history
    config: dict[str, Any] = {
        "parameters": model.arguments,
        "specification": asdict(model.network.specification),
        "schema": model.schema.to_dict(),
        "history": history.epochs,
        "latent_steps": model.default_latent_steps,
        **{name: getattr(model, name) for name in _MODEL_ATTRIBUTES_IN_CONFIG},
        "any_columns": model.any_columns,
        "initial_loss": history.initial_loss,
        "keeps_initial": history.keeps_initial_weights,
        "refold": refold.__version__,
    }
    arrays: dict[str, Any] = {
        f"{_WEIGHT_PREFIX}{name}": array for name, array in model.network.arrays().items()
    }
    for record, array_names in (
        (model.reference, _REFERENCE_ARRAY_NAMES),
        (model.reference and model.reference.mixture, _MIXTURE_ARRAY_NAMES),
        (model.calibration, _CALIBRATION_ARRAY_NAMES),
        (model.fingerprints, _FINGERPRINT_ARRAY_NAMES),
        (model, {"held_out_errors": "held_out_errors"}),
    ):
        if record is not None:
            arrays |= {name: getattr(record, attribute) for attribute, name in array_names.items()}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    # a file has this array only if sequences were held back
    if not len(model.fingerprints.held_back_hashes):
        del arrays["held_back"]
    for attribute, name in _SCALER_NAMES_IN_FILE.items():
        config[name], scaler_arrays = _split_scaler_state(getattr(model, attribute), name)
        arrays |= scaler_arrays
    return pack_container(config, arrays)


def _split_scaler_state(scaler: Scaler, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Split the state of a scaler into JSON values, and arrays whose names begin with ``name``."""
    state = scaler.to_dict()
    arrays = {f"{name}/{key}": v for key, v in state.items() if isinstance(v, np.ndarray)}
    return {key: v for key, v in state.items() if not isinstance(v, np.ndarray)}, arrays


def restore_model_fields(
    config: dict[str, Any], arrays: dict[str, np.ndarray], file_name: str
) -> dict[str, Any]:
    """Return the fields of a model from the content of its file; the name is for messages."""
    if "checkpoint" in config:
        raise ModelFileError(
            f"{file_name} is a checkpoint of a training, not a model. Resume it with "
            f"{python_or_cli('fit(..., checkpoint=, resume=True)', '`refold fit --resume`')}."
        )
    try:
        # entries that are read with `get` may be absent: old files lack some, some are optional
        specification = Specification(**config["specification"])
        reference = _restore_record(ReferenceStatistics, _REFERENCE_ARRAY_NAMES, arrays)
        if reference is not None:
            mixture = _restore_record(Mixture, _MIXTURE_ARRAY_NAMES, arrays)
            reference = replace(reference, mixture=mixture)
        arguments, default_latent_steps = config["parameters"], config.get("latent_steps", 0)
        latent_steps = arguments.get("latent_steps", "auto")  # "auto": what ``fit`` chose
        if specification.cell == "gru":  # only early versions had latent optimization with GRUs
            default_latent_steps = latent_steps = 0
            arguments = arguments | {"latent_steps": "auto"}
        return {
            "network": _restore_network(specification, _arrays_with_prefix(_WEIGHT_PREFIX, arrays)),
            "schema": Schema.from_dict(config["schema"]),
            **{
                attribute: Scaler.from_dict(config[name] | _arrays_with_prefix(f"{name}/", arrays))
                for attribute, name in _SCALER_NAMES_IN_FILE.items()
            },
            "history": History(
                config["history"], config.get("initial_loss"), config.get("keeps_initial", False)
            ),
            "latent_steps": default_latent_steps if latent_steps == "auto" else latent_steps,
            "default_latent_steps": default_latent_steps,
            "reference": reference,
            "calibration": _restore_record(Calibration, _CALIBRATION_ARRAY_NAMES, arrays),
            "held_out_errors": arrays.get("held_out_errors"),
            "fingerprints": Fingerprints(
                arrays.get("held_back", np.zeros(0, np.uint64)), arrays.get("trained")
            ),
            **{name: config.get(name) for name in _MODEL_ATTRIBUTES_IN_CONFIG},
            "arguments": arguments,
            "version": config.get("refold"),
        }
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{file_name} does not hold what a model needs ({type(error).__name__}: {error}). Fit "
            "and save the model again."
        ) from error


def hash_model(model: "refold.Model") -> str:
    """Return a hash (64 hexadecimal digits) of all that encoding and decoding depend on."""
    # Training history, calibration and arguments do not change the hash.
    arrays = dict(model.network.arrays())
    if model.is_pretrained:
        # A pretrained model gives a column the same code in any data. So the first digits are those
        # of the weights, and only the last digits depend on the names of the columns. The default
        # names x0, x1 and so on count as no names.
        config = {"specification": asdict(model.specification.for_single_curve)}
        names = None if has_default_names(model.schema) else list(model.schema.names)
        weight_digits = _hash_config_and_arrays(config, arrays)[:_NUM_WEIGHT_HASH_DIGITS]
        name_digits = _hash_config_and_arrays({"names": names}, {})[_NUM_WEIGHT_HASH_DIGITS:]
        return weight_digits + name_digits
    config = {"specification": asdict(model.specification), "schema": model.schema.to_dict()}
    config["scaler"], scaler_arrays = _split_scaler_state(model.scaler, "scaler")
    arrays |= scaler_arrays
    if model.reference is not None:  # features are standardized over these codes
        arrays["known"] = model.reference.codes  # this name must stay, because it is hashed
    if model.window is not None:
        config |= {"window": model.window, "step": model.step}
    return _hash_config_and_arrays(config, arrays)


def matches_hash(model: "refold.Model", stored_hash: str) -> bool:
    """Return whether codes with a stored hash are codes of a model."""
    model_hash = hash_model(model)
    if stored_hash == model_hash or not model.is_pretrained:
        return stored_hash == model_hash
    # the names of columns are compared only if both the codes and the model have names
    end = _NUM_WEIGHT_HASH_DIGITS
    digits_without_names = _hash_config_and_arrays({"names": None}, {})[end:]
    either_has_no_names = digits_without_names in (stored_hash[end:], model_hash[end:])
    return stored_hash[:end] == model_hash[:end] and either_has_no_names


# The digest differs from that of `_compute_checksum`. Neither may change, because files store both.
def _hash_config_and_arrays(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Return a hash of a configuration and arrays, 64 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _restore_network(specification: Specification, weights: dict[str, np.ndarray]) -> FittedNetwork:
    """Return the network of a specification, with these weights."""
    # the default model with LSTMs computes with NumPy arrays, and all others are Keras models
    if not is_default_lstm(specification):
        check_training_packages("A model that is not the default one")
        # not at the top, because the default model needs no Keras
        from refold.network.keras.build import load_network

        return load_network(specification, weights)
    expected = list_weights(specification)
    # `restore_model_fields` turns these errors into errors that name the file
    for name, shape, _ in expected:
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape} instead of {shape}")
    network_type = ColumnCurveNetwork if specification.is_curve_network else PackedNetwork
    return network_type(specification, {weight.name: weights[weight.name] for weight in expected})


def _arrays_with_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, by their names without the prefix."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays[name] for name in names}


def _restore_record(
    record_type: type[RecordTypeVar], array_names: dict[str, str], arrays: dict[str, np.ndarray]
) -> RecordTypeVar | None:
    """Return a record of the arrays that a file has for it; None if the file has none of them."""
    values: dict[str, Any] = {k: arrays[name] for k, name in array_names.items() if name in arrays}
    return record_type(**values) if values else None
