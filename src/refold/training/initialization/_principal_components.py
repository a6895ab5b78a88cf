"""Principal components of series; if there are few, also of random variations of these series.

`find_principal_components` is what other modules use.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from sklearn.utils.extmath import randomized_svd

from refold._support.arrays import mean_gain_lower_bound
from refold._support.native_libraries import MAX_ONE_THREAD_MATRIX_SIDE, one_blas_thread
from refold.training._time_warps import draw_time_shifts, warp_time

# The covariance of few series misses patterns that none of them shows. Two kinds of random
# variations add such patterns:
# - Surrogates have the spectrum of a series and random phases, which its columns share (D. Prichard
#   and J. Theiler, "Generating surrogate data for time series with several simultaneously measured
#   variables", Physical Review Letters 73, 1994). They help if a pattern can occur at any time.
# - Warped copies have the values of a series at slightly different times. They help if a pattern
#   can be slightly earlier or later.
# A mixture of series and variations is used if, in cross-validation, it lowers the error on
# held-out series by more than 1.5 standard errors of the difference. If there are more components
# than series, surrogates determine the additional components. On 27 series of ArrowHead, the NMSE
# of the initialization alone was 0.70 times that of PCA at 16 dimensions, and 0.27 times at 32.
# Without mixtures, the error of a complete fit was 1.09 times as large.
#
# Curves of the pretrained model were tried as a third kind of variation. They were used if they
# lowered the error by more than one standard error. With them, the test error of complete fits at
# 16 dimensions was 1.00, 1.05 and 1.00 times as large for 10, 30 and 100 series of 12, 11 and 6
# data sets, and 1.54 times on one data set.

# From this number of series on, their covariance is good enough, and no mixture is tried.
_MIN_SERIES_WITHOUT_VARIATIONS = 2000
# Cap on the values of all series for which a mixture is chosen. The choice takes time, because it
# decomposes each mixture anew in each fold.
_MAX_VALUES_FOR_VARIATIONS = 1 << 17
# Approximate number of surrogates, and of warped copies. More change the covariance little.
_NUM_VARIATIONS_PER_KIND = 1000
# Cap on the values of all surrogates, and of all warped copies, which limits memory.
_MAX_VARIATION_VALUES = 600_000
# Share of the unchanged series in the total variance of series and warped copies. In proportion to
# their number, it would be almost 0.
_ORIGINAL_SERIES_VARIANCE_SHARE = 0.25
# If fewer than this share of all components are needed, a truncated decomposition is faster.
_MAX_COMPONENT_SHARE_FOR_TRUNCATED_SVD = 0.2

# Number of cross-validation folds.
_NUM_FOLDS = 5


def split_folds(num_sequences: int, seed: int) -> Iterator[np.ndarray]:
    """Yield which sequences are held out, bool (n,), for each of at most five folds."""
    # 0xF01D is the number of this use of random numbers, which makes them differ from other uses
    fold = np.random.default_rng([seed, 0xF01D]).permutation(num_sequences) % _NUM_FOLDS
    for index in range(min(_NUM_FOLDS, num_sequences)):
        yield fold == index


# Principal components


class VariationMixture(NamedTuple):
    """How much of which variations is mixed with the series."""

    surrogate_weight: float  # of all surrogates together; 1 counts as much as one series
    warp_std: float = 0.0  # standard deviation of the time warps of copies, in steps


# Candidates for the choice by cross-validation. Each weight of the surrogates is combined with each
# time warp of its line; 0.0 means no warped copies. The first candidate is used if no other is
# better.
_VARIATION_MIXTURES = tuple(
    VariationMixture(surrogate_weight, warp_std)
    for surrogate_weight, warp_stds in (
        (1e-6, [0.0]),  # the surrogates count only in directions that the series do not span
        (0.5, [0.0]),
        (1.5, [0.0, 0.5, 1.0, 2.0]),
        (4.5, [0.0, 1.0, 2.0]),
        (15.0, [0.0, 2.0, 4.0]),
        (50.0, [8.0]),
    )
    for warp_std in warp_stds
)


class Components(NamedTuple):
    """Principal components of series."""

    mean: np.ndarray  # (num_steps * n_columns,)
    # (n_components, num_steps * n_columns), orthonormal; zero beyond the rank of the data
    loadings: np.ndarray
    # (n_components,), standard deviation of each code dimension, and at least that of surrogates
    # that together have the weight of one series; 1 where the loading is zero
    code_std: np.ndarray
    mixture: VariationMixture | None = None  # None without cross-validation
    # squared error, summed over the observed values of a series; the mean over held-out series
    held_out_error: float = np.nan


def find_principal_components(
    series: np.ndarray,  # (n, num_steps, n_columns), standardized, zero where nothing was observed
    lengths: np.ndarray,  # (n,), at most num_steps
    n_components: int,
    is_observed: np.ndarray,  # bool (n, num_steps, n_columns), values that count in errors
    *,
    seed: int,
    # components of a superset of the series, whose mixture is used again
    earlier_components: Components | None = None,
) -> Components:
    """Find the principal components of series, with a mixture of variations if there are few."""
    n, mean = len(series), series.mean(axis=0).ravel()
    is_observed = is_observed.reshape(n, -1)
    mixture, held_out_error = None, np.nan
    # rows of surrogates, which together count as much as one series; none if they are not drawn
    surrogates = np.zeros((0, len(mean)))
    # If `is_slow`, the choice of a mixture would take too long: for each mixture and fold, it would
    # compute a full decomposition of a large covariance.
    min_slow_components = _MAX_COMPONENT_SHARE_FOR_TRUNCATED_SVD * MAX_ONE_THREAD_MATRIX_SIDE
    is_slow = mean.size > MAX_ONE_THREAD_MATRIX_SIDE and n_components >= min_slow_components
    if n >= _MIN_SERIES_WITHOUT_VARIATIONS or series.size > _MAX_VALUES_FOR_VARIATIONS or is_slow:
        rows = (series.reshape(n, -1) - mean) / np.sqrt(n)
    elif n > 1 and series.std() > 0:
        if earlier_components is None or earlier_components.mixture is None:
            mixture, held_out_error = _choose_variation_mixture(
                series, lengths, is_observed, n_components, seed
            )
        else:
            mixture, held_out_error = earlier_components.mixture, earlier_components.held_out_error
        # the second mixture is only there for its surrogates, which have the weight of one series
        mixtures = [mixture, VariationMixture(surrogate_weight=1.0)]
        rows, with_surrogates = _draw_variations(series, lengths, mixtures, seed).mixture_matrices()
        surrogates = with_surrogates[n:]  # the rows of the series come first
    else:
        rows = np.zeros((1, len(mean)))
    singular_values, directions = _leading_svd(rows, n_components, seed)
    # singular values below this one are rounding errors
    min_std = 1e-6 * max(float(singular_values[0]), 1e-12)
    rank = int((singular_values > min_std).sum())
    directions = directions[:rank]
    codes = (series.reshape(n, -1) - mean) @ directions.T
    std = np.maximum(np.sqrt((codes**2).sum(axis=0) / max(n - 1, 1)), min_std)
    # Codes are divided by `std`. In a direction in which the series do not vary, it would be tiny,
    # so the surrogates give a lower bound.
    std = np.maximum(std, np.sqrt(((surrogates @ directions.T) ** 2).sum(axis=0)))
    loadings, code_std = np.zeros((n_components, len(mean))), np.ones(n_components)
    loadings[:rank], code_std[:rank] = directions, std
    return Components(mean, loadings, code_std, mixture, held_out_error)


@one_blas_thread()
def _choose_variation_mixture(
    series: np.ndarray, lengths: np.ndarray, is_observed: np.ndarray, n_components: int, seed: int
) -> tuple[VariationMixture, float]:
    """Return the mixture whose components explain held-out series best, and its error."""
    errors = np.zeros((len(_VARIATION_MIXTURES), len(series)))
    for is_held_out in split_folds(len(series), seed):
        train = series[~is_held_out]
        held_out = (series[is_held_out] - train.mean(axis=0)).reshape(-1, train[0].size)
        variations = _draw_variations(train, lengths[~is_held_out], _VARIATION_MIXTURES, seed)
        for i, directions in enumerate(variations.find_directions_by_mixture(n_components, seed)):
            residual = held_out - held_out @ directions.T @ directions
            errors[i, is_held_out] = (residual**2 * is_observed[is_held_out]).sum(axis=1)
    # lower bound of how much each mixture lowers the error of the first one
    gains = [0.0, *(mean_gain_lower_bound(errors[0] - error) for error in errors[1:])]
    best = int(np.argmax(gains))
    return _VARIATION_MIXTURES[best], float(errors[best].mean())


class _SeriesVariations(NamedTuple):
    """Centered series and their variations, scaled so that ``rows.T @ rows`` is a covariance."""

    mixtures: Sequence[VariationMixture]
    num_series: int
    # for each `warp_std`, the series and their warped copies (n_rows, num_steps * n_columns)
    series_by_warp_std: dict[float, np.ndarray]
    # (n_surrogates, num_steps * n_columns), with a total variance that equals that of the series
    surrogates: np.ndarray

    def mixture_matrices(self) -> Iterator[np.ndarray]:
        """Yield the rows of each mixture (n_rows, num_steps * n_columns)."""
        for surrogate_weight, warp_std in self.mixtures:
            surrogates = np.sqrt(surrogate_weight / self.num_series) * self.surrogates
            yield np.concatenate([self.series_by_warp_std[warp_std], surrogates])

    def find_directions_by_mixture(self, n_components: int, seed: int) -> Iterator[np.ndarray]:
        """Yield the leading directions (n_components, num_steps * n_columns) of each mixture.

        The directions of a mixture are in any order.
        """
        num_surrogates, num_values = self.surrogates.shape
        if num_values > min(MAX_ONE_THREAD_MATRIX_SIDE, num_surrogates):
            for rows in self.mixture_matrices():
                yield _leading_svd(rows, n_components, seed)[1]
            return
        # For few values, the directions are the leading eigenvectors of the covariance, which
        # `eigh` sorts by rising eigenvalues. The covariance of a mixture is a sum of two products,
        # and the same few products serve all mixtures.
        surrogates = self.surrogates.T @ self.surrogates
        series = {warp_std: rows.T @ rows for warp_std, rows in self.series_by_warp_std.items()}
        leading = [max(0, num_values - n_components), num_values - 1]
        for surrogate_weight, warp_std in self.mixtures:
            covariance = series[warp_std] + surrogate_weight / self.num_series * surrogates
            _, vectors = scipy.linalg.eigh(
                covariance, subset_by_index=leading, overwrite_a=True, check_finite=False
            )
            yield vectors.T


def _draw_variations(
    series: np.ndarray, lengths: np.ndarray, mixtures: Sequence[VariationMixture], seed: int
) -> _SeriesVariations:
    """Draw the surrogates, and the warped copies that the mixtures need."""
    rng = np.random.default_rng([seed, 0xC0B1])
    n, num_steps = series.shape[:2]
    mean = series.mean(axis=0)
    centered = (series - mean).reshape(n, -1) / np.sqrt(n)
    # number of copies of each series, rounded up
    num_copies = -(-min(_NUM_VARIATIONS_PER_KIND, _MAX_VARIATION_VALUES // mean.size) // n)
    copies, copy_lengths = np.tile(series, (num_copies, 1, 1)), np.tile(lengths, num_copies)
    # Surrogates have the spectra of the series and random phases. Each series is padded with as
    # many zeros as it has steps, so that its end does not wrap around to its beginning.
    spectrum = np.fft.rfft(copies - mean, 2 * num_steps, axis=1)
    phases = np.exp(2j * np.pi * rng.random((len(copies), spectrum.shape[1], 1)))
    # the coefficients of the lowest and the highest frequency of a real series are real
    phases[:, [0, -1]] = rng.choice([-1.0, 1.0], (len(copies), 2, 1))
    surrogates = np.fft.irfft(spectrum * phases, 2 * num_steps, axis=1)[:, :num_steps]
    surrogates = surrogates.reshape(len(copies), -1)
    surrogates *= np.sqrt((centered**2).sum() / max((surrogates**2).sum(), 1e-30))
    shifts = draw_time_shifts(copy_lengths, num_steps, rng)
    series_by_warp_std = {0.0: centered}
    original = np.sqrt(_ORIGINAL_SERIES_VARIANCE_SHARE) * centered
    for std in {mixture.warp_std for mixture in mixtures} - {0.0}:
        warped = (warp_time(copies, copy_lengths, std * shifts) - mean).reshape(len(copies), -1)
        warped *= np.sqrt((1 - _ORIGINAL_SERIES_VARIANCE_SHARE) / len(warped))
        series_by_warp_std[std] = np.concatenate([original, warped])
    return _SeriesVariations(mixtures, n, series_by_warp_std, surrogates)


def _leading_svd(matrix: np.ndarray, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values and right singular vectors (n_components, n_values), largest first."""
    num_rows, num_values = matrix.shape
    with one_blas_thread(*matrix.shape):
        if min(matrix.shape) > MAX_ONE_THREAD_MATRIX_SIDE:
            if n_components < _MAX_COMPONENT_SHARE_FOR_TRUNCATED_SVD * min(matrix.shape):
                _, singular_values, directions = randomized_svd(
                    matrix, n_components, random_state=seed
                )
            else:
                _, singular_values, directions = np.linalg.svd(matrix, full_matrices=False)
        elif num_rows >= num_values:  # eigenvectors of the covariance, in rising order
            covariance = matrix.T @ matrix
            if num_values > MAX_ONE_THREAD_MATRIX_SIDE and n_components < num_values:
                leading = [num_values - n_components, num_values - 1]  # the largest eigenvalues
                eigenvalues, vectors = scipy.linalg.eigh(covariance, subset_by_index=leading)
            else:
                eigenvalues, vectors = np.linalg.eigh(covariance)
            singular_values = np.sqrt(np.maximum(eigenvalues[::-1], 0.0))
            directions = vectors.T[::-1]
        else:  # few rows: eigenvectors of their Gram matrix, in rising order
            eigenvalues, vectors = np.linalg.eigh(matrix @ matrix.T)
            singular_values = np.sqrt(np.maximum(eigenvalues[::-1], 0.0))
            is_positive = singular_values > 1e-7 * singular_values[0]
            # a direction whose singular value is a rounding error becomes a vector of zeros
            divisors = np.where(is_positive, singular_values, np.inf)
            directions = vectors.T[::-1] @ matrix / divisors[:, None]
    return singular_values[:n_components], directions[:n_components]
