"""Content of a model file: network specification and weights, schema, scalers and history."""

import hashlib
import json
import os
from typing import Any

import numpy as np

from refold._support.optional_imports import check_training_packages
from refold.errors import ModelFileError, spelled
from refold.inference import FittedNetwork, PackedNetwork, Specification, are_default, weight_shapes
from refold.sequences import Scaler, Schema
from refold.storage._fitted import Calibration, Fitted, ReferenceStatistics, Residuals
from refold.storage._safetensors_file import pack, read, unpack, write

# Start of the names of weights.
_WEIGHTS = "weights/"
_MOST_STEPS = 10**7
# Sizes of the default model. None can exceed the largest dimension of a weight.
_SIZES = ("latent_dim", "units", "depth", "patch")
# Names in files that were written before 0.1.0.
_EARLIER_NAMES = {
    "kinds": "column_types",
    "num_labels": "num_categories",
    "discriminative": "rocket_dim",
    "refine": "latent_steps",
    "refine_steps": "latent_steps",
    "start_loss": "initial_loss",
}


def dumps(parameters: dict[str, Any], fitted: Fitted) -> bytes:
    """Serialize a fitted model.

    Parameters
    ----------
    parameters : dict
        The estimator's arguments.
    fitted : Fitted
        Fitted state to store.

    Returns
    -------
    bytes
    """
    config: dict[str, Any] = {
        "parameters": plain(parameters),
        "specification": fitted.network.specification._asdict(),
        "schema": fitted.schema.to_dict(),
        "history": fitted.history,
        "latent_steps": fitted.latent_steps,
        "active_dimensions": fitted.active_dimensions,
        "initial_loss": fitted.initial_loss,
        "keeps_initial": fitted.keeps_initial,
    }
    stored = fitted.network.arrays()
    arrays = {f"{_WEIGHTS}{name}": array for name, array in stored.items()}
    for name in ("known", "calibration", "residuals"):
        parts = getattr(fitted, name)
        if parts is not None:
            arrays |= {f"{name}/{part}": array for part, array in parts._asdict().items()}
    if len(fitted.held_back):
        arrays["held_back"] = fitted.held_back
    for name in ("trained", "held_out_errors"):
        if getattr(fitted, name) is not None:
            arrays[name] = getattr(fitted, name)
    for name in ("scaler", "units"):
        state = getattr(fitted, name).to_dict()
        arrays |= {f"{name}/{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
        config[name] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    return pack(config, arrays)


def loads(data: bytes, source: str) -> tuple[dict[str, Any], Fitted]:
    """Deserialize a fitted model.

    Parameters
    ----------
    data : bytes
        Bytes from ``dumps``.
    source : str
        Name of their source, for messages.

    Returns
    -------
    parameters : dict
    fitted : Fitted

    Raises
    ------
    ModelFileError
        If they are not a model, are truncated or changed, or come from a newer version.
    """
    return _restore(*unpack(data, source), source)


def save(path: str | os.PathLike[str], parameters: dict[str, Any], fitted: Fitted) -> None:
    """Write a fitted model to a file, atomically.

    Parameters
    ----------
    path : path
        File to write.
    parameters : dict
        The estimator's arguments.
    fitted : Fitted
        Fitted state to store.
    """
    write(path, dumps(parameters, fitted))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Fitted]:
    """Read a fitted model from a file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    parameters : dict
    fitted : Fitted

    Raises
    ------
    ModelFileError
        If the file is not a model, is truncated or changed, or comes from a newer version.
    MissingFileError
        If the file does not exist.
    """
    return _restore(*read(path), str(path))


def fingerprint(fitted: Fitted) -> str:
    """Return a hash of all that determines the codes of a model and what they decode to.

    Training history, calibration and arguments have no influence on it.

    Parameters
    ----------
    fitted : Fitted
        Fitted state of the model.

    Returns
    -------
    str
        SHA-256 digest, 64 hexadecimal digits.

    Examples
    --------
    >>> import refold
    >>> ae = refold.SequenceAutoencoder(2, units=4, latent_steps=0, max_epochs=1, random_state=0)
    >>> ae = ae.fit(refold.datasets.noisy_sines(20, seed=0, max_steps=30))
    >>> len(fingerprint(ae._fitted))
    64
    """
    arrays = dict(fitted.network.arrays())
    scaler = fitted.scaler.to_dict()
    arrays |= {f"scaler/{k}": v for k, v in scaler.items() if isinstance(v, np.ndarray)}
    if fitted.known is not None:  # of which features are computed
        arrays["known"] = fitted.known.codes
    about = {
        "specification": fitted.network.specification._asdict(),
        "schema": fitted.schema.to_dict(),
        "scaler": {k: v for k, v in scaler.items() if not isinstance(v, np.ndarray)},
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _restore(
    config: dict[str, Any], arrays: dict[str, np.ndarray], source: str
) -> tuple[dict[str, Any], Fitted]:
    if "checkpoint" in config:
        raise ModelFileError(
            f"{source} is a checkpoint of a training, not a model. Resume it with "
            f"{spelled('fit(..., checkpoint=, resume=True)', '`refold fit --resume`')}."
        )
    config = _with_current_names(config)
    try:
        specification = Specification(**config["specification"])
        _check_sizes(specification, arrays)
        fitted = Fitted(
            _network(specification, arrays),
            Schema.from_dict(config["schema"]),
            _scaler("scaler", config, arrays),
            _scaler("units", config, arrays),
            config["history"],
            config.get("latent_steps", 0),
            config.get("active_dimensions"),
            _parts("known", ReferenceStatistics, arrays),
            _parts("calibration", Calibration, arrays),
            _parts("residuals", Residuals, arrays),
            config.get("initial_loss"),
            arrays.get("held_back", np.zeros(0, np.uint64)),
            arrays.get("trained"),
            arrays.get("held_out_errors"),
            config.get("keeps_initial", False),
        )
        return config["parameters"], fitted
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
        from refold.models import load_network

        return load_network(specification, weights)
    shapes = weight_shapes(specification)
    if "0000" in weights:  # files from before 0.1.0 have numbers, and states of random generators
        values = [weights[name] for name in sorted(weights) if weights[name].dtype == np.float32]
        weights = dict(zip(shapes, values, strict=True))
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape} instead of {shape}")
    return PackedNetwork(specification, {name: weights[name] for name in shapes})


def _with_current_names(config: dict[str, Any]) -> dict[str, Any]:
    """Rename entries of files that were written before 0.1.0."""
    renamed = {_EARLIER_NAMES.get(name, name): value for name, value in config.items()}
    for part in ("specification", "parameters"):
        if isinstance(renamed.get(part), dict):
            given = renamed[part].items()
            renamed[part] = {_EARLIER_NAMES.get(name, name): value for name, value in given}
    return renamed


def _scaler(name: str, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> Scaler:
    prefix = f"{name}/"
    stored = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return Scaler.from_dict(config[name] | stored)


def _parts(name: str, record: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a named tuple from its stored fields, or None if there are none."""
    if not any(key.startswith(f"{name}/") for key in arrays):
        return None
    return record(*(arrays[f"{name}/{part}"] for part in record._fields))


def _check_sizes(specification: Specification, arrays: dict[str, np.ndarray]) -> None:
    """Refuse sizes that the stored weights do not have, before the network is built."""
    weights = [array for name, array in arrays.items() if name.startswith("weights/")]
    largest = max((max(array.shape, default=0) for array in weights), default=0)
    default = specification.architecture == "default"
    for name in _SIZES if default else ("latent_dim",):
        size = getattr(specification, name)
        if not isinstance(size, int) or not 1 <= size <= max(largest, len(arrays)):
            raise ValueError(f"{name} is {size}, and no weights are of that size")
    if not isinstance(specification.max_steps, int) or specification.max_steps > _MOST_STEPS:
        raise ValueError(f"max_steps is {specification.max_steps}, more than any model has")

    steps = specification.forecast_steps
    if not isinstance(steps, int) or not 0 <= steps < max(1, specification.max_steps):
        raise ValueError(f"forecast_steps is {steps}, and sequences have no more than max_steps")
    recent = specification.recent_steps
    if not isinstance(recent, int) or not 0 <= recent <= specification.max_steps:
        raise ValueError(f"recent_steps is {recent}, and sequences have no more than max_steps")


def plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Convert arguments to JSON values. Callables become "custom", a random generator None.

    Examples
    --------
    >>> plain({"units": np.int64(8), "architecture": len, "missing_values": (-99999, 1e20)})
    {'units': 8, 'architecture': 'custom', 'missing_values': [-99999.0, 1e+20]}
    """
    values = {}
    for name, value in parameters.items():
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, list | tuple | np.ndarray):
            values[name] = np.asarray(value).tolist()
            continue
        if not isinstance(value, str | int | float | None):
            value = None if name == "random_state" else "custom"
        values[name] = value
    return values
