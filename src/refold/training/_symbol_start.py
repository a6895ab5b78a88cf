"""A linear code of symbols, and the best way back from it to their logits."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import scipy.sparse
from sklearn.decomposition import PCA

from refold.sequences import Sequences
from refold.training._corruption import Corruption
from refold.training._linear_start import LinearStart

__all__ = ["symbol_start"]

# How much a difference of probability can count for in a logit; the first says nothing.
_FACTORS = np.concatenate([[0.0], 2.0 ** np.arange(0, 6.5, 0.5)])
# Sequences that a step's frequencies are mixed with, of all steps.
_PRIOR = 10.0
# A share of the sequences chooses the factor, so many at most.
_HELD, _MOST_HELD = 0.2, 300


class _Symbols(NamedTuple):
    """One-hot sequences, sparse.

    Attributes
    ----------
    values : sparse array of shape (n_sequences, num_steps * width)
    lengths : array of int of shape (n_sequences,)
        At most ``num_steps``.
    known : array of bool of shape (n_sequences, num_steps, n_columns)
    """

    values: scipy.sparse.csr_array
    lengths: np.ndarray
    known: np.ndarray

    def take(self, rows: np.ndarray) -> "_Symbols":
        return _Symbols(self.values[rows], self.lengths[rows], self.known[rows])


class _Fit(NamedTuple):
    """Weights of a code, and for every step the regression of what is there on it."""

    mean: np.ndarray
    weights: np.ndarray
    log_variance: np.ndarray
    frequency: np.ndarray
    slope: np.ndarray

    def codes(self, values: scipy.sparse.csr_array) -> np.ndarray:
        return values @ self.weights.T - self.weights @ self.mean


def symbol_start(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearStart:
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
    LinearStart
        Of as many numbers a step as the columns have labels, or 1; ``left`` is 1.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> start = symbol_start(as_sequences(["aaaa", "bbbb", "abab"] * 20), 2, 4, seed=0)
    >>> start.decoder.shape, bool(start.share < 0.1)
    ((2, 4, 2), True)
    """
    widths = [len(column.labels) or 1 for column in sequences.schema.columns]
    symbols = _one_hot(sequences, widths, num_steps)
    n, width = len(symbols.lengths), sum(widths)
    given = _corrupted(symbols, widths, corruption, seed)
    order = np.random.default_rng([seed, 0x5B01]).permutation(n)
    held = order[: min(int(_HELD * n), _MOST_HELD)]
    factor, share = 0.0, 1.0
    if len(held):
        kept = order[len(held) :]
        part = _fit(symbols.take(kept), given[kept], widths, latent_dim, seed)
        losses = _losses(part, symbols.take(held), given[held], widths)
        best = int(np.argmin(losses))
        factor, share = float(_FACTORS[best]), float(losses[best] / max(losses[0], 1e-12))
    fit = _fit(symbols, given, widths, latent_dim, seed)
    return LinearStart(
        fit.weights.reshape(latent_dim, num_steps, width).transpose(1, 2, 0),
        -fit.weights @ fit.mean,
        factor * fit.slope,
        _logits(fit.frequency, widths),
        np.ones(width),
        share,
        fit.log_variance,
    )


def _one_hot(sequences: Sequences, widths: Sequence[int], num_steps: int) -> _Symbols:
    lengths, columns = sequences.lengths, sequences.schema.columns
    row = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(row)) - np.repeat(sequences.offsets[:-1], lengths)
    within = step < num_steps
    row, step, values = row[within], step[within], sequences.values[within]
    known = np.zeros((len(lengths), num_steps, len(widths)), bool)
    rows, places = [], []
    for i, (column, first) in enumerate(zip(columns, np.cumsum(widths) - widths, strict=True)):
        labels = len(column.labels)
        known[row, step, i] = values[:, i] < labels if labels else ~np.isnan(values[:, i])
        one = known[row, step, i] if labels else values[:, i] == 1
        label = values[one, i].astype(int) if labels else 0
        rows.append(row[one])
        places.append(step[one] * sum(widths) + first + label)
    at = np.concatenate(rows), np.concatenate(places)
    shape = (len(lengths), num_steps * sum(widths))
    one_hot = scipy.sparse.csr_array((np.ones(len(at[0])), at), shape=shape)
    return _Symbols(one_hot, np.minimum(lengths, num_steps), known)


def _corrupted(
    symbols: _Symbols, widths: Sequence[int], corruption: Corruption, seed: int
) -> scipy.sparse.csr_array:
    """Values without those of the steps that are dropped."""
    if not corruption.steps:
        return symbols.values
    rng = np.random.default_rng([seed, 0xC0FF])
    values = symbols.values.tocoo()
    kept = rng.random(symbols.known.shape[:2]) >= corruption.steps
    row, place = values.row, values.col
    data = values.data * kept[row, place // sum(widths)]
    return scipy.sparse.csr_array((data, (row, place)), shape=values.shape)


def _fit(
    symbols: _Symbols,
    given: scipy.sparse.csr_array,
    widths: Sequence[int],
    latent_dim: int,
    seed: int,
) -> _Fit:
    """Decompose the symbols, and regress them on the codes of what is given."""
    mean, loadings, spread, noise = _decompose(symbols.values, latent_dim, seed)
    seen = given @ loadings.T - loadings @ mean
    deviation = np.sqrt((seen**2).sum(axis=0) / max(len(seen), 1))
    deviation = np.where(deviation > 0, deviation, 1.0)
    frequency = _frequency(symbols, widths)
    guess = spread[:, None] * loadings
    slope = _slope(symbols, seen / deviation, guess, frequency, noise)
    log_variance = np.log(np.clip(noise / deviation**2, 1e-6, 1.0))
    return _Fit(mean, loadings / deviation[:, None], log_variance, frequency, slope)


def _decompose(
    values: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return means, loadings and deviations of components, and the variance of what they leave.

    Loadings are zero where the data has no such component.
    """
    n, size = cast(tuple[int, int], values.shape)
    mean = values.sum(axis=0) / max(n, 1)
    power = float(mean.sum() - mean @ mean)  # ones are their own squares
    loadings, variance = np.zeros((latent_dim, size)), np.zeros(latent_dim)
    components = min(latent_dim, n - 1, size - 1)
    if components > 0 and power > 1e-9:
        pca = PCA(components, svd_solver="arpack", random_state=seed).fit(values)
        real = np.flatnonzero(pca.explained_variance_ > 1e-9 * power)
        loadings[real], variance[real] = pca.components_[real], pca.explained_variance_[real]
    left = max(power - float(variance.sum()), 0.01 * power, 1e-9)
    return mean, loadings, np.sqrt(variance), left / size


def _frequency(symbols: _Symbols, widths: Sequence[int]) -> np.ndarray:
    """How often each symbol is there at each step (num_steps, width), where its column is known."""
    num_steps = symbols.known.shape[1]
    count = np.asarray(symbols.values.sum(axis=0)).reshape(num_steps, -1)
    known = np.repeat(symbols.known.sum(axis=0), widths, axis=1)
    labels = np.repeat(np.maximum(widths, 2), widths)
    overall = (count.sum(axis=0) + 0.5) / (known.sum(axis=0) + 0.5 * labels)
    return (count + _PRIOR * overall) / (known + _PRIOR)


def _slope(
    symbols: _Symbols, codes: np.ndarray, guess: np.ndarray, frequency: np.ndarray, noise: float
) -> np.ndarray:
    """Ridge regression of symbols beyond their frequency on codes, towards a guess.

    Returns
    -------
    array of shape (latent_dim, num_steps, width)
    """
    (num_steps, width), latent_dim = frequency.shape, codes.shape[1]
    guess = guess.reshape(latent_dim, num_steps, width)
    penalty = noise / np.maximum((guess**2).mean(axis=(1, 2)), 1e-12)
    with_them = (symbols.values.T @ codes).T.reshape(latent_dim, num_steps, width)
    slope = np.empty_like(guess)
    by_length = np.argsort(symbols.lengths)[::-1]
    squares, sums, reached = np.zeros((latent_dim, latent_dim)), np.zeros(latent_dim), 0
    for step in reversed(range(num_steps)):
        longer = np.searchsorted(-symbols.lengths[by_length], -step, side="left")
        new = codes[by_length[reached:longer]]
        squares, sums, reached = squares + new.T @ new, sums + new.sum(axis=0), longer
        wanted = with_them[:, step] - sums[:, None] * frequency[step]
        wanted += penalty[:, None] * guess[:, step]
        slope[:, step] = np.linalg.solve(squares + np.diag(penalty), wanted)
    return slope


def _logits(frequency: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    binary = np.repeat(np.array(widths) == 1, widths)
    return np.log(frequency) - np.where(binary, np.log1p(-np.minimum(frequency, 1 - 1e-9)), 0.0)


def _losses(
    fit: _Fit, symbols: _Symbols, given: scipy.sparse.csr_array, widths: Sequence[int]
) -> np.ndarray:
    """Negative log-likelihood of symbols, for each factor."""
    logits, codes = _logits(fit.frequency, widths), fit.codes(given)
    losses = np.zeros(len(_FACTORS))
    for step in range(symbols.known.shape[1]):
        rows = np.flatnonzero(symbols.lengths > step)
        here = slice(step * sum(widths), (step + 1) * sum(widths))
        there = symbols.values[rows][:, here].toarray()
        beyond = codes[rows] @ fit.slope[:, step]
        for k, factor in enumerate(_FACTORS):
            written, first = logits[step] + factor * beyond, 0
            for i, width in enumerate(widths):
                block, true = (array[:, first : first + width] for array in (written, there))
                known = symbols.known[rows, step, i]
                if width == 1:
                    loss = np.logaddexp(0, block[:, 0]) - true[:, 0] * block[:, 0]
                else:
                    top = block.max(axis=1)
                    total = np.log(np.exp(block - top[:, None]).sum(axis=1)) + top
                    loss = total - (true * block).sum(axis=1)
                losses[k] += loss[known].sum()
                first += width
    return losses
