"""Time warps: smooth random delays of series, and whether to train with them."""

import numpy as np
from scipy.special import logsumexp

from refold._support.arrays import clear_gain
from refold._support.native_libraries import one_blas_thread
from refold.sequences import Sequences, positions

# A pattern of a series could be slightly earlier or later, so a copy whose time is warped stands in
# for another series (T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
# disease monitoring using convolutional neural networks", ICMI 2017). Principal components of few
# series are found with such copies, and training warps series anew in each epoch.

# Number of sine waves in a warp, and share of the series that an epoch does not warp.
_WAVES, _UNWARPED = 4, 0.25

# Standard deviations of the delays to try, in steps. The data decide: on Trace at 16 dimensions,
# warps lowered the error from 0.84 to 0.37 times that of PCA, and where events have a fixed time,
# they can double it. On four of six sets for choosing, no warp was chosen.
_WARPS = (1.0, 2.0, 4.0, 8.0)
# Number of folds, and gain per dimension in nats below which training is as good without warps.
_FOLDS, _MIN_GAIN = 3, 0.1
# Bounds of the number of sequences, and largest number of values, that need warps; more series tell
# by themselves.
_MIN_WARPED, MAX_WARPED, _MAX_WARPED_VALUES = 12, 600, 400_000
# Approximate number of warped copies, and cap on their values.
_WARPED_COPIES, _WARPED_VALUES = 1000, 1_500_000
# Largest numbers of components in which densities are compared.
_MAX_COMPONENTS = (4, 16)
# Singular values below this share of the first one count as zero.
_MIN_SPREAD = 1e-3
# Bandwidths to try, relative to the typical distance to the nearest series.
_BANDWIDTHS = np.geomspace(0.1, 4.0, 12)


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


def randomly_warped(
    values: np.ndarray,  # (n_values, n_columns), of series one after another
    starts: np.ndarray,  # (n,), first step of each series
    lengths: np.ndarray,  # (n,)
    warp: float,  # standard deviation of the delays, in steps
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the values with the time of three quarters of the series warped."""
    values, steps = values.copy(), np.arange(max(1, int(lengths.max(initial=1))))
    delays = warp * random_delays(lengths, len(steps), rng)
    delays[rng.random(len(delays)) < _UNWARPED] = 0.0
    within = steps < lengths[:, None]
    at = np.where(within, starts[:, None] + steps, 0)
    values[at[within]] = time_warped(values[at], lengths, delays)[within]
    return values


# The choice for the training


@one_blas_thread()
def choose_time_warp(scaled: Sequences, latent_dim: int, *, seed: int) -> float:
    """Choose the standard deviation of the time warps to train with, in steps; 0 for none."""
    # Warped copies help if they look like other series of the data. This holds if they raise the
    # density of held-out series: series are projected on principal components, and a kernel density
    # estimate (B. W. Silverman, "Density Estimation for Statistics and Data Analysis", 1986) is
    # made from the others, and from them and their warped copies, each with its best bandwidth. The
    # gain of a warp is the difference in mean log density per component, in cross-validation. It is
    # measured in the first few and in more components, and the smaller one counts. The warp with
    # the largest gain is chosen, if the gain is clear.
    n, num_steps = len(scaled), int(scaled.lengths.max(initial=0))
    size = num_steps * scaled.schema.num_columns
    few = _MIN_WARPED <= n < MAX_WARPED and 0 < n * size <= _MAX_WARPED_VALUES
    if not few or not scaled.schema.numeric.all():
        return 0.0
    series = np.zeros((n, num_steps, scaled.schema.num_columns))
    series[positions(scaled)] = np.nan_to_num(scaled.values)
    fold = np.random.default_rng([seed, 0x3A4C]).permutation(n) % _FOLDS
    gains = np.zeros((len(_MAX_COMPONENTS), len(_WARPS), n))
    for held in (fold == number for number in range(_FOLDS)):
        gains[..., held] = _gains(series[~held], scaled.lengths[~held], series[held], latent_dim)
    is_clear = np.apply_along_axis(clear_gain, 2, gains) > 0
    gain = np.where(is_clear, gains.mean(axis=2), 0.0).min(axis=0)
    best = int(np.argmax(gain))
    return _WARPS[best] if gain[best] > _MIN_GAIN else 0.0


def _gains(
    series: np.ndarray, lengths: np.ndarray, others: np.ndarray, latent_dim: int
) -> np.ndarray:
    """Return gains in log density per component of others, (numbers of components, warps, m)."""
    n, num_steps, num_columns = series.shape
    mean = series.mean(axis=0)
    rows = (series - mean).reshape(n, -1)
    _, spread, directions = np.linalg.svd(rows, full_matrices=False)
    rank = max(1, int((spread > _MIN_SPREAD * spread[0]).sum()))
    directions = directions[: min(latent_dim, rank, max(_MAX_COMPONENTS))].T
    own, wanted = rows @ directions, (others - mean).reshape(len(others), -1) @ directions
    before = _log_densities(wanted, own)
    copies = max(1, min(_WARPED_COPIES, _WARPED_VALUES // (num_steps * num_columns)) // n)
    many, ends = np.tile(series, (copies, 1, 1)), np.tile(lengths, copies)
    delays = random_delays(ends, num_steps, np.random.default_rng(0))
    gains = []
    for warp in _WARPS:
        warped = (time_warped(many, ends, warp * delays) - mean).reshape(len(many), -1)
        after = _log_densities(wanted, np.concatenate([own, warped @ directions]))
        gains.append(after - before)
    return np.stack(gains, axis=1)


def _log_densities(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the log densities per component in the first components, for several numbers."""
    sizes = [min(size, points.shape[1]) for size in _MAX_COMPONENTS]
    return np.stack([_log_density(points[:, :d], centers[:, :d]) / d for d in sizes])


def _log_density(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the log density of points under Gaussian kernels with the best bandwidth."""
    # a constant that depends on the number of dimensions only is left out
    squares = (points**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)
    squares = np.maximum(squares - 2 * points @ centers.T, 0.0)
    num_dimensions = points.shape[1]
    nearest = np.median(squares.min(axis=1)) / num_dimensions
    best = np.full(len(points), -np.inf)
    for bandwidth in np.maximum(_BANDWIDTHS * np.sqrt(nearest), 1e-12):
        density = logsumexp(-squares / (2 * bandwidth**2), axis=1) - np.log(len(centers))
        density -= num_dimensions * np.log(bandwidth)
        if density.mean() > best.mean():
            best = density
    return best
