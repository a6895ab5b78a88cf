"""Results of fitting and of calibration."""

from typing import Any, NamedTuple

import numpy as np

from refold.inference import FittedNetwork
from refold.sequences import Scaler, Schema


class ReferenceStatistics(NamedTuple):
    """Statistics of a sample of the training sequences.

    Attributes
    ----------
    codes : array of shape (n_sequences, width of the code)
        The encoder's codes.
    center, unit : arrays of shape (n_features,)
        Mean and standard deviation of codes and ROCKET features, side by side.
    precision : array of shape (n_features, n_features)
        Inverse covariance of the standardized features.
    units : array of shape (2,)
        Mean error and mean distance of these sequences.
    """

    codes: np.ndarray
    center: np.ndarray
    unit: np.ndarray
    precision: np.ndarray
    units: np.ndarray


class Calibration(NamedTuple):
    """Anomaly scores of normal sequences.

    Attributes
    ----------
    scores : array of shape (n_sequences,)
        Scores of the sequences, in increasing order.
    steps : array of shape (n_steps,)
        Mean squared errors of their steps, or of a sample, in increasing order.
    """

    scores: np.ndarray
    steps: np.ndarray


class Residuals(NamedTuple):
    """Forecast errors of sequences that were not trained on.

    Attributes
    ----------
    absolute : array of shape (n_sequences, forecast_steps, n_columns)
        Absolute errors in the units of the data; NaN for missing values and for columns that are
        not numeric.
    """

    absolute: np.ndarray


class Fitted(NamedTuple):
    """Fitted state of an estimator.

    Attributes
    ----------
    network : FittedNetwork
        Models with their weights.
    schema : Schema
        Schema of the training data.
    scaler : Scaler
        Scaling of the sequences.
    units : Scaler
        Standardizes by feature, whatever ``scaler`` does. Errors are measured in these units.
    history : dict of lists
        ``history_`` of the estimator.
    latent_steps : int
        Steps of latent optimization if ``latent_steps`` is "auto".
    active_dimensions : int, optional
        Number of active latent dimensions of a variational network.
    known : ReferenceStatistics, optional
        Statistics of a sample of the training sequences.
    calibration : Calibration, optional
        Anomaly scores of normal sequences, for ``detect``.
    residuals : Residuals, optional
        Forecast errors, if the network forecasts.
    initial_loss : float, optional
        Validation loss of the initial weights.
    held_back : array of uint64 of shape (n_sequences,)
        Fingerprints of the sequences that were given but not trained on: the calibration
        sequences and, without a refit, the validation sequences.
    trained : array of uint64, optional
        Fingerprints of the training sequences, or of a sample, in increasing order.
    held_out_errors : array of float32 of shape (n_sequences,), optional
        Reconstruction errors of sequences that were not trained on, in increasing order.
    keeps_initial : bool
        Whether the weights are the linear initialization, though an epoch had a smaller validation
        loss.

    Examples
    --------
    >>> Fitted._fields  # doctest: +NORMALIZE_WHITESPACE
    ('network', 'schema', 'scaler', 'units', 'history', 'latent_steps', 'active_dimensions',
     'known', 'calibration', 'residuals', 'initial_loss', 'held_back', 'trained',
     'held_out_errors', 'keeps_initial')
    """

    network: FittedNetwork
    schema: Schema
    scaler: Scaler
    units: Scaler
    history: dict[str, list[Any]]
    latent_steps: int = 0
    active_dimensions: int | None = None
    known: ReferenceStatistics | None = None
    calibration: Calibration | None = None
    residuals: Residuals | None = None
    initial_loss: float | None = None
    held_back: np.ndarray = np.zeros(0, np.uint64)
    trained: np.ndarray | None = None
    held_out_errors: np.ndarray | None = None
    keeps_initial: bool = False

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch (0 for the initialization) of the weights and its validation loss, if any."""
        losses = [loss for loss in self.history.get("val_loss", ()) if loss is not None]
        if not losses:
            return None
        losses.insert(0, np.inf if self.initial_loss is None else self.initial_loss)
        epoch = 0 if self.keeps_initial else int(np.argmin(losses))
        return epoch, losses[epoch]
