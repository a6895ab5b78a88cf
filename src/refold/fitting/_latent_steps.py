"""Steps of latent optimization: the default for the data, and a check."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument

# The steps may change after a fit, so this module imports nothing that trains.
if TYPE_CHECKING:
    from refold.fitting._data_sources import Source
    from refold.models import Architecture

# Steps of latent optimization, and the number of sequences from which there is none by default.
_LATENT_STEPS, _MANY_SEQUENCES = 10, 2000


def check_latent_steps(
    latent_steps: Any, architecture: "Architecture", *, variational: bool, cell: str = "lstm"
) -> int:
    """Return the number of steps of latent optimization as an int, or raise a ParameterError."""
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


def pick_latent_steps(parameters: Mapping[str, Any], source: "Source") -> int:
    """Pick the number of steps of latent optimization, from the arguments and all sequences."""
    architecture, variational = parameters["architecture"], parameters["variational"]
    cell = parameters["cell"]
    if parameters["latent_steps"] != "auto":
        return check_latent_steps(
            parameters["latent_steps"], architecture, variational=variational, cell=cell
        )
    if architecture != "default" or variational or cell != "lstm" or not source.in_memory:
        return 0
    # With few training sequences, the encoder is furthest from the best code. If no column is
    # numeric, one wrong step makes a sequence wrong. Data from files has none, for speed.
    few = len(source.sequences) < _MANY_SEQUENCES
    return _LATENT_STEPS if few or not source.sequences.schema.numeric.any() else 0
