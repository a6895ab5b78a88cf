"""How well a fitted model gives back sequences that it has not seen, beside PCA."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from refold.sequences import Sequences

__all__ = ["Result", "measure"]


@dataclass(frozen=True)
class Result:
    """One row of the table of results.

    Parameters
    ----------
    name : str
        What was measured.
    num_sequences : int
        Held-out sequences that it was measured on.
    code_size : int
        Numbers in a code.
    quantity : {"exact", "nmse"}
        Share of sequences recovered exactly, or squared error over power.
    value, pca : float
        The quantity for the model and for PCA with codes of the same size.
    seconds : float
        Time that training took.

    Examples
    --------
    >>> Result("ones", 1000, 4, "exact", 1.0, 0.25, 12.0).text(1.0)
    '100 % exact'
    """

    name: str
    num_sequences: int
    code_size: int
    quantity: Literal["exact", "nmse"]
    value: float
    pca: float
    seconds: float

    @property
    def ahead(self) -> bool:
        """Whether the model is at least as good as PCA."""
        return self.value >= self.pca if self.quantity == "exact" else self.value <= self.pca

    @property
    def behind(self) -> bool:
        """Whether PCA is at least as good as the model."""
        return self.value == self.pca or not self.ahead

    def text(self, value: float) -> str:
        """Write a value of this row's quantity, such as ``99.2 % exact`` or ``NMSE 0.031``."""
        if self.quantity == "nmse":
            return f"NMSE {value:.3g}"
        if value == 1.0:
            return "100 % exact"
        return f"{math.floor(1000 * value) / 10:.1f} % exact"  # never rounded up to all


def measure(
    model: Any, train: "Sequences", held_out: "Sequences", *, name: str, seconds: float
) -> Result:
    """Measure a fitted model on held-out sequences, and PCA of the same size beside it.

    The model uses its own lengths; PCA is told the true ones. Symbols (zeros and ones, labels)
    are measured by the share of sequences recovered exactly, numbers by NMSE in units
    standardised on the training split.

    Parameters
    ----------
    model : SequenceAutoencoder
        Fitted on ``train``.
    train, held_out : Sequences of shape (n_sequences,)
    name : str
        What the row is called.
    seconds : float
        Time that training took.

    Returns
    -------
    Result

    Raises
    ------
    RefoldError
        If the model is not fitted, or the data have other columns than the fitted ones.

    Examples
    --------
    >>> from refold import SequenceAutoencoder, datasets
    >>> sines = datasets.noisy_sines(40, seed=0)
    >>> model = SequenceAutoencoder(4, max_epochs=1, random_state=0).fit(sines[:30])
    >>> measure(model, sines[:30], sines[30:], name="sines", seconds=1.0).quantity
    'nmse'
    """
    from refold.evaluation import PCABaseline, exact, nmse
    from refold.sequences import Scaler, Sequences

    train, held_out = train.align(model.schema_), held_out.align(model.schema_)
    code_size = int(model.transform(held_out[:1]).shape[1])
    back = Sequences.from_list(model.reconstruct(held_out), schema=model.schema_, ids=held_out.ids)
    linear = PCABaseline(code_size).fit(train).reconstruct(held_out)
    quantity: Literal["exact", "nmse"]
    if model.schema_.numeric.any():
        quantity, scaler = "nmse", Scaler.fit(train)
        values = [nmse(held_out, other, scaler) for other in (back, linear)]
    else:
        quantity = "exact"
        values = [exact(held_out, other) for other in (back, linear)]
    return Result(name, len(held_out), code_size, quantity, values[0], values[1], seconds)
