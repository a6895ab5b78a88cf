"""Drift: whether new sequences differ from the training data as a whole.

`measure_drift` does the tests, and `Drift` is the result of `Model.drift` and `Model.code_drift`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from refold._support.messages import pluralize

# Probability that the text of a `Drift` says that any dimension differs if there is no drift. It is
# small, so that the text names only real differences.
_FAMILY_WISE_ALPHA = 0.001


@dataclass(frozen=True)
class Drift:
    """Kolmogorov-Smirnov tests of the errors and of each dimension of the codes.

    The distribution of each dimension of an autoencoder's codes is a sensitive and inexpensive
    measure of drift [1]_. The p-values are the first terms of Kolmogorov's series, which are upper
    bounds.

    Attributes
    ----------
    num_sequences : int
        Number of new sequences.
    code_statistics, code_p_values : arrays of shape (code_size,)
        Largest difference between the distribution functions of a dimension in the new sequences
        and in the training data, and its p-value.
    error_statistic, error_p_value : float, optional
        The same for reconstruction errors, compared with those of sequences that were not trained
        on. The test is one-sided: it finds larger errors. None if errors were not tested.

    References
    ----------
    .. [1] S. Rabanser, S. Günnemann and Z. C. Lipton, "Failing Loudly: An Empirical Study of
       Methods for Detecting Dataset Shift", NeurIPS 2019.

    Examples
    --------
    >>> drift = Drift(90, np.array([0.7, 0.1]), np.array([1e-20, 0.9]), 0.1, 0.4)
    >>> drift.p_value < 0.001
    True
    >>> print(drift)
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
        error_p_value = 1.0 if self.error_p_value is None else self.error_p_value
        return min(1.0, self._num_tests * float(min(self.code_p_values.min(), error_p_value)))

    @property
    def _num_tests(self) -> int:
        return len(self.code_p_values) + (self.error_p_value is not None)

    def __repr__(self) -> str:
        return f"Drift({pluralize(self.num_sequences, 'sequence')}, {self})"

    def __str__(self) -> str:
        """Return the p-value, and what differs at a family-wise error rate of 0.001."""
        # Bonferroni correction, because there are several tests
        alpha, num_dimensions = _FAMILY_WISE_ALPHA / self._num_tests, len(self.code_p_values)
        num_different = int((self.code_p_values <= alpha).sum())
        text = f"p = {self.p_value:.2g}, {num_different} of {num_dimensions} code dimensions "
        text += "differs" if num_different == 1 else "differ"
        are_larger = self.error_p_value is not None and self.error_p_value <= alpha
        return text + ", and errors are larger" * are_larger

    def to_table(self) -> pa.Table:
        """Return one row per test: ``test``, ``statistic`` and ``p_value``."""
        pairs = zip(self.code_statistics.tolist(), self.code_p_values.tolist(), strict=True)
        rows = [(f"code dimension {i}", *pair) for i, pair in enumerate(pairs)]
        if self.error_p_value is not None:
            rows.append(("reconstruction error", self.error_statistic, self.error_p_value))
        columns = [list(column) for column in zip(*rows, strict=True)]
        return pa.table(columns, ["test", "statistic", "p_value"])


def measure_drift(
    codes: np.ndarray,  # (n_sequences, code_size)
    training_codes: np.ndarray,  # (n_training_sequences, code_size)
    errors: np.ndarray | None = None,  # (n_sequences,), reconstruction errors
    held_out_errors: np.ndarray | None = None,  # float32, errors of held-out sequences
) -> Drift:
    """Compare codes with those of training sequences, and errors with held-out ones."""
    pairs = zip(codes.T, training_codes.T, strict=True)
    statistics = np.array([np.abs(_cdf_differences(*pair)).max(initial=0.0) for pair in pairs])
    # twice the one-sided p-value, because a dimension may become larger or smaller
    p_values = 2.0 * _one_sided_p_value(statistics, len(codes), len(training_codes))
    p_values = np.minimum(1.0, p_values)
    if errors is None or held_out_errors is None:
        return Drift(len(codes), statistics, p_values)
    # in the precision of the held-out errors, so that rounding does not make equal errors differ
    differences = _cdf_differences(errors.astype(np.float32), held_out_errors)
    statistic = float(differences.max(initial=0.0))  # 0 if no errors are larger
    p_value = float(_one_sided_p_value(statistic, len(errors), len(held_out_errors)))
    return Drift(len(codes), statistics, p_values, statistic, p_value)


def _cdf_differences(new_values: np.ndarray, old_values: np.ndarray) -> np.ndarray:
    """Return the old minus the new empirical distribution function, at each old and new value."""
    all_values = np.concatenate([new_values, old_values])
    old_cdf, new_cdf = (
        np.searchsorted(np.sort(values), all_values, side="right") / len(values)
        for values in (old_values, new_values)
    )
    return old_cdf - new_cdf


def _one_sided_p_value(ks_statistic: np.ndarray | float, num_new: int, num_old: int) -> np.ndarray:
    """Return an upper bound of the p-value of one or several Kolmogorov-Smirnov statistics."""
    return np.exp(-2.0 * np.square(ks_statistic) * (num_new * num_old / (num_new + num_old)))
