"""Decoders of the default model, and the table of their names.

To add a decoder, write a module with a subclass of `Decoder` and add an entry to `DECODERS`.
"""

from typing import Any

from refold.errors import ParameterError
from refold.models.decoders._autoregressive import AutoregressiveDecoder as AutoregressiveDecoder
from refold.models.decoders._base import Decoder as Decoder
from refold.models.decoders._base import Settings as Settings
from refold.models.decoders._parallel import ParallelDecoder as ParallelDecoder

__all__ = [
    "DECODERS",
    "AutoregressiveDecoder",
    "Decoder",
    "ParallelDecoder",
    "Settings",
    "find_decoder",
]

DECODERS: dict[str, type[Decoder]] = {
    "parallel": ParallelDecoder,
    "autoregressive": AutoregressiveDecoder,
}
"""Decoder classes by the value of ``decoder``."""


def find_decoder(name: Any) -> type[Decoder]:
    """Return the decoder class with a name; a ParameterError if there is none."""
    if not isinstance(name, str) or name not in DECODERS:
        raise ParameterError(f"decoder must be {' or '.join(map(repr, DECODERS))}. Got {name!r}.")
    return DECODERS[name]
