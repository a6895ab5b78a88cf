"""Validation rules for the arguments of `SequenceAutoencoder`."""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import keras
import numpy as np

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument, spelled
from refold.model import Model
from refold.network.keras.build import ARCHITECTURES
from refold.network.keras.cells import CELLS
from refold.network.keras.decoder import DECODERS
from refold.sequences import check_missing
from refold.training._backend import require_jax
from refold.training.data._corruption import Corruption


class _Rule(NamedTuple):
    expected: str
    holds: Callable[[Any], bool]
    optional: bool = False


def _integer(least: int, *, optional: bool = False) -> _Rule:
    noun = {0: "an integer of at least 0", 1: "a positive integer"}[least]
    return _Rule(noun, lambda value: is_whole(value, least), optional)


def _auto_or(rule: _Rule) -> _Rule:
    return _Rule(
        f"'auto' or {rule.expected}",
        lambda value: value == "auto" if isinstance(value, str) else rule.holds(value),
    )


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def is_share(value: Any) -> bool:
    """Whether `latent_dim` is a share of the variance, which needs a choice of the size."""
    return _is(value, Real) and 0 < value < 1


def _is_optimizer(value: Any) -> bool:
    if isinstance(value, str):
        try:
            keras.optimizers.get(value)
        except ValueError:
            return False
        return True
    return isinstance(value, keras.optimizers.Optimizer)


def _is_corruption(value: Any) -> bool:
    Corruption.of(value)
    return True


def _are_missing_values(value: Any) -> bool:
    check_missing(value)
    return True


def _one_of(*choices: str | None, or_callable: bool = False) -> _Rule:
    expected = "one of " + ", ".join(map(repr, choices)) + (", or a callable" * or_callable)
    return _Rule(
        expected,
        lambda value: (
            (or_callable and callable(value))
            or ((value is None or isinstance(value, str)) and value in choices)
        ),
    )


# Arguments that become fields of the specification. "auto" stands for any value.
_BUILT = (
    *("latent_dim", "units", "depth", "cell", "architecture", "decoder", "patch", "rocket_dim"),
    *("length_dim", "forecast_steps", "variational"),
)

_RULES = {
    "latent_dim": _Rule(
        "a positive integer, or a share of the variance above 0 and below 1",
        lambda value: _integer(1).holds(value) or is_share(value),
    ),
    "units": _integer(1),
    "depth": _integer(1),
    "cell": _one_of(*CELLS),
    "architecture": _one_of(*ARCHITECTURES, or_callable=True),
    "decoder": _one_of("auto", *DECODERS),
    "patch": _auto_or(_integer(1)),
    "rocket_dim": _auto_or(_integer(0)),
    "length_dim": _Rule(
        "'auto', 0 or 1", lambda v: v == "auto" or (_integer(0).holds(v) and v < 2)
    ),
    "forecast_steps": _integer(0),
    "scale": _one_of("features", "sequence", None),
    "missing_values": _Rule(
        "as for `check_missing`, which raises", _are_missing_values, optional=True
    ),
    "warm_start": _Rule("True or False", lambda v: isinstance(v, bool | np.bool_)),
    "max_epochs": _integer(1, optional=True),
    "batch_size": _integer(1, optional=True),
    "learning_rate": _Rule("a positive number", lambda v: _is(v, Real) and 0 < v < float("inf")),
    "validation_fraction": _Rule(
        "a number of at least 0 and below 1", lambda v: _is(v, Real) and 0 <= v < 1
    ),
    "calibration_fraction": _Rule(
        "a number of at least 0 and below 1", lambda v: _is(v, Real) and 0 <= v < 1
    ),
    "patience": _integer(1, optional=True),
    "refit": _Rule(
        "'auto', True or False", lambda v: isinstance(v, bool | np.bool_) or v == "auto"
    ),
    "latent_steps": _auto_or(_integer(0)),
    "optimizer": _Rule(
        "the name of a Keras optimizer or a keras.optimizers.Optimizer",
        _is_optimizer,
        optional=True,
    ),
    "time_budget": _Rule(
        "a positive number of seconds",
        lambda v: _is(v, Real) and 0 < v < float("inf"),
        optional=True,
    ),
    "time_warp": _auto_or(
        _Rule("a number of at least 0", lambda v: _is(v, Real) and 0 <= v < float("inf"))
    ),
    "denoise": _Rule("as for `Corruption.of`, which raises", _is_corruption),
    "variational": _Rule("True or False", lambda v: isinstance(v, bool | np.bool_)),
    "verbose": _Rule("0 or 1", lambda v: isinstance(v, Integral) and v in {0, 1}),
}


def check_arguments(
    arguments: Mapping[str, Any],
    further: Model | None = None,
    checkpoint: Any = None,
    *,
    resume: bool = False,
) -> None:
    """Check the arguments of a fit, also that they do not contradict a model to train further."""
    if further is None:
        check_parameters(arguments)
    else:
        # a model with the architecture "custom" was loaded, and the class is not known
        known = {k: v for k, v in arguments.items() if (k, v) != ("architecture", "custom")}
        check_parameters(known)
        _check_same_model(arguments, further)
    if resume and checkpoint is None:
        raise ParameterError("resume=True needs a checkpoint. Name it with checkpoint=.")


def _check_same_model(parameters: Mapping[str, Any], fitted: Model) -> None:
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


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check that Keras runs on JAX, and every argument against the table."""
    require_jax()
    for name, rule in _RULES.items():
        if name not in parameters:
            continue
        value = parameters[name]
        if value is None and rule.optional:
            continue
        if not rule.holds(value):
            none = " or None" if rule.optional else ""
            raise ParameterError(f"{argument(name)} must be {rule.expected}{none}. Got {value!r}.")
