"""Windows: `windows` cuts long series, and the methods of `Windows` join the windows again."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.rules import check, check_integer, integer_rule
from refold.errors import DataError
from refold.sequences._conversions import as_sequences, sequence_and_step_indices
from refold.sequences._sequences import Sequences


class Windows(NamedTuple):
    """Windows cut out of series.

    Attributes
    ----------
    sequences : Sequences of shape (n_windows,)
        The windows, series by series. A window of series ``a`` has an id like ``a[0:100]``, and a
        series that is one window keeps its id.
    series : array of int of shape (n_windows,)
        Index of the series of each window.
    starts : array of int of shape (n_windows,)
        First step of each window in its series.
    lengths : array of int of shape (n_series,)
        Number of steps of each series.
    ids : array of shape (n_series,)
        Id of each series.
    """

    sequences: Sequences
    series: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    ids: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """Step after the last one of each window, counted in its series; int (n_windows,)."""
        return self.starts + self.sequences.lengths

    @property
    def series_times(self) -> pa.Array | None:
        """Times of the steps of all series, `pyarrow.Array` (n_steps,); None without times."""
        if self.sequences.times is None:
            return None
        # a step may be in several windows; its time is taken from the first one
        _, window_rows = np.unique(self._series_rows, return_index=True)
        return self.sequences.times.take(pa.array(window_rows))

    def take(self, indices: np.ndarray) -> Self:
        """Return the windows with these indices."""
        selected = self.sequences[indices], self.series[indices], self.starts[indices]
        return type(self)(*selected, self.lengths, self.ids)

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per window: id of its series, first step, and the step after the last.

        The columns are ``id``, under the name that you give, ``start`` and ``end``. If the series
        have times, ``start_time`` and ``end_time`` are those of the first and the last step.
        """
        ids = pa.array(self.ids[self.series].tolist())
        columns = {id: ids, "start": pa.array(self.starts), "end": pa.array(self.ends)}
        times, offsets = self.sequences.times, self.sequences.offsets
        if times is not None:
            is_empty = np.diff(offsets) == 0
            for name, row in (("start_time", offsets[:-1]), ("end_time", offsets[1:] - 1)):
                columns[name] = times.take(pa.array(row, mask=is_empty))
        return pa.table(columns)

    def merge(self, values: Any) -> list[np.ndarray]:
        """Merge per-step values of windows into series, averaging where windows overlap.

        Parameters
        ----------
        values : list of arrays, or array, of shape (n_windows, length)
            One number per step of each window, such as step scores of an anomaly detection.

        Examples
        --------
        >>> cut = windows([[1.0, 2.0, 3.0, 4.0]], 3, 1)
        >>> cut.merge([[0.0, 0.0, 6.0], [0.0, 2.0, 4.0]])[0].tolist()
        [0.0, 0.0, 4.0, 4.0]
        """
        arrays = [np.asarray(array, float).reshape(-1) for array in values]
        counts, lengths = [len(array) for array in arrays], self.sequences.lengths
        if not np.array_equal(counts, lengths):
            raise DataError(
                f"Expected one number for each step of {len(lengths)} windows, "
                f"{int(lengths.sum())} in all. Got {sum(counts)} for {len(arrays)} windows."
            )
        # `concatenate` needs at least one array, also if there are no windows. `split` returns at
        # least one array, also if there are no series.
        merged = self._average_by_step(np.concatenate([*arrays, []])[:, None])[:, 0]
        return np.split(merged, offsets_from_lengths(self.lengths)[1:-1])[: len(self.lengths)]

    def join(self, window_sequences: Sequences) -> Sequences:
        """Join sequences into series, (n_series,): one sequence per window, as long as the window.

        Numbers are averaged where windows overlap. Other values are taken from the window whose
        middle is nearest to the step.
        """
        window_indices, steps = sequence_and_step_indices(window_sequences)
        # twice the distance of each step from the middle of its window, which is an integer
        distances = np.abs(2 * steps + 1 - window_sequences.lengths[window_indices])
        order = np.lexsort((distances, self._series_rows))
        # for each step of the series, the first row of the sorted rows is the nearest
        _, nearest = np.unique(self._series_rows[order], return_index=True)
        values = window_sequences.values[order[nearest]]
        means = self._average_by_step(window_sequences.values)
        for i, column in enumerate(window_sequences.schema.columns):
            if column.column_type.is_number:
                values[:, i] = column.column_type.to_nearest_valid(means[:, i])
        offsets = offsets_from_lengths(self.lengths)
        return Sequences.from_checked(values, offsets, self.ids, window_sequences.schema)

    @property
    def _series_rows(self) -> np.ndarray:
        """Index of each step of each window among the steps of all series, (n_window_steps,)."""
        window_indices, steps = sequence_and_step_indices(self.sequences)
        first_rows = offsets_from_lengths(self.lengths)[:-1][self.series] + self.starts
        return first_rows[window_indices] + steps

    def _average_by_step(self, values: np.ndarray) -> np.ndarray:
        """Average values (n_window_steps, F) over all windows that hold a step, to (n_steps, F)."""
        rows, num_steps = self._series_rows, int(self.lengths.sum())
        counts = np.maximum(np.bincount(rows, minlength=num_steps), 1)
        sums = [np.bincount(rows, column, minlength=num_steps) for column in values.T]
        return np.stack(sums, axis=1) / counts[:, None]


def windows(series: Any, length: int, step: int | None = None) -> Windows:
    """Cut series into windows of one length, at a fixed step.

    The windows cover every step: the last window of a series is shifted to end with the series. A
    shorter series is one window of its own length. So cutting windows again changes nothing.

    Parameters
    ----------
    series : Sequences, list of arrays of shape (length, features), array or table
        Anything that `as_sequences` takes.
    length : int
        Number of steps per window.
    step : int, optional
        Steps between the starts of consecutive windows, at most ``length``; by default a quarter
        of it.

    Examples
    --------
    >>> cut = windows([[0.0] * 10, [1.0] * 3], 4, 4)
    >>> cut.sequences.ids.tolist(), cut.starts.tolist()
    (['0[0:4]', '0[4:8]', '0[6:10]', '1'], [0, 4, 6, 0])
    """
    sequences = as_sequences(series)
    length = check_integer("length", length)
    step = default_window_step(length) if step is None else step
    check("step", step, integer_rule(1, length))
    return cut_windows(sequences, length, step)


def cut_windows(sequences: Sequences, window_length: int | np.ndarray, stride: int) -> Windows:
    """Cut sequences into windows of one length, or of a length for each sequence (n,)."""
    # the stride is the number of steps from the start of a window to the start of the next
    lengths = sequences.lengths
    if (lengths <= window_length).all():
        return uncut_windows(sequences)
    series, starts, window_lengths = compute_window_positions(lengths, window_length, stride)
    cut = sequences.cut_pieces(series, starts, window_lengths)
    is_whole = (window_lengths == lengths[series]).tolist()
    ends = (starts + window_lengths).tolist()
    ids = make_window_ids(cut.ids.tolist(), starts.tolist(), ends, is_whole)
    cut = cut.with_ids(np.array(ids, dtype=str))
    return Windows(cut, series, starts, lengths, sequences.ids)


def make_window_ids(
    series_ids: Sequence[Any], starts: Sequence[int], ends: Sequence[int], is_whole: Sequence[bool]
) -> list[Any]:
    """Return the ids of windows, such as a[0:100]; a window that is a whole series has its id."""
    positions = zip(series_ids, starts, ends, is_whole, strict=True)
    return [id_ if whole else f"{id_}[{start}:{end}]" for id_, start, end, whole in positions]


def default_window_step(window_length: int) -> int:
    """Return the default number of steps from the start of a window to the start of the next."""
    return max(1, window_length // 4)


def uncut_windows(sequences: Sequences) -> Windows:
    """Return sequences that are not cut, each as one window."""
    indices = np.arange(len(sequences))
    return Windows(sequences, indices, np.zeros_like(indices), sequences.lengths, sequences.ids)


class WindowPositions(NamedTuple):
    """Positions of windows in their series, each array of int of shape (n_windows,)."""

    series: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def compute_window_positions(
    series_lengths: np.ndarray, window_length: int | np.ndarray, stride: int
) -> WindowPositions:
    """Return where to cut windows of one length, or of a length for each series (n_series,)."""
    last_starts = np.maximum(series_lengths - window_length, 0).tolist()
    # the last window ends with its series, and may start less than a stride after the window before
    starts_by_series = [np.append(np.arange(0, last, stride), last) for last in last_starts]
    counts = [len(starts) for starts in starts_by_series]
    series = np.repeat(np.arange(len(series_lengths)), counts)
    # `concatenate` needs one array at least, also if there are no series
    starts = np.concatenate([*starts_by_series, np.arange(0)]).astype(np.int64)
    return WindowPositions(series, starts, np.minimum(series_lengths, window_length)[series])


def split_at(sequences: Sequences, first_lengths: Any) -> tuple[Sequences, Sequences]:
    """Split sequences into their first steps and all later ones; the lengths are an int or (n,)."""
    lengths = sequences.lengths
    first_lengths = np.broadcast_to(np.asarray(first_lengths, np.int64), lengths.shape)
    indices, starts = np.arange(len(sequences)), np.zeros_like(first_lengths)
    first = sequences.cut_pieces(indices, starts, first_lengths)
    return first, sequences.cut_pieces(indices, first_lengths, lengths - first_lengths)
