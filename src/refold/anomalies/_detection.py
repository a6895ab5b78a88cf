"""What a detection found: scores, p-values, and what made a sequence odd."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Detection", "Reason"]


class Reason(NamedTuple):
    """A value that came back wrong: where it is, and its share of the sequence's error."""

    step: int
    column: str
    share: float


@dataclass(frozen=True)
class Detection:
    """How odd sequences are, and which of them are odder than chance allows.

    Attributes
    ----------
    alpha : float
        Rate of false alarms: the share of normal sequences that come out as anomalous.
    ids : array of shape (n_sequences,)
    scores : array of shape (n_sequences,)
        The higher, the odder; a normal sequence has about 2.
    p_values : array of shape (n_sequences,)
        Share of normal sequences that are at least as odd.
    step_scores : list of arrays of shape (length,)
        Mean squared error of each step, in standard units; NaN where nothing was observed.
    step_p_values : list of arrays of shape (length,)
        Share of the steps of normal sequences whose error is at least as large.
    errors : list of arrays of shape (length, n_columns)
        Squared error of each value, in standard units.
    columns : tuple of str

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0)
    >>> ae = refold.SequenceAutoencoder(latent_dim=4, max_epochs=2, random_state=0).fit(sines[:40])
    >>> found = ae.calibrate(sines[40:]).detect([*sines.to_list()[:2], [9.0] * 20], alpha=0.05)
    >>> found.anomalous.tolist()
    [False, False, True]
    >>> [reason.column for reason in found.explain(2, most=2)]
    ['x0', 'x0']
    """

    alpha: float
    ids: np.ndarray
    scores: np.ndarray
    p_values: np.ndarray
    step_scores: list[np.ndarray]
    step_p_values: list[np.ndarray]
    errors: list[np.ndarray]
    columns: tuple[str, ...]

    @property
    def anomalous(self) -> np.ndarray:
        """Which sequences are odder than all but a share ``alpha`` of normal ones, bool (n,)."""
        return self.p_values <= self.alpha

    @property
    def adjusted_p_values(self) -> np.ndarray:
        """p-values of all sequences together, by Benjamini and Hochberg [1]_, array (n,).

        Of those at most ``alpha``, a share ``alpha`` at most is expected to be normal.

        References
        ----------
        .. [1] Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate", Journal of the
           Royal Statistical Society B 57, 1995; for conformal p-values: S. Bates et al., "Testing
           for Outliers with Conformal p-values", The Annals of Statistics 51, 2023.
        """
        return false_discovery_control(self.p_values) if len(self.p_values) else self.p_values

    @property
    def discoveries(self) -> np.ndarray:
        """Which sequences are odd where many are looked at: adjusted p-values, bool (n,)."""
        return self.adjusted_p_values <= self.alpha

    def explain(self, index: int, most: int = 3) -> list[Reason]:
        """Say which values made a sequence odd, the worst first.

        Parameters
        ----------
        index : int
            Which sequence.
        most : int, default=3
            Reasons to give.

        Returns
        -------
        list of Reason
            None where the sequence came back without an error: then its code is what is odd.
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

    def to_table(self) -> "pa.Table":
        """Return one row a sequence: id, score, p-values, whether it is odd, and the worst value.

        Returns
        -------
        pyarrow.Table
            With columns ``id``, ``score``, ``p_value``, ``adjusted_p_value``, ``anomalous``,
            ``step`` and ``column``; the last two are null where no value came back wrong.
        """
        import pyarrow as pa

        reasons = [self.explain(i, most=1) for i in range(len(self.ids))]
        return pa.table(
            {
                "id": pa.array(self.ids.tolist()),
                "score": pa.array(self.scores, pa.float64()),
                "p_value": pa.array(self.p_values, pa.float64()),
                "adjusted_p_value": pa.array(self.adjusted_p_values, pa.float64()),
                "anomalous": pa.array(self.anomalous, pa.bool_()),
                "step": pa.array(
                    [found[0].step if found else None for found in reasons], pa.int64()
                ),
                "column": pa.array(
                    [found[0].column if found else None for found in reasons], pa.string()
                ),
            }
        )
