"""Sliding windows over long series, merging of their results, and splits at a step."""

from typing import Any, NamedTuple

import numpy as np

from refold._support.argument_checks import check_whole, is_whole
from refold._support.arrays import offsets_from_lengths
from refold.errors import DataError, ParameterError, argument
from refold.sequences._as_sequences import as_sequences
from refold.sequences._sequences import Sequences
from refold.sequences.preprocessing._padding import positions
from refold.sequences.schema._parts import Places


class Windows(NamedTuple):
    """Windows cut out of series.

    Attributes
    ----------
    sequences : Sequences of shape (n_windows,)
        The windows, series by series. A window of series ``a`` has an id like ``a[0:100]``.
    series : array of int of shape (n_windows,)
        Index of the series of each window.
    starts : array of int of shape (n_windows,)
        First step of each window in its series.
    lengths : array of int of shape (n_series,)
        Number of steps of each series.

    Examples
    --------
    >>> cut = windows([[1.0, 2.0, 3.0, 4.0, 5.0]], 3, 1)
    >>> cut.starts.tolist(), cut.sequences.to_list()[1].tolist()
    ([0, 1, 2], [2.0, 3.0, 4.0])
    """

    sequences: Sequences
    series: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @property
    def overlap(self) -> bool:
        """Whether windows overlap."""
        return len(self.sequences.values) > self.lengths.sum()

    def merge(self, values: Any) -> list[np.ndarray]:
        """Merge per-step values of windows into series, averaging where windows overlap.

        Parameters
        ----------
        values : list of arrays, or array, of shape (n_windows, length)
            One number per step of each window, such as step scores of an anomaly detection.

        Returns
        -------
        list of arrays of shape (length of the series,)

        Examples
        --------
        >>> cut = windows([[1.0, 2.0, 3.0, 4.0]], 3, 1)
        >>> cut.merge([[0.0, 0.0, 6.0], [0.0, 2.0, 4.0]])[0].tolist()
        [0.0, 0.0, 4.0, 4.0]
        """
        num_windows = len(self.starts)
        length = len(self.sequences.values) // max(1, num_windows)
        rows = [np.asarray(row, float).reshape(-1) for row in values]
        if len(rows) != num_windows or any(len(row) != length for row in rows):
            counts = sorted({len(row) for row in rows})
            raise DataError(
                f"Expected {length} numbers for each of {num_windows} windows. Got {len(rows)} "
                f"windows of {', '.join(map(str, counts)) or 'no'} numbers."
            )
        flat = np.concatenate([*rows, []])
        offsets = offsets_from_lengths(self.lengths)
        first = offsets[:-1][self.series] + self.starts
        steps = (first[:, None] + np.arange(length)).reshape(-1)
        sums = np.bincount(steps, flat, minlength=offsets[-1])
        counts = np.bincount(steps, minlength=offsets[-1])
        return np.split(sums / np.maximum(counts, 1), offsets[1:-1])[: len(self.lengths)]


def windows(series: Any, length: int, stride: int | None = None) -> Windows:
    """Cut series into windows of one length at a fixed stride.

    The windows cover every step: the last window of a series is shifted to end with the series.

    Parameters
    ----------
    series : Sequences, list of arrays of shape (length, features), array or table
        Anything that `as_sequences` takes.
    length : int
        Number of steps per window.
    stride : int, optional
        Steps between the starts of consecutive windows, at most ``length``; by default a quarter
        of it.

    Returns
    -------
    Windows

    Raises
    ------
    DataError
        If a series is shorter than a window.

    Examples
    --------
    >>> cut = windows([[0.0] * 10, [1.0] * 5], 4, 4)
    >>> cut.sequences.ids.tolist()
    ['0[0:4]', '0[4:8]', '0[6:10]', '1[0:4]', '1[1:5]']
    """
    sequences = as_sequences(series)
    length = check_whole("length", length)
    stride = max(1, length // 4) if stride is None else stride
    if not is_whole(stride) or stride > length:
        raise ParameterError(
            f"{argument('stride')} must be from 1 to {length}, the steps of a window, so that "
            f"windows cover all steps. Got {stride!r}."
        )
    lengths = sequences.lengths
    short = np.flatnonzero(lengths < length)
    if len(short):
        raise DataError(
            f"{Places(sequences.offsets, sequences.ids).sequence(int(short[0]))} has "
            f"{lengths[short[0]]} steps, fewer than the {length} of a window. Use shorter windows, "
            "or leave the series out."
        )
    by_series = [np.append(np.arange(0, n - length, stride), n - length) for n in lengths]
    series_of = np.repeat(np.arange(len(lengths)), [len(starts) for starts in by_series])
    starts = np.concatenate([*by_series, np.arange(0)]).astype(np.int64)
    rows = (sequences.offsets[:-1][series_of] + starts)[:, None] + np.arange(length)
    names = sequences.ids[series_of]
    ids = [f"{name}[{at}:{at + length}]" for name, at in zip(names, starts, strict=True)]
    values, offsets = sequences.values[rows.reshape(-1)], np.arange(len(starts) + 1) * length
    ids = np.array(ids) if ids else None
    cut = Sequences.trusted(values, offsets, ids, sequences.schema)
    return Windows(cut, series_of, starts, lengths)


def split_at(sequences: Sequences, at: Any) -> tuple[Sequences, Sequences]:
    """Split each sequence after a number of steps, one for all or (n,); both keep the ids."""
    lengths = sequences.lengths
    at = np.broadcast_to(np.asarray(at, np.int64), lengths.shape)
    wrong = np.flatnonzero((at < 0) | (at > lengths))
    if len(wrong):
        first = wrong[0]
        raise DataError(
            f"Sequence {first} has {lengths[first]} steps and cannot be split after {at[first]}. "
            f"Give a number from 0 to {lengths[first]}."
        )
    row, step = positions(sequences)
    is_before = step < at[row]

    def part(rows: np.ndarray, lengths: np.ndarray) -> Sequences:
        values, offsets = sequences.values[rows], offsets_from_lengths(lengths)
        return Sequences.trusted(values, offsets, sequences.ids, sequences.schema)

    return part(is_before, at), part(~is_before, lengths - at)
