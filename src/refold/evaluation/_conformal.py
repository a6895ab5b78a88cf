"""Split-conformal calibration: p-values of scores and margins of predictions."""

import math

import numpy as np

from refold._support.arrays import check_array


def conformal_p_values(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Compute the p-value of each score from the scores of normal sequences.

    The p-value is the share of scores that are at least as high, among the normal scores and the
    score itself. The result, an array (n,), is from ``1 / (m + 1)`` to 1, and NaN where the score
    is NaN. If a score is exchangeable with the calibration scores, the probability that its p-value
    is at most ``alpha`` is at most ``alpha``, for any distribution [1]_.

    Parameters
    ----------
    scores : array of shape (n,)
        Anomaly scores; higher is more anomalous.
    calibration : array of shape (m,)
        Scores of normal sequences that were not used in training.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005.

    Examples
    --------
    >>> conformal_p_values(np.array([0.5, 2.5, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    normal = np.sort(check_array("calibration", calibration, ("m",)).astype(float))
    scores = check_array("scores", scores, ("n",)).astype(float)
    # for each score, the number of normal scores that are at least as high
    num_as_high = len(normal) - np.searchsorted(normal, scores, side="left")
    # the score itself counts as one of the normal scores
    return np.where(np.isnan(scores), np.nan, (1 + num_as_high) / (len(normal) + 1))


def adjusted_p_values(p_values: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Adjust p-values for multiple tests, by the method of Benjamini and Hochberg [1]_.

    Among the sequences with an adjusted value of at most ``alpha``, the expected share of normal
    ones is at most ``alpha``. The result, an array (n,), is NaN where the p-value is NaN. Such
    sequences do not count as tests.

    Parameters
    ----------
    p_values : array of shape (n,)
        From `conformal_p_values`, for instance.
    counts : array of int of shape (n,), optional
        Number of tests with each p-value, by default one. Many sequences can have the same
        conformal p-value, so counts save memory.

    References
    ----------
    .. [1] Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate", Journal of the
       Royal Statistical Society B 57, 1995; for conformal p-values: S. Bates et al., "Testing
       for Outliers with Conformal p-values", The Annals of Statistics 51, 2023.

    Examples
    --------
    >>> adjusted_p_values(np.array([0.01, 0.5, 0.02]), counts=np.array([1, 1, 2])).round(3).tolist()
    [0.027, 0.5, 0.027]
    """
    p_values = check_array("p_values", p_values, ("n",)).astype(float)
    counts = np.ones(len(p_values), int) if counts is None else np.asarray(counts)
    counts = np.where(np.isnan(p_values), 0, counts)
    order = np.argsort(p_values)  # NaN come last
    # number of tests with a p-value up to this one; it is 0 as long as all counts are 0
    ranks = np.cumsum(counts[order])
    scaled = p_values[order] * (counts.sum() / np.maximum(ranks, 1))
    adjusted = np.empty_like(scaled)
    # an adjusted p-value is at most as large as those of higher ranks; `fmin` skips NaN
    adjusted[order] = np.fmin.accumulate(scaled[::-1])[::-1]
    return np.where(np.isnan(p_values), np.nan, np.clip(adjusted, 0.0, 1.0))


def conformal_margins(residuals: np.ndarray, alpha: float) -> np.ndarray:
    """Return half-widths of intervals with coverage 1 - alpha, from absolute residuals (m, ...)."""
    # The result (...) has a half-width, or margin, for each entry of a prediction. If a new
    # residual is exchangeable with the given ones, it exceeds its margin with a probability of at
    # most alpha, for any distribution (J. Lei et al., "Distribution-Free Predictive Inference for
    # Regression", Journal of the American Statistical Association 113, 2018). Missing residuals are
    # NaN, and the margin is infinite where there are too few residuals.
    if not len(residuals):
        return np.full(residuals.shape[1:], np.inf)
    ordered = np.sort(residuals.astype(float), axis=0)  # NaN come last
    num_observed = (~np.isnan(ordered)).sum(axis=0)
    # The margin is the residual of this rank, which counts from 1. The product is rounded to 9
    # digits first, so that its rounding error does not raise the rank.
    rank = np.ceil(np.round((num_observed + 1) * (1 - alpha), 9)).astype(int)
    indices = np.clip(rank - 1, 0, len(ordered) - 1)
    margins = np.take_along_axis(ordered, indices[None], axis=0)[0]
    return np.where((rank > num_observed) | (rank < 1), np.inf, margins)


def min_calibration_sequences(alpha: float) -> int:
    """Return the minimum number of normal sequences for which a p-value can reach ``alpha``."""
    # The smallest p-value of n normal sequences is 1 / (n + 1), so n is at least 1 / alpha - 1. The
    # quotient 1 / alpha is rounded to 9 digits first, so that its error does not raise the result.
    # It may be infinite, so it is limited to 1e15, an integer that a float holds exactly.
    return math.ceil(round(min(1 / alpha, 1e15), 9)) - 1
