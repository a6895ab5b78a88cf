"""Small functions of arrays: type checks, offsets and lengths of sequences, indices, and seeds.

The steps of many sequences lie in one array, one sequence after another. `offsets` (n + 1,) are the
positions where the sequences begin, and the total number of steps: sequence i has the rows from
``offsets[i]`` to ``offsets[i + 1]``.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from refold._support.rules import RANDOM_STATE, check
from refold.errors import DataError, argument

# The type of an argument `random_state`. It is written as text because numpy.random takes time to
# import, and few commands need it.
SeedLike: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"


def check_array(name: str, value: object, shape: tuple[str, ...]) -> np.ndarray:
    """Return an argument as an array of numbers with the axes of a shape such as ("n", "T")."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    # a last "..." stands for any number of axes
    has_shape = array.ndim == len(shape)
    if shape[-1] == "...":
        has_shape = array.ndim >= len(shape) - 1
    # booleans, signed and unsigned integers, and floats; not text, objects or complex numbers
    is_numeric = array.dtype.kind in "biuf" and array.ndim > 0
    if is_numeric and has_shape:
        return array
    got = f"an array of shape {array.shape}" if is_numeric else f"a {type(value).__name__}"
    expected = f"({', '.join(shape)}{',' * (len(shape) == 1)})"  # (n,), like a tuple of Python
    raise DataError(f"{argument(name)} must be an array of numbers of shape {expected}. Got {got}.")


def offsets_from_lengths(lengths: ArrayLike) -> np.ndarray:
    """Return the offsets (n + 1,) of sequences with these lengths (n,)."""
    lengths = np.asarray(lengths, dtype=np.int64)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lengths_from_offsets(offsets: np.ndarray) -> np.ndarray:
    """Return the lengths (n,) of sequences with these offsets (n + 1,)."""
    return offsets[1:] - offsets[:-1]  # faster than numpy.diff


def concatenated_ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the positions (sum of lengths,) of the rows of runs with these starts and lengths."""
    # starts [5, 0] and lengths [2, 3] give 5, 6, 0, 1, 2: a count over all rows, shifted run by run
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def linspace_indices(count: int, max_indices: int) -> np.ndarray:
    """Return evenly spaced indices of ``count`` items, the first and the last one included."""
    return np.linspace(0, count - 1, min(count, max_indices)).round().astype(int)


def gain_lower_bound(gains: np.ndarray) -> float:
    """Return a lower bound of the mean of gains (n,): the mean minus 1.5 standard errors."""
    # If it is positive, the gain is unlikely to be chance: about 7 % if gains are normal.
    return float(gains.mean() - 1.5 * gains.std() / np.sqrt(len(gains)))


def draw_seed(random_state: SeedLike) -> int:
    """Return a seed that is drawn from a ``random_state``; None is NumPy's global generator."""
    check("random_state", random_state, RANDOM_STATE)
    if random_state is None:
        return int(np.random.randint(2**31))  # noqa: NPY002
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(int(random_state))
    return int(random_state.randint(2**31))
