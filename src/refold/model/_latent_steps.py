"""Check of the number of steps of latent optimization."""

from collections.abc import Callable

from refold._support.rules import check, or_auto, whole
from refold.errors import ParameterError, argument


def check_latent_steps(
    latent_steps: int | str,
    architecture: str | Callable[..., object],
    *,
    variational: bool,
    cell: str = "lstm",
) -> int:
    """Return the number of steps as an int; refuse one that the model cannot use."""
    check("latent_steps", latent_steps, or_auto(whole(0)))
    if latent_steps and variational:
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} moves codes away from the mean that "
            f"{argument(variational=True)} gives. Use 0."
        )
    if latent_steps and architecture != "default":
        own = callable(architecture) or architecture == "custom"
        name = "of your own" if own else repr(architecture)
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs the default model, and the "
            f"architecture is {name}. Use 0."
        )
    if latent_steps and cell != "lstm":
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs LSTMs, and the model has "
            f"{argument(cell=cell)}. Use 0."
        )
    return int(latent_steps)
