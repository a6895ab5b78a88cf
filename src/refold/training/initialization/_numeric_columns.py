"""Linear initialization for numeric columns: principal components and a decoding map."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from refold.arguments import Corruption
from refold.sequences import Sequences, positions
from refold.training._cross_validation import exceeds_standard_error, folds
from refold.training._progress import doing
from refold.training.initialization._decoding_map import (
    Codec,
    decode,
    linear_codec,
    needs_no_regression,
)
from refold.training.initialization._lengthwise_components import (
    LengthwiseCodec,
    lengthwise_codec,
)
from refold.training.initialization._principal_components import Components, principal_components
from refold.training.initialization._stationary_components import stationary_components

# Lower bound of the residual, as a share of the power.
_LEAST = 1e-4
# Minimum number of sequences for codes by length.
_FEWEST = 20
# Number of padded values per fold of their cross-validation, and bounds of the number of folds.
_VALUES_PER_FOLD, _FEWEST_FOLDS, _MOST_FOLDS = 1 << 17, 1, 3
# Priors of codes by length to try: whether they are stationary components, and their shrinkage.
_PRIORS = ((False, np.inf), (False, 10.0), (False, 1.0), (True, 10.0), (True, 1.0))


@dataclass(frozen=True)
class LinearInitialization:
    """Linear encoder of sequences and its decoding map."""

    encoder: np.ndarray  # (num_steps, n_columns, latent_dim); codes have a mean square of 1
    encoder_bias: np.ndarray  # (latent_dim,)
    decoder: np.ndarray  # (latent_dim, num_steps, n_columns)
    decoder_bias: np.ndarray  # (num_steps, n_columns)
    residual: np.ndarray  # (n_columns,), root mean square; 1 for tokens
    # share of the power that is residual, 1 without any power; for tokens, share of the negative
    # log-likelihood
    share: float
    # (latent_dim,) of a code given its sequence, if the residual is normal noise: M. E. Tipping and
    # C. M. Bishop, "Probabilistic Principal Component Analysis", Journal of the Royal Statistical
    # Society B 61, 1999
    log_variance: np.ndarray
    # if it is better; then `encoder` are its weights, and `encoder_bias` is zero
    lengthwise: LengthwiseCodec | None = None


def linear_initialization(
    scaled: Sequences,
    columns: list[int],  # numeric ones to encode
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    noiseless: Sequence[int] = (),  # columns without noise
    by_length: bool = False,  # whether the encoder may depend on the length
) -> LinearInitialization:
    """Find the principal components of zero-filled series, and their best decoding map."""
    # The decoding map is a ridge regression of the observed values on the codes; for denoising, on
    # the codes of corrupted series. Without gaps, it is the components themselves if
    # cross-validation finds them better.
    values, observed, given = padded_inputs(
        scaled, columns, num_steps, seed=seed, corruption=corruption, noiseless=noiseless
    )
    lengths = np.minimum(scaled.lengths, num_steps)
    has_gaps = not observed[np.arange(num_steps) < lengths[:, None]].all()
    doing("finding components")
    components = principal_components(values, lengths, latent_dim, seed=seed, observed=observed)
    doing("regressing values on codes")
    codec = linear_codec(values, observed, components, given if corruption else None)
    plain = not corruption and needs_no_regression(values, lengths, observed, components, seed=seed)
    decoder = codec.by_components if plain else codec.by_regression
    reconstructed = decode(codec.encode(given), decoder)
    lengthwise = None
    if by_length and not has_gaps:
        lengthwise = _codec_by_length(
            values, lengths, observed, components, noise=codec.noise, plain=plain, seed=seed
        )
    if lengthwise is not None:
        reconstructed = decode(lengthwise.encode(values, lengths), lengthwise.decoder)
    error = (((reconstructed - values) * observed) ** 2).sum(axis=(0, 1)) * codec.optimism
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    power = _power(values, observed, count)
    measured = error, count, power
    init = _initialization(codec, decoder, components.deviation, *measured, lengthwise)
    if lengthwise is None:
        return init
    return replace(
        init,
        encoder=lengthwise.encoder,
        encoder_bias=np.zeros(latent_dim),
        decoder=lengthwise.decoder[:-1],
        decoder_bias=lengthwise.decoder[-1],
    )


def _initialization(
    codec: Codec,
    decoder: np.ndarray,
    deviation: np.ndarray,
    error: np.ndarray,
    count: np.ndarray,
    power: np.ndarray,
    lengthwise: LengthwiseCodec | None = None,
) -> LinearInitialization:
    """Return the initialization by a codec with the error and the power of each column."""
    latent_dim, num_steps, _ = decoder[:-1].shape
    return LinearInitialization(
        codec.weights.reshape(latent_dim, num_steps, -1).transpose(1, 2, 0),
        -codec.weights @ codec.mean,
        decoder[:-1],
        decoder[-1],
        np.sqrt(np.maximum(error, _LEAST * power) / count),
        float(np.clip(error.sum() / power.sum(), _LEAST, 1.0)) if power.any() else 1.0,
        np.log(np.clip(codec.noise / deviation**2, 1e-6, 1.0)),
        lengthwise,
    )


def _codec_by_length(
    values: np.ndarray,
    lengths: np.ndarray,
    observed: np.ndarray,
    components: Components,
    *,
    noise: float,
    plain: bool,  # whether the components decode codes of zero-filled series, else a regression
    seed: int,
) -> LengthwiseCodec | None:
    """Return the best codec by length on held-out series, or None if codes without are better."""
    if len(values) < _FEWEST:
        return None
    rank = len(components.loadings)
    gains: dict[tuple[bool, float], list[np.ndarray]] = {}
    num_folds = int(np.clip(_VALUES_PER_FOLD // values.size, _FEWEST_FOLDS, _MOST_FOLDS))
    for held in itertools.islice(
        folds(len(values), seed, "cross-validating codes by length"), num_folds
    ):
        given, ends, seen = values[~held], lengths[~held], observed[~held]
        part = principal_components(given, ends, rank, seed=seed, observed=seen, like=components)
        codec = linear_codec(given, seen, part)
        decoder = codec.by_components if plain else codec.by_regression
        before = _errors(codec.encode(values[held]), decoder, values[held], observed[held])
        own_priors = {False: part, True: stationary_components(given, ends, rank)}
        for stationary, shrinkage in _PRIORS:
            if (prior := own_priors[stationary]) is not None:
                ours = lengthwise_codec(given, ends, prior, noise=codec.noise, shrinkage=shrinkage)
                codes = ours.encode(values[held], lengths[held])
                after = _errors(codes, ours.decoder, values[held], observed[held])
                gains.setdefault((stationary, shrinkage), []).append(before - after)
    better = {key: np.concatenate(some) for key, some in gains.items()}
    better = {key: one.mean() for key, one in better.items() if exceeds_standard_error(one) > 0}
    if not better:
        return None
    stationary, shrinkage = max(better, key=better.__getitem__)
    prior = (stationary_components(values, lengths, rank) if stationary else None) or components
    return lengthwise_codec(values, lengths, prior, noise=noise, shrinkage=shrinkage)


def _errors(
    codes: np.ndarray, decoder: np.ndarray, values: np.ndarray, observed: np.ndarray
) -> np.ndarray:
    """Return the squared error (n,) of each series, summed over its observed values."""
    return (((decode(codes, decoder) - values) * observed) ** 2).sum(axis=(1, 2))


def _power(values: np.ndarray, observed: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the power (n_columns,) about the mean, 0 if the column is constant."""
    mean = values.sum(axis=(0, 1)) / count
    power = np.einsum("ntc,ntc->c", *[(values - mean) * observed] * 2)
    return np.where(power > 1e-12 * count * mean**2, power, 0.0)


class PaddedSeries(NamedTuple):
    """Series as arrays (n_sequences, num_steps, n_columns)."""

    values: np.ndarray  # zero where not observed
    observed: np.ndarray
    given: np.ndarray  # input of the encoder, with any corruption


def padded_inputs(
    scaled: Sequences,
    columns: list[int],
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    noiseless: Sequence[int] = (),
) -> PaddedSeries:
    """Pad columns to `num_steps` steps; the arguments are those of `linear_initialization`."""
    row, step = positions(scaled)
    within = step < num_steps
    values = np.full((len(scaled), num_steps, len(columns)), np.nan)
    values[row[within], step[within]] = scaled.values[within][:, columns]
    observed = ~np.isnan(values)
    values = np.where(observed, values, 0.0)
    if not corruption:
        return PaddedSeries(values, observed, values)
    rng = np.random.default_rng([seed, 0xC0FF])
    noise = corruption.noise * rng.standard_normal(values.shape) * observed
    noise[..., list(noiseless)] = 0.0
    kept = rng.random((*values.shape[:2], 1)) >= corruption.steps
    return PaddedSeries(values, observed, (values + noise) * kept)
