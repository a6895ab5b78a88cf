"""Further training of a fitted network: its data, and the arguments that may not change."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ParameterError, SchemaError, argument, spelled
from refold.fitting._parameters import is_share
from refold.inference import FittedNetwork, Specification
from refold.sequences import Scan, Schema, Sequences, check_missing
from refold.storage import Fitted
from refold.training import Corruption

# Arguments that become fields of the specification. "auto" stands for any value.
_BUILT = (
    *("latent_dim", "units", "depth", "cell", "architecture", "decoder", "patch", "rocket_dim"),
    *("length_dim", "forecast_steps", "variational"),
)


def check_same_model(parameters: Mapping[str, Any], fitted: Fitted) -> None:
    """Refuse arguments of the estimator that contradict the fitted model."""
    built, share = fitted.network.specification._asdict(), is_share(parameters["latent_dim"])
    for name in _BUILT:
        given, fixed = parameters[name], built[name]
        chosen = given in ("auto", "custom") or callable(given)
        if chosen or (share and name in ("latent_dim", "rocket_dim")):
            continue
        _check_same(name, given, fixed)
    _check_same("scale", parameters["scale"], fitted.scaler.mode)
    if parameters["missing_values"] is not None:
        given, fixed = check_missing(parameters["missing_values"]), fitted.schema.missing
        _check_same("missing_values", list(given), list(fixed))


def _check_same(name: str, given: Any, fixed: Any) -> None:
    if given != fixed:
        option = argument(**{name: given})
        if name == "missing_values":
            option = spelled(option, "--missing")
        raise ParameterError(
            f"{option} cannot change in further training: the fitted model has "
            f"{fixed}. Leave it out, or train a new model without "
            f"{spelled('warm_start', '--from')}."
        )


def align_further(source: Sequences | Scan, schema: Schema) -> Sequences | Scan:
    """Give further training data the schema of the fitted model, or raise a SchemaError."""
    if isinstance(source, Sequences):
        return source.align(schema)
    for ours, theirs in zip(schema.columns, source.schema.columns, strict=False):
        if ours != theirs:
            raise SchemaError(
                f"Data that is read in blocks needs the columns and categories of the fitted "
                f"model, and has {theirs} instead of {ours}. Read it into memory with "
                "refold.sequences.read, or set the column types."
            )
    if (found := len(source.schema.columns)) != len(schema.columns):
        raise SchemaError(
            f"The data have {found} features, but the model was fitted on {len(schema.columns)}. "
            f"Choose the same features with {argument('columns=')}."
        )
    return source


def digest_of(network: FittedNetwork) -> str:
    """Return a digest of the weights of a network."""
    digest = hashlib.sha256()
    for name, array in sorted(network.arrays().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_readable(specification: Specification, corruption: Corruption) -> None:
    """Refuse time-step dropout if the network does not read missing values."""
    if corruption.steps and not specification.observed_flags:
        raise ParameterError(
            "Time-step dropout needs a model that reads missing values, and this one was fitted on "
            f"data without any. Leave {argument('denoise')} out, or train a new model."
        )
