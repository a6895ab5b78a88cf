"""Principal components of few series, and variations of series that stand in for more of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from sklearn.utils.extmath import randomized_svd

from refold._support.arrays import clear_gain
from refold._support.native_libraries import SMALL_SIDE, one_blas_thread
from refold.model import typical_curves
from refold.training._time_warps import random_delays, time_warped

# The covariance of few sequences misses patterns that none of them shows. Series often have two
# properties: a pattern at one time could occur at another, and it could be slightly earlier or
# later. Surrogates, which have the spectrum of a sequence and random phases that columns share (D.
# Prichard and J. Theiler, "Generating surrogate data for time series with several simultaneously
# measured variables", Physical Review Letters 73, 1994), model the first, copies that are warped in
# time the second. Both are mixed with the sequences if that lowers the error on held-out sequences
# in cross-validation by more than 1.5 standard errors. With more components than sequences,
# surrogates determine the remaining ones. On 27 series of ArrowHead, the initialization alone had
# 0.70 times the NMSE of PCA at 16 dimensions and 0.27 times at 32. Without mixtures, a whole fit
# had 1.09 times the error.
#
# With `init="series"`, curves of the pretrained model are a third source of patterns. They are not
# mixed in by default, because they help little beside the others: the error of the components was
# 0.98, 0.97, 0.98 and 1.00 times as large with 5, 10, 30 and 100 series of eight sets, at 8 and 16
# dimensions. Alone, in place of the other mixtures, it was 1.04 to 1.19 times as large.

# Number of sequences that needs no mixture.
_MANY_SEQUENCES = 2000
# Number of values on which the choice of a mixture takes too long.
_MANY_VALUES = 1 << 17
# Approximate number of surrogates and of warped copies, and cap on their values.
_MIXTURE_ROWS, _MIXTURE_VALUES = 1000, 600_000
# Share of the sequences themselves in a mixture with warped copies.
_OWN = 0.25
# Share of components below which a large decomposition is truncated.
_TRUNCATED = 0.2

# Number of cross-validation folds.
_FOLDS = 5
# Standard errors by which curves of the pretrained model must lower the error on held-out
# sequences: fewer than for other mixtures, because the caller asked for them.
_CURVE_ERRORS = 1.0


def folds(n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield which sequences are held out, bool (n,), for each of at most five folds."""
    fold = np.random.default_rng([seed, 0xF01D]).permutation(n) % _FOLDS
    for number in range(min(_FOLDS, n)):
        yield fold == number


# Principal components


class SurrogateMixture(NamedTuple):
    """Weights of surrogates and of pretrained curves in sequences, and warps in steps."""

    surrogates: float
    warp: float = 0.0  # standard deviation
    curves: float = 0.0


_MIXTURES = (
    SurrogateMixture(1e-6),  # negligible, except in directions that the sequences do not span
    SurrogateMixture(0.5),
    SurrogateMixture(1.5),
    SurrogateMixture(1.5, 0.5),
    SurrogateMixture(1.5, 1.0),
    SurrogateMixture(1.5, 2.0),
    SurrogateMixture(4.5),
    SurrogateMixture(4.5, 1.0),
    SurrogateMixture(4.5, 2.0),
    SurrogateMixture(15.0),
    SurrogateMixture(15.0, 2.0),
    SurrogateMixture(15.0, 4.0),
    SurrogateMixture(50.0, 8.0),
)
_CURVE_MIXTURES = tuple(
    SurrogateMixture(surrogates, curves=curves)
    for surrogates in (1e-6, 1.5)
    for curves in (0.3, 1.0, 3.0, 10.0)
)


class Components(NamedTuple):
    """Principal components of series."""

    mean: np.ndarray  # (num_steps * n_columns,)
    # (n_components, num_steps * n_columns), orthonormal; zero beyond the rank of the data
    loadings: np.ndarray
    # (n_components,), standard deviation of each code dimension, at least that of surrogates with
    # the weight of one sequence; 1 where the loading is zero
    deviation: np.ndarray
    mixture: SurrogateMixture | None = None  # None without cross-validation
    # mean over held-out sequences of the squared error, summed over observed values
    held_out_error: float = np.nan


def principal_components(
    series: np.ndarray,  # (n, num_steps, n_columns), standardized, zero where nothing was observed
    lengths: np.ndarray,  # (n,), at most num_steps
    n_components: int,
    *,
    seed: int,
    observed: np.ndarray,  # bool (n, num_steps, n_columns), values that count in errors
    init: str = "pca",  # "series" also tries curves of the pretrained model
    like: Components | None = None,  # of a superset of the series, whose mixture is used again
) -> Components:
    """Find the principal components of series, with a mixture of variations if there are few."""
    n, mean = len(series), series.mean(axis=0).ravel()
    observed = observed.reshape(n, -1)
    least, mixture, held_out_error = 0.0, None, np.nan
    slow = mean.size > SMALL_SIDE and n_components >= _TRUNCATED * SMALL_SIDE
    if n >= _MANY_SEQUENCES or series.size > _MANY_VALUES or slow:
        rows = (series.reshape(n, -1) - mean) / np.sqrt(n)
    elif n > 1 and series.std() > 0:
        if like is None or like.mixture is None:
            mixture, held_out_error = _choose_mixture(
                series, lengths, observed, n_components, seed, init=init
            )
        else:
            mixture, held_out_error = like.mixture, like.held_out_error
        rows, of_one = _parts(series, lengths, [mixture, SurrogateMixture(1.0)], seed).rows()
    else:
        rows = np.zeros((1, len(mean)))
    spread, directions = _decompose(rows, n_components, seed)
    smallest = 1e-6 * max(float(spread[0]), 1e-12)
    real = np.flatnonzero(spread > smallest)
    codes = (series.reshape(n, -1) - mean) @ directions[real].T
    if mixture is not None:
        least = np.sqrt(((of_one[n:] @ directions[real].T) ** 2).sum(axis=0))
    loadings, deviation = np.zeros((n_components, len(mean))), np.ones(n_components)
    loadings[real] = directions[real]
    own = np.sqrt((codes**2).sum(axis=0) / max(n - 1, 1))
    deviation[real] = np.maximum(np.maximum(own, least), smallest)
    return Components(mean, loadings, deviation, mixture, held_out_error)


@one_blas_thread()
def _choose_mixture(
    series: np.ndarray,
    lengths: np.ndarray,
    observed: np.ndarray,
    n_components: int,
    seed: int,
    *,
    init: str,
) -> tuple[SurrogateMixture, float]:
    """Return the mixture whose components explain held-out sequences best, and its error."""
    mixtures = _MIXTURES + (_CURVE_MIXTURES if init == "series" else ())
    errors = np.zeros((len(mixtures), len(series)))
    for held in folds(len(series), seed):
        given = series[~held]
        wanted = (series[held] - given.mean(axis=0)).reshape(-1, given[0].size)
        parts = _parts(given, lengths[~held], mixtures, seed)
        for i, directions in enumerate(_directions(parts, n_components, seed)):
            residual = wanted - wanted @ directions.T @ directions
            errors[i, held] = (residual**2 * observed[held]).sum(axis=1)
    without_curves, with_curves = errors[: len(_MIXTURES)], errors[len(_MIXTURES) :]
    gains = [0.0, *(clear_gain(errors[0] - error) for error in without_curves[1:])]
    best = int(np.argmax(gains))
    gains = [clear_gain(errors[best] - error, _CURVE_ERRORS) for error in with_curves]
    if max(gains, default=0.0) > 0:
        best = len(_MIXTURES) + int(np.argmax(gains))
    return mixtures[best], float(errors[best].mean())


class _Parts(NamedTuple):
    """Rows from which mixtures are made."""

    mixtures: Sequence[SurrogateMixture]
    n: int  # sequences
    own_rows: dict[float, np.ndarray]  # by warp, rows of the sequences and their warped copies
    surrogates: np.ndarray  # (n_surrogates, num_steps * n_columns)
    curves: np.ndarray  # (n_curves, num_steps * n_columns), none if no mixture has them

    def rows(self) -> Iterator[np.ndarray]:
        """Yield the rows of each mixture; their Gram matrix is its covariance."""
        for weight, warp, curve_weight in self.mixtures:
            surrogates = np.sqrt(weight / self.n) * self.surrogates
            curves = np.sqrt(curve_weight / self.n) * self.curves
            yield np.concatenate([self.own_rows[warp], surrogates, curves])

    def covariances(self) -> Iterator[np.ndarray]:
        """Yield the covariance of each mixture, with one product per part for all mixtures."""
        surrogates = self.surrogates.T @ self.surrogates
        curves = self.curves.T @ self.curves
        own = {warp: rows.T @ rows for warp, rows in self.own_rows.items()}
        for weight, warp, curve_weight in self.mixtures:
            yield own[warp] + weight / self.n * surrogates + curve_weight / self.n * curves


def _parts(
    series: np.ndarray, lengths: np.ndarray, mixtures: Sequence[SurrogateMixture], seed: int
) -> _Parts:
    """Draw the surrogates and warped copies for mixtures."""
    rng = np.random.default_rng([seed, 0xC0B1])
    n, num_steps = series.shape[:2]
    mean = series.mean(axis=0)
    copies = -(-min(_MIXTURE_ROWS, _MIXTURE_VALUES // mean.size) // n)
    own = (series - mean).reshape(n, -1) / np.sqrt(n)
    many, their_lengths = np.tile(series, (copies, 1, 1)), np.tile(lengths, copies)
    surrogates = _surrogates(many - mean, rng).reshape(n * copies, -1)
    power = (own**2).sum()
    surrogates *= np.sqrt(power / max((surrogates**2).sum(), 1e-30))
    curves = np.zeros((0, mean.size))
    if any(mixture.curves for mixture in mixtures):
        curves = _pretrained_curves(series, lengths, seed).reshape(-1, mean.size)
        curves *= np.sqrt(power / max((curves**2).sum(), 1e-30))
    delays = random_delays(their_lengths, num_steps, rng)
    own_rows = {0.0: own}
    for warp in {mixture.warp for mixture in mixtures} - {0.0}:
        warped = (time_warped(many, their_lengths, warp * delays) - mean).reshape(n * copies, -1)
        share = np.sqrt((1 - _OWN) / len(warped))
        own_rows[warp] = np.concatenate([np.sqrt(_OWN) * own, share * warped])
    return _Parts(mixtures, n, own_rows, surrogates, curves)


def _surrogates(centred: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return stationary series: the covariance of two times depends on their distance alone."""
    n, num_steps, _ = centred.shape
    # zero padding of the same length, so that the end does not wrap around to the beginning
    spectrum = np.fft.rfft(centred, 2 * num_steps, axis=1)
    phases = np.exp(2j * np.pi * rng.random((n, spectrum.shape[1], 1)))
    # these coefficients of a real series are real
    phases[:, [0, -1]] = rng.choice([-1.0, 1.0], (n, 2, 1))
    return np.fft.irfft(spectrum * phases, 2 * num_steps, axis=1)[:, :num_steps]


def _pretrained_curves(series: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
    """Return curves of the pretrained model (n_curves, num_steps, n_columns), centred."""
    rng = np.random.default_rng([seed, 0xC0DE])
    _, num_steps, num_columns = series.shape
    num_curves = max(1, min(_MIXTURE_ROWS, _MIXTURE_VALUES // (num_steps * num_columns)))
    drawn = np.repeat(rng.choice(lengths, num_curves), num_columns)
    curves = typical_curves(drawn, num_steps, rng).reshape(num_curves, num_columns, num_steps)
    # each column is a curve of its own, with the spread within and between the series of the data
    within, between = series.std(axis=1).mean(axis=0), series.mean(axis=1).std(axis=0)
    levels = between * rng.standard_normal((num_curves, 1, num_columns))
    curves = within * curves.transpose(0, 2, 1) + levels
    return curves - curves.mean(axis=0)


def _directions(parts: _Parts, n_components: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the leading directions of each mixture, in no particular order."""
    size = parts.surrogates.shape[1]
    if size > min(SMALL_SIDE, len(parts.surrogates)):
        for rows in parts.rows():
            yield _decompose(rows, n_components, seed)[1]
        return
    leading = [max(0, size - n_components), size - 1]
    for covariance in parts.covariances():
        _, vectors = scipy.linalg.eigh(
            covariance, subset_by_index=leading, overwrite_a=True, check_finite=False
        )
        yield vectors.T


def _decompose(rows: np.ndarray, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values and right singular vectors (n_components, size), largest first."""
    with one_blas_thread(*rows.shape):
        if min(rows.shape) > SMALL_SIDE:
            if n_components < _TRUNCATED * min(rows.shape):  # by a random projection
                _, spread, directions = randomized_svd(rows, n_components, random_state=seed)
            else:
                _, spread, directions = np.linalg.svd(rows, full_matrices=False)
        elif rows.shape[0] >= rows.shape[1]:
            covariance, size = rows.T @ rows, rows.shape[1]
            if size > SMALL_SIDE and n_components < size:
                leading = [size - n_components, size - 1]
                squares, vectors = scipy.linalg.eigh(covariance, subset_by_index=leading)
            else:
                squares, vectors = np.linalg.eigh(covariance)
            spread = np.sqrt(np.maximum(squares[::-1], 0.0))
            directions = vectors.T[::-1]
        else:
            squares, vectors = np.linalg.eigh(rows @ rows.T)
            spread = np.sqrt(np.maximum(squares[::-1], 0.0))
            real = spread > 1e-7 * spread[0]
            directions = vectors.T[::-1] @ rows / np.where(real, spread, np.inf)[:, None]
    return spread[:n_components], directions[:n_components]
