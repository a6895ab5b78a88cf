"""Token logits: those of the frequencies plus a multiple of a regression's differences from them.

A regression may predict negative probabilities, but their differences from the frequencies are
useful in logits. The multiple is chosen on held-out sequences.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from refold.training.initialization._one_hot import Tokens

# Candidate factors from a probability difference to a logit; the first ignores the regression.
FACTORS = (0.0, *(2.0 ** np.arange(0, 6.5, 0.5)).tolist())
# Prior weight in sequences: a step's frequencies shrink towards those of all steps, and its
# regression towards 0.
_PRIOR = 10.0
# Lower bound of the remaining share of the loss.
_LEAST = 1e-4
# Share and largest number of sequences that choose the factor.
_HELD, _MOST_HELD = 0.2, 300


def held_out_split(num_sequences: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split sequences at random into those of the fit and those that choose the factor.

    Examples
    --------
    >>> [len(rows) for rows in held_out_split(50, seed=0)]
    [40, 10]
    """
    order = np.random.default_rng([seed, 0x5B01]).permutation(num_sequences)
    count = min(int(_HELD * num_sequences), _MOST_HELD)
    return order[count:], order[:count]


def frequencies(tokens: Tokens) -> np.ndarray:
    """Return token frequencies (num_steps, width) among the known values of each column.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> frequencies(one_hot(as_sequences(["a", "a", "b"] * 100), 1)).round(2).tolist()
    [[0.67, 0.33]]
    """
    count, known = tokens.count, tokens.num_known
    num_categories = np.where(tokens.num_categories > 0, tokens.num_categories, 2)
    choices = np.repeat(num_categories, tokens.widths)
    overall = (count.sum(axis=0) + 0.5) / (known.sum(axis=0) + 0.5 * choices)
    return (count + _PRIOR * overall) / (known + _PRIOR)


def shrinkage(tokens: Tokens) -> np.ndarray:
    """Return the regression's shrinkage factor per step and token (num_steps, width).

    It is small where few values are known.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> shrinkage(one_hot(as_sequences(["aa", "b"] * 10), 3))[:, 0].round(2).tolist()
    [0.67, 0.5, 0.0]
    """
    return tokens.num_known / (tokens.num_known + _PRIOR)


def logits(frequency: np.ndarray, num_categories: np.ndarray) -> np.ndarray:
    """Return logits of frequencies (num_steps, width); ``num_categories`` is 0 for a binary column.

    Examples
    --------
    >>> logits(np.array([[0.5, 0.25, 0.75]]), np.array([0, 2])).round(2).tolist()
    [[0.0, -1.39, -0.29]]
    """
    binary = np.repeat(num_categories == 0, np.maximum(num_categories, 1))
    return np.log(frequency) - np.where(binary, np.log1p(-np.minimum(frequency, 1 - 1e-9)), 0.0)


def likeliest_factor(
    tokens: Tokens,
    codes: np.ndarray,
    frequency: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
    factors: Sequence[float] = FACTORS,
) -> tuple[float, float]:
    """Return the factor that maximizes the likelihood of tokens; 0 ignores the regression.

    Parameters
    ----------
    tokens : Tokens
        Tokens that the frequencies and the regression were not fitted on.
    codes : array of shape (n_sequences, latent_dim)
    frequency, offset : arrays of shape (num_steps, width)
        Token frequencies, and the output of the regression for a code of 0.
    slope : array of shape (latent_dim, num_steps, width)
    factors : sequence of float
        Candidates; the first is 0.

    Returns
    -------
    factor : float
    share : float
        Negative log-likelihood relative to that of the frequencies alone.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> tokens = one_hot(as_sequences(["a", "b"]), 1)
    >>> given = np.full((1, 2), 0.5), np.array([[[0.5, -0.5]]]), np.zeros((1, 2))
    >>> factor, share = likeliest_factor(tokens, np.array([[1.0], [-1.0]]), *given)
    >>> factor > 8, round(share, 4)
    (True, 0.0001)
    """
    losses = _losses(tokens, codes, frequency, slope, offset, factors)
    best = int(np.argmin(losses))
    if losses[best] >= losses[0]:
        return 0.0, 1.0
    return float(factors[best]), float(np.clip(losses[best] / losses[0], _LEAST, 1.0))


def _losses(
    tokens: Tokens,
    codes: np.ndarray,
    frequency: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
    factors: Sequence[float],
) -> np.ndarray:
    """Return the negative log-likelihood of tokens for each factor."""
    first = logits(frequency, tokens.num_categories)
    by_position, width = tokens.values.tocsc(), int(tokens.widths.sum())
    num_categories = tokens.num_categories
    places, is_binary = np.cumsum(tokens.widths) - tokens.widths, num_categories == 0
    binary = places[is_binary]
    blocks = [
        (i, slice(places[i], places[i] + num_categories[i])) for i in np.flatnonzero(~is_binary)
    ]
    losses = np.zeros(len(factors))
    for step in range(tokens.known.shape[1]):
        rows = np.flatnonzero(tokens.lengths > step)
        active = by_position[:, step * width : (step + 1) * width].toarray()[rows]
        difference = codes[rows] @ slope[:, step] + offset[step]
        known = tokens.known[rows, step]
        for k, factor in enumerate(factors):
            values = first[step] + factor * difference
            loss = np.logaddexp(0, values[:, binary]) - active[:, binary] * values[:, binary]
            losses[k] += loss[known[:, is_binary]].sum()
            for i, block in blocks:
                chosen = (active[:, block] * values[:, block]).sum(axis=1)
                loss = logsumexp(values[:, block], axis=1) - chosen
                losses[k] += loss[known[:, i]].sum()
    return losses
