"""What fitting leaves, and what normal sequences that were not trained on leave."""

from typing import Any, NamedTuple

import numpy as np

from refold.models import Network
from refold.sequences import Scaler, Schema

__all__ = ["Calibration", "Fitted", "ReferenceStatistics", "Residuals"]


class ReferenceStatistics(NamedTuple):
    """What a model remembers of some of the sequences that it was trained on.

    Attributes
    ----------
    codes : array of shape (n_sequences, width of the code)
        The encoder's codes.
    center, unit : arrays of shape (n_features,)
        Mean and deviation of the codes and of what describes the sequences, side by side.
    precision : array of shape (n_features, n_features)
        Inverse covariance of these, standardised.
    units : array of shape (2,)
        Mean of errors and of distances among them.
    """

    codes: np.ndarray
    center: np.ndarray
    unit: np.ndarray
    precision: np.ndarray
    units: np.ndarray


class Calibration(NamedTuple):
    """How odd normal sequences are.

    Attributes
    ----------
    scores : array of shape (n_sequences,)
        Of each, in increasing order.
    steps : array of shape (n_steps,)
        Mean squared errors of their steps, or of some, in increasing order.
    """

    scores: np.ndarray
    steps: np.ndarray


class Residuals(NamedTuple):
    """How far forecasts of sequences that were not trained on lay from what came.

    Attributes
    ----------
    absolute : array of shape (n_sequences, forecast_steps, n_columns)
        In the units of the data; NaN where nothing was observed, and of columns that are not
        numeric.
    """

    absolute: np.ndarray


class Fitted(NamedTuple):
    """All that fitting leaves.

    Attributes
    ----------
    network : Network
    schema : Schema
        Of the training data.
    scaler : Scaler
        What sequences are scaled by.
    units : Scaler
        Standardises by feature, whatever ``scaler`` does: the units of a score.
    history : dict of lists
    latent_steps : int
        Steps of the search for each code that ``latent_steps="auto"`` stands for.
    active_dimensions : int, optional
        Of a variational network: numbers of the code that tell sequences apart.
    known : Known, optional
    calibration : Calibration, optional
    residuals : Residuals, optional
        Of a network that forecasts.
    initial_loss : float, optional
        Validation loss of the linear start.
    held_back : array of uint64 of shape (n_sequences,)
        Fingerprints of the sequences that were given and not trained on: those set aside to
        calibrate by, and without a refit those of the validation.
    trained : array of uint64, optional
        Fingerprints of sequences that the model was fitted on, or of some, in increasing order.

    Examples
    --------
    >>> Fitted._fields  # doctest: +NORMALIZE_WHITESPACE
    ('network', 'schema', 'scaler', 'units', 'history', 'latent_steps', 'active_dimensions',
     'known', 'calibration', 'residuals', 'initial_loss', 'held_back', 'trained')
    """

    network: Network
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

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch of the smallest validation loss, 0 for the start, and the loss; None without."""
        losses = [loss for loss in self.history.get("val_loss", ()) if loss is not None]
        if not losses:
            return None
        losses.insert(0, np.inf if self.initial_loss is None else self.initial_loss)
        epoch = int(np.argmin(losses))
        return epoch, losses[epoch]
