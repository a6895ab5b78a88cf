"""`Sequences`: sequences of unequal length, stored as one array of values plus offsets.

The class has the storage, indexing and display, and the documentation of all constructors.
`_lists.py` and `_tables.py` have the code of most conversions.
"""

import copy
import mmap
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.arrays import (
    check_array,
    concatenated_ranges,
    lengths_from_offsets,
    offsets_from_lengths,
)
from refold._support.messages import describe_columns, html_table, warn
from refold._support.rules import check_counts_match, check_not_empty
from refold.errors import DataError, SchemaError, argument
from refold.sequences._encoding import (
    ColumnTypes,
    SequenceArrays,
    StepLocator,
    check_finite_and_categories,
    check_unique_ids,
    to_id_array,
)
from refold.sequences._lists import (
    describe_array_like_single_series,
    fill_masked_entries,
    flat_arrays_from_list,
    unpad_array,
)
from refold.sequences._schema import (
    Column,
    DecodedLayout,
    Schema,
    check_unique_names,
    convert_to_schema,
    default_names,
    describe_column_types,
    indices_to_categories,
    join_names,
    to_user_layout,
)
from refold.sequences._tables import (
    column_to_arrow,
    find_time_index_name,
    flat_arrays_from_list_columns,
    flat_arrays_from_long_table,
    ids_to_arrow,
    schema_to_metadata,
    table_from_arrays,
    to_arrow_columns,
)
from refold.sequences._times import future_times

# Approximate size of a block of `Sequences.blocks`: the bytes of its values as float32. Smaller
# blocks need less memory; larger blocks have less overhead.
BLOCK_BYTES = 12 << 20
# Number of pieces that `cut_pieces` copies from a mapped file before it releases the memory of the
# file. The system also loads the neighbors of each piece, so without a release, the pieces together
# could load the whole file.
_PIECES_PER_COPY = 1 << 9
# Maximum number of ids among which the error for an unknown id looks for the nearest id. The search
# is slow.
_MAX_IDS_COMPARED = 1 << 16
# Number of ids that a notebook shows.
_NUM_IDS_SHOWN = 5


class Sequences:
    """Sequences of unequal length with the same columns.

    Sequence ``i`` is ``values[offsets[i]:offsets[i + 1]]``. The offsets alone define the lengths:
    steps of zeros and steps with all entries missing are real steps.

    Parameters
    ----------
    values : array of shape (num_steps, F)
        All steps of all sequences, one sequence after another. Categorical columns hold category
        indices, with ``len(categories)`` for unknown. NaN marks a missing entry.
    offsets : array of int of shape (n + 1,)
        Start of each sequence, and end of the last one.
    ids : array of shape (n,), optional
        Integers or strings; by default ``0`` to ``n - 1``.
    schema : Schema, optional
        Description of the columns; by default numeric columns ``x0``, ``x1``, ...
    times : pyarrow.Array of shape (num_steps,), optional
        Times of all steps, of the type that they had in the table: dates, times with or without a
        zone, or numbers. By default, the sequences have no times.
    row_steps : array of int of shape (num_rows,), optional
        For sequences read from a long table: the step of each row, an index into ``values``, or -1
        for a row that stands for an empty sequence. A selection of sequences does not keep it.

    Attributes
    ----------
    block_bytes : int
        Approximate size of each of the `blocks`, counting values as float32. By default 12 MiB.
    is_mapped : bool
        Whether ``values`` is a mapped file, as `read` returns for data larger than memory.

    Examples
    --------
    >>> sequences = Sequences.from_list([[1.0, 2.0, 3.0], [4.0]])
    >>> len(sequences), sequences.lengths.tolist(), sequences.values.shape
    (2, [3, 1], (4, 1))
    >>> words = Sequences.from_list(["abba", "b"], ids=["first", "second"])
    >>> words[[1, 0]].to_list(), words["first"]
    (['b', 'abba'], 'abba')
    """

    # Lengths are data and are never guessed from values. Lists in Arrow have the same layout: the
    # entries of all lists, and the offset where each list starts. So `to_arrow` needs no loop.

    block_bytes = BLOCK_BYTES
    is_mapped = False

    def __init__(
        self,
        values: ArrayLike,
        offsets: ArrayLike,
        ids: ArrayLike | None = None,
        schema: Schema | None = None,
        times: pa.Array | None = None,
        row_steps: np.ndarray | None = None,
    ) -> None:
        values = check_array("values", values, ("num_steps", "features"))
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        names = default_names(values.shape[1])
        schema = schema or Schema(tuple(Column(name, "numeric") for name in names))
        check_counts_match(values.shape[1], "columns", schema.num_columns, "columns of the schema")
        offsets = np.asarray(offsets)
        is_valid = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu"
        if is_valid:
            offsets = offsets.astype(np.int64)
            lengths = lengths_from_offsets(offsets)
            is_valid = offsets[0] == 0 and offsets[-1] == len(values) and (lengths >= 0).all()
        if not is_valid:
            raise DataError(
                f"offsets must rise from 0 to the number of steps, {len(values)}, in integers. "
                f"Got {reprlib.repr(offsets.tolist())}."
            )
        ids = to_id_array(ids, len(offsets) - 1)
        check_finite_and_categories(values, schema, StepLocator(offsets, ids))
        if times is not None:
            if not isinstance(times, pa.Array):
                raise DataError(
                    f"{argument('times')} must be a pyarrow.Array. Got a {type(times).__name__}; "
                    "pyarrow.array converts it."
                )
            check_counts_match(len(times), argument("times"), len(values), "steps")
        self.values, self.offsets, self.ids, self.schema = values, offsets, ids, schema
        self.times, self.row_steps = times, row_steps

    @classmethod
    def from_checked(
        cls,
        values: np.ndarray,
        offsets: np.ndarray,
        ids: np.ndarray | None,
        schema: Schema,
        times: pa.Array | None = None,
        row_steps: np.ndarray | None = None,
        *,
        is_mapped: bool = False,
        block_bytes: int = BLOCK_BYTES,
    ) -> "Sequences":
        """Return sequences of arrays that were checked before, without the checks of `__init__`."""
        # the checks would read all values of a mapped file
        new = cls.__new__(cls)
        new.values, new.offsets = np.asarray(values), np.asarray(offsets)
        new.ids = np.arange(len(offsets) - 1) if ids is None else np.asarray(ids)
        new.schema, new.times, new.row_steps = schema, times, row_steps
        new.is_mapped, new.block_bytes = is_mapped, block_bytes
        return new

    # Constructors

    @classmethod
    def from_list(
        cls,
        sequences: Iterable[Any],
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: ArrayLike | None = None,
        schema: Schema | None = None,
        output_layout: DecodedLayout | None = None,
    ) -> "Sequences":
        """Convert a list with one entry per sequence.

        Parameters
        ----------
        sequences : list
            Arrays of shape (length, features) or (length,), lists of numbers, lists of tokens,
            strings (one character per step), or one table per sequence.
        column_types : str, list of str or dict, optional
            Type of all columns, of each column, or of the named columns. The rest are inferred:
            text is categorical, columns of 0 and 1 are binary, all others are numeric.
        names : list of str, optional
            Names of the features.
        ids : array of shape (n,), optional
            One integer or string per sequence, each only once.
        schema : Schema, optional
            A schema to convert to, such as that of a fitted model; see `convert_to_schema`.
        output_layout : str, optional
            Layout of a decoded sequence, if not that of the input; see `Schema`.

        Examples
        --------
        >>> sequences = Sequences.from_list([["view", "buy"], ["view"]])
        >>> sequences.schema.columns[0].categories
        ('buy', 'view')
        """
        arrays = flat_arrays_from_list(
            sequences, column_types=column_types, names=names, ids=ids, output_layout=output_layout
        )
        converted = cls.from_checked(*arrays)
        if ids is not None:
            check_unique_ids(converted.ids)
        return converted if schema is None else converted.convert_to_schema(schema)

    @classmethod
    def from_array(
        cls,
        x: Any,
        lengths: ArrayLike | None = None,
        *,
        padding_value: float | str = np.nan,
        padding_side: str = "post",
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: ArrayLike | None = None,
    ) -> "Sequences":
        """Convert a 3-D array, or a 2-D array whose rows are series of one feature.

        A warning tells if a 2-D array without ``lengths`` may be a single series instead: if it has
        at least 20 rows of at most three steps.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            Sequences that are padded to the same number of steps, or not padded.
        lengths : array of int of shape (n,), optional
            Number of steps of each sequence. By default they follow from the padding.
        padding_value : float or str, default=NaN
            What padded steps hold in all features, if there are no ``lengths``. A warning tells
            if steps that look like padding may be data.
        padding_side : {"post", "pre"}, default="post"
            Side of the padding. Keras's ``pad_sequences`` pads in front ("pre") by default.
        column_types, names, ids
            As in `from_list`.
        """
        sequences = unpad_array(x, lengths, padding_value, side=padding_side)
        if lengths is None:
            warn(describe_array_like_single_series(np.asanyarray(x)))
        return cls.from_list(sequences, column_types=column_types, names=names, ids=ids)

    @classmethod
    def from_table(
        cls,
        table: Any,
        id: str | None = None,  # noqa: A002
        time: str | None = None,
        columns: Sequence[str] | None = None,
        column_types: ColumnTypes = None,
        *,
        sort: bool = False,
        time_gaps: bool = False,
        duplicates: str = "error",
        time_format: str | None = None,
    ) -> "Sequences":
        """Convert a long table: one row per step, one column per feature.

        Parameters
        ----------
        table : pandas, polars or Arrow table, or dict of columns
            Anything that supports the Arrow stream interface.
        id : str, optional
            Name of the column of sequence ids; by default ``"id"`` if there is such a column, else
            all rows are one sequence. Sequences are ordered by their first row.
        time : str, optional
            Name of the column of times: numbers or dates, strictly ascending within an id. Rows
            of different ids may be interleaved. By default the ``DatetimeIndex`` of a pandas frame;
            without times, the rows of an id must be contiguous. Text of dates may have any form of
            ISO 8601. Times keep their zone if all have the same offset from UTC, else the zone is
            UTC.
        columns : list of str, optional
            Names of the features; by default all other columns.
        column_types : str, list of str or dict, optional
            As in `from_list`.
        sort : bool, default=False
            Sort the steps of each sequence by time. Otherwise, times must ascend.
        time_gaps : bool, default=False
            Add the numeric column ``"time_gap"``: the time since the previous step of the sequence,
            0 for the first one. In seconds for dates and times, else in the unit of ``time``.
        duplicates : {"error", "first", "last", "mean"}, default="error"
            What becomes of the rows of an id that have the same time: an error, or one step. It has
            the values of the first or last row, or the mean of the present values of numeric
            columns; in other columns, "mean" takes the first value.
        time_format : str, optional
            Form of times as text, such as ``"%d.%m.%Y %H:%M"``, as in `datetime.datetime.strptime`.

        Examples
        --------
        >>> table = {"who": ["a", "b", "a"], "day": [1, 1, 2], "x": [0.1, 5.0, 0.2]}
        >>> sequences = Sequences.from_table(table, id="who", time="day")
        >>> sequences[0][:, 0], sequences.ids.tolist()
        (array([0.1, 0.2]), ['a', 'b'])
        """
        table = to_arrow_columns(table)
        index_name = find_time_index_name(table.index_columns, table.columns)
        time = index_name if time is None else str(time)
        arrays = flat_arrays_from_long_table(
            table,
            id,
            time,
            columns,
            column_types,
            sort=sort,
            add_time_gaps=time_gaps,
            duplicates=duplicates,
            time_format=time_format,
        )
        check_not_empty(len(arrays.ids), "row", "in the table")
        # Arrow names a pandas index without a name "__index_level_0__", which is no name to keep
        time_name = None if str(time).startswith("__index_level_") else time
        # the schema stores how rows of equal times were merged, for data that are read later
        merge_rule = None if duplicates == "error" else duplicates
        schema = arrays.schema.with_read_options(id, time_name, time_format, duplicates=merge_rule)
        return cls.from_checked(*arrays).with_schema(schema)

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        id: str | None = None,  # noqa: A002
        columns: Sequence[str] | None = None,
        column_types: ColumnTypes = None,
    ) -> "Sequences":
        """Convert a table with one row per sequence and features in list columns.

        Parameters
        ----------
        table : Arrow, pandas or polars table or column
            Columns of lists of numbers or tokens, one per feature; or one column of lists of
            lists, each (length, features); or one column of text, one character per step.
        id : str, optional
            Name of the column of ids; by default ``"id"`` if there is such a column.
        columns : list of str, optional
            Names of the features; by default all list columns.
        column_types : str, list of str or dict, optional
            As in `from_list`.

        Examples
        --------
        >>> import pyarrow as pa
        >>> table = pa.table({"x": [[1.0, 2.0], [3.0]], "on": [[True, False], [True]]})
        >>> Sequences.from_arrow(table)[0]
        array([[1., 1.],
               [2., 0.]])
        """
        return cls.from_checked(*flat_arrays_from_list_columns(table, id, columns, column_types))

    @classmethod
    def from_aeon(
        cls,
        X: object,
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: ArrayLike | None = None,
    ) -> "Sequences":
        """Convert a collection in aeon's format, channels before time points.

        Parameters
        ----------
        X : array of shape (n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints), or list
            A list holds one array of shape (n_channels, n_timepoints) per case. In an array,
            trailing time points that are NaN in all channels count as padding.
        column_types, names, ids
            As in `from_list`.
        """
        if isinstance(X, list | tuple):
            cases = [np.asarray(fill_masked_entries(case)).T for case in X]
        elif isinstance(X, np.ndarray) and X.ndim in {2, 3}:
            cases = unpad_array(fill_masked_entries(X).swapaxes(1, -1))
        else:
            shape = f" of shape {X.shape}" if isinstance(X, np.ndarray) else ""
            raise DataError(
                f"Got a {type(X).__name__}{shape}. Expected aeon's layout: an array of shape "
                "(n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints), or a list of "
                "arrays of shape (n_channels, n_timepoints). Sequences.from_table takes frames."
            )
        return cls.from_list(cases, column_types=column_types, names=names, ids=ids)

    @classmethod
    def from_sktime(cls, X: Any, *, column_types: ColumnTypes = None) -> "Sequences":
        """Convert an sktime panel in the format ``pd-multiindex``.

        Parameters
        ----------
        X : pandas.DataFrame
            A frame whose index is (instance, time point), as
            ``sktime.datatypes.convert_to(X, "pd-multiindex")`` returns for other formats. Column
            names become feature names, and instances become ids.
        column_types : str, list of str or dict, optional
            As in `from_list`.
        """
        if getattr(getattr(X, "index", None), "nlevels", 0) != 2:
            raise DataError(
                f"Got a {type(X).__name__}. Expected a pandas frame whose index is (instance, time "
                "point). sktime.datatypes.convert_to(X, 'pd-multiindex') returns one for other "
                "panels."
            )
        times = X.index.levels[1]
        if hasattr(times, "to_timestamp"):  # Arrow does not support periods as times
            X = X.set_axis(X.index.set_levels(times.to_timestamp(), level=1))
        id_and_time = ["(instance)", "(time point)"]  # names that no feature has
        frame = X.reset_index(names=id_and_time)
        return cls.from_table(frame, *id_and_time, column_types=column_types)

    # Storage

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sequence, array of int of shape (n,)."""
        return lengths_from_offsets(self.offsets)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the values, float32 or float64."""
        return self.values.dtype

    @property
    def block_sequence_offsets(self) -> np.ndarray:
        """Index of the first sequence of each block, and number of sequences, (n_blocks + 1,)."""
        # A block has as many sequences as fit in `block_bytes`, or a single sequence that does not
        # fit. An empty sequence counts as one step, so that a block has a limited number of
        # sequences.
        # end_bytes[i]: bytes of the sequences up to sequence i; float32 has 4 bytes
        end_bytes = np.cumsum(np.maximum(self.lengths, 1)) * 4 * self.schema.num_columns
        offsets, start_byte = [0], 0
        while offsets[-1] < len(self):
            stop = int(np.searchsorted(end_bytes, start_byte + self.block_bytes, side="right"))
            offsets.append(max(stop, offsets[-1] + 1))
            start_byte = int(end_bytes[offsets[-1] - 1])
        return np.array(offsets, np.int64)

    def blocks(self) -> Iterator["Sequences"]:
        """Yield all sequences in blocks of about ``block_bytes``, without copying values."""
        for start, stop in pairwise(self.block_sequence_offsets.tolist()):
            yield self.block(start, stop)
            self.release_mapped_memory(start, stop)

    def block(self, start: int, stop: int) -> "Sequences":
        """Return the sequences from ``start`` to ``stop`` without copying their values."""
        rows = slice(int(self.offsets[start]), int(self.offsets[stop]))
        offsets = self.offsets[start : stop + 1] - self.offsets[start]
        times = None if self.times is None else self.times[rows]
        arrays = self.values[rows], offsets, self.ids[start:stop], self.schema, times
        return type(self).from_checked(*arrays, block_bytes=self.block_bytes)

    def release_mapped_memory(self, start: int, stop: int) -> None:
        """Give the memory of mapped values back to the system, which reads them again if needed."""
        # Otherwise the whole file counts as memory of this process once all blocks were read.
        # `from_checked` makes a plain array of the mapped one, which stays the base of the values.
        array: Any = self.values.base
        if not (self.is_mapped and isinstance(array, np.memmap) and hasattr(mmap, "MADV_DONTNEED")):
            return
        row_bytes = self.values.strides[0]  # a row has the values of a step
        # NumPy maps the file from a multiple of the granularity on, so the array begins this number
        # of bytes after the start of the mapping.
        first_byte = array.offset % mmap.ALLOCATIONGRANULARITY
        first_byte += int(self.offsets[start]) * row_bytes
        # The system releases whole pages. So the first byte moves back to the start of its page, by
        # less than one page, and one page more is released.
        first_byte -= first_byte % mmap.PAGESIZE
        num_bytes = int(self.offsets[stop] - self.offsets[start]) * row_bytes + mmap.PAGESIZE
        mapping: Any = array.base  # the `mmap` object
        mapping.madvise(mmap.MADV_DONTNEED, first_byte, num_bytes)

    # Indexing and display

    @property
    def shape(self) -> tuple[int]:
        """``(n,)``: sequences have one axis."""
        return (len(self),)

    @property
    def ndim(self) -> int:
        """Always 1."""
        return 1

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[Any]:
        for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield to_user_layout(self.values[start:stop], self.schema)

    def __getitem__(self, key: Any) -> Any:
        # scikit-learn's splitters index objects with a shape as X[indices, ...], so a tuple may
        # have an ellipsis next to its index
        if isinstance(key, tuple) and sum(index is not Ellipsis for index in key) > 1:
            raise IndexError(
                "Sequences have one axis and take one index. Index a sequence, then its steps."
            )
        # a slice or a tuple holds no ids, so it counts as an empty array of keys
        keys: np.ndarray = np.zeros(0) if isinstance(key, slice | tuple) else np.asarray(key)
        if keys.dtype.kind == "O" and keys.size and isinstance(keys.flat[0], str):
            keys = keys.astype(str)  # an index of pandas has text as objects
        if keys.dtype.kind == "U":  # ids, which become indices
            index_of = {id_: i for i, id_ in enumerate(self.ids.tolist())}
            if len(index_of) < len(self):
                check_unique_ids(self.ids)
            ids: list[Any] = keys.reshape(-1).tolist()
            absent = next((id_ for id_ in ids if id_ not in index_of), None)
            if absent is not None:
                nearest = get_close_matches(absent, map(str, self.ids[:_MAX_IDS_COMPARED].tolist()))
                advice = f"The nearest: {join_names(nearest)}"
                if self.ids.dtype.kind != "U":
                    advice = "The ids are integers; sequences[0] is the first sequence"
                elif not nearest:
                    advice = f"The ids are {join_names(self.ids.tolist())}"
                raise DataError(f"There is no sequence with the id {absent!r}. {advice}.")
            key = np.array([index_of[id_] for id_ in ids]).reshape(keys.shape)
        # the key is any index of NumPy: an integer, a slice, a mask or an array of indices
        indices = np.arange(len(self))[key]
        if indices.ndim == 0:
            start, stop = self.offsets[indices : indices + 2]
            return to_user_layout(self.values[start:stop], self.schema)
        return self.cut_pieces(indices, np.zeros_like(indices), self.lengths[indices])

    def __repr__(self) -> str:
        if not len(self):
            return f"Sequences(n=0, columns={self.schema.num_columns})"
        lengths, types = self.lengths, describe_column_types(self.schema)
        return f"Sequences(n={len(self)}, lengths={lengths.min()} to {lengths.max()}, {types})"

    def _repr_html_(self) -> str:
        lengths, ids = self.lengths, self.ids
        rows = [("columns", describe_columns(self.schema))]  # rows without text are not shown
        if len(self):
            summary = f"{lengths.min()} to {lengths.max()} steps, median {np.median(lengths):g}"
            rows.insert(0, ("lengths", summary))
            num_empty = int((lengths == 0).sum())
            rows.append(("empty", f"{num_empty:,}" if num_empty else ""))
            num_missing = sum(int(np.isnan(block.values).sum()) for block in self.blocks())
            share = f"{num_missing:,} of {self.values.size:,} entries"
            rows.append(("missing", share if num_missing else ""))
            first_ids = ", ".join(str(id_) for id_ in ids[:_NUM_IDS_SHOWN].tolist())
            rows.append(("ids", first_ids + (", ..." if len(ids) > _NUM_IDS_SHOWN else "")))
        return html_table(f"{len(self):,} sequences, {len(self.values):,} steps", rows)

    # Conversions

    def to_list(self) -> list[Any]:
        """Return a list with one entry per sequence, in the original layout."""
        return list(self)

    def to_padded(self, value: float = np.nan) -> np.ndarray:
        """Return one array, padded at the end of each sequence.

        Parameters
        ----------
        value : float, default=NaN
            Value of padded steps in all features.

        Returns
        -------
        array of shape (n, T, F)
            ``T`` is the maximum length, at least 1.
        """
        lengths = self.lengths
        num_steps = max(1, int(lengths.max(initial=0)))
        padded = np.full((len(self), num_steps, self.schema.num_columns), value, dtype=self.dtype)
        padded[np.arange(num_steps) < lengths[:, None]] = self.values
        return padded

    def to_table(self, id: str = "id", time: str = "time") -> pa.Table:  # noqa: A002
        """Return a long Arrow table: one row per step, with its id and time.

        The time is the number of the step if there are no `times`. Missing entries are null. Empty
        sequences have no rows, and a warning says so. The metadata of the table hold the schema.
        """
        arrays = SequenceArrays(self.values, self.offsets, self.ids, self.schema, self.times)
        return table_from_arrays(arrays, id, time)

    def to_arrow(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return an Arrow table with one row per sequence: its id and one list per feature.

        Missing entries are null. The metadata of the table hold the schema.

        Examples
        --------
        >>> Sequences.from_list([["a", "b"], []]).to_arrow()["token"].to_pylist()
        [['a', 'b'], []]
        """
        names = [id, *self.schema.names]
        check_unique_names(names, f"Choose an {argument('id=')} that no feature has.")
        # a ListArray has offsets of 32 bits, and a LargeListArray has offsets of 64 bits
        is_small = self.offsets[-1] <= np.iinfo(np.int32).max
        list_type = pa.ListArray if is_small else pa.LargeListArray
        offsets = pa.array(self.offsets, pa.int32() if is_small else pa.int64())
        columns = {id: ids_to_arrow(self.ids)}
        for i, column in enumerate(self.schema.columns):
            steps = column_to_arrow(self.values[:, i], column)
            columns[column.name] = list_type.from_arrays(offsets, steps)
        return pa.table(columns, metadata=schema_to_metadata(self.schema))

    def to_aeon(self) -> np.ndarray | list[np.ndarray]:
        """Return a collection in aeon's format, channels before time points.

        Returns
        -------
        array of float64 of shape (n_cases, n_channels, n_timepoints), or list
            A list of arrays of shape (n_channels, n_timepoints) if lengths differ. Missing values
            are NaN.
        """
        numbers = np.empty(self.values.shape, dtype=np.float64)
        for i, column in enumerate(self.schema.columns):
            if column.categories and not column.has_integer_categories:
                raise SchemaError(
                    f"The categories of column {column.name!r} are text, and aeon takes numbers "
                    "only. Leave the column out, or convert it to numbers."
                )
            numbers[:, i] = indices_to_categories(self.values[:, i], column)
        # `split` returns one case at least, also if there are no sequences
        cases = np.split(numbers.T, self.offsets[1:-1], axis=1)[: len(self)]
        return np.stack(cases) if len({case.shape for case in cases}) == 1 else cases

    def to_sktime(self, id: str = "instance", time: str = "time") -> Any:  # noqa: A002
        """Return an sktime panel: a pandas frame with an index of instance and time point."""
        return self.to_table(id, time).to_pandas().set_index([id, time])

    def convert_to_schema(self, schema: Schema) -> "Sequences":
        """Convert the data to another schema, such as that of a fitted model.

        Columns are matched by name, or by position if the names differ and one side has default
        names. Categories are compared as text if one side has text; then at least one category
        must match. Categories that are not in the schema become unknown, and a warning says so.

        Examples
        --------
        >>> words = Sequences.from_list(["abc"])
        >>> Sequences.from_list(["cab"]).convert_to_schema(words.schema).values[:, 0]
        array([2., 0., 1.], dtype=float32)
        """
        if schema == self.schema:
            return self
        locate = StepLocator(self.offsets, self.ids)
        values = convert_to_schema(self.values, self.schema, schema, locate)
        arrays = values, self.offsets, self.ids, schema, self.times, self.row_steps
        return type(self).from_checked(*arrays)

    def with_values(self, values: np.ndarray) -> "Sequences":
        """Return these sequences with other values, such as scaled ones."""
        return type(self)(values, self.offsets, self.ids, self.schema, self.times)

    def with_schema(self, schema: Schema) -> "Sequences":
        """Return these sequences with another description of the same columns."""
        new = copy.copy(self)
        new.schema = schema
        return new

    def with_ids(self, ids: ArrayLike) -> "Sequences":
        """Return these sequences with other ids, integers or strings."""
        new = copy.copy(self)
        new.ids = to_id_array(ids, len(self))
        return new

    def step_times_in_ranges(self, starts: np.ndarray, stops: np.ndarray) -> pa.Array | None:
        """Return one array with the times of the steps ``starts[i]`` to ``stops[i]`` of sequence i.

        It has the times of all sequences, one after another. Steps after the last step of a
        sequence follow at the median gap, as in `future_times`. None if there are no times.
        """
        if self.times is None:
            return None
        # integers of 64 bits, because `future_times` returns these
        time_type = pa.int64() if pa.types.is_integer(self.times.type) else self.times.type
        chunks = [pa.array([], time_type)]  # `concat_arrays` needs at least one array
        for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            times = self.times[int(self.offsets[i]) : int(self.offsets[i + 1])]
            later_times = future_times(times, max(0, stop - len(times)))
            chunks += [times[start:stop].cast(time_type)]
            chunks += [later_times[max(0, start - len(times)) :].cast(time_type)]
        return pa.concat_arrays(chunks)

    def cut_pieces(
        self, indices: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> "Sequences":
        """Return pieces by their sequence index, first step and length, each array (n_pieces,)."""
        # first_rows: row of the first step of each piece in the values
        first_rows, offsets = self.offsets[:-1][indices] + starts, offsets_from_lengths(lengths)
        values = np.empty((offsets[-1], self.schema.num_columns), self.dtype)
        # `concat_arrays` needs at least one array, even if there are no pieces
        times = [] if self.times is None else [self.times[:0]]
        for i in range(0, len(indices), _PIECES_PER_COPY):
            pieces = slice(i, i + _PIECES_PER_COPY)
            rows = concatenated_ranges(first_rows[pieces], lengths[pieces])
            values[offsets[i] : offsets[i] + len(rows)] = self.values[rows]
            if self.times is not None:
                times.append(self.times.take(pa.array(rows)))
            self.release_mapped_memory(0, len(self))
        all_times = pa.concat_arrays(times) if times else None
        return type(self).from_checked(values, offsets, self.ids[indices], self.schema, all_times)
