"""Checks of the arguments of a fit."""

from dataclasses import replace
from operator import attrgetter
from typing import Any

from refold.arguments import ARGUMENTS, Arguments
from refold.errors import ParameterError, argument
from refold.model import Model
from refold.sequences import check_missing
from refold.training._backend import require_jax


def check_arguments(
    arguments: Arguments,
    further: Model | None = None,
    checkpoint: Any = None,
    *,
    resume: bool = False,
) -> None:
    """Check the arguments of a fit, also that they do not contradict a model to train further."""
    require_jax()
    if further is None:
        arguments.check()
    else:
        # a model with the architecture "custom" was loaded, and the class is not known
        own = arguments.architecture == "custom"
        (replace(arguments, architecture="default") if own else arguments).check()
        _check_same_model(arguments, further)
    if resume and checkpoint is None:
        raise ParameterError("resume=True needs a checkpoint. Name it with checkpoint=.")


def _check_same_model(arguments: Arguments, model: Model) -> None:
    """Refuse arguments that contradict the fitted model."""
    # "auto" and a share stand for any size; the classes of a loaded model are not known
    any_size = ("latent_dim", "rocket_dim") if arguments.asks_for_share else ()
    for name, declared in ARGUMENTS.items():
        value = getattr(arguments, name)
        open_ended = value in ("auto", "custom") if isinstance(value, str) else callable(value)
        if declared.stored is None or name in any_size or open_ended:
            continue
        stored = attrgetter(declared.stored)(model)
        if name == "missing_values":
            if value is None:
                continue
            value, stored = list(check_missing(value)), list(stored)
        if value != stored:
            raise ParameterError(
                f"{argument(**{name: value})} cannot change in further training: the fitted model "
                f"has {stored}. Leave it out, or train a new model without "
                f"{argument('warm_start')}."
            )
