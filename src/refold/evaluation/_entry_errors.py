"""Errors entry by entry, and their means by feature and by sequence."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.evaluation._exact_accuracy import right_entries
from refold.evaluation._step_matching import as_reconstruction, check_units, on_steps_of
from refold.sequences import Scaler, Sequences, sums_by_sequence

__all__ = [
    "SequenceErrors",
    "entry_errors",
    "errors_by_feature",
    "errors_by_sequence",
    "mean_of",
    "sums_by_kind",
]


class SequenceErrors(NamedTuple):
    """Mean errors of each sequence.

    Attributes
    ----------
    numeric : array of shape (n_sequences,)
        Mean squared error of the numeric columns; NaN where nothing was observed.
    symbols : array of shape (n_sequences,)
        Share of wrong entries of the other columns; NaN where nothing was observed.
    """

    numeric: np.ndarray
    symbols: np.ndarray


def entry_errors(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> np.ndarray:
    """Error of each entry: squared for numbers, 1 for a wrong symbol and 0 for a right one.

    Numbers are measured in the units of ``scaler``, or as they are without one.  A step that the
    reconstruction lacks counts as the training mean (without a scaler, as the mean of the column),
    and as wrong symbols; an extra one is ignored.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    array of shape (n_steps, n_features)
        Row by row the steps of ``original``; NaN where nothing was observed.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ.
    ParameterError
        If ``scaler`` is not one of features.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> original = Sequences.from_list([[1.0, 5.0, float("nan")], [3.0]])
    >>> entry_errors(original, [[1.0, 4.0, 0.0], []])[:, 0].tolist()
    [0.0, 1.0, nan, 0.0]
    """
    check_units(scaler)
    y = on_steps_of(original, as_reconstruction(original, reconstructed))
    x = original.values.astype(float)
    wrong = ~right_entries(original, y, tolerance=0.0)
    errors = np.where(np.isnan(x), np.nan, wrong.astype(float))
    numeric = original.schema.numeric
    if numeric.any():
        if scaler is not None:
            x, y = (_scaled(values, scaler)[:, numeric] for values in (x, y))
            mean = np.zeros(x.shape[1])
        else:
            x, y = x[:, numeric], y[:, numeric]
            count = np.maximum(1, (~np.isnan(x)).sum(axis=0))
            mean = np.nansum(x, axis=0) / count
        errors[:, numeric] = np.square(x - np.where(np.isnan(y), mean, y))
    return errors


def errors_by_feature(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> np.ndarray:
    """Mean error of each feature, entries measured as by `entry_errors`.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
    reconstructed : Sequences or list of shape (n_sequences,)
    scaler : Scaler, optional

    Returns
    -------
    array of shape (n_features,)
        Mean squared error of a numeric column, share of wrong entries of another; NaN for a
        feature that was never observed.

    Raises
    ------
    RefoldError
        As `entry_errors` does.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors_by_feature(words, ["abbb", "ca"]).round(3).tolist()
    [0.286]
    """
    errors = entry_errors(original, reconstructed, scaler)
    return mean_of(np.nansum(errors, axis=0), (~np.isnan(errors)).sum(axis=0))


def errors_by_sequence(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> SequenceErrors:
    """Mean errors of each sequence, entries measured as by `entry_errors`.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
    reconstructed : Sequences or list of shape (n_sequences,)
    scaler : Scaler, optional

    Returns
    -------
    SequenceErrors

    Raises
    ------
    RefoldError
        As `entry_errors` does.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors_by_sequence(words, ["abbb", "cab"]).symbols.tolist()
    [0.25, 0.0]
    """
    sums = sums_by_sequence(sums_by_kind(original, reconstructed, scaler), original)
    return SequenceErrors(mean_of(sums[:, 0], sums[:, 1]), mean_of(sums[:, 2], sums[:, 3]))


def _scaled(values: np.ndarray, scaler: Scaler) -> np.ndarray:
    return (values - scaler.mean_) / scaler.scale_


def sums_by_kind(original: Sequences, reconstructed: Any, scaler: Scaler | None) -> np.ndarray:
    """Sum the entries of each step: error and count of numeric columns, then of the others."""
    errors = entry_errors(original, reconstructed, scaler)
    observed = ~np.isnan(errors)
    numeric = original.schema.numeric
    parts = [
        part[:, kind].sum(axis=1)
        for kind in (numeric, ~numeric)
        for part in (np.nan_to_num(errors), observed.astype(float))
    ]
    return np.stack(parts, axis=1)


def mean_of(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
