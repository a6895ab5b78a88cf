"""Linear initialization for numeric columns: principal components and a decoding map."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refold.sequences import Sequences, positions
from refold.training._progress import doing
from refold.training.data._corruption import Corruption
from refold.training.initialization._cross_validation import exceeds_standard_error, folds
from refold.training.initialization._decoding_map import decode, linear_codec, needs_no_regression
from refold.training.initialization._lengthwise_components import (
    LengthwiseCodec,
    lengthwise_codec,
)
from refold.training.initialization._principal_components import Components, principal_components

# Lower bound of the residual, as a share of the power.
_LEAST = 1e-4
# Minimum number of sequences for codes by length, and values of their shrinkage to try.
_FEWEST, _SHRINKAGES = 20, (np.inf, 10.0, 1.0)


class LinearInitialization(NamedTuple):
    """Linear encoder of sequences and its decoding map.

    Attributes
    ----------
    encoder : array of shape (num_steps, n_columns, latent_dim)
        Weights of the values; codes of the training inputs have a mean square of 1.
    encoder_bias : array of shape (latent_dim,)
    decoder : array of shape (latent_dim, num_steps, n_columns)
        Weights of the code.
    decoder_bias : array of shape (num_steps, n_columns)
    residual : array of shape (n_columns,)
        Root mean square of the residual of each column; 1 for tokens.
    share : float
        Share of the power that is residual, 1 without any power; for tokens, share of the negative
        log-likelihood.
    log_variance : array of shape (latent_dim,)
        Log variance of a code given its sequence, if the residual is normal noise [1]_.
    lengthwise : LengthwiseCodec or None
        Codec whose encoder depends on the length, if it is better. Then ``encoder`` are its
        weights, and ``encoder_bias`` is zero.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic Principal Component Analysis", Journal of
       the Royal Statistical Society B 61, 1999.
    """

    encoder: np.ndarray
    encoder_bias: np.ndarray
    decoder: np.ndarray
    decoder_bias: np.ndarray
    residual: np.ndarray
    share: float
    log_variance: np.ndarray
    lengthwise: LengthwiseCodec | None = None


def linear_initialization(
    scaled: Sequences,
    columns: list[int],
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    noiseless: Sequence[int] = (),
    by_length: bool = False,
) -> LinearInitialization:
    """Find the principal components of zero-filled series, and their best decoding map.

    The decoding map is a ridge regression of the observed values on the codes. Without gaps, it is
    the components themselves if cross-validation finds them better. For denoising, it is a
    regression on the codes of corrupted series.

    Parameters
    ----------
    scaled : Sequences
        Standardized training sequences.
    columns : list of int
        Numeric columns to encode.
    latent_dim, num_steps : int
        Latent dimensions, and number of steps with weights.
    seed : int
        Seed of `principal_components` and the corruption.
    corruption : Corruption, optional
        Corruption of inputs.
    noiseless : sequence of int
        Columns without noise.
    by_length : bool
        Whether the encoder may depend on the length.

    Returns
    -------
    LinearInitialization
        Components beyond the rank of the data are zero.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift)[:, None] for shift in range(20)]
    >>> init = linear_initialization(as_sequences(waves), [0], 2, 30, seed=0)
    >>> init.encoder.shape, bool(init.share < 1e-3)
    ((30, 1, 2), True)
    """
    values, observed, given = padded_inputs(
        scaled, columns, num_steps, seed=seed, corruption=corruption, noiseless=noiseless
    )
    lengths = np.minimum(scaled.lengths, num_steps)
    doing("finding components")
    components = principal_components(values, lengths, latent_dim, seed=seed, observed=observed)
    doing("regressing values on codes")
    codec = linear_codec(values, observed, components, given if corruption else None)
    plain = not corruption and needs_no_regression(values, lengths, observed, components, seed=seed)
    decoder = codec.by_components if plain else codec.by_regression
    reconstructed = decode(codec.encode(given), decoder)
    lengthwise = shrinkage = None
    if by_length and observed[np.arange(num_steps) < lengths[:, None]].all():
        shrinkage = _shrinkage_by_length(
            values, lengths, observed, components, plain=plain, seed=seed
        )
    if shrinkage is not None:
        lengthwise = lengthwise_codec(
            values, lengths, components, noise=codec.noise, shrinkage=shrinkage
        )
        reconstructed = decode(lengthwise.encode(values, lengths), lengthwise.decoder)
    error = (((reconstructed - values) * observed) ** 2).sum(axis=(0, 1)) * codec.optimism
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    power = _power(values, observed, count)
    init = LinearInitialization(
        codec.weights.reshape(latent_dim, num_steps, -1).transpose(1, 2, 0),
        -codec.weights @ codec.mean,
        decoder[:-1],
        decoder[-1],
        np.sqrt(np.maximum(error, _LEAST * power) / count),
        float(np.clip(error.sum() / power.sum(), _LEAST, 1.0)) if power.any() else 1.0,
        np.log(np.clip(codec.noise / components.deviation**2, 1e-6, 1.0)),
        lengthwise,
    )
    if lengthwise is None:
        return init
    return init._replace(
        encoder=lengthwise.encoder,
        encoder_bias=np.zeros(latent_dim),
        decoder=lengthwise.decoder[:-1],
        decoder_bias=lengthwise.decoder[-1],
    )


def _shrinkage_by_length(
    values: np.ndarray,
    lengths: np.ndarray,
    observed: np.ndarray,
    components: Components,
    *,
    plain: bool,
    seed: int,
) -> float | None:
    """Return the shrinkage with which codes by length are best on held-out series, in one fold.

    None if they are not better than codes of zero-filled series, which are decoded by the
    components if ``plain``, else by regression.
    """
    if len(values) < _FEWEST:
        return None
    held = next(folds(len(values), seed, "cross-validating codes by length"))
    given, ends, seen = values[~held], lengths[~held], observed[~held]
    rank = len(components.loadings)
    part = principal_components(given, ends, rank, seed=seed, observed=seen, like=components)
    codec = linear_codec(given, seen, part)

    def errors(codes: np.ndarray, decoder: np.ndarray) -> np.ndarray:
        return (((decode(codes, decoder) - values[held]) * observed[held]) ** 2).sum(axis=(1, 2))

    decoder = codec.by_components if plain else codec.by_regression
    before = errors(codec.encode(values[held]), decoder)
    gains = {}
    for shrinkage in _SHRINKAGES:
        ours = lengthwise_codec(given, ends, part, noise=codec.noise, shrinkage=shrinkage)
        after = errors(ours.encode(values[held], lengths[held]), ours.decoder)
        gains[shrinkage] = exceeds_standard_error(before - after)
    best = max(gains, key=gains.__getitem__)
    return best if gains[best] > 0 else None


def _power(values: np.ndarray, observed: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the power of each column about its mean, 0 if the column is constant."""
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
        Input of the encoder, with any corruption.
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
    """Pad columns to ``num_steps`` steps; the arguments are those of `linear_initialization`.

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
