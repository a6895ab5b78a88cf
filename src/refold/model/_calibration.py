"""Calibration with normal sequences, and p-values next to them."""

import numpy as np

from refold._support.arrays import evenly_spaced
from refold.evaluation import conformal_p_values
from refold.model._anomaly_scores import Measurement, score_components
from refold.model._statistics import Calibration, ReferenceStatistics

MAX_ERRORS = 1024  # stored errors of sequences
_MAX_STEPS = 100_000  # stored errors of steps
# Relative difference between scores that can be rounding.
_ROUNDING = 1e-4


def calibration_of(
    normal: Measurement, reference: ReferenceStatistics, residuals: np.ndarray | None = None
) -> Calibration:
    """Return the scores of normal sequences and of their steps, sorted, with the residuals."""
    steps = step_scores(normal.entries)
    steps = np.sort(steps[~np.isnan(steps)])
    steps = steps[evenly_spaced(len(steps), _MAX_STEPS)]
    scores = np.sort(score_components(normal, reference).sum(axis=1))
    return Calibration(scores, steps, residuals)


def p_values(scores: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the share of normal scores that are at least as high, the score itself counted in."""
    # rounding must not break ties of equal sequences
    return conformal_p_values(scores * (1.0 - _ROUNDING), normal)


def step_scores(entries: np.ndarray) -> np.ndarray:
    """Return the mean (n_steps,) of each step's observed entries, NaN if there is none."""
    observed = ~np.isnan(entries)
    count = observed.sum(axis=1)
    sums = np.where(observed, entries, 0.0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)
