"""Linear initialization for token columns: principal components and logits."""

from typing import NamedTuple, cast

import numpy as np
import scipy.sparse

from refold._support.native_libraries import one_blas_thread
from refold.arguments import Corruption
from refold.sequences import Sequences
from refold.training._progress import doing
from refold.training.initialization._numeric_columns import LinearInitialization
from refold.training.initialization._one_hot import Tokens, one_hot, without_dropped
from refold.training.initialization._token_levels import stored_tokens
from refold.training.initialization._token_logits import (
    FACTORS,
    frequencies,
    held_out_split,
    likeliest_factor,
    logits,
)

# Iterations of the subspace iteration.
_ITERATIONS = 16
# Most categories whose levels in a code remain distinct as float16.
_MOST_CATEGORIES = 256
# Share of the loss that they must gain on the components, which say how tokens go together.
_WORTH = 0.05
# Oversampling of the subspace iteration: directions beyond the requested ones.
_MORE = 10


class _Fit(NamedTuple):
    """Linear encoder of tokens, and a regression of each step's tokens on the code."""

    mean: np.ndarray  # (num_steps * width,)
    weights: np.ndarray  # (latent_dim, num_steps * width)
    log_variance: np.ndarray  # (latent_dim,)
    frequency: np.ndarray  # (num_steps, width), of tokens
    offset: np.ndarray  # (num_steps, width), output of the regression for a code of 0
    slope: np.ndarray  # (latent_dim, num_steps, width)

    def codes(self, values: scipy.sparse.csr_array) -> np.ndarray:
        return values @ self.weights.T - self.weights @ self.mean


def token_initialization(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    may_store: bool = True,  # whether a code may store tokens, which noise on it would change
) -> LinearInitialization:
    """Find the principal components of one-hot sequences, and a decoding map to logits."""
    # A logit is that of the token's frequency at its step plus a multiple of the difference that a
    # ridge regression on the code predicts. The multiple maximizes the likelihood of held-out
    # sequences. If it is 0, the components explain nothing. A code that stores the first tokens
    # takes the place of the components if it gains enough.
    doing("finding components of tokens")
    tokens = one_hot(sequences, num_steps)
    n, width = len(tokens.lengths), int(tokens.widths.sum())
    given = without_dropped(tokens, corruption, seed)
    kept, held = held_out_split(n, seed)
    make, factor, share = _fit, 0.0, 1.0
    if len(held):
        candidates = [(_fit, FACTORS, 0.0)]
        if may_store and tokens.num_categories.max() <= _MOST_CATEGORIES:
            candidates.append((_store, (0.0, 1.0), _WORTH))
        for candidate, factors, least_gain in candidates:
            part = candidate(tokens.take(kept), given[kept], latent_dim, seed)
            maps = part.codes(given[held]), part.frequency, part.slope, part.offset
            found = likeliest_factor(tokens.take(held), *maps, factors)
            if found[1] < share - least_gain:
                make, (factor, share) = candidate, found
    fit = make(tokens, given, latent_dim, seed)
    return LinearInitialization(
        fit.weights.reshape(latent_dim, num_steps, width).transpose(1, 2, 0),
        -fit.weights @ fit.mean,
        factor * fit.slope,
        logits(fit.frequency, tokens.num_categories) + factor * fit.offset,
        np.ones(width),
        share,
        fit.log_variance,
    )


def _fit(tokens: Tokens, given: scipy.sparse.csr_array, latent_dim: int, seed: int) -> _Fit:
    """Decompose the tokens, and regress them on the codes of the input."""
    mean, loadings, noise = _decompose(tokens.values, latent_dim, seed)
    clean, seen = (values @ loadings.T - loadings @ mean for values in (tokens.values, given))
    n = max(len(seen), 1)
    deviation = np.sqrt((seen**2).sum(axis=0) / n)
    deviation = np.where(deviation > 0, deviation, 1.0)
    frequency = frequencies(tokens)
    effect = (clean * seen).sum(axis=0) / n / deviation  # of a code on the clean series
    penalty = noise / np.maximum(effect**2 * (loadings**2).mean(axis=1), 1e-12)
    slope, offset = _regress(tokens, seen / deviation, frequency, penalty)
    log_variance = np.log(np.clip(noise / deviation**2, 1e-6, 1.0))
    return _Fit(mean, loadings / deviation[:, None], log_variance, frequency, offset, slope)


def _store(tokens: Tokens, given: scipy.sparse.csr_array, latent_dim: int, seed: int) -> _Fit:
    """Let codes store the first tokens; what is given of them does not change the maps."""
    del given, seed
    weights, slope, offset = stored_tokens(tokens, latent_dim)
    log_variance = np.full(latent_dim, np.log(1e-6))
    mean = np.zeros(weights.shape[1])
    return _Fit(mean, weights, log_variance, frequencies(tokens), offset, slope)


@one_blas_thread()  # products are with sparse values, which have no threads
def _decompose(
    values: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return means (size,), loadings (latent_dim, size) and the residual variance."""
    # Randomized subspace iteration (Halko, Martinsson and Tropp, "Finding structure with
    # randomness", SIAM Review 53, 2011). Loadings beyond the rank of the data are zero.
    n, size = cast(tuple[int, int], values.shape)
    mean = values.sum(axis=0) / max(n, 1)
    power = float(mean.sum() - mean @ mean)  # zeros and ones are their own squares
    loadings, variance = np.zeros((latent_dim, size)), np.zeros(latent_dim)
    components = min(latent_dim, n - 1, size)
    if components > 0 and power > 1e-9:
        # the mean is subtracted from the products, because centered rows would not be sparse
        width = min(components + _MORE, n, size)
        basis = np.random.default_rng([seed, 0x5BD0]).standard_normal((size, width))
        for _ in range(_ITERATIONS):
            rows, _ = np.linalg.qr(values @ basis - mean @ basis)
            basis, _ = np.linalg.qr(values.T @ rows - np.outer(mean, rows.sum(axis=0)))
        _, spread, rotation = np.linalg.svd(values @ basis - mean @ basis, full_matrices=False)
        spread, directions = spread[:components], rotation[:components] @ basis.T
        variances = spread**2 / n
        real = np.flatnonzero(variances > 1e-9 * power)
        loadings[real], variance[real] = directions[real], variances[real]
    residual = max(power - float(variance.sum()), 0.01 * power, 1e-9)
    return mean, loadings, residual / size


@one_blas_thread()
def _regress(
    tokens: Tokens, codes: np.ndarray, frequency: np.ndarray, penalty: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Regress tokens minus their frequency on codes (n, latent_dim), separately by step."""
    # Returns the slope (latent_dim, num_steps, width) and the offset (num_steps, width). A missing
    # value counts as its frequency. Codes are centered over the sequences that reach the step.
    (num_steps, width), latent_dim = frequency.shape, codes.shape[1]
    products = (tokens.values.T @ codes).T.reshape(latent_dim, num_steps, width)
    count = tokens.count
    slope, offset = np.zeros((latent_dim, num_steps, width)), np.zeros((num_steps, width))
    by_length = np.argsort(-tokens.lengths, kind="stable")
    descending = -tokens.lengths[by_length]
    squares, sums, reached = np.zeros((latent_dim, latent_dim)), np.zeros(latent_dim), 0
    for step in reversed(range(num_steps)):
        longer = int(np.searchsorted(descending, -step, side="left"))
        new = codes[by_length[reached:longer]]
        squares, sums, reached = squares + new.T @ new, sums + new.sum(axis=0), longer
        if not reached:
            continue
        center, known = sums / reached, tokens.known[:, step]
        expected = np.repeat(
            codes.T @ known - np.outer(center, known.sum(axis=0)), tokens.widths, 1
        )
        target = products[:, step] - np.outer(center, count[step]) - expected * frequency[step]
        gram = squares - reached * np.outer(center, center) + np.diag(penalty)
        slope[:, step] = np.linalg.solve(gram, target)
        offset[step] = -center @ slope[:, step]
    return slope, offset
