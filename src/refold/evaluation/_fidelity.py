"""Reconstruction quality: the three measures that fits, curves and reports show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refold._support.display import short_number
from refold.evaluation._exact_accuracy import accuracy, exact
from refold.evaluation._nmse import nmse
from refold.evaluation._step_matching import as_pair
from refold.sequences import Scaler, Sequences


@dataclass(frozen=True)
class Fidelity:
    """Reconstruction quality.

    Attributes
    ----------
    nmse : float or None
        Normalized squared error of the numeric columns (`nmse`); None if there are none.
    accuracy : float or None
        Share of steps at which all binary and categorical entries are right (`accuracy`); None if
        there are no such columns.
    exact : float
        Share of sequences that are reconstructed exactly, length included (`exact`).

    Examples
    --------
    >>> Fidelity(0.25, 0.9, 0.5).error
    0.25
    >>> Fidelity(None, 0.75, 0.5).error
    0.25
    """

    nmse: float | None
    accuracy: float | None
    exact: float

    @property
    def measure(self) -> str:
        """Name of `error`: ``"NMSE"``, or ``"1 - accuracy"`` if no column is numeric."""
        return "1 - accuracy" if self.nmse is None else "NMSE"

    @property
    def error(self) -> float:
        """NMSE, or 1 - accuracy if no column is numeric."""
        return 1.0 - (self.accuracy or 0.0) if self.nmse is None else self.nmse

    @property
    def lost(self) -> float:
        """The larger of NMSE and 1 - accuracy."""
        return self.error if self.accuracy is None else max(self.error, 1.0 - self.accuracy)

    def text(self, pca: "Fidelity | None" = None, *, name: str = "PCA") -> str:
        """Format the measures that apply, each next to that of PCA.

        Parameters
        ----------
        pca : Fidelity, optional
            Quality of PCA on the same sequences.
        name : str
            Name of PCA at its first mention.

        Examples
        --------
        >>> Fidelity(0.25, 0.9, 0.5).text(Fidelity(0.1, 0.8, 0.5))
        'NMSE 0.25, PCA 0.1; accuracy 90.0 %, PCA 80.0 %'
        """
        shown: list[tuple[str, str, str]] = []
        if self.nmse is not None:
            theirs = "" if pca is None or pca.nmse is None else short_number(pca.nmse)
            shown.append(("NMSE", short_number(self.nmse), theirs))
        shares = [("accuracy", self.accuracy, None if pca is None else pca.accuracy)]
        if self.nmse is None:
            shares.append(("exact", self.exact, None if pca is None else pca.exact))
        for what, ours, other in shares:
            if ours is not None:
                shown.append((what, as_percent(ours), "" if other is None else as_percent(other)))
        parts = []
        for what, ours, theirs in shown:
            parts.append(f"{what} {ours}, {name} {theirs}" if theirs else f"{what} {ours}")
            name = "PCA"
        return "; ".join(parts)


def fidelity(
    original: Sequences | Sequence[Any], reconstructed: Sequences | Sequence[Any], scaler: Scaler
) -> Fidelity:
    """Measure reconstruction quality, separately for numeric and other columns.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``; ``error_scaler_`` of a fitted
        estimator.

    Returns
    -------
    Fidelity

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.sequences import Scaler, Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> fidelity(words, ["abba", "cab", "a"], Scaler.fit(words))
    Fidelity(nmse=None, accuracy=0.875, exact=0.6666666666666666)
    """
    original, reconstructed = as_pair(original, reconstructed)
    numeric = original.schema.numeric
    return Fidelity(
        nmse(original, reconstructed, scaler) if numeric.any() else None,
        None if numeric.all() else accuracy(original, reconstructed),
        exact(original, reconstructed),
    )


def as_percent(share: float) -> str:
    """Format a share in percent, rounded down so that it never looks better than it is."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{math.floor(round(1000 * share, 9)) / 10:.1f} %"


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
