"""Check of the steps of latent optimization, which may change after a fit."""

from typing import TYPE_CHECKING, Any

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument

if TYPE_CHECKING:
    from refold.models import Architecture

__all__ = ["check_latent_steps"]


def check_latent_steps(
    latent_steps: Any, architecture: "Architecture", *, variational: bool
) -> int:
    """Return the number of steps of latent optimization as an int, or raise an error.

    Parameters
    ----------
    latent_steps : int
    architecture : str or callable
    variational : bool

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If it is not an integer of at least 0, or above 0 for a model without latent optimization.

    Examples
    --------
    >>> check_latent_steps(5, "dense", variational=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    refold.errors.ParameterError: latent_steps=5 needs the default model, ... 'dense'. Use 0.
    """
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
    return int(latent_steps)
