"""Means of `entry_errors` by sequence length and by position."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold._support.argument_checks import check_whole
from refold.evaluation._entry_errors import mean_of, step_sums
from refold.sequences import Scaler, Sequences, as_sequences, positions, sums_by_sequence


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
    ParameterError
        If ``num_groups`` is not at least 1.

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
    ParameterError
        If ``num_groups`` is not at least 1.

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
