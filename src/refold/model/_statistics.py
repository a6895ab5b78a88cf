"""What a model knows of its training: statistics of codes, fingerprints, losses."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from refold.model._mixture import Mixture


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of a sample of the training sequences.

    ROCKET features stand behind codes in ``mean``, ``deviation`` and ``precision``.
    """

    codes: np.ndarray  # (n_sequences, width of the code), of the encoder
    mean: np.ndarray  # (n_features,)
    deviation: np.ndarray  # (n_features,), not 0
    precision: np.ndarray  # (n_features, n_features), inverse covariance after standardization
    typical: np.ndarray  # (2,), mean reconstruction error and mean distance of these sequences
    mixture: Mixture | None = None  # density of the codes; None in early files


class Calibration(NamedTuple):
    """Anomaly scores of normal sequences, in increasing order."""

    scores: np.ndarray  # (n_sequences,)
    steps: np.ndarray  # (n_steps,), mean squared errors of their steps, or of a sample
    # (n_sequences, forecast_steps, n_columns), absolute errors of forecasts of their last steps;
    # not in order; None if the model does not forecast numbers
    residuals: np.ndarray | None = None


class Fingerprints(NamedTuple):
    """Hashes of the sequences that ``fit`` received."""

    held_back: np.ndarray = np.zeros(0, np.uint64)  # given, but not trained on
    trained: np.ndarray | None = None  # in increasing order; None in early files


@dataclass(frozen=True)
class History:
    """Losses of a training, and the weights that were kept.

    Attributes
    ----------
    epochs : dict of lists
        One entry per epoch: ``"epoch"``, ``"phase"``, ``"loss"``, ``"val_loss"``,
        ``"learning_rate"``, ``"seconds"``.
    initial_loss : float or None
        Validation loss of the weights before the first epoch.
    keeps_initial : bool
        Whether these weights were kept, though an epoch had a smaller validation loss.
    """

    epochs: dict[str, list[Any]] = field(default_factory=dict)
    initial_loss: float | None = None
    keeps_initial: bool = False

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the weights, 0 for the initialization; None without validation."""
        return None if self.best is None else self.best[0]

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch (0 for the initialization) of the weights and its validation loss, if any."""
        losses = [loss for loss in self.epochs.get("val_loss", ()) if loss is not None]
        if not losses:
            return None
        losses.insert(0, np.inf if self.initial_loss is None else self.initial_loss)
        epoch = 0 if self.keeps_initial else int(np.argmin(losses))
        return epoch, losses[epoch]
