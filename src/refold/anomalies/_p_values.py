"""From what is odd about sequences to one score each, and to p-values by normal sequences."""

import numpy as np

from refold.anomalies._oddness import Oddness
from refold.evaluation import conformal_p_values
from refold.storage import Calibration

__all__ = ["calibration_of", "p_values", "scores", "step_p_values", "step_scores"]

# Numbers at most in an array that is made on the way, and step scores at most that are kept.
_MOST_NUMBERS, _MOST_STEPS = 1 << 22, 100_000


def calibration_of(normal: Oddness) -> Calibration:
    """Keep of normal sequences what others are measured by."""
    steps = step_scores(normal.entries)
    steps = np.sort(steps[~np.isnan(steps)])
    if len(steps) > _MOST_STEPS:
        steps = steps[np.linspace(0, len(steps) - 1, _MOST_STEPS).round().astype(int)]
    return Calibration(normal.errors, normal.distances, steps)


def scores(found: Oddness, calibration: Calibration) -> np.ndarray:
    """Error and distance of each sequence, each over its mean among normal ones, and added."""
    units = calibration.errors.mean(), calibration.distances.mean()
    return _sum(found.errors, found.distances, units)


def p_values(found: Oddness, calibration: Calibration) -> np.ndarray:
    """Share of normal sequences that are at least as odd, the one in question counted in.

    The means that errors and distances are measured by are those of the normal sequences and the
    one in question together, so that, if it is normal too, nothing tells it from the others: then
    the p-value is at most ``alpha`` with a probability of at most ``alpha``.
    """
    n = len(calibration.errors)
    values = np.empty(len(found.errors))
    at_once = max(1, _MOST_NUMBERS // n)
    for first in range(0, len(values), at_once):
        here = slice(first, first + at_once)
        one = found.errors[here], found.distances[here]
        units = tuple(
            (normal.sum() + mine) / (n + 1)
            for normal, mine in zip((calibration.errors, calibration.distances), one, strict=True)
        )
        others = _sum(calibration.errors[:, None], calibration.distances[:, None], units)
        values[here] = (1 + (others >= _sum(*one, units)).sum(axis=0)) / (n + 1)
    return values


def step_scores(entries: np.ndarray) -> np.ndarray:
    """Mean of each step's observed entries, NaN where there is none."""
    observed = ~np.isnan(entries)
    count = observed.sum(axis=1)
    sums = np.where(observed, entries, 0.0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def step_p_values(steps: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Share of the steps of normal sequences whose score is at least as high."""
    return conformal_p_values(steps, calibration.steps)


def _sum(errors: np.ndarray, distances: np.ndarray, units: tuple) -> np.ndarray:
    """Add errors and distances, each over its unit; what has no unit is 0 everywhere."""
    total = 0.0
    for values, unit in zip((errors, distances), units, strict=True):
        total = total + values / np.where(np.asarray(unit) > 0, unit, 1.0)
    return np.asarray(total)
