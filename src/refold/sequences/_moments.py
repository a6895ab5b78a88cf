"""Means and standard deviations over observed entries, safe for far means and constant values."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from refold.sequences._schema import Schema

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences

# A standard deviation below this share of the mean is a rounding error.
_ROUNDING = 10 * np.finfo(np.float64).eps


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
        # Mean of the first piece. Later means are relative to it, which avoids rounding errors.
        self._origin, self._mean, self._squares = np.zeros((3, num_columns))
        # Range of the observed values (K,); infinite if there are none.
        self.least, self.greatest = np.full((2, num_columns), [[np.inf], [-np.inf]])

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps, K)."""
        # NumPy reduces the rows of a narrow array ten times as slowly as those of its transpose.
        by_column = np.ascontiguousarray(values.T)
        least = np.fmin.reduce(by_column, axis=1, initial=np.inf)
        greatest = np.fmax.reduce(by_column, axis=1, initial=-np.inf)
        self.least = np.minimum(self.least, least)
        self.greatest = np.maximum(self.greatest, greatest)
        z, observed = _filled(values)
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
        return self._origin + self._mean

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations, array of float64 of shape (K,); exactly 0 for a constant column."""
        scale = np.sqrt(np.maximum(self._squares, 0.0) / np.maximum(self._count, 1))
        return np.where(scale <= _ROUNDING * np.abs(self.mean), 0.0, scale)


def summarize(blocks: Iterable[np.ndarray], schema: Schema) -> Summary:
    """Return the summary of blocks of values, each of shape (num_steps, F)."""
    moments = RunningMoments(int(schema.numeric.sum()))
    num_steps, num_observed = 0, np.zeros(schema.num_columns, np.int64)
    for values in blocks:
        with np.errstate(over="ignore", invalid="ignore"):  # `Scaler.fit` refuses such numbers
            moments.add(values[:, schema.numeric])
        num_steps += len(values)
        num_observed += _count(~np.isnan(values))
    statistics = moments.mean, moments.scale, moments.least, moments.greatest
    return Summary(num_steps, num_observed, *statistics)


def sequence_moments(values: np.ndarray, sequences: "Sequences") -> tuple[np.ndarray, np.ndarray]:
    """Return means and deviations (n, K) of values (num_steps, K) within each sequence."""
    z, observed = _filled(values)
    count = sums_by_sequence(observed.astype(np.float64), sequences)
    # means and deviations are NaN where a sequence has no observed entry
    count[count == 0] = np.nan
    mean = sums_by_sequence(z, sequences) / count
    z -= np.repeat(mean, sequences.lengths, axis=0)
    z[~observed] = 0.0
    scale = np.sqrt(sums_by_sequence(np.square(z), sequences) / count)
    # exactly 0 where a sequence is constant
    return mean, np.where(scale <= _ROUNDING * np.abs(mean), 0.0, scale)


def sums_by_sequence(values: np.ndarray, sequences: "Sequences") -> np.ndarray:
    """Sum values (num_steps, K) over the steps of each sequence; returns (n, K), 0 if empty."""
    sums = np.zeros((len(sequences), values.shape[1]))
    full = sequences.lengths > 0
    if full.any():
        sums[full] = np.add.reduceat(values, sequences.offsets[:-1][full], axis=0)
    return sums


def _count(mask: np.ndarray) -> np.ndarray:
    """Return how often each column (num_steps, K) is true."""
    return np.array([np.count_nonzero(column) for column in mask.T], np.int64)


def _filled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (num_steps, K) as float64 with 0 where missing, and the observed mask."""
    observed = ~np.isnan(values)
    return np.where(observed, values, 0.0).astype(np.float64, copy=False), observed
