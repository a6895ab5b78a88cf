"""Functions that check arrays, convert lengths and offsets, make indices, draw seeds, and run UMAP.

The steps of many sequences lie in one array, one sequence after another. `offsets` (n + 1,) are the
positions where the sequences begin, and at the end the total number of steps: sequence i has the
rows from ``offsets[i]`` up to ``offsets[i + 1]``.
"""

import warnings
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from refold._support.optional_imports import import_optional
from refold._support.rules import RANDOM_STATE_RULE, check
from refold.errors import DataError, ParameterError, argument

# The type of an argument `random_state`. The type is text, because an import of numpy.random takes
# time, and few commands need it.
SeedLike: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"
# The number of nearest vectors that UMAP places close to each vector; 15 is UMAP's default.
_NUM_UMAP_NEIGHBORS = 15
# The smallest number of vectors that UMAP can place: fewer vectors have too few neighbors.
MIN_UMAP_VECTORS = 5


def check_array(name: str, value: object, axes: tuple[str, ...]) -> np.ndarray:
    """Return an argument as an array of numbers, and check its axes, such as ("n", "T")."""
    try:
        array = np.asarray(value)
    except ValueError:  # NumPy refuses lists of different lengths
        array = np.asarray(None)  # not numeric, so the error below is raised
    # if the last axis is "...", it stands for any number of axes
    has_open_end = axes[-1] == "..."
    has_axes = array.ndim >= len(axes) - 1 if has_open_end else array.ndim == len(axes)
    # booleans, signed and unsigned integers, and floats; not text, objects or complex numbers
    is_numeric = array.dtype.kind in "biuf" and array.ndim > 0
    if is_numeric and has_axes:
        return array
    got = f"an array of shape {array.shape}" if is_numeric else f"a {type(value).__name__}"
    expected = f"({', '.join(axes)}{',' * (len(axes) == 1)})"  # (n,), like a tuple of Python
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
    """Return the indices (lengths.sum(),) of all ranges, one range after another.

    Range i has ``lengths[i]`` indices and begins at ``starts[i]``: starts [5, 0] and lengths [2, 3]
    give 5, 6, 0, 1, 2.
    """
    # `arange` numbers the indices of all ranges. In it, range i begins at the sum of the lengths
    # before it. `repeat` adds the difference from there to ``starts[i]``.
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def linspace_indices(num_items: int, max_indices: int) -> np.ndarray:
    """Return evenly spaced indices of items, at most `max_indices`, with the first and the last."""
    return np.linspace(0, num_items - 1, min(num_items, max_indices)).round().astype(int)


def mean_gain_lower_bound(gains: np.ndarray) -> float:
    """Return a lower bound of the mean of gains (n,): the mean minus 1.5 standard errors."""
    # If the true mean is 0 and gains are normal, the bound is positive in about 7 % of the cases.
    return float(gains.mean() - 1.5 * gains.std() / np.sqrt(len(gains)))


def to_integer_seed(random_state: SeedLike) -> int:
    """Draw a seed below 2**31 from a ``random_state``."""
    check("random_state", random_state, RANDOM_STATE_RULE)
    if random_state is None or random_state is np.random:  # NumPy's global generator
        return int(np.random.randint(2**31))  # noqa: NPY002
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(int(random_state))
    return int(random_state.randint(2**31))


def umap_layout(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return two coordinates (n, 2) of each vector (n, n_dimensions) by UMAP."""
    if len(vectors) < MIN_UMAP_VECTORS:
        raise ParameterError(f"UMAP needs at least {MIN_UMAP_VECTORS} codes. Got {len(vectors)}.")
    with warnings.catch_warnings():
        # UMAP warns that a seed makes it slower, and its compiler Numba warns, too
        warnings.simplefilter("ignore")
        umap = import_optional("umap", extra="umap", purpose="UMAP")
        reducer = umap.UMAP(
            # a vector is not its own neighbor
            n_neighbors=min(_NUM_UMAP_NEIGHBORS, len(vectors) - 1),
            # the spectral start needs a graph of neighbors, which a few vectors do not have
            init="random" if len(vectors) <= _NUM_UMAP_NEIGHBORS else "spectral",
            random_state=seed,
        )
        return np.asarray(reducer.fit_transform(vectors), float)
