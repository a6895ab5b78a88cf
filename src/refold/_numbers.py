"""Numbers that a user gives to a method: whole ones, and rates."""

from numbers import Integral, Real
from typing import Any

from refold.errors import ParameterError

__all__ = ["check_rate", "check_whole"]


def check_whole(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least so much.

    Raises
    ------
    ParameterError
        If it is something else.

    Examples
    --------
    >>> check_whole("steps", 3)
    3
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    raise ParameterError(f"{name} must be an integer of at least {least}. Got {value!r}.")


def check_rate(name: str, value: Any, what: str) -> float:
    """Return a number above 0 and below 1.

    Raises
    ------
    ParameterError
        If it is something else.

    Examples
    --------
    >>> check_rate("alpha", 0.05, "a rate of false alarms")
    0.05
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 1:
        return float(value)
    raise ParameterError(f"{name} must be {what} above 0 and below 1. Got {value!r}.")
