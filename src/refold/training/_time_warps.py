"""Time warps, which shift the steps of series in time, and the choice whether to train with them.

`draw_time_shifts` draws the shifts of each step, `warp_time` applies them to series, and
`warp_time_randomly` does both for an epoch of training. `choose_warp_std` picks their size.
"""

import numpy as np
from scipy.special import logsumexp

from refold._support.arrays import mean_gain_lower_bound
from refold._support.native_libraries import one_blas_thread
from refold.sequences import Sequences, sequence_and_step_indices

# A pattern in a series could occur slightly earlier or later. So a copy with warped time stands in
# for another series (T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's
# disease monitoring using convolutional neural networks", ICMI 2017). If `choose_warp_std` chooses
# a warp, training warps the series anew in each epoch. If a data set is small, the initialization
# may compute its principal components from warped copies, too. The initialization decides this by
# itself (`refold.training.initialization`).
#
# Whether to train with warps is decided with two kernel density estimates. Both are evaluated at
# held-out series. The first is made from the other series alone, and the second from these and
# their warped copies. Below, "density" means such an estimate.

# Number of sine waves in the shifts of a series. More waves make the shifts less smooth.
_NUM_WARP_WAVES = 4
# Share of the series that an epoch does not warp, so that training also sees the true times.
_UNWARPED_SHARE = 0.25

# Candidate standard deviations of the shifts, in steps. The data decide whether to use one: on
# Trace at 16 dimensions, warps lowered the error from 0.84 to 0.37 times that of PCA, but if events
# have a fixed time, warps can double the error. No warp was chosen on four of the six data sets by
# which the defaults were chosen.
_CANDIDATE_WARP_STDS = (1.0, 2.0, 4.0, 8.0)
# Number of cross-validation folds. Each fold computes the densities of all candidates at the series
# that it holds out.
_NUM_FOLDS = 3
# Minimum gain of the second log density over the first, in nats per component. With less, training
# is as good without warps.
_MIN_DENSITY_GAIN = 0.1
# Minimum number of series for the choice. Fewer are too few for cross-validation.
_MIN_SERIES_TO_WARP = 12
# With this many series or more, no warp is chosen: the series show shifted patterns by themselves.
MIN_SERIES_WITHOUT_WARPS = 600
# Cap on the values of all series. The choice would take too long on more.
_MAX_VALUES_TO_TRY_WARPS = 400_000
# Approximate number of warped copies for the density. More copies make it smoother but slower.
_NUM_WARPED_COPIES = 1000
# Cap on the values of all warped copies, because they are in memory together.
_MAX_WARPED_COPY_VALUES = 1_500_000
# Numbers of principal components in which densities are compared: few and many.
_DENSITY_COMPONENT_COUNTS = (4, 16)
# Singular values below this share of the largest one count as zero.
_MIN_SINGULAR_VALUE_SHARE = 1e-3
# Candidate bandwidths of the density, relative to the typical distance to the nearest series.
_CANDIDATE_BANDWIDTHS = np.geomspace(0.1, 4.0, 12)


def draw_time_shifts(lengths: np.ndarray, max_length: int, rng: np.random.Generator) -> np.ndarray:
    """Draw smooth time shifts (n, max_length) with a standard deviation of 1, and 0 at the ends."""
    # time from 0 at the first step of a series to 1 at its last step (n, max_length)
    time = np.minimum(np.arange(max_length) / np.maximum(lengths[:, None] - 1, 1), 1.0)
    # A sum of sine waves that are 0 at the times 0 and 1. The mean square of a sine is 1/2, so
    # these amplitudes give the sum a variance of 1.
    shape = _NUM_WARP_WAVES, len(lengths), 1
    amplitudes = rng.standard_normal(shape) * np.sqrt(2 / _NUM_WARP_WAVES)
    frequencies = np.arange(1, _NUM_WARP_WAVES + 1)[:, None, None]
    return (amplitudes * np.sin(np.pi * frequencies * time)).sum(axis=0)


def warp_time(series: np.ndarray, lengths: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Interpolate series (n, num_steps, n_columns) at their steps plus shifts (n, num_steps)."""
    last = np.maximum(lengths[:, None] - 1, 0)  # last step; the padding after it does not change
    steps = np.arange(series.shape[1])
    times = np.where(steps <= last, np.clip(steps + shifts, 0, last), steps)
    before = times.astype(int)
    after = np.minimum(before + 1, series.shape[1] - 1)
    fraction = (times - before)[..., None]
    # values (n, num_steps, n_columns) at the whole steps before and after each time
    earlier, later = (np.take_along_axis(series, i[..., None], axis=1) for i in (before, after))
    interpolated = (1 - fraction) * earlier + fraction * later
    # if one of the two values is missing, take the value of the nearer step
    nearer = np.where(fraction < 0.5, earlier, later)
    return np.where(np.isnan(interpolated), nearer, interpolated)


def warp_time_randomly(
    values: np.ndarray,  # (n_steps, n_columns), of series one after another
    first_steps: np.ndarray,  # (n,), index in `values` of the first step of each series
    lengths: np.ndarray,  # (n,)
    warp_std: float,  # standard deviation of the shifts, in steps
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a copy of the values (n_steps, n_columns) with most of the series warped in time."""
    values, steps = values.copy(), np.arange(max(1, int(lengths.max(initial=1))))
    shifts = warp_std * draw_time_shifts(lengths, len(steps), rng)
    shifts[rng.random(len(shifts)) < _UNWARPED_SHARE] = 0.0
    is_step = steps < lengths[:, None]
    # indices in `values` (n, num_steps); 0 in the padding, whose values are not used
    value_indices = np.where(is_step, first_steps[:, None] + steps, 0)
    values[value_indices[is_step]] = warp_time(values[value_indices], lengths, shifts)[is_step]
    return values


# The choice for the training


@one_blas_thread()
def choose_warp_std(scaled_series: Sequences, latent_dim: int, *, seed: int) -> float:
    """Choose the standard deviation of the time warps to train with, in steps; 0 for none."""
    # Warped copies help if they look like other series of the data. Then they raise the density at
    # held-out series. For each fold, the other series are projected on principal components. A
    # kernel density estimate (B. W. Silverman, "Density Estimation for Statistics and Data
    # Analysis", 1986) has these series as its centers. A second estimate has their warped copies as
    # further centers. Each estimate has its best bandwidth. The gain of a warp is the difference of
    # the estimates in mean log density per component. It is measured in 4 and in 16 components, and
    # the smaller of the two gains decides.
    n, num_steps = len(scaled_series), int(scaled_series.lengths.max(initial=0))
    num_values = n * num_steps * scaled_series.schema.num_columns
    can_warp = 0 < num_values <= _MAX_VALUES_TO_TRY_WARPS and scaled_series.schema.numeric.all()
    if not can_warp or not _MIN_SERIES_TO_WARP <= n < MIN_SERIES_WITHOUT_WARPS:
        return 0.0
    # padding and missing values are 0, the mean
    series = np.zeros((n, num_steps, scaled_series.schema.num_columns))
    series[sequence_and_step_indices(scaled_series)] = np.nan_to_num(scaled_series.values)
    # 0x3A4C is the number of this use of random numbers. Each use has another number, so that uses
    # with the same seed are independent.
    fold = np.random.default_rng([seed, 0x3A4C]).permutation(n) % _NUM_FOLDS
    gains = np.zeros((len(_DENSITY_COMPONENT_COUNTS), len(_CANDIDATE_WARP_STDS), n))
    for is_test in (fold == i for i in range(_NUM_FOLDS)):
        gains[..., is_test] = _compute_warp_density_gains(
            series[~is_test], scaled_series.lengths[~is_test], series[is_test], latent_dim
        )
    is_clear = np.apply_along_axis(mean_gain_lower_bound, 2, gains) > 0  # else a gain may be chance
    gains = np.where(is_clear, gains.mean(axis=2), 0.0).min(axis=0)  # of each candidate
    best = int(np.argmax(gains))
    return _CANDIDATE_WARP_STDS[best] if gains[best] > _MIN_DENSITY_GAIN else 0.0


def _compute_warp_density_gains(
    training_series: np.ndarray, lengths: np.ndarray, test_series: np.ndarray, latent_dim: int
) -> np.ndarray:
    """Return gains in log density per component (component counts, candidates, test series)."""
    n, num_steps = training_series.shape[:2]
    mean = training_series.mean(axis=0)
    centered = (training_series - mean).reshape(n, -1)
    _, singular_values, directions = np.linalg.svd(centered, full_matrices=False)
    rank = max(1, int((singular_values > _MIN_SINGULAR_VALUE_SHARE * singular_values[0]).sum()))
    # (num_steps * n_columns, n_components)
    directions = directions[: min(latent_dim, rank, max(_DENSITY_COMPONENT_COUNTS))].T
    centers = centered @ directions
    points = (test_series - mean).reshape(len(test_series), -1) @ directions
    unwarped_densities = _compute_log_densities(points, centers)
    # each series has equally many copies, which differ in their random shifts
    num_copies = max(1, min(_NUM_WARPED_COPIES, _MAX_WARPED_COPY_VALUES // mean.size) // n)
    copies = np.tile(training_series, (num_copies, 1, 1))
    copy_lengths = np.tile(lengths, num_copies)
    # each candidate multiplies the same shifts by its own standard deviation
    shifts = draw_time_shifts(copy_lengths, num_steps, np.random.default_rng(0))
    gains = []
    for warp_std in _CANDIDATE_WARP_STDS:
        warped = warp_time(copies, copy_lengths, warp_std * shifts)
        warped_centers = (warped - mean).reshape(len(warped), -1) @ directions
        densities = _compute_log_densities(points, np.concatenate([centers, warped_centers]))
        gains.append(densities - unwarped_densities)
    return np.stack(gains, axis=1)


def _compute_log_densities(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return log densities per component (len(_DENSITY_COMPONENT_COUNTS), n) of points (n, d)."""
    # The densities are those of Gaussian kernels at centers (m, d), in the first few dimensions.
    log_densities = []
    for num_dimensions in (min(count, points.shape[1]) for count in _DENSITY_COMPONENT_COUNTS):
        x, y = points[:, :num_dimensions], centers[:, :num_dimensions]
        # squared distances of all points from all centers (n, m): x**2 + y**2 - 2 * x * y
        squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
        squares = np.maximum(squares - 2 * x @ y.T, 0.0)
        # typical square of the distance to the nearest center, for one dimension
        nearest = np.median(squares.min(axis=1)) / num_dimensions
        # log densities (n,) with the best bandwidth so far, which gives the largest mean
        best = np.full(len(x), -np.inf)
        for bandwidth in np.maximum(_CANDIDATE_BANDWIDTHS * np.sqrt(nearest), 1e-12):
            # without the factor (2 pi)^(-d / 2), which cancels in differences of log densities
            log_density = logsumexp(-squares / (2 * bandwidth**2), axis=1) - np.log(len(y))
            log_density -= num_dimensions * np.log(bandwidth)
            if log_density.mean() > best.mean():
                best = log_density
        log_densities.append(best / num_dimensions)
    return np.stack(log_densities)
