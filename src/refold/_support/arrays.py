"""Arrays: checks, offsets of sequences, samples of rows, gains that are not chance, seeds."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from refold._support.rules import RANDOM_STATE, check
from refold.errors import DataError, argument

# as text, because numpy.random takes time to import, and few commands need it
SeedLike: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"


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


def offsets_from_lengths(lengths: ArrayLike) -> np.ndarray:
    """Return the offsets (n + 1,) of consecutive sequences with these lengths (n,)."""
    lengths = np.asarray(lengths, dtype=np.int64)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lengths_from_offsets(offsets: np.ndarray) -> np.ndarray:
    """Return the lengths (n,) of sequences with these offsets (n + 1,)."""
    return offsets[1:] - offsets[:-1]  # faster than numpy.diff


def positions_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the positions (sum of lengths,) of runs of rows with these starts and lengths (n,)."""
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return the indices of at most ``most`` of ``count`` items, first and last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def clear_gain(gains: np.ndarray, standard_errors: float = 1.5) -> float:
    """Return the mean of gains (n,) minus standard errors; above 0, it is unlikely chance."""
    return float(gains.mean() - standard_errors * gains.std() / np.sqrt(len(gains)))


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
