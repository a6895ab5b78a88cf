"""Scores of reconstructions, next to those of PCA with codes of the same size."""

from dataclasses import dataclass
from typing import Literal

from refold._support.display import short_number
from refold.evaluation import as_percent

Quantity = Literal["nmse", "accuracy", "exact"]
MEANINGS = {
    "nmse": "NMSE: squared error over power",
    "accuracy": "accuracy: steps with all values right",
    "exact": "exact: sequences reconstructed exactly",
}
UNITS = {"nmse": "NMSE", "accuracy": "accuracy", "exact": "reconstructed exactly"}


@dataclass(frozen=True)
class Score:
    """One measure, for the model and for PCA.

    Parameters
    ----------
    quantity : {"nmse", "accuracy", "exact"}
        Normalized squared error of the numeric columns, share of steps at which all binary and
        categorical values are right, or share of sequences that are reconstructed exactly.
    value : float
        Value for the model.
    pca : float or None
        None if PCA could not be fitted.

    Examples
    --------
    >>> Score("exact", 0.9999, 0.5).text(0.9999)
    '99.9 % exact'
    >>> Score("nmse", 0.1, 0.2).ahead
    True
    """

    quantity: Quantity
    value: float
    pca: float | None

    @property
    def meaning(self) -> str:
        """Name of the quantity, with an explanation."""
        return MEANINGS[self.quantity]

    @property
    def ahead(self) -> bool:
        """Whether the model is at least as good as PCA."""
        if self.pca is None:
            return False
        return self.value <= self.pca if self.quantity == "nmse" else self.value >= self.pca

    @property
    def behind(self) -> bool:
        """Whether PCA is at least as good as the model."""
        return self.pca is not None and (self.value == self.pca or not self.ahead)

    @property
    def unit(self) -> str:
        """Short name of the quantity, to follow a value."""
        return UNITS[self.quantity]

    def number(self, value: float) -> str:
        """Format a value without its quantity; shares are rounded down."""
        return short_number(value) if self.quantity == "nmse" else as_percent(value)

    def text(self, value: float | None) -> str:
        """Format a value with its quantity: ``99.2 % exact``, ``NMSE 0.031``."""
        if value is None:
            return "none"
        number = self.number(value)
        return f"NMSE {number}" if self.quantity == "nmse" else f"{number} {self.quantity}"


@dataclass(frozen=True)
class Result:
    """Scores on one data set.

    Parameters
    ----------
    name : str
        Name of the data.
    num_sequences : int
        Number of sequences that were measured.
    code_size : int
        Width of a code.
    pca_size : int
        Number of components of PCA: ``code_size``, or fewer if there are no more.
    scores : tuple of Score
        The main score comes first.
    seconds : float or None
        Training time, if it is known.

    Examples
    --------
    >>> Result("ones", 1000, 4, 4, (Score("exact", 1.0, 0.25),), 12.0).scores[0].ahead
    True
    """

    name: str
    num_sequences: int
    code_size: int
    pca_size: int
    scores: tuple[Score, ...]
    seconds: float | None = None
