"""Mean errors by length and by position: entries as `entry_errors` measures them, in groups."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import ParameterError
from refold.evaluation._entry_errors import mean_of, sums_by_kind
from refold.sequences import Scaler, Sequences, positions, sums_by_sequence

__all__ = ["GroupErrors", "errors_by_length", "errors_by_position"]


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

    @property
    def names(self) -> list[str]:
        """``7`` or ``7–9`` for each group."""
        pairs = zip(self.first.tolist(), self.last.tolist(), strict=True)
        return [str(low) if low == high else f"{low}–{high}" for low, high in pairs]


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
    ([1, 3], [1, 4], [0.0, 0.143])
    """
    _check_groups(num_groups)
    sums = sums_by_sequence(sums_by_kind(original, reconstructed, scaler), original)
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
        mean_of(of_group[:, 0], of_group[:, 1]),
        mean_of(of_group[:, 2], of_group[:, 3]),
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
    entries = sums_by_kind(original, reconstructed, scaler)
    _, step = positions(original)
    longest = int(original.lengths.max())
    width = max(1, -(-longest // num_groups))
    first = np.arange(0, longest, width)
    sums = np.stack([np.bincount(step // width, one, len(first)) for one in entries.T], axis=1)
    return GroupErrors(
        first,
        np.minimum(first + width, longest) - 1,
        mean_of(sums[:, 0], sums[:, 1]),
        mean_of(sums[:, 2], sums[:, 3]),
        (original.lengths[:, None] > first).sum(axis=0),
    )


def _check_groups(num_groups: int) -> None:
    if num_groups < 1:
        raise ParameterError(f"num_groups must be at least 1. Got {num_groups!r}.")
