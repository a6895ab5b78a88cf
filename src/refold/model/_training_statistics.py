"""What a model stores of its training: statistics, density of the codes, fingerprints, losses."""

import functools
import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.messages import format_rounded, pluralize
from refold._support.native_libraries import one_blas_thread
from refold._support.optional_imports import check_training_packages
from refold.errors import ParameterError, python_or_cli

# Numbers of components that are tried for a mixture. More components would take more time.
_TRIED_COMPONENT_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
# Minimum number of codes per component. A component of fewer codes would draw near copies of these
# codes instead of new ones.
_MIN_CODES_PER_COMPONENT = 5
# Added to the variances of standardized codes, because a component of equal codes would have the
# variance 0.
_ADDED_VARIANCE = 1e-4


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
        rng = np.random.RandomState(seed % 2**32)  # `RandomState` takes no larger seeds
        counts = rng.multinomial(n, self.weights)
        drawn = [
            rng.standard_normal((count, len(mean))) @ root + mean
            for mean, root, count in zip(self.means, self._covariance_roots, counts, strict=True)
        ]
        # shuffled, because all draws of a component come one after the other
        order = np.random.default_rng(seed).permutation(n)
        return (np.concatenate(drawn)[order] * self.scale + self.center).astype(np.float32)

    @functools.cached_property
    def _covariance_roots(self) -> np.ndarray:
        # (n_components, width, width): matrices whose ``root.T @ root`` is a covariance. They are
        # cached, because they take seconds on busy cores, and a service draws at each request.
        with one_blas_thread():
            _, variances, axes = np.linalg.svd(self.covariances)
        return np.sqrt(variances)[..., None] * axes


def fit_mixture(codes: np.ndarray, *, seed: int = 0) -> Mixture:
    """Fit a mixture with full covariances to codes (n_sequences, width), at least one."""
    # The number of components is the one with the lowest Bayesian information criterion
    # (G. Schwarz, "Estimating the Dimension of a Model", The Annals of Statistics 6, 1978).
    check_training_packages("Fitting a density of codes")
    # not at the top, because drawing from a stored mixture needs no scikit-learn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    codes = np.asarray(codes, float)
    center, scale = codes.mean(axis=0), codes.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standardized = (codes - center) / scale
    if len(codes) == 1:  # scikit-learn needs two codes
        standardized = np.repeat(standardized, 2, axis=0)
    max_components = max(1, len(codes) // _MIN_CODES_PER_COMPONENT)
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough
        mixtures = [
            GaussianMixture(num, reg_covar=_ADDED_VARIANCE, random_state=seed).fit(standardized)
            for num in _TRIED_COMPONENT_COUNTS
            if num <= max_components
        ]
    best: Any = min(mixtures, key=lambda mixture: mixture.bic(standardized))
    return Mixture(best.weights_, best.means_, best.covariances_, center, scale)


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of a sample of the training sequences."""

    # The features are the dimensions of the code and then ROCKET features. Without a precision,
    # there are no ROCKET features.
    codes: np.ndarray  # (n_sequences, code_size), of the encoder
    feature_mean: np.ndarray  # (n_features,)
    feature_std: np.ndarray  # (n_features,), standard deviations, not 0
    # (n_features, n_features), inverse covariance of standardized features; None in a model that
    # learns what is normal when it is calibrated
    precision: np.ndarray | None = None
    # (2,), mean reconstruction error and mean distance of these sequences. Both components of an
    # anomaly score are divided by these means. None if there is no precision.
    mean_score_components: np.ndarray | None = None
    mixture: Mixture | None = None  # density of the codes; None in files of early versions

    def require_precision_matrix(self) -> np.ndarray:
        """Return the precision; refuse a model that has not learned what is normal."""
        if self.precision is None:
            in_shell = "--normal DATA, also of refold adapt"
            raise ParameterError(
                "This model does not know what is normal in your data. Calibrate it first: "
                f"{python_or_cli('model.calibrate(normal)', in_shell)}."
            )
        return self.precision


class Calibration(NamedTuple):
    """Sorted scores of normal sequences and of their steps, and errors of their forecasts."""

    scores: np.ndarray  # (n_sequences,)
    # (n_steps,), mean error of each step; if there are too many steps to store, evenly spaced
    # entries of the sorted errors
    step_scores: np.ndarray
    # (n_sequences, forecast_steps, n_columns), absolute errors of forecasts of the last steps, in
    # the order of the sequences; None if the model does not forecast numbers
    forecast_residuals: np.ndarray | None = None

    def __repr__(self) -> str:
        sequences = pluralize(len(self.scores), "sequence")
        return f"Calibration({sequences}, {pluralize(len(self.step_scores), 'step')})"

    def to_table(self) -> pa.Table:
        """Return one row per normal sequence: its ``score``."""
        return pa.table({"score": self.scores})


class Fingerprints(NamedTuple):
    """Hashes of the sequences that ``fit`` received."""

    held_back_hashes: np.ndarray = np.zeros(0, np.uint64)  # of sequences not trained on
    # of sequences trained on, in increasing order; None in files of early versions
    training_hashes: np.ndarray | None = None


@dataclass(frozen=True)
class History:
    """Losses of each epoch, and the epoch whose weights the model has."""

    # lists with an entry per epoch: "epoch", "phase", "loss", "val_loss", "learning_rate" and
    # "seconds"
    epochs: dict[str, list[Any]] = field(default_factory=dict)
    initial_loss: float | None = None  # validation loss of the weights before the first epoch
    # whether the model has the weights before the first epoch, even if an epoch had a smaller loss
    keeps_initial_weights: bool = False

    def __repr__(self) -> str:
        epochs = pluralize(len(self.epochs.get("loss", ())), "epoch")
        if self.best_epoch_and_loss is None:
            return f"History({epochs})"
        epoch, loss = self.best_epoch_and_loss
        return f"History({epochs}, best {epoch} with loss {format_rounded(loss)})"

    def to_table(self) -> pa.Table:
        """Return one row per epoch."""
        return pa.table(self.epochs)

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the model's weights, 0 for the initialization; None without validation."""
        return None if self.best_epoch_and_loss is None else self.best_epoch_and_loss[0]

    @property
    def best_epoch_and_loss(self) -> tuple[int, float] | None:
        """Epoch of the model's weights, and its validation loss; None without validation."""
        losses = [loss for loss in self.epochs.get("val_loss", ()) if loss is not None]
        if not losses:
            return None
        # the initial loss is at index 0, so that the index of a loss is the number of its epoch
        losses.insert(0, np.inf if self.initial_loss is None else self.initial_loss)
        epoch = 0 if self.keeps_initial_weights else int(np.argmin(losses))
        return epoch, losses[epoch]
