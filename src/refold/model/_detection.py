"""Result of `detect`: anomaly scores, p-values and reasons."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from refold.evaluation import adjusted_p_values
from refold.model._drift import Drift


class Reason(NamedTuple):
    """Position of a badly reconstructed value, and its share of the sequence's error."""

    step: int
    column: str
    share: float


@dataclass(frozen=True)
class Detection:
    """Anomaly scores and p-values of sequences.

    Attributes
    ----------
    alpha : float
        False alarm rate: at most this share of normal sequences is marked as anomalous, on average
        over the draw of the calibration sequences.
    ids : array of shape (n_sequences,)
        Id of each sequence.
    score_components : array of shape (n_sequences, 2)
        Reconstruction error of a sequence and its distance to the training data, each divided by
        its mean over training sequences.
    p_values : array of shape (n_sequences,)
        Share of normal sequences with an anomaly score at least as high.
    step_scores : list of arrays of shape (length,)
        Mean squared error of each step, in standardized units; NaN if all values are missing.
    step_p_values : list of arrays of shape (length,)
        Share of the steps of normal sequences whose error is at least as large.
    errors : list of arrays of shape (length, n_columns)
        Squared error of each value, in standardized units. Values are clipped to 1e12 standard
        deviations from the training mean.
    columns : tuple of str
        Names of the columns.
    drift : Drift, optional
        Tests whether the sequences differ from the training data as a whole, as `drift` does. None
        if there is no sequence or the model file lacks the errors of held-out sequences.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> ae = ae.fit(sines[:40]).calibrate(sines[40:])
    >>> others = refold.datasets.noisy_sines(2, seed=1, max_steps=30)
    >>> found = ae.detect([*others.to_list(), [4.0] * 20], alpha=0.05)
    >>> found.anomalous.tolist()
    [False, False, True]
    >>> [reason.column for reason in found.explain(2, most=2)]
    ['x0', 'x0']
    """

    alpha: float
    ids: np.ndarray
    score_components: np.ndarray
    p_values: np.ndarray
    step_scores: list[np.ndarray]
    step_p_values: list[np.ndarray]
    errors: list[np.ndarray]
    columns: tuple[str, ...]
    drift: Drift | None = None

    @property
    def scores(self) -> np.ndarray:
        """Anomaly scores, array (n,): sums of both components, 2 on average in training."""
        return self.score_components.sum(axis=1)

    @property
    def anomalous(self) -> np.ndarray:
        """Whether each sequence has a p-value of at most ``alpha``, bool (n,)."""
        return self.p_values <= self.alpha

    @property
    def adjusted_p_values(self) -> np.ndarray:
        """p-values adjusted for multiple tests, by Benjamini and Hochberg [1]_, array (n,).

        Among the sequences with a value of at most ``alpha``, the expected share of normal ones is
        at most ``alpha``.

        References
        ----------
        .. [1] Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate", Journal of the
           Royal Statistical Society B 57, 1995; for conformal p-values: S. Bates et al., "Testing
           for Outliers with Conformal p-values", The Annals of Statistics 51, 2023.
        """
        return adjusted_p_values(self.p_values)

    @property
    def discoveries(self) -> np.ndarray:
        """Whether each sequence has an adjusted p-value of at most ``alpha``, bool (n,)."""
        return self.adjusted_p_values <= self.alpha

    def explain(self, index: int, most: int = 3) -> list[Reason]:
        """List the values with the largest errors in a sequence, the largest first.

        Parameters
        ----------
        index : int
            Index of the sequence.
        most : int, default=3
            Maximum number of reasons.

        Returns
        -------
        list of Reason
            Empty if the sequence was reconstructed without an error. If ``score_components`` has a
            larger distance than error, the combination of values is more anomalous than the values.
        """
        errors = np.nan_to_num(self.errors[index])
        total = errors.sum()
        order = np.argsort(-errors, axis=None, kind="stable")[:most]
        places = zip(*np.unravel_index(order, errors.shape), strict=True)
        return [
            Reason(int(step), self.columns[column], float(errors[step, column] / total))
            for step, column in places
            if errors[step, column] > 0
        ]

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per sequence: id, scores, p-values, verdict and worst value.

        Parameters
        ----------
        id : str
            Name of the id column.

        Returns
        -------
        pyarrow.Table
            Table with the columns ``id``, ``score``, its components ``error`` and ``distance``,
            ``p_value``, ``adjusted_p_value``, ``anomalous``, ``step`` and ``column``; the last two
            are null if the distance is the larger component.
        """
        by_error = self.score_components[:, 0] >= self.score_components[:, 1]
        found = [self.explain(i, most=1) if by_error[i] else [] for i in range(len(self.ids))]
        numbers = {
            "score": self.scores,
            "error": self.score_components[:, 0],
            "distance": self.score_components[:, 1],
            "p_value": self.p_values,
            "adjusted_p_value": self.adjusted_p_values,
        }
        return pa.table(
            {
                id: pa.array(self.ids.tolist()),
                **{name: pa.array(values, pa.float64()) for name, values in numbers.items()},
                "anomalous": pa.array(self.anomalous, pa.bool_()),
                "step": pa.array([one[0].step if one else None for one in found], pa.int64()),
                "column": pa.array([one[0].column if one else None for one in found], pa.string()),
            }
        )
