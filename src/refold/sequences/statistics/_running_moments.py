"""Mean and standard deviation of a column that arrives in pieces, as exact as in one pass.

Pieces are merged by means and sums of squared deviations (Chan, Golub and LeVeque, 1979), since
sums of squares suffer from cancellation.
"""

import math

import numpy as np

from refold.sequences.statistics._moments import ROUNDING

__all__ = ["RunningMoments"]

# Unit of columns of zeros; a power of two far below all others.
LEAST_UNIT = 2.0**-1000


class RunningMoments:
    """Mean, standard deviation, minimum and maximum of the values added, ignoring NaN.

    Examples
    --------
    >>> moments = RunningMoments()
    >>> moments.add(np.array([1.0, np.nan, 2.0]))
    >>> moments.add(np.array([6.0]))
    >>> moments.mean, round(moments.scale, 6)
    (3.0, 2.160247)
    """

    def __init__(self) -> None:
        self.count = 0
        # A power of two near the maximum magnitude, so that squares cannot overflow.
        self._unit = LEAST_UNIT
        # Mean of the first piece. Later means are relative to it, which avoids rounding errors.
        self._origin = 0.0
        self._mean = 0.0
        self._squares = 0.0
        self.least, self.greatest = math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps,)."""
        z = values[~np.isnan(values)].astype(np.float64)
        if not len(z):
            return
        least, greatest = float(z.min()), float(z.max())
        magnitude = max(abs(least), abs(greatest))
        unit = 2.0 ** math.floor(math.log2(magnitude)) if magnitude else LEAST_UNIT
        if unit > self._unit:
            self._change_unit(unit)
        z /= self._unit
        if not self.count:
            self._origin = float(z.mean())
        z -= self._origin
        mean = float(z.mean())
        z -= mean
        squares = float(z @ z) - float(z.sum()) ** 2 / len(z)
        total = self.count + len(z)
        difference = mean - self._mean
        self._squares += squares + difference**2 * (self.count / total * len(z))
        self._mean += difference * (len(z) / total)
        self.count = total
        self.least, self.greatest = min(least, self.least), max(greatest, self.greatest)

    @property
    def mean(self) -> float:
        """Mean of the observed values, 0 if there are none."""
        return (self._origin + self._mean) * self._unit

    @property
    def scale(self) -> float:
        """Standard deviation of the observed values, exactly 0 if constant or there are none."""
        if self.least >= self.greatest:
            return 0.0
        scale = math.sqrt(max(self._squares, 0.0) / self.count)
        return 0.0 if scale <= ROUNDING * abs(self._origin + self._mean) else scale * self._unit

    def _change_unit(self, unit: float) -> None:
        ratio = self._unit / unit
        self._origin *= ratio
        self._mean *= ratio
        self._squares *= ratio**2
        self._unit = unit
