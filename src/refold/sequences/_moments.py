"""Means and standard deviations over observed entries, safe for large and constant values."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from refold.sequences._schema import Schema

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences

# A standard deviation below this share of the mean is a rounding error.
_ROUNDING = 10 * np.finfo(np.float64).eps
# Unit of columns of zeros; a power of two far below all others.
_MIN_UNIT = 2.0**-1000


class Summary(NamedTuple):
    """Statistics of training data, for scaling by features."""

    num_steps: int
    num_observed: np.ndarray  # observed entries of each column, int array of shape (F,)
    mean: np.ndarray  # means of the numeric columns, float64 array of shape (K,)
    scale: np.ndarray  # their standard deviations, exactly 0 for a constant column
    least: np.ndarray  # their minima
    greatest: np.ndarray  # their maxima


class RunningMoments:
    """Mean, standard deviation and range of each column of the values added, ignoring NaN."""

    def __init__(self, num_columns: int) -> None:
        self._count = np.zeros(num_columns)
        self._unit = np.full(num_columns, _MIN_UNIT)
        # Mean of the first piece. Later means are relative to it, which avoids rounding errors.
        self._origin, self._mean, self._squares = np.zeros((3, num_columns))
        # Range of the observed values (K,); infinite if there are none.
        self.least, self.greatest = np.full((2, num_columns), [[np.inf], [-np.inf]])

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps, K)."""
        least, greatest = _range(values)
        self.least = np.minimum(self.least, least)
        self.greatest = np.maximum(self.greatest, greatest)
        z, observed, unit = _in_units(values, least, greatest, self._unit)
        ratio = self._unit / unit
        self._unit = unit
        for array, power in ((self._origin, 1), (self._mean, 1), (self._squares, 2)):
            array *= ratio**power
        num_observed = _count(observed)
        count, is_first = np.maximum(num_observed, 1), self._count == 0
        self._origin[is_first] = (z.sum(axis=0) / count)[is_first]
        z -= self._origin
        z[~observed] = 0.0
        mean = np.where(is_first, 0.0, z.sum(axis=0) / count)
        if mean.any():
            z -= mean
            z[~observed] = 0.0
        squares = np.einsum("ij,ij->j", z, z)
        squares -= np.where(is_first, 0.0, z.sum(axis=0) ** 2 / count)
        # Pieces are merged by means and sums of squared deviations (Chan, Golub and LeVeque, 1979),
        # because sums of squares suffer from cancellation.
        total = np.maximum(self._count + num_observed, 1)
        difference = mean - self._mean
        self._squares += squares + difference**2 * (self._count / total * num_observed)
        self._mean += difference * (num_observed / total)
        self._count += num_observed

    @property
    def mean(self) -> np.ndarray:
        """Means of the observed values, 0 if there are none, array of float64 of shape (K,)."""
        return (self._origin + self._mean) * self._unit

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations, array of float64 of shape (K,); exactly 0 for a constant column."""
        scale = np.sqrt(np.maximum(self._squares, 0.0) / np.maximum(self._count, 1))
        scale[scale <= _ROUNDING * np.abs(self._origin + self._mean)] = 0.0
        return scale * self._unit


def summarize(blocks: Iterable[np.ndarray], schema: Schema) -> Summary:
    """Return the summary of blocks of values, each of shape (num_steps, F)."""
    moments = RunningMoments(int(schema.numeric.sum()))
    num_steps, num_observed = 0, np.zeros(schema.num_columns, np.int64)
    for values in blocks:
        moments.add(values[:, schema.numeric])
        num_steps += len(values)
        num_observed += _count(~np.isnan(values))
    statistics = moments.mean, moments.scale, moments.least, moments.greatest
    return Summary(num_steps, num_observed, *statistics)


def sequence_moments(values: np.ndarray, sequences: "Sequences") -> tuple[np.ndarray, np.ndarray]:
    """Return means and deviations (n, K) of values (num_steps, K) within each sequence."""
    z, observed, unit = _in_units(values, *_range(values), _MIN_UNIT)
    count = sums_by_sequence(observed.astype(np.float64), sequences)
    # means and deviations are NaN where a sequence has no observed entry
    count[count == 0] = np.nan
    mean = sums_by_sequence(z, sequences) / count
    z -= np.repeat(mean, sequences.lengths, axis=0)
    z[~observed] = 0.0
    scale = np.sqrt(sums_by_sequence(np.square(z), sequences) / count)
    # exactly 0 where a sequence is constant
    scale[scale <= _ROUNDING * np.abs(mean)] = 0.0
    return mean * unit, scale * unit


def sums_by_sequence(values: np.ndarray, sequences: "Sequences") -> np.ndarray:
    """Sum values (num_steps, K) over the steps of each sequence; returns (n, K), 0 if empty."""
    sums = np.zeros((len(sequences), values.shape[1]))
    full = sequences.lengths > 0
    if full.any():
        sums[full] = np.add.reduceat(values, sequences.offsets[:-1][full], axis=0)
    return sums


# NumPy reduces the rows of a narrow array ten times as slowly as those of its transpose.


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value (K,) of each column, infinite if there is none."""
    by_column = np.ascontiguousarray(values.T)
    least = np.fmin.reduce(by_column, axis=1, initial=np.inf)
    return least, np.fmax.reduce(by_column, axis=1, initial=-np.inf)


def _count(mask: np.ndarray) -> np.ndarray:
    """Return how often each column (num_steps, K) is true."""
    return np.array([np.count_nonzero(column) for column in mask.T], np.int64)


def _in_units(
    values: np.ndarray, least: np.ndarray, greatest: np.ndarray, min_unit: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (num_steps, K) in units of their column, the observed mask, and the units."""
    observed = ~np.isnan(values)
    z = np.where(observed, values, 0.0).astype(np.float64, copy=False)
    magnitude = np.maximum(0.0, np.maximum(greatest, -least)).astype(np.float64)
    # a power of two near the maximum magnitude: the division is exact, and squares cannot overflow
    unit = np.exp2(np.floor(np.log2(np.where(magnitude > 0, magnitude, _MIN_UNIT))))
    unit = np.maximum(unit, min_unit)
    z /= unit
    return z, observed, unit
