"""Principal components of a stationary process, estimated from series of any length."""

import numpy as np
import scipy.linalg
from scipy.fft import next_fast_len

from refold.training.initialization._principal_components import Components

# In a stationary process, the covariance of two steps depends on their distance only (P. J.
# Brockwell and R. A. Davis, "Time Series: Theory and Methods", 2nd edition, 1991, chapter 11). Such
# a covariance has few parameters, and short series contribute to it as well as long ones. It is a
# second prior for codes by length, next to the components of zero-filled series.

# Number of values per series above which the decomposition takes too long.
_MOST_VALUES = 1500
# Weight of the overall mean in the mean of a step, in series.
_PRIOR_WEIGHT = 2.0
# Smallest standard deviation of a code dimension, relative to the largest.
_LEAST = 1e-3


def stationary_components(
    values: np.ndarray,  # (n, num_steps, n_columns), without gaps, zero after the ends
    lengths: np.ndarray,  # (n,)
    n_components: int,
) -> Components | None:
    """Find the components of a stationary process with the autocovariance of series."""
    _, num_steps, num_columns = values.shape
    size = num_steps * num_columns
    if not n_components <= size <= _MOST_VALUES:
        return None
    within = (np.arange(num_steps) < lengths[:, None])[..., None]
    count = within.sum(axis=0)
    overall = values.sum(axis=(0, 1)) / max(1, lengths.sum())
    mean = (values.sum(axis=0) + _PRIOR_WEIGHT * overall) / (count + _PRIOR_WEIGHT)
    autocovariance = _autocovariance((values - mean) * within, lengths)
    later = np.arange(num_steps)[:, None] - np.arange(num_steps)
    covariance = autocovariance[later].transpose(0, 2, 1, 3).reshape(size, size)
    variances, directions = scipy.linalg.eigh(
        covariance, subset_by_index=[size - n_components, size - 1], check_finite=False
    )
    deviation = np.sqrt(np.maximum(variances[::-1], 0.0))
    deviation = np.maximum(deviation, max(_LEAST * deviation[0], 1e-12))
    return Components(mean.ravel(), directions.T[::-1], deviation)


def _autocovariance(centred: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the mean products of two steps by distance, of shape (2 * num_steps - 1, c, c)."""
    # element k has the products with the step k steps earlier; k can be negative
    num_steps = centred.shape[1]
    padded = next_fast_len(2 * num_steps, real=True)
    spectrum = np.fft.rfft(centred, padded, axis=1)
    products = np.fft.irfft(np.einsum("nfi,nfj->fij", spectrum, spectrum.conj()), padded, axis=0)
    distance = np.abs(np.arange(1 - num_steps, num_steps))
    num_pairs = np.maximum(lengths[:, None] - distance, 0).sum(axis=0)
    sums = np.roll(products, num_steps - 1, axis=0)[: 2 * num_steps - 1]
    means = sums / np.maximum(num_pairs, 1)[:, None, None]
    return np.roll(means, 1 - num_steps, axis=0)
