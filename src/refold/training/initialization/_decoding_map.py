"""From a linear code back to values: by the components themselves, or by regression on the codes.

Series that end early or have gaps are filled with zeros, which components take for values; the
regression is of what was observed.  Without gaps it has less to correct, and of few sequences it
learns what only they do.  Cross-validation says which it is.
"""

from typing import NamedTuple

import numpy as np

from refold._support.blas_threads import one_blas_thread
from refold.training.initialization._cross_validation import exceeds_standard_error, folds
from refold.training.initialization._principal_components import Components, principal_components
from refold.training.initialization._ridge_regression import ridge

__all__ = ["Codec", "decode", "linear_codec", "needs_no_regression"]


class Codec(NamedTuple):
    """A linear way to codes, and two ways back.

    Attributes
    ----------
    mean : array of shape (num_steps * n_columns,)
    weights : array of shape (latent_dim, num_steps * n_columns)
        From values to codes, whose deviation is 1.
    known : array of shape (latent_dim + 1, num_steps, n_columns)
        The way back by the components themselves; what is there at a code of zeros is last.
    regressed : array of the same shape
        The way back by regression.
    noise : float
        Mean square of what the components leave of sequences that were held out.
    optimism : float
        That over the same of those that they are of.
    """

    mean: np.ndarray
    weights: np.ndarray
    known: np.ndarray
    regressed: np.ndarray
    noise: float
    optimism: float

    def encode(self, series: np.ndarray) -> np.ndarray:
        """Return codes (n, latent_dim) of series (n, num_steps, n_columns)."""
        return (series.reshape(len(series), -1) - self.mean) @ self.weights.T


def decode(codes: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Go one of the ways back.

    Parameters
    ----------
    codes : array of shape (n, latent_dim)
    way : array of shape (latent_dim + 1, num_steps, n_columns)

    Returns
    -------
    array of shape (n, num_steps, n_columns)

    Examples
    --------
    >>> decode(np.array([[2.0]]), np.array([[[3.0]], [[1.0]]])).ravel().tolist()
    [7.0]
    """
    return np.einsum("nd,dtc->ntc", codes, way[:-1]) + way[-1]


def linear_codec(
    values: np.ndarray, observed: np.ndarray, found: Components, given: np.ndarray | None = None
) -> Codec:
    """Make a codec of components.

    The regression is a ridge regression of each observed value on the codes, so that a value that
    was not observed is not taken for zero.  It shrinks towards the components' own loadings,
    the more the fewer sequences are as long; the penalty is that of empirical Bayes [1]_: the
    variance that the components leave, over the mean square of a component's loadings.

    Parameters
    ----------
    values : array of shape (n, num_steps, n_columns)
        Zero where not observed.
    observed : array of bool of the same shape
    found : Components
        Of the values.
    given : array of the same shape, optional
        What codes are made of instead of the values: for denoising, corrupted ones.

    Returns
    -------
    Codec

    References
    ----------
    .. [1] C. M. Bishop, "Pattern Recognition and Machine Learning", 2006, sections 3.3 and 3.5.

    Examples
    --------
    >>> waves = np.sin(np.linspace(0, 6, 30) + np.arange(20)[:, None])[..., None]
    >>> found = principal_components(waves, np.full(20, 30), 2, seed=0)
    >>> codec = linear_codec(waves, np.full(waves.shape, True), found)
    >>> bool(np.abs(decode(codec.encode(waves), codec.known) - waves).max() < 1e-3)
    True
    """
    n, num_steps, num_columns = values.shape
    mean, loadings, deviation = found.mean, found.loadings, found.deviation
    components = int(loadings.any(axis=1).sum())
    guess = loadings * deviation[:, None]
    if given is not None:
        clean, seen = ((x.reshape(n, -1) - mean) @ loadings.T for x in (values, given))
        deviation = np.where(loadings.any(axis=1), np.sqrt((seen**2).mean(axis=0)), 1.0)
        guess = loadings * ((clean * seen).mean(axis=0) / deviation)[:, None]
    known = np.concatenate([guess, mean[None]]).reshape(-1, num_steps, num_columns)
    codec = Codec(mean, loadings / deviation[:, None], known, known, 0.0, 1.0)
    codes = codec.encode(values if given is None else given)
    power, count = (values**2).sum(), max(observed.sum(), 1)
    difference = (values - decode(codes, known)) * observed
    error = (difference**2).sum()
    # held-out sequences are explained worse than those that the components are of
    optimism = n / max(1, n - 1 - components)
    if 2 * components >= n and np.isfinite(found.left):
        optimism = max(1.0, found.left * n / max(error, 1e-6 * power))
    noise = error * optimism / count
    prior = np.concatenate([(guess**2).mean(axis=1), [max(power / count, 1e-12)]])
    penalty = noise / np.maximum(prior, 1e-12 * prior.max())
    regressed = known + ridge(codes, difference, observed, penalty)
    return codec._replace(regressed=regressed, noise=float(noise), optimism=float(optimism))


@one_blas_thread()
def needs_no_regression(
    values: np.ndarray, lengths: np.ndarray, observed: np.ndarray, found: Components, *, seed: int
) -> bool:
    """Whether components bring held-out series back better by themselves.

    Series with gaps need the regression: what it writes into them cross-validation cannot see.

    Parameters
    ----------
    values : array of shape (n, num_steps, n_columns)
        Zero where not observed.
    lengths : array of int of shape (n,)
    observed : array of bool of the same shape as the values
    found : Components
        Of the values.
    seed : int
        Of folds and components.

    Returns
    -------
    bool
        False where there are gaps, or there was no cross-validation of the components.

    Examples
    --------
    >>> waves = np.sin(np.linspace(0, 6, 30) + np.arange(20)[:, None])[..., None]
    >>> given = waves, np.full(20, 30), np.full(waves.shape, True)
    >>> needs_no_regression(*given, principal_components(*given[:2], 2, seed=0), seed=0)
    False
    """
    within = np.arange(values.shape[1]) < lengths[:, None]
    if found.mixture is None or not observed[within].all():
        return False
    gains = np.zeros(len(values))
    for held in folds(len(values), seed, "cross-validating the way back"):
        given, their_lengths, seen = values[~held], lengths[~held], observed[~held]
        part = principal_components(
            given, their_lengths, len(found.loadings), seed=seed, observed=seen, like=found
        )
        codec = linear_codec(given, seen, part)
        codes = codec.encode(values[held])
        regressed, known = (
            (((decode(codes, way) - values[held]) * observed[held]) ** 2).sum(axis=(1, 2))
            for way in (codec.regressed, codec.known)
        )
        gains[held] = regressed - known
    return exceeds_standard_error(gains) > 0
