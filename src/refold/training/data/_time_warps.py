"""Random time warps: copies of a series that run slightly earlier or later, to train with."""

import numpy as np

# Number of sine waves in a warp.
_WAVES = 4


def random_delays(lengths: np.ndarray, num_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw smooth curves (n, num_steps) of deviation 1, which are 0 at both ends of a series."""
    place = np.minimum(np.arange(num_steps) / np.maximum(lengths[:, None] - 1, 1), 1.0)
    heights = rng.standard_normal((_WAVES, len(lengths), 1)) * np.sqrt(2 / _WAVES)
    number = np.arange(1, _WAVES + 1)[:, None, None]
    return (heights * np.sin(np.pi * number * place)).sum(axis=0)


def time_warped(series: np.ndarray, lengths: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Interpolate series (n, num_steps, n_columns) at delayed steps (n, num_steps)."""
    last = np.maximum(lengths[:, None] - 1, 0)  # steps after it stay as they are
    steps = np.arange(series.shape[1])
    at = np.where(steps <= last, np.clip(steps + delays, 0, last), steps)
    before = at.astype(int)
    after = np.minimum(before + 1, series.shape[1] - 1)
    share = (at - before)[..., None]
    earlier, later = (np.take_along_axis(series, i[..., None], axis=1) for i in (before, after))
    between = (1 - share) * earlier + share * later
    # next to a missing value, the nearest step takes the place of the interpolation
    return np.where(np.isnan(between), np.where(share < 0.5, earlier, later), between)
