"""Count columns: whole numbers from 0; a decoder writes their expected value."""

from typing import Any

import numpy as np

from refold.sequences.types._column_type import Array, ArrayModule, Where, refuse
from refold.sequences.types._numeric import Numeric

# Lower bound of an expected value, in standard deviations of the column.
_MIN_RATE = 1e-12


class Count(Numeric):
    """How often something happened, with a Poisson distribution around the expected count.

    Decoded counts are the nearest whole numbers. They are measured like numeric columns.
    """

    # Errors are squared differences in standard deviations, and principal components take
    # standardized counts, so that counts and numbers beside each other have equal weight. A square
    # root would make the noise of small and large counts equal, but then errors of count columns
    # could not be compared with errors of numeric ones, of which 1 means predicting the mean.
    # A softplus link, whose linear path needs no conversion, had errors on held-out sequences that
    # were 4 to 80 % larger on four kinds of simulated counts.
    name = "count"
    link = "exponential"
    is_centered = False
    is_whole = True
    loss_is_squared = False
    generality = 1

    def describes(self, raw: np.ndarray) -> bool:
        """Return False: whole numbers may be anything, so counts are declared."""
        del raw
        return False

    def check(self, values: np.ndarray, name: str, where: Where) -> None:
        """Raise a DataError if a value is negative or has a fraction."""
        with np.errstate(invalid="ignore"):  # infinite values have an error of their own
            wrong = (values < 0) | (values % 1 > 0)
        advice = "A count column holds whole numbers from 0; make it numeric or correct the entry."
        refuse(wrong, values, name, where, advice)

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return deviances of the Poisson distribution."""
        # Twice the negative log-likelihood, but for a constant that makes it 0 where output and
        # target are equal. A squared error is the deviance of a normal distribution, so both have
        # the same weight. Targets are counts in standard deviations, because unscaled ones would
        # outweigh all other columns. That amounts to a Poisson distribution with overdispersion:
        # P. McCullagh and J. A. Nelder, "Generalized Linear Models", 1989, chapter 6.
        output = xp.maximum(output, _MIN_RATE)
        log_ratio = xp.log(xp.maximum(target, _MIN_RATE)) - xp.log(output)
        return 2.0 * (xp.where(target > 0, target * log_ratio, 0.0) - (target - output))

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest counts."""
        return np.maximum(np.rint(values), 0)

    def before_link(self, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the mean, and the slope of the logarithm around it."""
        # The slope is that of a secant, which is flatter than the tangent at the mean: where counts
        # are mostly 0, a code far from the mean must not give an enormous count. The mean of the
        # exponential is the mean again if the written means have a normal distribution.
        mean = np.maximum(np.maximum(mean, 0.1 * spread), 1e-3)
        slope = 1.0 / (mean + spread)
        return np.log(mean) - 0.5 * (spread * slope) ** 2, slope


COUNT = Count()
