"""Exact match: the share of sequences, and of steps, that are reconstructed exactly."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import SchemaError
from refold.evaluation._step_matching import as_pair, on_steps_of
from refold.sequences import Sequences


def exact(
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    *,
    tolerance: float = 1e-6,
) -> float:
    """Share of sequences that are reconstructed exactly, length included.

    A binary entry is right if it rounds to the original at 0.5, a categorical one if it has the
    same category (a category unknown to the schema is always wrong), a numeric one if it is within
    ``tolerance``. Entries that are missing in the original are not compared.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    tolerance : float, default 1e-6
        Maximum difference of a numeric entry; relative if the magnitude of the entry is above 1.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> exact(words, words[[0, 1, 1]])
    0.6666666666666666
    """
    original, reconstructed = as_pair(original, reconstructed)
    right = right_entries(original, on_steps_of(original, reconstructed), tolerance).all(axis=1)
    wrong_before = np.concatenate([[0], np.cumsum(~right)])
    all_right = wrong_before[original.offsets[1:]] == wrong_before[original.offsets[:-1]]
    return float(np.mean(all_right & (original.lengths == reconstructed.lengths)))


def accuracy(
    original: Sequences | Sequence[Any], reconstructed: Sequences | Sequence[Any]
) -> float:
    """Share of steps at which all binary and categorical entries are right.

    Entries are compared as in `exact`. A step that the reconstruction lacks is wrong, extra steps
    are ignored, and steps without an observed entry do not count.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.

    Returns
    -------
    float
        Between 0 and 1; 1 if no step counts.

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ, or all of them are numeric.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> accuracy(words, words[[0, 1, 1]])
    0.875
    """
    original, reconstructed = as_pair(original, reconstructed)
    categorical = ~original.schema.numeric
    if not categorical.any():
        raise SchemaError(
            "Accuracy needs binary or categorical columns. Got numeric columns only; "
            "use nmse or explained_variance."
        )
    values = on_steps_of(original, reconstructed)
    missing = np.isnan(original.values[:, categorical])
    observed = missing.sum(axis=1) < missing.shape[1]
    if not observed.any():
        return 1.0
    right = right_entries(original, values, tolerance=0.0)[observed][:, categorical]
    return float(np.mean(right.all(axis=1)))


def right_entries(original: Sequences, values: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which entries are right, by step and feature; missing originals count as right."""
    right = np.isnan(original.values)
    for i, column in enumerate(original.schema.columns):
        x, y = original.values[:, i].astype(float), values[:, i]
        right[:, i] |= column.column_type.is_right(x, y, tolerance, len(column.categories))
    return right
