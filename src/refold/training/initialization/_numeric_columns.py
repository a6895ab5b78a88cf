"""A linear code of series, and the best way back from it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refold.sequences import Sequences, positions
from refold.training._progress import doing
from refold.training.data._corruption import Corruption
from refold.training.initialization._decoding_map import decode, linear_codec, needs_no_regression
from refold.training.initialization._principal_components import principal_components

__all__ = ["Inputs", "LinearInitialization", "linear_initialization", "padded_inputs"]

# What the components leave is never taken for less than this share of the power.
_LEAST = 1e-4


class LinearInitialization(NamedTuple):
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
        Power that is left over power that there was, 1 where there was none; of symbols, negative
        log-likelihood.
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


def linear_initialization(
    scaled: Sequences,
    columns: list[int],
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    noiseless: Sequence[int] = (),
) -> LinearInitialization:
    """Find the principal components of zero-filled series, and the best way back from them.

    It is a ridge regression of the observed values on the codes, or, without gaps, the components
    themselves where in cross-validation those are better; for denoising, a regression on the codes
    of corrupted series.

    Parameters
    ----------
    scaled : Sequences
        Standardised, of those that are trained on.
    columns : list of int
        The numeric ones that there is to be a code of.
    latent_dim, num_steps : int
        Width of the code, and steps that have weights.
    seed : int
        Of `principal_components`, and of the corruption.
    corruption : Corruption, optional
        What is done to inputs.
    noiseless : sequence of int
        Which of the columns it adds no noise to.

    Returns
    -------
    LinearInitialization
        Components that the data does not have are zero.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift)[:, None] for shift in range(20)]
    >>> start = linear_initialization(as_sequences(waves), [0], 2, 30, seed=0)
    >>> start.encoder.shape, bool(start.share < 1e-3)
    ((30, 1, 2), True)
    """
    values, observed, given = padded_inputs(
        scaled, columns, num_steps, seed=seed, corruption=corruption, noiseless=noiseless
    )
    lengths = np.minimum(scaled.lengths, num_steps)
    doing("finding components")
    found = principal_components(values, lengths, latent_dim, seed=seed, observed=observed)
    doing("regressing values on codes")
    codec = linear_codec(values, observed, found, given if corruption else None)
    decoder = codec.regressed
    if not corruption and needs_no_regression(values, lengths, observed, found, seed=seed):
        decoder = codec.known
    back = decode(codec.encode(given), decoder)
    error = (((back - values) * observed) ** 2).sum(axis=(0, 1)) * codec.optimism
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    power = _power(values, observed, count)
    return LinearInitialization(
        codec.weights.reshape(latent_dim, num_steps, -1).transpose(1, 2, 0),
        -codec.weights @ codec.mean,
        decoder[:-1],
        decoder[-1],
        np.sqrt(np.maximum(error, _LEAST * power) / count),
        float(np.clip(error.sum() / power.sum(), _LEAST, 1.0)) if power.any() else 1.0,
        np.log(np.clip(codec.noise / found.deviation**2, 1e-6, 1.0)),
    )


def _power(values: np.ndarray, observed: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the power of each column about its mean, 0 where that is all that there is."""
    mean = values.sum(axis=(0, 1)) / count
    power = np.einsum("ntc,ntc->c", *[(values - mean) * observed] * 2)
    return np.where(power > 1e-12 * count * mean**2, power, 0.0)


class Inputs(NamedTuple):
    """Series as arrays of shape (n_sequences, num_steps, n_columns).

    Attributes
    ----------
    values : array
        Zero where not observed.
    observed : array of bool
    given : array
        What an encoder is given: corrupted, where inputs are.
    """

    values: np.ndarray
    observed: np.ndarray
    given: np.ndarray


def padded_inputs(
    scaled: Sequences,
    columns: list[int],
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    noiseless: Sequence[int] = (),
) -> Inputs:
    """Write columns into arrays of so many steps; arguments are those of `linear_initialization`.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> padded_inputs(as_sequences([[2.0], [3.0, 4.0]]), [0], 2, seed=0).given[..., 0].tolist()
    [[2.0, 0.0], [3.0, 4.0]]
    """
    row, step = positions(scaled)
    within = step < num_steps
    values = np.full((len(scaled), num_steps, len(columns)), np.nan)
    values[row[within], step[within]] = scaled.values[within][:, columns]
    observed = ~np.isnan(values)
    values = np.where(observed, values, 0.0)
    if not corruption:
        return Inputs(values, observed, values)
    rng = np.random.default_rng([seed, 0xC0FF])
    noise = corruption.noise * rng.standard_normal(values.shape) * observed
    noise[..., list(noiseless)] = 0.0
    kept = rng.random((*values.shape[:2], 1)) >= corruption.steps
    return Inputs(values, observed, (values + noise) * kept)
