"""Means and deviations over observed entries, safe for large values and constant columns."""

import numpy as np

from refold.sequences._sequences import Sequences

# A deviation below this share of the mean is rounding, not variation.
_ROUNDING = 10 * np.finfo(np.float64).eps


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column over what is not NaN.

    Parameters
    ----------
    values : array of shape (num_rows, K)
        Each column has an observed entry.

    Returns
    -------
    mean, scale : array of float64 of shape (K,)
        The deviation is exactly 0 where a column is constant.
    """
    unit = _units(np.abs(values), axis=0)
    z = values.astype(np.float64) / unit
    mean = np.nanmean(z, axis=0) if z.size else np.zeros(z.shape[1])
    scale = np.sqrt(np.nanmean(np.square(z - mean), axis=0)) if z.size else np.zeros(z.shape[1])
    scale[scale <= _ROUNDING * np.abs(mean)] = 0.0
    return mean * unit, scale * unit


def sequence_moments(values: np.ndarray, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column within each sequence.

    Parameters
    ----------
    values : array of shape (num_steps, K)
        Columns of ``sequences.values``.
    sequences : Sequences
        Says where each sequence lies.

    Returns
    -------
    mean, scale : array of float64 of shape (n, K)
        NaN where a sequence has no observed entry; a deviation of exactly 0 where it is constant.
    """
    unit = _units(np.abs(values), axis=0)
    z = values.astype(np.float64) / unit
    observed = ~np.isnan(z)
    count = _sums(observed.astype(np.float64), sequences)
    count[count == 0] = np.nan
    mean = _sums(np.where(observed, z, 0.0), sequences) / count
    deviation = z - np.repeat(mean, sequences.lengths, axis=0)
    scale = np.sqrt(_sums(np.where(observed, np.square(deviation), 0.0), sequences) / count)
    scale[scale <= _ROUNDING * np.abs(mean)] = 0.0
    return mean * unit, scale * unit


def _units(magnitudes: np.ndarray, axis: int) -> np.ndarray:
    """Return a power of two near the greatest magnitude, so that squares cannot overflow."""
    greatest = np.fmax.reduce(magnitudes.astype(np.float64), axis=axis, initial=0.0)
    greatest = np.where(greatest > 0, greatest, 1.0)
    return np.exp2(np.floor(np.log2(greatest)))


def _sums(values: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the sums over each sequence, 0 for an empty one."""
    sums = np.zeros((len(sequences), values.shape[1]))
    full = sequences.lengths > 0
    if full.any():
        sums[full] = np.add.reduceat(values, sequences.offsets[:-1][full], axis=0)
    return sums
