"""Checks of arguments: integers, rates, arrays and objects of a kind."""

from numbers import Integral, Real
from typing import TypeAlias, TypeGuard

import numpy as np

from refold.errors import DataError, ParameterError, argument

__all__ = [
    "SeedLike",
    "check_array",
    "check_kind",
    "check_rate",
    "check_whole",
    "draw_seed",
    "is_whole",
]

# as text, because the names would load numpy.random, which few commands need
SeedLike: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"


def is_whole(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether a value is an integer of at least `least`; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def check_whole(name: str, value: object, least: int = 1) -> int:
    """Return an argument as an int if it is an integer of at least `least`."""
    if is_whole(value, least):
        return int(value)
    raise ParameterError(f"{argument(name)} must be an integer of at least {least}. Got {value!r}.")


def check_rate(name: str, value: object, what: str) -> float:
    """Return an argument as a float if it is between 0 and 1, both excluded."""
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 1:
        return float(value)
    raise ParameterError(f"{argument(name)} must be {what} above 0 and below 1. Got {value!r}.")


def check_array(name: str, value: object, shape: tuple[str, ...]) -> np.ndarray:
    """Return an array of numbers of this shape; a last "..." stands for any dimensions."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    more = shape[-1] == "..."
    fits = array.ndim >= len(shape) - 1 if more else array.ndim == len(shape)
    if array.dtype.kind in "biuf" and fits and array.ndim:
        return array
    got = f"a {type(value).__name__}"
    if array.dtype.kind in "biuf" and array.ndim:
        got = f"an array of shape {array.shape}"
    expected = f"({', '.join(shape)}{',' * (len(shape) == 1)})"
    raise DataError(f"{argument(name)} must be an array of numbers of shape {expected}. Got {got}.")


def check_kind(name: str, value: object, what: str, attribute: str) -> None:
    """Check that an argument has an attribute of the objects that it can be."""
    if not hasattr(value, attribute):
        raise ParameterError(f"{argument(name)} must be {what}. Got a {type(value).__name__}.")


def draw_seed(random_state: SeedLike) -> int:
    """Draw a seed from an integer, a RandomState or a Generator; None is NumPy's global state."""
    if random_state is None:
        return int(np.random.randint(2**31))  # noqa: NPY002
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, Integral) and 0 <= int(random_state) < 2**32:
        return int(np.random.RandomState(int(random_state)).randint(2**31))
    raise ParameterError(
        "random_state must be an integer from 0 to 2**32 - 1, a numpy RandomState or Generator, or "
        f"None. Got {random_state!r}."
    )
