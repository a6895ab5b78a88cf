"""Means and standard deviations over observed entries, safe for large and constant values."""

from typing import NamedTuple

import numpy as np

from refold.errors import DataError
from refold.sequences._sequences import Sequences
from refold.sequences.schema._schema import Schema

# A standard deviation below this share of the mean is a rounding error.
ROUNDING = 10 * np.finfo(np.float64).eps

# Lower bound for the standard deviation of a sequence, as a share of the median over sequences.
_MIN_SCALE = 1e-4


class Summary(NamedTuple):
    """Statistics of training data, for scaling by features."""

    num_steps: int
    num_observed: np.ndarray  # observed entries of each column, int array of shape (F,)
    mean: np.ndarray  # means of the numeric columns, float64 array of shape (K,)
    scale: np.ndarray  # their standard deviations, exactly 0 for a constant column
    least: np.ndarray  # their minima
    greatest: np.ndarray  # their maxima


def summarise(sequences: Sequences) -> Summary:
    """Return the summary of data in memory."""
    observed = ~np.isnan(sequences.values)
    columns = sequences.schema.numeric
    numeric, present = sequences.values[:, columns], observed[:, columns]
    least = np.min(numeric, axis=0, where=present, initial=np.inf).astype(np.float64)
    greatest = np.max(numeric, axis=0, where=present, initial=-np.inf).astype(np.float64)
    num_steps, num_observed = len(observed), np.sum(observed, axis=0)
    return Summary(num_steps, num_observed, *moments(numeric), least, greatest)


def check_observed(summary: Summary, num_sequences: int, schema: Schema) -> None:
    """Check that each column has an observed value.

    Raises
    ------
    DataError
        If a column has none, or there are no steps.
    """
    if not summary.num_steps:
        raise DataError(f"There is nothing to learn from: all {num_sequences} sequences are empty.")
    for name, num_observed in zip(schema.names, summary.num_observed, strict=True):
        if not num_observed:
            raise DataError(
                f"Column {name!r} is missing in all {summary.num_steps} steps of the "
                f"{num_sequences} sequences. Leave the column out or fill it in."
            )


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each column, ignoring NaN.

    Parameters
    ----------
    values : array of shape (num_rows, K)
        Each column must have an observed entry.

    Returns
    -------
    mean, scale : array of float64 of shape (K,)
        The standard deviation is exactly 0 for a constant column.
    """
    z, observed, unit = _in_units(values)
    count = np.maximum(observed.sum(axis=0), 1)
    mean = z.sum(axis=0) / count
    z -= mean
    z[~observed] = 0.0
    scale = np.sqrt(np.einsum("ij,ij->j", z, z) / count)
    scale[scale <= ROUNDING * np.abs(mean)] = 0.0
    return mean * unit, scale * unit


def sequence_moments(values: np.ndarray, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each column within each sequence.

    Parameters
    ----------
    values : array of shape (num_steps, K)
        Columns of ``sequences.values``.
    sequences : Sequences
        Provides the offsets.

    Returns
    -------
    mean, scale : array of float64 of shape (n, K)
        NaN where a sequence has no observed entry. The standard deviation is exactly 0 where a
        sequence is constant.

    Examples
    --------
    >>> sequences = Sequences.from_list([[1.0, 3.0], [5.0]])
    >>> mean, scale = sequence_moments(sequences.values, sequences)
    >>> mean[:, 0].tolist(), scale[:, 0].tolist()
    ([2.0, 5.0], [1.0, 0.0])
    """
    z, observed, unit = _in_units(values)
    count = sums_by_sequence(observed.astype(np.float64), sequences)
    count[count == 0] = np.nan
    mean = sums_by_sequence(z, sequences) / count
    z -= np.repeat(mean, sequences.lengths, axis=0)
    z[~observed] = 0.0
    scale = np.sqrt(sums_by_sequence(np.square(z), sequences) / count)
    scale[scale <= ROUNDING * np.abs(mean)] = 0.0
    return mean * unit, scale * unit


def _in_units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values in units of their column with 0 for NaN, the observed mask, and the units.

    A unit is a power of two near the maximum magnitude of a column, so the division is exact and
    squares cannot overflow.
    """
    observed = ~np.isnan(values)
    z = np.where(observed, values, 0.0).astype(np.float64, copy=False)
    greatest = np.maximum(z.max(axis=0, initial=0.0), -z.min(axis=0, initial=0.0))
    unit = np.exp2(np.floor(np.log2(np.where(greatest > 0, greatest, 1.0))))
    z /= unit
    return z, observed, unit


def sums_by_sequence(values: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Sum values over the steps of each sequence, 0 for an empty one.

    Parameters
    ----------
    values : array of shape (num_steps, K)
    sequences : Sequences
        Provides the offsets.

    Returns
    -------
    array of shape (n, K)

    Examples
    --------
    >>> sums_by_sequence(np.ones((3, 1)), Sequences.from_list([[1.0, 2.0], [], [3.0]])).tolist()
    [[2.0], [0.0], [1.0]]
    """
    sums = np.zeros((len(sequences), values.shape[1]))
    full = sequences.lengths > 0
    if full.any():
        sums[full] = np.add.reduceat(values, sequences.offsets[:-1][full], axis=0)
    return sums


def fit_statistics(mean: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
    """Return the standardisation of per-sequence statistics, fitted on the training data."""
    floor = np.ones(mean.shape[1])
    for i, stds in enumerate(scale.T):
        varying = stds[stds > 0]
        if len(varying):
            floor[i] = max(varying.min(), _MIN_SCALE * np.median(varying))
    raw = np.concatenate([mean, np.log(np.maximum(scale, floor))], axis=1)
    location, spread = moments(raw)
    return {
        "statistics_mean": location,
        "statistics_scale": np.where(spread == 0, 1.0, spread),
        "floor": floor,
    }
