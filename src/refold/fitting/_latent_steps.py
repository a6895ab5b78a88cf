"""Steps of latent optimization: the default for the data, and a check.

They may change after a fit, so this module needs none of what trains.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument

if TYPE_CHECKING:
    from refold.fitting._data_sources import Source
    from refold.models import Architecture

# Steps of latent optimization, and the number of sequences from which there is none by default.
_LATENT_STEPS, _MANY_SEQUENCES = 10, 2000


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


def pick_latent_steps(parameters: Mapping[str, Any], source: "Source") -> int:
    """Pick the number of steps of latent optimization.

    "auto" uses it if there are few training sequences, because the encoder is then furthest from
    the best code, and if no column is numeric, because one wrong step makes a sequence wrong. It
    does not for data from files, for speed.

    Parameters
    ----------
    parameters : mapping
        The estimator's arguments, checked.
    source : MemorySource or FileSource
        All sequences, held-out ones included.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If the model has no latent optimization and ``latent_steps`` is above 0.

    Examples
    --------
    >>> from refold.fitting._data_sources import source_of
    >>> from refold.sequences import as_sequences
    >>> auto = {"latent_steps": "auto", "variational": False, "architecture": "default"}
    >>> few, many, words = [[0.5]] * 100, [[0.5]] * 5000, ["word"] * 5000
    >>> sources = [source_of(as_sequences(data)) for data in (few, many, words)]
    >>> [pick_latent_steps(auto, source) for source in sources]
    [10, 0, 10]
    """
    architecture, variational = parameters["architecture"], parameters["variational"]
    if parameters["latent_steps"] != "auto":
        return check_latent_steps(parameters["latent_steps"], architecture, variational=variational)
    if architecture != "default" or variational or not source.in_memory:
        return 0
    few = len(source.sequences) < _MANY_SEQUENCES
    return _LATENT_STEPS if few or not source.sequences.schema.numeric.any() else 0
