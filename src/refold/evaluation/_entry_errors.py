"""Errors of single entries, and their means by feature, sequence, length and position."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold._support.argument_checks import check_whole
from refold.evaluation._exact_accuracy import right_entries
from refold.evaluation._step_matching import as_pair, check_units, on_steps_of
from refold.sequences import Scaler, Sequences, as_sequences, positions, sums_by_sequence


class SequenceErrors(NamedTuple):
    """Mean errors of each sequence.

    Attributes
    ----------
    numeric : array of shape (n_sequences,)
        Mean squared error of the numeric columns; NaN where nothing was observed.
    categorical : array of shape (n_sequences,)
        Share of wrong binary and categorical entries; NaN where nothing was observed.
    """

    numeric: np.ndarray
    categorical: np.ndarray


def entry_errors(
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
) -> np.ndarray:
    """Error of each entry: squared for numeric columns, else 1 if wrong and 0 if right.

    Numeric columns are scaled by ``scaler``, if there is one. For a step that the reconstruction
    lacks, numeric columns count as the training mean (without a scaler, the mean of the column) and
    the others as wrong. Extra steps are ignored.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    array of shape (n_steps, n_features)
        One row per step of ``original``; NaN where nothing was observed.

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> original = Sequences.from_list([[1.0, 5.0, float("nan")], [3.0]])
    >>> entry_errors(original, [[1.0, 4.0, 0.0], []])[:, 0].tolist()
    [0.0, 1.0, nan, 0.0]
    """
    original, reconstructed = as_pair(original, reconstructed)
    check_units(scaler, original.schema)
    y = on_steps_of(original, reconstructed)
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
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
) -> np.ndarray:
    """Mean of `entry_errors` over each feature.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    array of shape (n_features,)
        Mean squared error of a numeric column, share of wrong entries of any other; NaN for a
        feature that was never observed.

    Raises
    ------
    RefoldError
        Like `entry_errors`.

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
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
) -> SequenceErrors:
    """Mean of `entry_errors` over each sequence.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    SequenceErrors

    Raises
    ------
    RefoldError
        Like `entry_errors`.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors_by_sequence(words, ["abbb", "cab"]).categorical.tolist()
    [0.25, 0.0]
    """
    original = as_sequences(original)
    sums = sums_by_sequence(step_sums(original, reconstructed, scaler), original)
    return SequenceErrors(mean_of(sums[:, 0], sums[:, 1]), mean_of(sums[:, 2], sums[:, 3]))


def _scaled(values: np.ndarray, scaler: Scaler) -> np.ndarray:
    return (values - scaler.mean_) / scaler.scale_


def step_sums(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None
) -> np.ndarray:
    """Return error sum and count of each step, for the numeric columns and then for the others."""
    errors = entry_errors(original, reconstructed, scaler)
    observed = ~np.isnan(errors)
    numeric = original.schema.numeric
    parts = [
        part[:, columns].sum(axis=1)
        for columns in (numeric, ~numeric)
        for part in (np.nan_to_num(errors), observed.astype(float))
    ]
    return np.stack(parts, axis=1)


def mean_of(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class GroupErrors(NamedTuple):
    """Mean errors of groups of lengths or of positions, in ascending order.

    Attributes
    ----------
    first, last : arrays of int of shape (n_groups,)
        First and last length or step of each group, both inclusive.
    numeric : array of shape (n_groups,)
        Mean squared error of the numeric columns; NaN where nothing was observed.
    categorical : array of shape (n_groups,)
        Share of wrong binary and categorical entries; NaN where nothing was observed.
    num_sequences : array of int of shape (n_groups,)
        Number of sequences that have such a length, or such a step.
    """

    first: np.ndarray
    last: np.ndarray
    numeric: np.ndarray
    categorical: np.ndarray
    num_sequences: np.ndarray

    @property
    def names(self) -> list[str]:
        """Name of each group, such as ``7`` or ``7–9``."""
        pairs = zip(self.first.tolist(), self.last.tolist(), strict=True)
        return [str(low) if low == high else f"{low}–{high}" for low, high in pairs]


def errors_by_length(
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
    *,
    num_groups: int = 8,
) -> GroupErrors:
    """Mean of `entry_errors` over groups of sequences of similar length.

    Groups are of about equal size; sequences of the same length are in the same group.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.
    num_groups : int, default=8
        Maximum number of groups.

    Returns
    -------
    GroupErrors
        Within a group, every step has the same weight.

    Raises
    ------
    RefoldError
        Like `entry_errors`.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> errors = errors_by_length(words, ["abbb", "cab", "b"], num_groups=2)
    >>> errors.first.tolist(), errors.last.tolist(), errors.categorical.round(3).tolist()
    ([1, 3], [1, 4], [0.0, 0.143])
    """
    check_whole("num_groups", num_groups)
    original = as_sequences(original)
    sums = sums_by_sequence(step_sums(original, reconstructed, scaler), original)
    lengths = original.lengths
    values, counts = np.unique(lengths, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(lengths)
    _, group = np.unique((middle * num_groups).astype(int), return_inverse=True)
    member = group[np.searchsorted(values, lengths)]
    totals = np.zeros((group.max() + 1, 4))
    np.add.at(totals, member, sums)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(values)) - 1
    return GroupErrors(
        values[starts],
        values[ends],
        mean_of(totals[:, 0], totals[:, 1]),
        mean_of(totals[:, 2], totals[:, 3]),
        np.bincount(member),
    )


def errors_by_position(
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
    *,
    num_groups: int = 60,
) -> GroupErrors:
    """Mean of `entry_errors` over groups of neighboring steps.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.
    num_groups : int, default=60
        Maximum number of groups. If there are more steps, neighboring ones share a group.

    Returns
    -------
    GroupErrors
        Steps count from 0.

    Raises
    ------
    RefoldError
        Like `entry_errors`.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> errors = errors_by_position(words, ["abbb", "cab", "a"])
    >>> errors.categorical.round(3).tolist(), errors.num_sequences.tolist()
    ([0.333, 0.0, 0.0, 1.0], [3, 2, 2, 1])
    """
    check_whole("num_groups", num_groups)
    original = as_sequences(original)
    entries = step_sums(original, reconstructed, scaler)
    _, step = positions(original)
    longest = int(original.lengths.max())
    width = max(1, -(-longest // num_groups))
    first = np.arange(0, longest, width)
    sums = np.stack([np.bincount(step // width, sum_, len(first)) for sum_ in entries.T], axis=1)
    return GroupErrors(
        first,
        np.minimum(first + width, longest) - 1,
        mean_of(sums[:, 0], sums[:, 1]),
        mean_of(sums[:, 2], sums[:, 3]),
        (original.lengths[:, None] > first).sum(axis=0),
    )
