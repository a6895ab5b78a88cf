"""Split-conformal calibration: from scores to p-values, and from residuals to margins."""

import math

import numpy as np

__all__ = ["conformal_margins", "conformal_p_values", "least_calibration"]


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


def conformal_margins(residuals: np.ndarray, alpha: float) -> np.ndarray:
    """Return how far from a prediction the truth lies at most, but for a share ``alpha``.

    Where a residual and those of the calibration are exchangeable, it is larger with a probability
    of at most ``alpha``, whatever their distribution [1]_.

    Parameters
    ----------
    residuals : array of shape (m, ...)
        Absolute errors of predictions that had no part in the training; NaN where there is none.
    alpha : float
        Above 0 and below 1.

    Returns
    -------
    array of shape (...)
        Infinite where there are fewer than `least_calibration`.

    References
    ----------
    .. [1] J. Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the
       American Statistical Association 113, 2018.

    Examples
    --------
    >>> conformal_margins(np.arange(1.0, 20.0), 0.1), conformal_margins(np.arange(3.0), 0.1)
    (array(18.), array(inf))
    """
    ordered = np.sort(np.asarray(residuals, float), axis=0)  # NaN come last
    count = (~np.isnan(ordered)).sum(axis=0)
    rank = np.ceil(np.round((count + 1) * (1 - alpha), 9)).astype(int)
    if not len(ordered):
        return np.full(ordered.shape[1:], np.inf)
    place = np.clip(rank - 1, 0, len(ordered) - 1)
    found = np.take_along_axis(ordered, place[None], axis=0)[0]
    return np.where((rank > count) | (rank < 1), np.inf, found)


def least_calibration(alpha: float) -> int:
    """Return how many normal sequences it takes for a p-value of ``alpha`` to be possible.

    Examples
    --------
    >>> least_calibration(0.05), least_calibration(0.01)
    (19, 99)
    """
    return math.ceil(round(1 / alpha, 9)) - 1
