"""Functions of whole sets of sequences: conversion of any input, concatenation, windows, splits."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.rules import Rule, check, check_some, check_whole, number, whole
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences._parts import ColumnTypes
from refold.sequences._schema import Schema, union_of
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    OpenTable,
    has_lists,
    is_nested,
    is_table,
    is_text,
    keys_of_steps,
    open_table,
    steps_of,
    time_index,
)
from refold.sequences.types import NUMERIC


def as_sequences(
    x: Any,
    *,
    column_types: ColumnTypes = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Sequences:
    """Convert any supported input to `Sequences`.

    Parameters
    ----------
    x : Sequences, list, array or table
        A list as in `Sequences.from_list`, an array of shape (n, T, F) or (n, T) as in
        `Sequences.from_array`, a table or column of lists as in `Sequences.from_arrow`, or a table
        with one row per step as in `Sequences.from_table`. Its columns of ids and times have the
        names that the schema remembers, or ``"id"`` and ``"time"``.
    column_types : str, list of str or dict, optional
        Type of all columns, of each column, or of the named columns; the rest are inferred.
    names : list of str, optional
        Names of the features of a list or an array.
    schema : Schema, optional
        A schema to align the data with, such as that of a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> as_sequences(np.zeros((2, 5, 3)))
    Sequences(n=2, lengths=5 to 5, 3 numeric)
    """
    if isinstance(x, Sequences):
        if column_types is not None or names is not None:
            raise ParameterError(
                "column_types= and names= apply to conversions only, and x is a Sequences already. "
                "Leave them out."
            )
        if x.is_mapped:
            raise DataError(
                f"Got {len(x)} sequences that are mapped from a file larger than memory. Take some "
                "of them, sequences[indices], or go through them, `for block in "
                "sequences.blocks()`."
            )
    else:
        x = _convert(x, column_types, names, schema)
    return x if schema is None else x.align(schema)


def _convert(
    x: Any, column_types: ColumnTypes, names: Sequence[str] | None, schema: Schema | None
) -> Sequences:
    if hasattr(x, "tocoo"):
        raise DataError(
            f"Sparse data is not supported: got a {type(x).__name__} of shape {x.shape}. Expected "
            "a list of sequences, an array or a table; x.toarray() returns an array."
        )
    if isinstance(x, OpenTable) or (is_table(x) and not _holds_arrays(x)):
        opened = open_table(x)
        keys = keys_of_steps(opened, schema)
        if keys is None:
            id_name = None if schema is None else schema.id_name
            id_name = id_name if id_name in opened.columns else None
            return Sequences.from_arrow(opened, id_name, names, column_types)
        gaps = schema is not None and schema.time_gaps and schema.names[-1] not in opened.columns
        if schema is not None and {*schema.names[: -1 if gaps else None]} <= {*opened.columns}:
            names = schema.names[: -1 if gaps else None]  # other columns are left out
        options: dict[str, Any] = {"time_gaps": gaps}
        if schema is not None and keys[1] is not None:
            is_time = pa.types.is_temporal(opened.columns[keys[1]].type)
            options["time_format"] = None if is_time else schema.time_format
            options["duplicates"] = schema.duplicates or "error"
        return Sequences.from_table(opened, *keys, names, column_types, **options)
    if hasattr(x, "__array__") and not isinstance(x, list | tuple):
        x = np.asanyarray(x)
        if x.dtype.kind not in "OUT" or x.ndim != 1:
            return Sequences.from_array(x, column_types=column_types, names=names)
        x = x.tolist()
    return Sequences.from_list(x, column_types=column_types, names=names)


def series_from_table(table: pa.Table, schema: Schema | None) -> Sequences:
    """Convert a table; without columns of ids and lists, its rows are the steps of one series."""
    return as_sequences(open_table(table)._replace(is_series=True), schema=schema)


def _holds_arrays(x: Any) -> bool:
    """Return whether a column of objects, as in pandas, holds arrays of several features."""
    if hasattr(x, "columns") or str(getattr(x, "dtype", None)) != "object":
        return False
    return any(getattr(cell, "ndim", 1) > 1 for cell in x)


def is_frame(x: Any) -> bool:
    """Return whether data is a table with columns."""
    return is_table(x) and (hasattr(x, "columns") or hasattr(x, "column_names"))


def table_like(sequences: Sequences, x: Any) -> Any:
    """Return sequences as a table of the library, layout and columns of `x`, or a long one."""
    schema = sequences.schema
    id_name, time = schema.id_name or "id", schema.time_name or "time"
    if not is_frame(x):
        time = schema.time_column({id_name}, has_times=sequences.times is not None)
        return sequences.to_table(id_name, time)
    opened = open_table(x)
    columns, keys = opened.columns, keys_of_steps(opened, schema)
    id_name = id_name if id_name in columns else "id"
    features = [name for name in columns if name not in {id_name, *opened.index}]
    column = columns[features[0]] if len(features) == 1 else None
    has_text = keys is None and column is not None and is_text(column.type)
    has_one_item = has_text or (column is not None and is_nested(column))
    is_list = has_text or any(map(has_lists, columns.values()))
    if is_list and has_one_item:  # text, or a list of lists, in one column
        items = [item if isinstance(item, str) else item.tolist() for item in sequences]
        ids = sequences.to_arrow(id_name)[id_name]
        table = pa.table({id_name: ids, features[0]: pa.array(items)})
    elif is_list:
        table = sequences.to_arrow(id_name)
    else:  # a row for each step
        time = time if time in columns else time_index(opened.index, columns) or "time"
        table = sequences.to_table(id_name, time)
        if time in columns and not schema.duplicates:  # times as they were, also as text
            table = table.set_column(1, time, steps_of(opened, id_name, time, sequences.lengths))
    numbers = {column.name for column in schema.columns if column.type == NUMERIC.name}
    for i, name in enumerate(table.column_names):
        if name in columns and name not in numbers:
            with contextlib.suppress(pa.ArrowException):  # 0 and 1 become False and True again
                table = table.set_column(i, name, table[name].cast(columns[name].type))
    others = [name for name in table.column_names if name not in {id_name, time, *columns}]
    table = table.select([name for name in [*columns, *others] if name in table.column_names])
    return _in_library_of(x, table, keep_index=is_list)


def _in_library_of(x: Any, table: pa.Table, *, keep_index: bool) -> Any:
    """Return a table as one of the library of `x`, with the index of a pandas frame or its name."""
    library = type(x).__module__.partition(".")[0]
    if library != "pandas":
        return type(x)(table) if library == "polars" else table
    frame = table.to_pandas()
    names = {f"__index_level_{i}__" if n is None else n: n for i, n in enumerate(x.index.names)}
    index = [name for name in names if name in frame]
    if keep_index:  # a row is a sequence, as in `x`
        return frame.drop(columns=index).set_axis(x.index)
    return frame.set_index(index).rename_axis([names[name] for name in index]) if index else frame


def concatenate(sequences: Sequence[Sequences]) -> Sequences:
    """Concatenate several sets of sequences; they keep their ids if these are unique.

    Parameters
    ----------
    sequences : list of Sequences
        Sets with the same columns. Categories are merged; a binary column becomes numeric if it is
        numeric in another set. Times are kept if those of all sets have the same type.

    Examples
    --------
    >>> both = concatenate([Sequences.from_list(["ab"]), Sequences.from_list(["bc"])])
    >>> both.to_list(), both.schema.columns[0].categories
    (['ab', 'bc'], ('a', 'b', 'c'))
    """
    sequences = list(sequences)
    check_some(len(sequences), "set of sequences", "in the list")
    first = sequences[0].schema
    for i, other in enumerate(sequences):
        if other.schema.names != first.names:
            raise SchemaError(
                f"Set {i} has the columns {other.schema.names}, but set 0 has {first.names}. "
                "Choose the same columns, in the same order."
            )
    by_position = zip(*(part.schema.columns for part in sequences), strict=True)
    schema = Schema(tuple(union_of(columns) for columns in by_position), first.layout)
    parts = [part.align(schema) for part in sequences]
    ids = [part.ids for part in parts]
    id_types = {array.dtype.kind for array in ids}
    joined = np.concatenate(ids) if len(id_types) == 1 else None
    if joined is not None and len(np.unique(joined)) < len(joined):
        joined = None
    lengths = np.concatenate([part.lengths for part in parts])
    values = np.concatenate([part.values for part in parts])
    times = [part.times for part in parts if part.times is not None]
    is_timed = len(times) == len(parts) and len({array.type for array in times}) == 1
    joined_times = pa.concat_arrays(times) if is_timed else None
    return Sequences.trusted(values, offsets_from_lengths(lengths), joined, schema, joined_times)


def fingerprints(sequences: Sequences) -> np.ndarray:
    """Return a hash of the values of each sequence as float32, uint64 (n,); ids are ignored."""
    hashes = []
    for block in sequences.blocks():
        with np.errstate(over="ignore"):
            values = block.values.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan  # all NaN get the same bits
        bounds = pairwise(block.offsets.tolist())
        hashes += [blake2b(values[i:j].tobytes(), digest_size=8).digest() for i, j in bounds]
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64)


def positions(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the sequence index and the step of each row of the values, both (num_steps,)."""
    lengths = sequences.lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(sequences.offsets[:-1], lengths)


# Missing values


def mark_missing(sequences: Sequences, values: Any) -> Sequences:
    """Replace some numbers by NaN, except in categorical columns, and record them."""
    return sequences.align(replace(sequences.schema, missing=check_missing(values)))


def check_missing(values: Any) -> tuple[float, ...]:
    """Return the missing-value markers, a number or a list of numbers, as a tuple."""
    check("missing_values", values, _MARKERS)
    return tuple(map(float, _as_list(values)))


def _as_list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple | set | np.ndarray) else [values]


_MARKERS = Rule(
    "a finite number or a list of them, such as [-99999], or None",
    lambda values: all(map(number().holds, _as_list(values))),
)


# Windows and splits


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
        """Step after the last one of each window in its series, array of int (n_windows,)."""
        return self.starts + self.sequences.lengths

    @property
    def times(self) -> pa.Array | None:
        """Times of the steps of all series, `pyarrow.Array` (n_steps,); None without times."""
        if self.sequences.times is None:
            return None
        _, firsts = np.unique(self._steps, return_index=True)
        return self.sequences.times.take(pa.array(firsts))

    def take(self, rows: np.ndarray) -> Self:
        """Return some of the windows, by their indices."""
        parts = self.sequences[rows], self.series[rows], self.starts[rows]
        return type(self)(*parts, self.lengths, self.ids)

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per window: id of its series, first step, and the step after the last.

        The columns are ``id``, under the name that you give, ``start`` and ``end``. If the series
        have times, ``start_time`` and ``end_time`` are those of the first and the last step.
        """
        ids = pa.array(self.ids[self.series].tolist())
        columns = {id: ids, "start": pa.array(self.starts), "end": pa.array(self.ends)}
        times, offsets = self.sequences.times, self.sequences.offsets
        if times is not None:
            empty = np.diff(offsets) == 0
            steps = {"start_time": offsets[:-1], "end_time": offsets[1:] - 1}
            columns |= {name: times.take(pa.array(i, mask=empty)) for name, i in steps.items()}
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
        rows = [np.asarray(row, float).reshape(-1) for row in values]
        counts, expected = [len(row) for row in rows], self.sequences.lengths
        if not np.array_equal(counts, expected):
            raise DataError(
                f"Expected one number for each step of {len(expected)} windows, "
                f"{int(expected.sum())} in all. Got {sum(counts)} for {len(rows)} windows."
            )
        merged = self._means(np.concatenate([*rows, []])[:, None])[:, 0]
        return np.split(merged, offsets_from_lengths(self.lengths)[1:-1])[: len(self.lengths)]

    def join(self, sequences: Sequences) -> Sequences:
        """Join sequences that have the steps of the windows to series, (n_series,).

        Numbers are averaged where windows overlap. Other values are those of the window with the
        step nearest to its middle.
        """
        row, step = positions(sequences)
        # twice the distance from the middle, an integer
        distance = np.abs(2 * step + 1 - sequences.lengths[row])
        order = np.lexsort((distance, self._steps))
        _, firsts = np.unique(self._steps[order], return_index=True)
        values, means = sequences.values[order[firsts]], self._means(sequences.values)
        for i, column in enumerate(sequences.schema.columns):
            if column.column_type.is_number:
                values[:, i] = column.column_type.clean(means[:, i])
        offsets = offsets_from_lengths(self.lengths)
        return Sequences.trusted(values, offsets, self.ids, sequences.schema)

    @property
    def _steps(self) -> np.ndarray:
        """Row of each step of the windows in the series, one after another, (n_window_steps,)."""
        row, step = positions(self.sequences)
        offsets = offsets_from_lengths(self.lengths)
        return (offsets[:-1][self.series] + self.starts)[row] + step

    def _means(self, values: np.ndarray) -> np.ndarray:
        """Average values (n_window_steps, n_columns) of windows that share a step of a series."""
        steps, count = self._steps, int(self.lengths.sum())
        counts = np.maximum(np.bincount(steps, minlength=count), 1)
        sums = [np.bincount(steps, column, minlength=count) for column in values.T]
        return np.stack(sums, axis=1) / counts[:, None]


def windows(series: Any, length: int, step: int | None = None) -> Windows:
    """Cut series into windows of one length, at a fixed step.

    The windows cover every step: the last window of a series is shifted to end with the series. A
    shorter series is one window of its own length, so that windows of windows are the same windows.

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
    length = check_whole("length", length)
    step = default_step(length) if step is None else step
    check("step", step, whole(1, length))
    return cut_windows(sequences, length, step)


def cut_windows(sequences: Sequences, length: int | np.ndarray, step: int) -> Windows:
    """Cut sequences into windows of one length, or of a length for each sequence (n,)."""
    lengths = sequences.lengths
    if (lengths <= length).all():
        return whole_windows(sequences)
    places = window_places(lengths, length, step)
    cut = sequences.pieces(places.series, places.starts, places.lengths)
    is_whole = (places.lengths == lengths[places.series]).tolist()
    ends = (places.starts + places.lengths).tolist()
    ids = window_ids(cut.ids.tolist(), places.starts.tolist(), ends, is_whole)
    cut = cut.with_ids(np.array(ids, dtype=str))
    return Windows(cut, places.series, places.starts, lengths, sequences.ids)


def window_ids(
    series: Sequence[Any], starts: Sequence[int], ends: Sequence[int], is_whole: Sequence[bool]
) -> list[Any]:
    """Return the ids of windows, such as a[0:100]; a series that is one window keeps its id."""
    spans = zip(series, starts, ends, is_whole, strict=True)
    return [name if whole else f"{name}[{start}:{end}]" for name, start, end, whole in spans]


def default_step(window: int) -> int:
    """Return the steps between the starts of windows of a length."""
    return max(1, window // 4)


def whole_windows(sequences: Sequences) -> Windows:
    """Return sequences that are not cut, each as one window."""
    every = np.arange(len(sequences))
    return Windows(sequences, every, np.zeros_like(every), sequences.lengths, sequences.ids)


class WindowPlaces(NamedTuple):
    """Where windows are in their series, each array of int of shape (n_windows,)."""

    series: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def window_places(lengths: np.ndarray, length: int | np.ndarray, step: int) -> WindowPlaces:
    """Place windows, of one length or of one for each series, in series with these lengths (n,)."""
    lasts = np.maximum(lengths - length, 0).tolist()
    by_series = [np.append(np.arange(0, last, step), last) for last in lasts]
    series = np.repeat(np.arange(len(lengths)), [len(starts) for starts in by_series])
    starts = np.concatenate([*by_series, np.arange(0)]).astype(np.int64)
    return WindowPlaces(series, starts, np.minimum(lengths, length)[series])


def split_at(sequences: Sequences, at: Any) -> tuple[Sequences, Sequences]:
    """Split each sequence after a number of its steps, one for all or (n,); both keep the ids."""
    lengths = sequences.lengths
    at = np.broadcast_to(np.asarray(at, np.int64), lengths.shape)
    every, starts = np.arange(len(sequences)), np.zeros_like(at)
    return sequences.pieces(every, starts, at), sequences.pieces(every, at, lengths - at)
