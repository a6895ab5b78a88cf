"""Density of codes: a Gaussian mixture whose number of components is chosen by BIC."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from refold._support.argument_checks import check_whole
from refold._support.native_libraries import one_blas_thread
from refold._support.optional_imports import check_training_packages
from refold.errors import ParameterError, argument

# Numbers of components that are tried, and the minimum number of codes for each component.
_TRIED, _MIN_CODES = (1, 2, 3, 4, 6, 8, 12, 16), 5
# Added to the variances of standardized codes.
_MIN_VARIANCE = 1e-4


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture of standardized codes."""

    weights: np.ndarray  # (n_components,)
    means: np.ndarray  # (n_components, width)
    covariances: np.ndarray  # (n_components, width, width)
    center: np.ndarray  # (width,), mean of the codes
    scale: np.ndarray  # (width,), standard deviation of the codes, not 0

    def draw(self, n: int, *, seed: int) -> np.ndarray:
        """Draw codes (n, width) of float32."""
        rng = np.random.RandomState(seed % 2**32)
        counts = rng.multinomial(n, self.weights)
        drawn = [
            rng.multivariate_normal(mean, covariance, count)
            for mean, covariance, count in zip(self.means, self.covariances, counts, strict=True)
        ]
        # a component's draws stand together so far
        order = np.random.default_rng(seed).permutation(n)
        return (np.concatenate(drawn)[order] * self.scale + self.center).astype(np.float32)


def fit_mixture(codes: np.ndarray, num_components: int | None = None, *, seed: int = 0) -> Mixture:
    """Fit a mixture with full covariances to codes (n_sequences, width), at least one.

    By default the number of components has the lowest Bayesian information criterion (G. Schwarz,
    "Estimating the Dimension of a Model", The Annals of Statistics 6, 1978).
    """
    check_training_packages("Fitting a density of codes")
    # not at the top, because drawing from a stored mixture needs neither
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    codes = np.asarray(codes, float)
    center, scale = codes.mean(axis=0), codes.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (codes - center) / scale
    if len(codes) == 1:
        standard = np.repeat(standard, 2, axis=0)
    tried = [number for number in _TRIED if number == 1 or number * _MIN_CODES <= len(codes)]
    if num_components is not None:
        tried = [_checked(num_components, len(codes))]
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough
        fitted = [
            GaussianMixture(number, reg_covar=_MIN_VARIANCE, random_state=seed).fit(standard)
            for number in tried
        ]
    best: Any = min(fitted, key=lambda mixture: mixture.bic(standard))
    return Mixture(best.weights_, best.means_, best.covariances_, center, scale)


def _checked(num_components: int, num_codes: int) -> int:
    num_components = check_whole("components", num_components)
    if num_components > num_codes:
        raise ParameterError(
            f"{argument(components=num_components)} are more than the {num_codes} codes that the "
            "density is fitted to. Ask for fewer, or leave components out."
        )
    return num_components
