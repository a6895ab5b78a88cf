"""Anomaly scores from their components, and p-values from normal sequences."""

import numpy as np

from refold._support.sampling import evenly_spaced
from refold.anomalies._anomaly_scores import AnomalyScores
from refold.evaluation import conformal_p_values
from refold.storage import Calibration, ReferenceStatistics

# Cap on stored step scores.
_MOST_STEPS = 100_000
# Relative difference between scores that can be rounding.
_ROUNDING = 1e-4


def score_components(found: AnomalyScores, known: ReferenceStatistics) -> np.ndarray:
    """Return error and distance of each sequence, divided by their means in training.

    Returns
    -------
    array of shape (n_sequences, 2)
        Their sum is the score.
    """
    return np.stack([found.errors, found.distances], axis=1) / known.units


def calibration_of(normal: AnomalyScores, known: ReferenceStatistics) -> Calibration:
    """Return the scores of normal sequences and of their steps, sorted."""
    steps = step_scores(normal.entries)
    steps = np.sort(steps[~np.isnan(steps)])
    steps = steps[evenly_spaced(len(steps), _MOST_STEPS)]
    return Calibration(np.sort(score_components(normal, known).sum(axis=1)), steps)


def p_values(scores: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return the share of normal sequences with a score at least as high, itself counted in.

    Rounding must not break ties of equal sequences, so scores that are lower by a ten-thousandth
    count as equal.
    """
    return conformal_p_values(scores * (1.0 - _ROUNDING), calibration.scores)


def step_scores(entries: np.ndarray) -> np.ndarray:
    """Return the mean of each step's observed entries, NaN if there is none."""
    observed = ~np.isnan(entries)
    count = observed.sum(axis=1)
    sums = np.where(observed, entries, 0.0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def step_p_values(steps: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return the share of normal steps with a score at least as high."""
    return conformal_p_values(steps * (1.0 - _ROUNDING), calibration.steps)
