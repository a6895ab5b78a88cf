"""Token logits: those of frequencies plus a multiple of a regression's differences from them."""

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from refold.training.initialization._one_hot import Tokens

# A regression may predict negative probabilities, but their differences from the frequencies are
# useful in logits. The multiple is chosen on held-out sequences.

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
    """Split sequences at random into those of the fit and those that choose the factor."""
    order = np.random.default_rng([seed, 0x5B01]).permutation(num_sequences)
    count = min(int(_HELD * num_sequences), _MOST_HELD)
    return order[count:], order[:count]


def frequencies(tokens: Tokens) -> np.ndarray:
    """Return token frequencies (num_steps, width) among the known values of each column."""
    count, known = tokens.count, tokens.num_known
    num_categories = np.where(tokens.num_categories > 0, tokens.num_categories, 2)
    choices = np.repeat(num_categories, tokens.widths)
    overall = (count.sum(axis=0) + 0.5) / (known.sum(axis=0) + 0.5 * choices)
    return (count + _PRIOR * overall) / (known + _PRIOR)


def shrinkage(tokens: Tokens) -> np.ndarray:
    """Return the shrinkage factor of the regression (num_steps, width), small for few values."""
    return tokens.num_known / (tokens.num_known + _PRIOR)


def logits(frequency: np.ndarray, num_categories: np.ndarray) -> np.ndarray:
    """Return logits of frequencies (num_steps, width); a binary column has 0 categories."""
    binary = np.repeat(num_categories == 0, np.maximum(num_categories, 1))
    return np.log(frequency) - np.where(binary, np.log1p(-np.minimum(frequency, 1 - 1e-9)), 0.0)


def likeliest_factor(
    tokens: Tokens,  # that the frequencies and the regression were not fitted on
    codes: np.ndarray,  # (n_sequences, latent_dim)
    frequency: np.ndarray,  # (num_steps, width)
    slope: np.ndarray,  # (latent_dim, num_steps, width)
    offset: np.ndarray,  # (num_steps, width), output of the regression for a code of 0
    factors: Sequence[float] = FACTORS,  # candidates; the first one, 0, ignores the regression
) -> tuple[float, float]:
    """Return the factor that maximizes the likelihood of tokens, and the share of the loss left."""
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
