"""Decoding map from linear codes to values: by the components or by regression on the codes."""

from dataclasses import dataclass, replace

import numpy as np

from refold._support.native_libraries import one_blas_thread
from refold.training._cross_validation import exceeds_standard_error, folds
from refold.training.initialization._principal_components import Components, principal_components
from refold.training.initialization._ridge_regression import ridge


@dataclass(frozen=True)
class Codec:
    """Linear encoder with two decoding maps."""

    mean: np.ndarray  # (num_steps * n_columns,)
    weights: np.ndarray  # (latent_dim, num_steps * n_columns); codes have a deviation of 1
    # decoding maps (latent_dim + 1, num_steps, n_columns); the output for a code of zeros is last
    by_components: np.ndarray
    by_regression: np.ndarray
    noise: float  # mean squared error of the components on held-out sequences
    optimism: float  # ratio of that error to the error on the sequences of the fit

    def encode(self, series: np.ndarray) -> np.ndarray:
        """Return codes (n, latent_dim) of series (n, num_steps, n_columns)."""
        return (series.reshape(len(series), -1) - self.mean) @ self.weights.T


def decode(codes: np.ndarray, decoding_map: np.ndarray) -> np.ndarray:
    """Decode codes (n, latent_dim) by a map (latent_dim + 1, ...) to (n, num_steps, n_columns)."""
    return np.einsum("nd,dtc->ntc", codes, decoding_map[:-1]) + decoding_map[-1]


def linear_codec(
    values: np.ndarray,  # (n, num_steps, n_columns), zero where not observed
    observed: np.ndarray,  # bool (n, num_steps, n_columns)
    components: Components,
    given: np.ndarray | None = None,  # corrupted values, to encode in place of the values
) -> Codec:
    """Make a codec from the principal components of the values."""
    # Series that end early or have gaps are filled with zeros, which components treat as values.
    # The regression uses observed values only. It shrinks towards the components' own loadings, and
    # does so more where fewer sequences are as long.
    n, _, num_columns = values.shape
    mean, loadings, deviation = components.mean, components.loadings, components.deviation
    rank = int(loadings.any(axis=1).sum())
    guess = loadings * deviation[:, None]
    if given is not None:
        clean, seen = ((x.reshape(n, -1) - mean) @ loadings.T for x in (values, given))
        deviation = np.where(loadings.any(axis=1), np.sqrt((seen**2).mean(axis=0)), 1.0)
        guess = loadings * ((clean * seen).mean(axis=0) / deviation)[:, None]
    codec = component_codec(mean, loadings / deviation[:, None], guess, num_columns)
    by_components = codec.by_components
    codes = codec.encode(values if given is None else given)
    power, count = (values**2).sum(), max(observed.sum(), 1)
    difference = (values - decode(codes, by_components)) * observed
    error = (difference**2).sum()
    # components explain held-out sequences worse than those of the fit
    optimism = n / max(1, n - 1 - rank)
    if 2 * rank >= n and np.isfinite(components.held_out_error):
        optimism = max(1.0, components.held_out_error * n / max(error, 1e-6 * power))
    noise = error * optimism / count
    penalty = regression_penalty(guess, noise, power / count)
    by_regression = by_components + ridge(codes, difference, observed, penalty)
    return replace(codec, by_regression=by_regression, noise=float(noise), optimism=float(optimism))


def component_codec(
    mean: np.ndarray, weights: np.ndarray, guess: np.ndarray, num_columns: int
) -> Codec:
    """Return a codec without a regression, from its encoder and its decoding map `guess`."""
    by_components = np.concatenate([guess, mean[None]])
    by_components = by_components.reshape(len(by_components), -1, num_columns)
    return Codec(mean, weights, by_components, by_components, 0.0, 1.0)


def regression_penalty(
    guess: np.ndarray,  # (latent_dim, num_steps * n_columns), decoding map of the components
    noise: float,  # mean squared error of the components
    power: float,  # mean square of a value
) -> np.ndarray:
    """Return the penalty of the regression (latent_dim + 1,), the constant last."""
    # That of empirical Bayes (C. M. Bishop, "Pattern Recognition and Machine Learning", 2006,
    # sections 3.3 and 3.5): the residual variance over the mean square of a component's loadings.
    prior = np.concatenate([(guess**2).mean(axis=1), [max(power, 1e-12)]])
    return noise / np.maximum(prior, 1e-12 * prior.max())


@one_blas_thread()
def needs_no_regression(
    values: np.ndarray,  # (n, num_steps, n_columns), zero where not observed
    lengths: np.ndarray,  # (n,)
    observed: np.ndarray,  # bool (n, num_steps, n_columns)
    components: Components,
    *,
    seed: int,
) -> bool:
    """Return whether the components alone reconstruct held-out series better."""
    # Without gaps, the regression has less to correct, and it overfits few sequences. With gaps it
    # is needed, because cross-validation cannot judge its output in gaps.
    within = np.arange(values.shape[1]) < lengths[:, None]
    if components.mixture is None or not observed[within].all():
        return False
    gains, rank = np.zeros(len(values)), len(components.loadings)
    for held in folds(len(values), seed, "cross-validating the decoding map"):
        given, ends, seen = values[~held], lengths[~held], observed[~held]
        part = principal_components(given, ends, rank, seed=seed, observed=seen, like=components)
        codec = linear_codec(given, seen, part)
        codes = codec.encode(values[held])
        regression_error, component_error = (
            (((decode(codes, decoding_map) - values[held]) * observed[held]) ** 2).sum(axis=(1, 2))
            for decoding_map in (codec.by_regression, codec.by_components)
        )
        gains[held] = regression_error - component_error
    return exceeds_standard_error(gains) > 0
