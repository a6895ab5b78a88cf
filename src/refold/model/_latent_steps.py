"""Check of the number of steps of latent optimization."""

from collections.abc import Callable

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument


def check_latent_steps(
    latent_steps: int | str,
    architecture: str | Callable[..., object],
    *,
    variational: bool,
    cell: str = "lstm",
) -> int:
    """Return the number of steps as an int; refuse one that the model cannot use."""
    if not is_whole(latent_steps, 0):
        raise ParameterError(
            f"{argument('latent_steps')} must be 'auto' or an integer of at least 0. "
            f"Got {latent_steps!r}."
        )
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
