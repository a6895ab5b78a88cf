"""Checks of arguments with one wording each: numbers, arrays, kinds of objects, counts."""

from typing import Any, TypeAlias, TypeGuard

import numpy as np

from refold._support.rules import RANDOM_STATE, check, number, whole
from refold.errors import DataError, ParameterError, argument

# as text, because the names would load numpy.random, which few commands need
SeedLike: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"


def is_whole(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether a value is an integer of at least `least`; True and False are not."""
    return whole(least).holds(value)


def check_whole(name: str, value: Any, least: int = 1) -> int:
    """Return an argument as an int if it is an integer of at least `least`."""
    check(name, value, whole(least))
    return int(value)


def check_rate(name: str, value: Any, what: str) -> float:
    """Return an argument as a float if it is between 0 and 1, both excluded."""
    check(name, value, number(above=0, below=1, what=what))
    return float(value)


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


def check_some(count: int, noun: str, purpose: str) -> None:
    """Check that there is one at least; a message is "There is no sequence to fit on"."""
    if not count:
        raise DataError(f"There is no {noun} {purpose}. Give at least one.")


def check_one_each(count: int, noun: str, expected: int, of: str) -> None:
    """Check that numbers agree; a message is "Got 3 labels for 4 codes"."""
    if count != expected:
        raise DataError(f"Got {count} {noun} for {expected} {of}. Give one for each.")


def draw_seed(random_state: SeedLike) -> int:
    """Draw a seed from an integer, a RandomState or a Generator; None is NumPy's global state."""
    check("random_state", random_state, RANDOM_STATE)
    if random_state is None:
        return int(np.random.randint(2**31))  # noqa: NPY002
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(int(random_state))
    return int(random_state.randint(2**31))
