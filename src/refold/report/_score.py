"""What was measured: how well sequences come back, beside PCA with codes of the same size."""

from dataclasses import dataclass
from typing import Literal

from refold.evaluation import as_percent

__all__ = ["Result", "Score"]

Quantity = Literal["nmse", "accuracy", "exact"]
MEANINGS = {
    "nmse": "NMSE: squared error over power",
    "accuracy": "accuracy: steps whose symbols come back",
    "exact": "exact: sequences that come back",
}
UNITS = {"nmse": "NMSE", "accuracy": "accuracy", "exact": "come back exactly"}


@dataclass(frozen=True)
class Score:
    """One quantity, of the model and of PCA.

    Parameters
    ----------
    quantity : {"nmse", "accuracy", "exact"}
        Squared error over power of the numeric columns; share of the steps whose symbols all come
        back; share of the sequences that come back exactly.
    value : float
    pca : float or None
        None where PCA could not be fitted.

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
        """What the quantity is."""
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
        """What a number of this quantity is, in a word or two."""
        return UNITS[self.quantity]

    def number(self, value: float) -> str:
        """Write a value without its quantity; shares are never rounded to better than they are."""
        return f"{value:.3g}" if self.quantity == "nmse" else as_percent(value)

    def text(self, value: float | None) -> str:
        """Write a value with its quantity: ``99.2 % exact``, ``NMSE 0.031``."""
        if value is None:
            return "none"
        number = self.number(value)
        return f"NMSE {number}" if self.quantity == "nmse" else f"{number} {self.quantity}"


@dataclass(frozen=True)
class Result:
    """What was measured on one data set.

    Parameters
    ----------
    name : str
        Of the data.
    num_sequences : int
        That it was measured on.
    code_size : int
        Numbers in a code.
    pca_size : int
        Numbers of PCA: as many, unless there are no more components.
    scores : tuple of Score
        The one that counts first.
    seconds : float or None
        Time that training took, where it is known.

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
