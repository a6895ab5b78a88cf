"""Random time warps: copies of a series that run slightly earlier or later, to train with."""

import numpy as np

# Number of sine waves in a warp.
_WAVES = 4


def random_delays(lengths: np.ndarray, num_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw smooth curves with a standard deviation of about 1 that are 0 at both ends of a series.

    Parameters
    ----------
    lengths : array of int of shape (n,)
    num_steps : int
        At least the largest length.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (n, num_steps)

    Examples
    --------
    >>> delays = random_delays(np.array([20, 30]), 30, np.random.default_rng(0))
    >>> bool(np.abs(delays[:, [0, -1]]).max() < 1e-12)
    True
    """
    place = np.minimum(np.arange(num_steps) / np.maximum(lengths[:, None] - 1, 1), 1.0)
    heights = rng.standard_normal((_WAVES, len(lengths), 1)) * np.sqrt(2 / _WAVES)
    number = np.arange(1, _WAVES + 1)[:, None, None]
    return (heights * np.sin(np.pi * number * place)).sum(axis=0)


def time_warped(series: np.ndarray, lengths: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Interpolate series at delayed steps, within their first and last step.

    Parameters
    ----------
    series : array of shape (n, num_steps, n_columns)
        Where one of two steps is missing (NaN), the nearest one takes the place of the
        interpolation.
    lengths : array of int of shape (n,)
        Steps after the end stay as they are.
    delays : array of shape (n, num_steps)
        Delay of each step, in steps.

    Returns
    -------
    array of the shape of the series

    Examples
    --------
    >>> ramp = np.arange(4.0)[None, :, None]
    >>> time_warped(ramp, np.array([3]), np.full((1, 4), 0.5)).ravel().tolist()
    [0.5, 1.5, 2.0, 3.0]
    """
    last = np.maximum(lengths[:, None] - 1, 0)
    steps = np.arange(series.shape[1])
    at = np.where(steps <= last, np.clip(steps + delays, 0, last), steps)
    before = at.astype(int)
    after = np.minimum(before + 1, series.shape[1] - 1)
    share = (at - before)[..., None]
    earlier, later = (np.take_along_axis(series, i[..., None], axis=1) for i in (before, after))
    between = (1 - share) * earlier + share * later
    return np.where(np.isnan(between), np.where(share < 0.5, earlier, later), between)
