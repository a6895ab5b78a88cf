"""What was measured: how well sequences come back, beside PCA with codes of the same size."""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Result", "Score"]

Quantity = Literal["nmse", "exact", "wrong"]
MEANINGS = {
    "nmse": "squared error over power",
    "exact": "sequences that come back exactly",
    "wrong": "wrong symbols",
}
UNITS = {"nmse": "NMSE", "exact": "come back exactly", "wrong": "wrong symbols"}


@dataclass(frozen=True)
class Score:
    """One quantity, of the model and of PCA.

    Parameters
    ----------
    quantity : {"nmse", "exact", "wrong"}
        Squared error over power of the numeric columns; share of the sequences that come back
        exactly; share of wrong entries of the other columns.
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
        return self.value >= self.pca if self.quantity == "exact" else self.value <= self.pca

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
        if self.quantity == "nmse":
            return f"{value:.3g}"
        if value in (0, 1):
            return f"{100 * value:.0f} %"
        up = math.ceil if self.quantity == "wrong" else math.floor
        return f"{up(round(1000 * value, 9)) / 10:.1f} %"

    def text(self, value: float | None) -> str:
        """Write a value of this quantity: ``99.2 % exact``, ``NMSE 0.031``, ``1.2 % wrong``."""
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
