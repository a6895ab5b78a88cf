"""A linear code of series, and the best way back from it."""

from typing import NamedTuple

import numpy as np

from refold.sequences import Sequences, positions
from refold.training._components import principal_components
from refold.training._corruption import Corruption
from refold.training._ridge import ridge

__all__ = ["LinearStart", "linear_start"]

# What the components leave is never taken for less than this share of the power.
_LEAST = 1e-4


class LinearStart(NamedTuple):
    """A linear code of sequences, and the best way back from it.

    Attributes
    ----------
    encoder : array of shape (num_steps, n_columns, latent_dim)
        Weights of the values; codes of what training is given have a mean square of 1.
    encoder_bias : array of shape (latent_dim,)
    decoder : array of shape (latent_dim, num_steps, n_columns)
        Weights of the code.
    decoder_bias : array of shape (num_steps, n_columns)
    left : array of shape (n_columns,)
        Root mean square of what is left to learn, by column; 1 for symbols.
    share : float
        Power that is left over power that there was; of symbols, negative log-likelihood.
    log_variance : array of shape (latent_dim,)
        Of a code whose sequence is known, if what is left is normal noise [1]_.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic Principal Component Analysis", Journal of
       the Royal Statistical Society B 61, 1999.
    """

    encoder: np.ndarray
    encoder_bias: np.ndarray
    decoder: np.ndarray
    decoder_bias: np.ndarray
    left: np.ndarray
    share: float
    log_variance: np.ndarray


def linear_start(
    scaled: Sequences,
    columns: list[int],
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearStart:
    """Find the principal components of zero-filled series, and regress the series on them.

    The way back is a ridge regression of each observed value on the codes, so that a value that
    was not observed is not taken for zero.  It shrinks towards the components' own loadings,
    the more the fewer sequences are as long; the penalty is that of empirical Bayes [1]_: the
    variance that the components leave, over the mean square of a component's loadings.  For
    denoising it is a regression on the codes of corrupted series.

    Parameters
    ----------
    scaled : Sequences
        Standardised, of those that are trained on.
    columns : list of int
        The numeric ones.
    latent_dim, num_steps : int
        Width of the code, and steps that have weights.
    seed : int
        Of `principal_components`, and of the corruption.
    corruption : Corruption, optional
        What is done to inputs.

    Returns
    -------
    LinearStart
        Components that the data does not have are zero.

    References
    ----------
    .. [1] C. M. Bishop, "Pattern Recognition and Machine Learning", 2006, sections 3.3 and 3.5.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift)[:, None] for shift in range(20)]
    >>> start = linear_start(as_sequences(waves), [0], 2, 30, seed=0)
    >>> start.encoder.shape, bool(start.share < 1e-3)
    ((30, 1, 2), True)
    """
    values, observed = _padded(scaled, columns, num_steps)
    n = len(values)
    flat = values.reshape(n, -1)
    shape = (latent_dim, num_steps, len(columns))
    lengths = np.minimum(scaled.lengths, num_steps)
    mean, loadings, deviation, left = principal_components(
        values, lengths, latent_dim, seed=seed, observed=observed
    )
    components, power_of = int(loadings.any(axis=1).sum()), deviation**2
    guess, given = loadings * deviation[:, None], flat
    if corruption:
        given = _corrupted(values, observed, corruption, seed).reshape(n, -1)
        clean, seen = (flat - mean) @ loadings.T, (given - mean) @ loadings.T
        deviation = np.where(loadings.any(axis=1), np.sqrt((seen**2).mean(axis=0)), 1.0)
        guess = loadings * ((clean * seen).mean(axis=0) / deviation)[:, None]
    weights = loadings / deviation[:, None]
    codes = (given - mean) @ weights.T
    power = np.einsum("ntc,ntc->c", values, values)
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    difference = (values - (codes @ guess + mean).reshape(values.shape)) * observed
    seen_error = (difference**2).sum()
    # held-out sequences are explained worse than those that the components are of
    optimism = n / max(1, n - 1 - components)
    if 2 * components >= n and np.isfinite(left):
        optimism = max(1.0, left * n / max(seen_error, 1e-6 * power.sum()))
    noise = seen_error * optimism / count.sum()
    prior = np.concatenate([(guess**2).mean(axis=1), [max(power.sum() / count.sum(), 1e-12)]])
    penalty = noise / np.maximum(prior, 1e-12 * prior.max())
    known = np.concatenate([guess, mean[None]]).reshape(latent_dim + 1, num_steps, -1)
    decoder = known + ridge(codes, difference, observed, penalty)
    back = np.einsum("nd,dtc->ntc", codes, decoder[:-1]) + decoder[-1]
    error = (((back - values) * observed) ** 2).sum(axis=(0, 1)) * optimism
    return LinearStart(
        weights.reshape(shape).transpose(1, 2, 0),
        -weights @ mean,
        decoder[:-1],
        decoder[-1],
        np.sqrt(np.maximum(error, _LEAST * power) / count),
        float(np.clip(error.sum() / max(power.sum(), 1e-12), _LEAST, 1.0)),
        np.log(np.clip(noise / power_of, 1e-6, 1.0)),
    )


def _corrupted(
    values: np.ndarray, observed: np.ndarray, corruption: Corruption, seed: int
) -> np.ndarray:
    rng = np.random.default_rng([seed, 0xC0FF])
    noisy = values + corruption.noise * rng.standard_normal(values.shape) * observed
    return noisy * (rng.random((*values.shape[:2], 1)) >= corruption.steps)


def _padded(scaled: Sequences, columns: list[int], num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values (n, num_steps, columns), zero where not observed, and where they were."""
    row, step = positions(scaled)
    within = step < num_steps
    values = np.full((len(scaled), num_steps, len(columns)), np.nan)
    values[row[within], step[within]] = scaled.values[within][:, columns]
    observed = ~np.isnan(values)
    return np.where(observed, values, 0.0), observed
