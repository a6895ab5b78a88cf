"""Validation of the sizes and seeds of generators."""

from numbers import Integral

from refold.errors import ParameterError

__all__ = ["check_size"]


def check_size(name: str, value: object, *, least: int = 1) -> None:
    """Raise ``ParameterError`` unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ParameterError(f"{name} must be an integer of at least {least}. Got {value!r}.")
