"""From scores to p-values, by sequences known to be normal: split-conformal calibration."""

import math

import numpy as np

__all__ = ["conformal_p_values", "least_calibration"]


def conformal_p_values(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Share of normal scores that are at least as high, each score counted among them.

    Where a score and those of the calibration are exchangeable, its p-value is at most ``alpha``
    with a probability of at most ``alpha``, whatever their distribution [1]_.

    Parameters
    ----------
    scores : array of shape (n,)
        The higher, the odder.
    calibration : array of shape (m,)
        Scores of normal sequences that had no part in the training.

    Returns
    -------
    array of shape (n,)
        From ``1 / (m + 1)`` to 1; NaN where a score is.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005;
       R. Laxhammar and G. Falkman, "Conformal prediction for distribution-independent anomaly
       detection in streaming vessel data", 2010.

    Examples
    --------
    >>> conformal_p_values(np.array([0.5, 2.5, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    normal = np.sort(np.asarray(calibration, float))
    scores = np.asarray(scores, float)
    as_high = len(normal) - np.searchsorted(normal, scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + as_high) / (len(normal) + 1))


def least_calibration(alpha: float) -> int:
    """Return how many normal sequences it takes for a p-value of ``alpha`` to be possible.

    Examples
    --------
    >>> least_calibration(0.05), least_calibration(0.01)
    (19, 99)
    """
    return math.ceil(round(1 / alpha, 9)) - 1
