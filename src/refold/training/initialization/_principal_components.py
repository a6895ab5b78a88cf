"""Principal components that few sequences are enough for.

The covariance of few sequences says nothing of what none of them did.  Two things often hold of
series: what happens at one time could happen at another, and it could have been a little earlier
or later.  Surrogates say the first, warped copies the second; both are mixed with the sequences
themselves, where cross-validation finds that to help.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from sklearn.utils.extmath import randomized_svd

from refold._support.blas_threads import SMALL_SIDE, one_blas_thread
from refold.training.initialization._cross_validation import exceeds_standard_error, folds

__all__ = ["Components", "principal_components"]

# So many sequences speak for themselves, and so many values take too long to try mixtures on.
_MANY_SEQUENCES, _MANY_VALUES = 2000, 1 << 17
_ROWS, _COPIED_VALUES = 1000, 600_000  # of surrogates, and of warped copies, about
_OWN = 0.25  # share of the sequences themselves where there are warped copies
_WAVES = 4
# A large decomposition is not computed in full if only this share of it is wanted.
_FEW = 0.2


class Mixture(NamedTuple):
    """How many sequences the surrogates count for, and the deviation of the warps in steps."""

    surrogates: float
    warp: float = 0.0


_MIXTURES = (
    Mixture(1e-6),  # next to nothing, but directions of which the sequences say nothing
    Mixture(0.5),
    Mixture(1.5),
    Mixture(1.5, 0.5),
    Mixture(1.5, 1.0),
    Mixture(1.5, 2.0),
    Mixture(4.5),
    Mixture(4.5, 1.0),
    Mixture(4.5, 2.0),
    Mixture(15.0),
    Mixture(15.0, 2.0),
    Mixture(15.0, 4.0),
    Mixture(50.0, 8.0),
)


class Components(NamedTuple):
    """The directions in which series differ most.

    Attributes
    ----------
    mean : array of shape (num_steps * n_columns,)
    loadings : array of shape (n_components, num_steps * n_columns)
        Orthonormal; zero where the data has no such component.
    deviation : array of shape (n_components,)
        Of a code, at least as much as surrogates say that count for one sequence; 1 where the
        loading is zero.
    mixture : Mixture or None
        What they are of; None where there was no cross-validation.
    left : float
        Squared error of a sequence that was held out, summed over what was observed; NaN where
        there was no cross-validation.
    """

    mean: np.ndarray
    loadings: np.ndarray
    deviation: np.ndarray
    mixture: Mixture | None = None
    left: float = np.nan


def principal_components(
    series: np.ndarray,
    lengths: np.ndarray,
    n_components: int,
    *,
    seed: int,
    observed: np.ndarray | None = None,
    like: Components | None = None,
) -> Components:
    """Find the principal components of series; of few, of a mixture with what could be others.

    Surrogates have the spectrum of a sequence and random phases, which columns share [1]_; copies
    are warped in time [2]_.  Below 2000 sequences and 130,000 padded values, they are mixed in if
    in 5-fold cross-validation that lowers the error of held-out sequences by more than one and a
    half standard errors; where there are more components than sequences, surrogates tell the rest.

    Parameters
    ----------
    series : array of shape (n_sequences, num_steps, n_columns)
        Standardised, zero where nothing was observed.
    lengths : array of int of shape (n_sequences,)
        At most ``num_steps``.
    n_components : int
    seed : int
        Of folds, phases and warps, and of the projections by which a large decomposition is found.
    observed : array of bool of the same shape as the series, optional
        What counts as error in cross-validation; by default, what is within the lengths.
    like : Components, optional
        Those of which these series are some: their mixture is taken, without cross-validation.

    Returns
    -------
    Components

    References
    ----------
    .. [1] D. Prichard and J. Theiler, "Generating surrogate data for time series with several
       simultaneously measured variables", Physical Review Letters 73, 1994.
    .. [2] T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's disease
       monitoring using convolutional neural networks", ICMI 2017.

    Examples
    --------
    >>> waves = np.sin(np.linspace(0, 6, 30) + np.arange(20)[:, None])[..., None]
    >>> found = principal_components(waves, np.full(20, 30), 2, seed=0)
    >>> left = (waves[..., 0] - found.mean) @ (np.eye(30) - found.loadings.T @ found.loadings)
    >>> bool((left**2).mean() < 1e-3)
    True
    """
    n, num_steps, num_columns = series.shape
    mean = series.mean(axis=0).ravel()
    if observed is None:
        observed = np.repeat(np.arange(num_steps) < lengths[:, None], num_columns, axis=1)
    observed = observed.reshape(n, -1)
    least, mixture, left = 0.0, None, np.nan
    slow = mean.size > SMALL_SIDE and n_components >= _FEW * SMALL_SIDE
    if n >= _MANY_SEQUENCES or series.size > _MANY_VALUES or slow:
        rows = (series.reshape(n, -1) - mean) / np.sqrt(n)
    elif n > 1 and series.std() > 0:
        if like is None or like.mixture is None:
            mixture, left = _choose(series, lengths, observed, n_components, seed)
        else:
            mixture, left = like.mixture, like.left
        rows, of_one = _parts(series, lengths, [mixture, Mixture(1.0)], seed).rows()
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
    return Components(mean, loadings, deviation, mixture, left)


@one_blas_thread()
def _choose(
    series: np.ndarray, lengths: np.ndarray, observed: np.ndarray, n_components: int, seed: int
) -> tuple[Mixture, float]:
    """Return the mixture whose components explain held-out sequences best, and their error."""
    errors = np.zeros((len(_MIXTURES), len(series)))
    for held in folds(len(series), seed, "cross-validating components"):
        given = series[~held]
        wanted = (series[held] - given.mean(axis=0)).reshape(-1, given[0].size)
        parts = _parts(given, lengths[~held], _MIXTURES, seed)
        for i, directions in enumerate(_directions(parts, n_components, seed)):
            left = wanted - wanted @ directions.T @ directions
            errors[i, held] = (left**2 * observed[held]).sum(axis=1)
    gains = [0.0, *(exceeds_standard_error(errors[0] - error) for error in errors[1:])]
    best = int(np.argmax(gains))
    return _MIXTURES[best], float(errors[best].mean())


class _Parts(NamedTuple):
    """What mixtures are made of.

    Attributes
    ----------
    mixtures : sequence of Mixture
    n : int
        Number of sequences.
    as_they_are : dict of arrays
        By warp, rows of the sequences and their warped copies.
    surrogates : array
    """

    mixtures: Sequence[Mixture]
    n: int
    as_they_are: dict[float, np.ndarray]
    surrogates: np.ndarray

    def rows(self) -> Iterator[np.ndarray]:
        """Yield rows for each mixture, whose product with themselves is its covariance."""
        for weight, warp in self.mixtures:
            surrogates = np.sqrt(weight / self.n) * self.surrogates
            yield np.concatenate([self.as_they_are[warp], surrogates])

    def covariances(self) -> Iterator[np.ndarray]:
        """Yield the covariance of each mixture; each part is multiplied once for all of them."""
        theirs = self.surrogates.T @ self.surrogates
        own = {warp: rows.T @ rows for warp, rows in self.as_they_are.items()}
        for weight, warp in self.mixtures:
            yield own[warp] + weight / self.n * theirs


def _parts(
    series: np.ndarray, lengths: np.ndarray, mixtures: Sequence[Mixture], seed: int
) -> _Parts:
    """Draw the surrogates and the warped copies of mixtures."""
    rng = np.random.default_rng([seed, 0xC0B1])
    n, num_steps = series.shape[:2]
    mean = series.mean(axis=0)
    copies = -(-min(_ROWS, _COPIED_VALUES // mean.size) // n)
    own = (series - mean).reshape(n, -1) / np.sqrt(n)
    many, their_lengths = np.tile(series, (copies, 1, 1)), np.tile(lengths, copies)
    surrogates = _surrogates(many - mean, rng).reshape(n * copies, -1)
    surrogates *= np.sqrt((own**2).sum() / max((surrogates**2).sum(), 1e-30))
    waves = _waves(their_lengths, num_steps, rng)
    as_they_are = {0.0: own}
    for warp in {mixture.warp for mixture in mixtures} - {0.0}:
        warped = (_warp(many, their_lengths, warp * waves) - mean).reshape(n * copies, -1)
        share = np.sqrt((1 - _OWN) / len(warped))
        as_they_are[warp] = np.concatenate([np.sqrt(_OWN) * own, share * warped])
    return _Parts(mixtures, n, as_they_are, surrogates)


def _surrogates(centred: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return series whose covariance of two times depends only on how far they are apart."""
    n, num_steps, _ = centred.shape
    # as many zeros behind them, so that the end does not run into the beginning
    spectrum = np.fft.rfft(centred, 2 * num_steps, axis=1)
    phases = np.exp(2j * np.pi * rng.random((n, spectrum.shape[1], 1)))
    # a real series has no other phase there
    phases[:, [0, -1]] = rng.choice([-1.0, 1.0], (n, 2, 1))
    return np.fft.irfft(spectrum * phases, 2 * num_steps, axis=1)[:, :num_steps]


def _waves(lengths: np.ndarray, num_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth random curves (n, num_steps) that begin and end at 0, of deviation 1."""
    place = np.minimum(np.arange(num_steps) / np.maximum(lengths[:, None] - 1, 1), 1.0)
    heights = rng.standard_normal((_WAVES, len(lengths), 1)) * np.sqrt(2 / _WAVES)
    number = np.arange(1, _WAVES + 1)[:, None, None]
    return (heights * np.sin(np.pi * number * place)).sum(axis=0)


def _warp(series: np.ndarray, lengths: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """Return series read so many steps later, never before their first or after their last."""
    last = np.maximum(lengths[:, None] - 1, 0)
    steps = np.arange(series.shape[1])
    at = np.where(steps <= last, np.clip(steps + delay, 0, last), steps)
    before = at.astype(int)
    after = np.minimum(before + 1, series.shape[1] - 1)
    share = (at - before)[..., None]
    earlier, later = (np.take_along_axis(series, i[..., None], axis=1) for i in (before, after))
    return (1 - share) * earlier + share * later


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
    """Return singular values and right singular vectors, the greatest first."""
    with one_blas_thread(*rows.shape):
        if min(rows.shape) > SMALL_SIDE:
            spread, directions = _decompose_large(rows, n_components, seed)
        elif rows.shape[0] >= rows.shape[1]:
            squares, vectors = np.linalg.eigh(rows.T @ rows)
            spread, directions = np.sqrt(np.maximum(squares[::-1], 0.0)), vectors.T[::-1]
        else:
            squares, vectors = np.linalg.eigh(rows @ rows.T)
            spread = np.sqrt(np.maximum(squares[::-1], 0.0))
            there = spread > 1e-7 * spread[0]
            directions = vectors.T[::-1] @ rows / np.where(there, spread, np.inf)[:, None]
    return spread[:n_components], directions[:n_components]


def _decompose_large(
    rows: np.ndarray, n_components: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `_decompose`, perhaps of a random projection."""
    if n_components < _FEW * min(rows.shape):
        _, spread, directions = randomized_svd(rows, n_components, random_state=seed)
    else:
        _, spread, directions = np.linalg.svd(rows, full_matrices=False)
    return spread, directions
