"""Drift: tests whether new sequences differ from the training data, with NumPy alone."""

from dataclasses import dataclass

import numpy as np

# Family-wise error rate at which single tests count in the text.
_ALPHA = 0.001


@dataclass(frozen=True)
class Drift:
    """Kolmogorov-Smirnov tests of the errors and of each dimension of the codes.

    The distribution of each dimension of an autoencoder's codes is a sensitive and inexpensive
    measure of drift [1]_. The p-values are upper bounds: the first terms of Kolmogorov's series.

    Attributes
    ----------
    num_sequences : int
        Number of new sequences.
    code_statistics, code_p_values : arrays of shape (width of the code,)
        Largest difference between the distribution functions of a dimension in the new sequences
        and in the training data, and its p-value.
    error_statistic, error_p_value : float, optional
        The same for reconstruction errors, next to sequences that were not trained on. The test is
        one-sided: it finds larger errors. None if errors were not tested.

    References
    ----------
    .. [1] S. Rabanser, S. Günnemann and Z. C. Lipton, "Failing Loudly: An Empirical Study of
       Methods for Detecting Dataset Shift", NeurIPS 2019.

    Examples
    --------
    >>> found = Drift(90, np.array([0.7, 0.1]), np.array([1e-20, 0.9]), 0.1, 0.4)
    >>> found.p_value < 0.001
    True
    >>> print(found)
    p = 3e-20, 1 of 2 code dimensions differs
    """

    num_sequences: int
    code_statistics: np.ndarray
    code_p_values: np.ndarray
    error_statistic: float | None = None
    error_p_value: float | None = None

    @property
    def p_value(self) -> float:
        """p-value of all tests together, float: the smallest one, with Bonferroni correction."""
        error = 1.0 if self.error_p_value is None else self.error_p_value
        return min(1.0, self._num_tests * float(min(self.code_p_values.min(), error)))

    @property
    def _num_tests(self) -> int:
        return len(self.code_p_values) + (self.error_p_value is not None)

    def __str__(self) -> str:
        """Return the p-value, and what differs at a family-wise error rate of 0.001."""
        most, count = _ALPHA / self._num_tests, len(self.code_p_values)
        num = int((self.code_p_values <= most).sum())
        text = f"p = {self.p_value:.2g}, {num} of {count} code dimensions "
        text += "differs" if num == 1 else "differ"
        larger = self.error_p_value is not None and self.error_p_value <= most
        return text + ", and errors are larger" * larger


def drift_between(
    codes: np.ndarray,  # (n_sequences, width of the code)
    trained: np.ndarray,  # codes of training sequences
    errors: np.ndarray | None = None,  # (n_sequences,)
    held_out: np.ndarray | None = None,  # errors of held-out sequences
) -> Drift:
    """Compare codes with those of training sequences, and errors with held-out ones."""
    pairs = zip(codes.T, trained.T, strict=True)
    statistics = np.array([_differences(new, old).max(initial=0.0) for new, old in pairs])
    p_values = np.minimum(1.0, 2.0 * _tail(statistics, len(codes), len(trained)))
    if errors is None or held_out is None:
        return Drift(len(codes), statistics, p_values)
    # rounding must not make equal errors differ
    larger = float(_differences(errors.astype(np.float32), held_out, signed=True).max(initial=0.0))
    tail = float(_tail(larger, len(errors), len(held_out)))
    return Drift(len(codes), statistics, p_values, max(0.0, larger), tail)


def _differences(new: np.ndarray, old: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """Return how much lower the distribution function of the new values is, at each value."""
    places = np.concatenate([new, old])
    below_old, below_new = (
        np.searchsorted(np.sort(values), places, side="right") / len(values)
        for values in (old, new)
    )
    return below_old - below_new if signed else np.abs(below_old - below_new)


def _tail(statistic: np.ndarray | float, num_new: int, num_old: int) -> np.ndarray:
    return np.exp(-2.0 * np.square(statistic) * (num_new * num_old / (num_new + num_old)))
