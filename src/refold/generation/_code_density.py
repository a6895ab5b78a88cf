"""Density of codes: a Gaussian mixture with a number of components chosen by BIC."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument

# Numbers of components that are tried, and the minimum number of codes for each component.
_TRIED, _CODES_EACH = (1, 2, 3, 4, 6, 8, 12, 16), 5
# Added to the variances of standardized codes.
_LEAST_VARIANCE = 1e-4


class Density(NamedTuple):
    """Gaussian mixture of standardized codes.

    Attributes
    ----------
    mixture : sklearn.mixture.GaussianMixture
        Mixture of the standardized codes.
    mean, deviation : arrays of shape (width,)
        Mean and standard deviation of the codes.

    Examples
    --------
    >>> density = fit_density(np.random.default_rng(0).normal(size=(50, 2)))
    >>> density.draw(3, seed=0).shape
    (3, 2)
    """

    mixture: GaussianMixture
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def num_components(self) -> int:
        """Number of components."""
        return self.mixture.n_components

    def draw(self, n: int, *, seed: int) -> np.ndarray:
        """Draw codes, array of float32 of shape (n, width)."""
        if n == 0:
            return np.zeros((0, len(self.mean)), np.float32)
        self.mixture.set_params(random_state=np.random.RandomState(seed % 2**32))
        codes, _ = self.mixture.sample(n)
        # the mixture returns them sorted by component
        order = np.random.default_rng(seed).permutation(n)
        return (codes[order] * self.deviation + self.mean).astype(np.float32)


def fit_density(codes: np.ndarray, num_components: int | None = None, *, seed: int = 0) -> Density:
    """Fit a Gaussian mixture with full covariances to codes.

    By default the number of components is the one with the lowest Bayesian information criterion
    (BIC) [1]_.

    Parameters
    ----------
    codes : array of shape (n_sequences, width)
        At least one.
    num_components : int, optional
        Number of components; by default the BIC chooses it.
    seed : int
        Seed of the initialization of the mixture.

    Returns
    -------
    Density

    Raises
    ------
    ParameterError
        If the number of components is not positive, or exceeds the number of codes.

    References
    ----------
    .. [1] G. Schwarz, "Estimating the Dimension of a Model", The Annals of Statistics 6, 1978.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.normal(size=(200, 2)) + np.array([[0, 0], [20, 0]])[np.arange(200) % 2]
    >>> fit_density(codes).num_components
    2
    """
    codes = np.asarray(codes, float)
    if num_components is not None:
        _check(num_components, len(codes))
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    standard = (codes - mean) / deviation
    if len(codes) == 1:
        standard = np.repeat(standard, 2, axis=0)
    tried = [num_components] if num_components is not None else _possible(len(codes))
    fitted = [_fit(standard, number, seed) for number in tried]
    return Density(min(fitted, key=lambda one: one.bic(standard)), mean, deviation)


def _possible(num_codes: int) -> list[int]:
    return [number for number in _TRIED if number == 1 or number * _CODES_EACH <= num_codes]


def _fit(standard: np.ndarray, num_components: int, seed: int) -> GaussianMixture:
    mixture = GaussianMixture(num_components, reg_covar=_LEAST_VARIANCE, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough
        return mixture.fit(standard)


def _check(num_components: Any, num_codes: int) -> None:
    if not is_whole(num_components):
        raise ParameterError(
            f"{argument('components')} must be a positive integer. Got {num_components!r}."
        )
    if int(num_components) > num_codes:
        raise ParameterError(
            f"{argument(components=num_components)} are more than the {num_codes} codes that the "
            "density is fitted to. Ask for fewer, or leave components out."
        )
