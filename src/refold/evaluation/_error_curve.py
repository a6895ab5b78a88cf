"""`ErrorCurve`: held-out errors by the size of the code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCurve:
    """Held-out errors by the size of the code.

    Attributes
    ----------
    sizes : tuple of int
        Latent dimensions, ascending.
    errors, pca : tuple of float
        Error of a fit with codes of each size, and of PCA with as many components, or with all of
        them if there are fewer.
    measure : {"NMSE", "1 - accuracy"}
        Measure of the errors: squared error over power of the numeric columns or, if no column is
        numeric, the share of the steps with a wrong token.
    num_sequences, num_held_out : int
        Number of all sequences used, and of held-out ones.
    complete : bool
        Whether all requested sizes are there; False after Ctrl-C.
    accuracy, pca_accuracy : tuple of float
        Share of the steps whose binary and categorical values are all correct; empty if all columns
        are numeric.

    Examples
    --------
    >>> curve = ErrorCurve((2, 4), (0.3, 0.1), (0.4, 0.15), "NMSE", 100, 10)
    >>> min(curve.errors)
    0.1
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    pca: tuple[float, ...]
    measure: str
    num_sequences: int
    num_held_out: int
    complete: bool = True
    accuracy: tuple[float, ...] = ()
    pca_accuracy: tuple[float, ...] = ()
