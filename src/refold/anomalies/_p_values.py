"""From what is odd about sequences to one score each, and to p-values by normal sequences."""

import numpy as np

from refold.anomalies._anomaly_scores import AnomalyScores
from refold.evaluation import conformal_p_values
from refold.storage import Calibration, ReferenceStatistics

__all__ = ["calibration_of", "p_values", "score_components", "step_p_values", "step_scores"]

# Step scores at most that are kept; a share by which scores may differ by rounding alone.
_MOST_STEPS, _ROUNDING = 100_000, 1e-4


def score_components(found: AnomalyScores, known: ReferenceStatistics) -> np.ndarray:
    """Return error and distance of each sequence, each over its mean among training sequences.

    Returns
    -------
    array of shape (n_sequences, 2)
        Their sum is the score.
    """
    return np.stack([found.errors, found.distances], axis=1) / known.units


def calibration_of(normal: AnomalyScores, known: ReferenceStatistics) -> Calibration:
    """Keep of normal sequences what others are measured by."""
    steps = step_scores(normal.entries)
    steps = np.sort(steps[~np.isnan(steps)])
    if len(steps) > _MOST_STEPS:
        steps = steps[np.linspace(0, len(steps) - 1, _MOST_STEPS).round().astype(int)]
    return Calibration(np.sort(score_components(normal, known).sum(axis=1)), steps)


def p_values(scores: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Share of normal sequences that are at least as odd, the one in question counted in.

    Equal sequences have equal scores but for rounding, which must not break ties: what is less by
    a ten-thousandth is as odd.
    """
    return conformal_p_values(scores * (1.0 - _ROUNDING), calibration.scores)


def step_scores(entries: np.ndarray) -> np.ndarray:
    """Mean of each step's observed entries, NaN where there is none."""
    observed = ~np.isnan(entries)
    count = observed.sum(axis=1)
    sums = np.where(observed, entries, 0.0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def step_p_values(steps: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Share of the steps of normal sequences whose score is at least as high."""
    return conformal_p_values(steps * (1.0 - _ROUNDING), calibration.steps)
