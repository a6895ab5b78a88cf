"""Recoveries: the share of sequences, and of steps, that come back exactly."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import SchemaError
from refold.evaluation._step_matching import as_reconstruction, on_steps_of
from refold.sequences import Sequences

__all__ = ["accuracy", "exact", "right_entries"]


def exact(
    original: Sequences,
    reconstructed: Sequences | Sequence[Any],
    *,
    tolerance: float = 1e-6,
) -> float:
    """Share of sequences that come back exactly, length included.

    A binary entry is right when it rounds to the original at 0.5, a categorical one when it has
    the original's label (a label unknown to the schema never comes back), a numeric one when it
    is within ``tolerance``.  What was missing in the original may come back as anything.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    tolerance : float, default 1e-6
        Largest difference of a numeric entry, relative to the entry where that is above 1.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> exact(words, words[[0, 1, 1]])
    0.6666666666666666
    """
    reconstructed = as_reconstruction(original, reconstructed)
    right = right_entries(original, on_steps_of(original, reconstructed), tolerance).all(axis=1)
    wrong_before = np.concatenate([[0], np.cumsum(~right)])
    all_right = wrong_before[original.offsets[1:]] == wrong_before[original.offsets[:-1]]
    return float(np.mean(all_right & (original.lengths == reconstructed.lengths)))


def accuracy(original: Sequences, reconstructed: Sequences | Sequence[Any]) -> float:
    """Share of real steps whose symbols all come back.

    Looks at binary and categorical columns only, each entry judged as in `exact`.  A step that the
    reconstruction lacks is wrong, an extra one is ignored, and a step of which nothing was
    observed is not counted.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.

    Returns
    -------
    float
        Between 0 and 1; 1 where there is no step to get wrong.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ, or all of them are numeric.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> accuracy(words, words[[0, 1, 1]])
    0.875
    """
    symbols = ~original.schema.numeric
    if not symbols.any():
        raise SchemaError(
            "Accuracy needs binary or categorical columns. Got numeric columns only; "
            "use nmse or explained_variance."
        )
    values = on_steps_of(original, as_reconstruction(original, reconstructed))
    missing = np.isnan(original.values[:, symbols])
    observed = missing.sum(axis=1) < missing.shape[1]
    if not observed.any():
        return 1.0
    right = right_entries(original, values, tolerance=0.0)[observed][:, symbols]
    return float(np.mean(right.all(axis=1)))


def right_entries(original: Sequences, values: np.ndarray, tolerance: float) -> np.ndarray:
    """Which entries come back, of shape (n_steps, n_features); missing originals do."""
    right = np.isnan(original.values)
    for i, column in enumerate(original.schema.columns):
        x, y = original.values[:, i].astype(float), values[:, i]
        if column.type == "numeric":
            same = np.abs(y - x) <= tolerance * np.maximum(1.0, np.abs(x))
        elif column.type == "binary":
            same = ~np.isnan(y) & ((y >= 0.5) == (x >= 0.5))
        else:
            same = (x == y) & (x < len(column.categories))
        right[:, i] |= same
    return right
