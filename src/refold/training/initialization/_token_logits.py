"""Logits of symbols: of how often each is there, and a multiple of what a regression says beyond.

Probabilities that a regression predicts may be negative; as a difference in a logit they are of
use, and how much they count for is chosen on sequences that were left out.
"""

import numpy as np
from scipy.special import logsumexp

from refold.training.initialization._one_hot import Symbols

__all__ = ["credence", "frequencies", "left_out", "likeliest_factor", "logits"]

# How much a difference of probability can count for in a logit; the first says nothing.
_FACTORS = np.concatenate([[0.0], 2.0 ** np.arange(0, 6.5, 0.5)])
# Sequences that a step's frequencies are mixed with, of all steps; and its regression, of nothing.
_PRIOR = 10.0
# What is left is never taken for less than this share of the loss.
_LEAST = 1e-4
# A share of the sequences chooses the factor, so many at most.
_HELD, _MOST_HELD = 0.2, 300


def left_out(num_sequences: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences that choose the factor, and return the others and them.

    Examples
    --------
    >>> [len(rows) for rows in left_out(50, seed=0)]
    [40, 10]
    """
    order = np.random.default_rng([seed, 0x5B01]).permutation(num_sequences)
    count = min(int(_HELD * num_sequences), _MOST_HELD)
    return order[count:], order[:count]


def frequencies(symbols: Symbols) -> np.ndarray:
    """How often each symbol is there at each step (num_steps, width), where its column is known.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> frequencies(one_hot(as_sequences(["a", "a", "b"] * 100), 1)).round(2).tolist()
    [[0.67, 0.33]]
    """
    count, known = symbols.count, symbols.num_known
    choices = np.repeat(np.where(symbols.labels > 0, symbols.labels, 2), symbols.widths)
    overall = (count.sum(axis=0) + 0.5) / (known.sum(axis=0) + 0.5 * choices)
    return (count + _PRIOR * overall) / (known + _PRIOR)


def credence(symbols: Symbols) -> np.ndarray:
    """How much a regression may say of each step and symbol (num_steps, width): of few, little.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> credence(one_hot(as_sequences(["aa", "b"] * 10), 3))[:, 0].round(2).tolist()
    [0.67, 0.5, 0.0]
    """
    return symbols.num_known / (symbols.num_known + _PRIOR)


def logits(frequency: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logits of frequencies (num_steps, width), of columns with so many labels, 0 where binary.

    Examples
    --------
    >>> logits(np.array([[0.5, 0.25, 0.75]]), np.array([0, 2])).round(2).tolist()
    [[0.0, -1.39, -0.29]]
    """
    binary = np.repeat(labels == 0, np.maximum(labels, 1))
    return np.log(frequency) - np.where(binary, np.log1p(-np.minimum(frequency, 1 - 1e-9)), 0.0)


def likeliest_factor(
    symbols: Symbols,
    codes: np.ndarray,
    frequency: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
) -> tuple[float, float]:
    """Return the factor by which symbols are likeliest, 0 where that is by their frequencies.

    Parameters
    ----------
    symbols : Symbols
        None that frequencies and regression are of.
    codes : array of shape (n_sequences, latent_dim)
    frequency, offset : arrays of shape (num_steps, width)
        Of symbols, and what the regression adds for a code of 0.
    slope : array of shape (latent_dim, num_steps, width)

    Returns
    -------
    factor : float
    share : float
        Negative log-likelihood that is left, over that of frequencies alone.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> symbols = one_hot(as_sequences(["a", "b"]), 1)
    >>> given = np.full((1, 2), 0.5), np.array([[[0.5, -0.5]]]), np.zeros((1, 2))
    >>> factor, share = likeliest_factor(symbols, np.array([[1.0], [-1.0]]), *given)
    >>> factor > 8, round(share, 4)
    (True, 0.0001)
    """
    losses = _losses(symbols, codes, frequency, slope, offset)
    best = int(np.argmin(losses))
    if losses[best] >= losses[0]:
        return 0.0, 1.0
    return float(_FACTORS[best]), float(np.clip(losses[best] / losses[0], _LEAST, 1.0))


def _losses(
    symbols: Symbols,
    codes: np.ndarray,
    frequency: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
) -> np.ndarray:
    """Negative log-likelihood of symbols, for each factor."""
    first = logits(frequency, symbols.labels)
    by_place, width = symbols.values.tocsc(), int(symbols.widths.sum())
    places, is_binary = np.cumsum(symbols.widths) - symbols.widths, symbols.labels == 0
    binary = places[is_binary]
    blocks = [
        (i, slice(places[i], places[i] + symbols.labels[i])) for i in np.flatnonzero(~is_binary)
    ]
    losses = np.zeros(len(_FACTORS))
    for step in range(symbols.known.shape[1]):
        rows = np.flatnonzero(symbols.lengths > step)
        there = by_place[:, step * width : (step + 1) * width].toarray()[rows]
        beyond = codes[rows] @ slope[:, step] + offset[step]
        known = symbols.known[rows, step]
        for k, factor in enumerate(_FACTORS):
            written = first[step] + factor * beyond
            loss = np.logaddexp(0, written[:, binary]) - there[:, binary] * written[:, binary]
            losses[k] += loss[known[:, is_binary]].sum()
            for i, block in blocks:
                told = (there[:, block] * written[:, block]).sum(axis=1)
                loss = logsumexp(written[:, block], axis=1) - told
                losses[k] += loss[known[:, i]].sum()
    return losses
