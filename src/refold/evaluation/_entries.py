"""Errors entry by entry, and their means by feature, sequence, length and position."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import ParameterError
from refold.evaluation._matching import as_reconstruction, on_steps_of
from refold.evaluation._symbols import right_entries
from refold.sequences import Scaler, Sequences, positions, sums_by_sequence

__all__ = [
    "GroupErrors",
    "SequenceErrors",
    "entry_errors",
    "errors_by_feature",
    "errors_by_length",
    "errors_by_position",
    "errors_by_sequence",
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


class GroupErrors(NamedTuple):
    """Mean errors of groups of lengths or of positions, from the lowest to the highest.

    Attributes
    ----------
    first, last : arrays of int of shape (n_groups,)
        Lengths or steps that the group is of; both are in it.
    numeric : array of shape (n_groups,)
        Mean squared error of the numeric columns; NaN where nothing was observed.
    symbols : array of shape (n_groups,)
        Share of wrong entries of the other columns; NaN where nothing was observed.
    num_sequences : array of int of shape (n_groups,)
        Sequences of these lengths, or that have one of these steps.
    """

    first: np.ndarray
    last: np.ndarray
    numeric: np.ndarray
    symbols: np.ndarray
    num_sequences: np.ndarray


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
    if scaler is not None and scaler.mode != "features":
        raise ParameterError(
            f"Errors are measured in units of the training split. Got a scaler of mode "
            f'{scaler.mode!r}; pass Scaler.fit(train, mode="features").'
        )
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
    return _mean(np.nansum(errors, axis=0), (~np.isnan(errors)).sum(axis=0))


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
    sums = sums_by_sequence(_by_kind(original, reconstructed, scaler), original)
    return SequenceErrors(_mean(sums[:, 0], sums[:, 1]), _mean(sums[:, 2], sums[:, 3]))


def errors_by_length(
    original: Sequences,
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
    *,
    num_groups: int = 8,
) -> GroupErrors:
    """Mean errors of sequences of like length, entries measured as by `entry_errors`.

    Groups hold about as many sequences each; sequences of one length are never parted.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
    reconstructed : Sequences or list of shape (n_sequences,)
    scaler : Scaler, optional
    num_groups : int, default=8
        At most.

    Returns
    -------
    GroupErrors
        Every step weighs the same within a group.

    Raises
    ------
    RefoldError
        As `entry_errors` does.
    ParameterError
        If ``num_groups`` is not at least 1.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> found = errors_by_length(words, ["abbb", "cab", "b"], num_groups=2)
    >>> found.first.tolist(), found.last.tolist(), found.symbols.round(3).tolist()
    ([1, 4], [3, 4], [0.0, 0.25])
    """
    _check_groups(num_groups)
    sums = sums_by_sequence(_by_kind(original, reconstructed, scaler), original)
    lengths = original.lengths
    values, counts = np.unique(lengths, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(lengths)
    _, group = np.unique((middle * num_groups).astype(int), return_inverse=True)
    member = group[np.searchsorted(values, lengths)]
    of_group = np.zeros((group.max() + 1, 4))
    np.add.at(of_group, member, sums)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(values)) - 1
    return GroupErrors(
        values[starts],
        values[ends],
        _mean(of_group[:, 0], of_group[:, 1]),
        _mean(of_group[:, 2], of_group[:, 3]),
        np.bincount(member),
    )


def errors_by_position(
    original: Sequences,
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
    *,
    num_groups: int = 60,
) -> GroupErrors:
    """Mean errors of steps at like positions, entries measured as by `entry_errors`.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
    reconstructed : Sequences or list of shape (n_sequences,)
    scaler : Scaler, optional
    num_groups : int, default=60
        At most: where sequences have more steps, neighbouring ones are taken together.

    Returns
    -------
    GroupErrors
        Steps count from 0.

    Raises
    ------
    RefoldError
        As `entry_errors` does.
    ParameterError
        If ``num_groups`` is not at least 1.

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> found = errors_by_position(words, ["abbb", "cab", "a"])
    >>> found.symbols.round(3).tolist(), found.num_sequences.tolist()
    ([0.333, 0.0, 0.0, 1.0], [3, 2, 2, 1])
    """
    _check_groups(num_groups)
    entries = _by_kind(original, reconstructed, scaler)
    _, step = positions(original)
    longest = int(original.lengths.max())
    width = max(1, -(-longest // num_groups))
    first = np.arange(0, longest, width)
    sums = np.stack([np.bincount(step // width, one, len(first)) for one in entries.T], axis=1)
    return GroupErrors(
        first,
        np.minimum(first + width, longest) - 1,
        _mean(sums[:, 0], sums[:, 1]),
        _mean(sums[:, 2], sums[:, 3]),
        (original.lengths[:, None] > first).sum(axis=0),
    )


def _check_groups(num_groups: int) -> None:
    if num_groups < 1:
        raise ParameterError(f"num_groups must be at least 1. Got {num_groups!r}.")


def _scaled(values: np.ndarray, scaler: Scaler) -> np.ndarray:
    return (values - scaler.mean_) / scaler.scale_


def _by_kind(original: Sequences, reconstructed: Any, scaler: Scaler | None) -> np.ndarray:
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


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
