"""A linear code of symbols, and the best way back from it to their logits."""

from typing import NamedTuple, cast

import numpy as np
import scipy.sparse

from refold._support.blas_threads import one_blas_thread
from refold.sequences import Sequences
from refold.training._progress import doing
from refold.training.data._corruption import Corruption
from refold.training.initialization._numeric_columns import LinearInitialization
from refold.training.initialization._one_hot import Symbols, one_hot, without_dropped
from refold.training.initialization._token_logits import (
    frequencies,
    left_out,
    likeliest_factor,
    logits,
)

__all__ = ["token_initialization"]

# Of the decomposition, and how many directions more it follows.
_ITERATIONS, _MORE = 16, 10


class _Fit(NamedTuple):
    """Weights of a code, and for every step the regression of what is there on it.

    Attributes
    ----------
    mean : array of shape (num_steps * width,)
    weights : array of shape (latent_dim, num_steps * width)
    log_variance : array of shape (latent_dim,)
    frequency, offset : arrays of shape (num_steps, width)
        Of symbols, and what the regression adds for a code of 0.
    slope : array of shape (latent_dim, num_steps, width)
    """

    mean: np.ndarray
    weights: np.ndarray
    log_variance: np.ndarray
    frequency: np.ndarray
    offset: np.ndarray
    slope: np.ndarray

    def codes(self, values: scipy.sparse.csr_array) -> np.ndarray:
        return values @ self.weights.T - self.weights @ self.mean


def token_initialization(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearInitialization:
    """Find the principal components of one-hot sequences, and logits from them.

    A logit is that of the symbol's frequency at its step, and a multiple of what a ridge regression
    on the code says beyond that frequency; the multiple is the one by which sequences that were
    left out are likeliest.  Where it is 0, the components explain nothing.

    Parameters
    ----------
    sequences : Sequences
        Of binary and categorical columns, of those that are trained on.
    latent_dim, num_steps : int
        Width of the code, and steps that have weights.
    seed : int
        Of the decomposition, of the sequences that are left out, and of the corruption.
    corruption : Corruption, optional
        What is done to inputs.

    Returns
    -------
    LinearInitialization
        Of as many numbers a step as the columns have labels, or 1; ``left`` is 1.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> start = token_initialization(as_sequences(["aaaa", "bbbb", "abab"] * 20), 2, 4, seed=0)
    >>> start.decoder.shape, bool(start.share < 0.1)
    ((2, 4, 2), True)
    """
    doing("finding components of symbols")
    symbols = one_hot(sequences, num_steps)
    n, width = len(symbols.lengths), int(symbols.widths.sum())
    given = without_dropped(symbols, corruption, seed)
    kept, held = left_out(n, seed)
    factor, share = 0.0, 1.0
    if len(held):
        part = _fit(symbols.take(kept), given[kept], latent_dim, seed)
        written = part.frequency, part.slope, part.offset
        factor, share = likeliest_factor(symbols.take(held), part.codes(given[held]), *written)
    fit = _fit(symbols, given, latent_dim, seed)
    return LinearInitialization(
        fit.weights.reshape(latent_dim, num_steps, width).transpose(1, 2, 0),
        -fit.weights @ fit.mean,
        factor * fit.slope,
        logits(fit.frequency, symbols.labels) + factor * fit.offset,
        np.ones(width),
        share,
        fit.log_variance,
    )


def _fit(symbols: Symbols, given: scipy.sparse.csr_array, latent_dim: int, seed: int) -> _Fit:
    """Decompose the symbols, and regress them on the codes of what is given."""
    mean, loadings, noise = _decompose(symbols.values, latent_dim, seed)
    clean, seen = (values @ loadings.T - loadings @ mean for values in (symbols.values, given))
    n = max(len(seen), 1)
    deviation = np.sqrt((seen**2).sum(axis=0) / n)
    deviation = np.where(deviation > 0, deviation, 1.0)
    frequency = frequencies(symbols)
    effect = (clean * seen).sum(axis=0) / n / deviation  # of a code, on the clean series
    penalty = noise / np.maximum(effect**2 * (loadings**2).mean(axis=1), 1e-12)
    slope, offset = _regress(symbols, seen / deviation, frequency, penalty)
    log_variance = np.log(np.clip(noise / deviation**2, 1e-6, 1.0))
    return _Fit(mean, loadings / deviation[:, None], log_variance, frequency, offset, slope)


@one_blas_thread()  # products are with sparse values, which have no threads
def _decompose(
    values: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return means, loadings of components, and the variance of what they leave.

    Loadings are zero where the data has no such component.  The method is randomised subspace
    iteration (Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53,
    2011).
    """
    n, size = cast(tuple[int, int], values.shape)
    mean = values.sum(axis=0) / max(n, 1)
    power = float(mean.sum() - mean @ mean)  # ones are their own squares
    loadings, variance = np.zeros((latent_dim, size)), np.zeros(latent_dim)
    components = min(latent_dim, n - 1, size)
    if components > 0 and power > 1e-9:
        # subspace iteration on rows less their mean, which by themselves would not be sparse
        width = min(components + _MORE, n, size)
        basis = np.random.default_rng([seed, 0x5BD0]).standard_normal((size, width))
        for _ in range(_ITERATIONS):
            rows, _ = np.linalg.qr(values @ basis - mean @ basis)
            basis, _ = np.linalg.qr(values.T @ rows - np.outer(mean, rows.sum(axis=0)))
        _, spread, turn = np.linalg.svd(values @ basis - mean @ basis, full_matrices=False)
        spread, directions = spread[:components], turn[:components] @ basis.T
        found = spread**2 / n
        real = np.flatnonzero(found > 1e-9 * power)
        loadings[real], variance[real] = directions[real], found[real]
    left = max(power - float(variance.sum()), 0.01 * power, 1e-9)
    return mean, loadings, left / size


@one_blas_thread()
def _regress(
    symbols: Symbols, codes: np.ndarray, frequency: np.ndarray, penalty: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of symbols beyond their frequency on codes, at each step by itself.

    What is not known counts as being there as often as ever.  Codes are taken from the mean of the
    sequences that are as long.

    Returns
    -------
    slope : array of shape (latent_dim, num_steps, width)
    offset : array of shape (num_steps, width)
    """
    (num_steps, width), latent_dim = frequency.shape, codes.shape[1]
    with_them = (symbols.values.T @ codes).T.reshape(latent_dim, num_steps, width)
    count = symbols.count
    slope, offset = np.zeros((latent_dim, num_steps, width)), np.zeros((num_steps, width))
    by_length = np.argsort(-symbols.lengths, kind="stable")
    descending = -symbols.lengths[by_length]
    squares, sums, reached = np.zeros((latent_dim, latent_dim)), np.zeros(latent_dim), 0
    for step in reversed(range(num_steps)):
        longer = int(np.searchsorted(descending, -step, side="left"))
        new = codes[by_length[reached:longer]]
        squares, sums, reached = squares + new.T @ new, sums + new.sum(axis=0), longer
        if not reached:
            continue
        middle, known = sums / reached, symbols.known[:, step]
        expected = np.repeat(
            codes.T @ known - np.outer(middle, known.sum(axis=0)), symbols.widths, 1
        )
        wanted = with_them[:, step] - np.outer(middle, count[step]) - expected * frequency[step]
        about = squares - reached * np.outer(middle, middle) + np.diag(penalty)
        slope[:, step] = np.linalg.solve(about, wanted)
        offset[step] = -middle @ slope[:, step]
    return slope, offset
