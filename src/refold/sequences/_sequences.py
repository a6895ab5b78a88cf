"""`Sequences`: sequences of unequal length, stored as one array of values plus offsets.

Owns storage, indexing and display. Conversion methods delegate to other modules.
"""

import copy
import mmap
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.html_tables import columns_in_words, facts
from refold._support.offsets import lengths_from_offsets, offsets_from_lengths, positions_of
from refold.errors import DataError, SchemaError
from refold.sequences._library_constructors import LibraryConversions
from refold.sequences.conversion._list_tables import arrow_from_parts
from refold.sequences.conversion._long_tables import table_from_parts
from refold.sequences.schema._alignment import align_values
from refold.sequences.schema._column_types import to_form
from refold.sequences.schema._parts import Parts, Places, check_ids, check_offsets, check_values
from refold.sequences.schema._schema import Column, Schema, column_counts, default_names
from refold.sequences.statistics._extreme_values import Extremes
from refold.sequences.statistics._moments import Summary, summarize

# Approximate memory of the values of a block as float32.
BLOCK_BYTES = 12 << 20
# Sequences that are copied at a time: the system maps some neighbors of each one, too.
_TAKEN = 1 << 9
# Number of ids shown in notebooks.
_NUM_SHOWN = 5


class Sequences(LibraryConversions):
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

    Attributes
    ----------
    block_bytes : int
        Approximate memory of the values of one of the `blocks` as float32, 12 MiB by default.
    is_mapped : bool
        Whether ``values`` is a file that is mapped into memory, as `refold.sequences.read` does
        with data larger than memory. Functions that need all values in memory refuse them.

    Raises
    ------
    DataError
        If a value is infinite or not a category's index, or the offsets do not fit.
    SchemaError
        If the schema has another number of columns.

    See Also
    --------
    refold.sequences.as_sequences : Convert any supported input.

    Examples
    --------
    >>> sequences = Sequences.from_list([[1.0, 2.0, 3.0], [4.0]])
    >>> len(sequences), sequences.lengths.tolist(), sequences.values.shape
    (2, [3, 1], (4, 1))
    >>> sequences[0]
    array([1., 2., 3.])
    >>> Sequences.from_list(["abba", "b"])[[1, 0]].to_list()
    ['b', 'abba']
    """

    block_bytes = BLOCK_BYTES
    is_mapped = False
    _statistics: dict[str, Any]

    def __init__(
        self,
        values: Any,
        offsets: Any,
        ids: Any = None,
        schema: Schema | None = None,
    ) -> None:
        values = np.asarray(values)
        if values.ndim != 2:
            raise DataError(f"values must have shape (num_steps, features). Got {values.shape}.")
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        schema = schema or Schema(_numeric(values.shape[1]))
        if schema.num_columns != values.shape[1]:
            raise SchemaError(
                f"The schema has {schema.num_columns} columns, but values has {values.shape[1]}."
            )
        offsets = check_offsets(offsets, len(values))
        ids = check_ids(ids, len(offsets) - 1)
        check_values(values, schema, Places(offsets, ids))
        self.values, self.offsets, self.ids, self.schema = values, offsets, ids, schema

    @classmethod
    def trusted(
        cls,
        values: np.ndarray,
        offsets: np.ndarray,
        ids: np.ndarray,
        schema: Schema,
        *,
        is_mapped: bool = False,
    ) -> "Sequences":
        """Return sequences of parts that were checked before, without reading the values."""
        values, offsets, ids = (np.asarray(array) for array in (values, offsets, ids))
        new = cls.__new__(cls)
        new.values, new.offsets, new.ids, new.schema = values, offsets, ids, schema
        new.is_mapped, new._statistics = is_mapped, {}
        return new

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sequence, array of int of shape (n,)."""
        return lengths_from_offsets(self.offsets)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the values, float32 or float64."""
        return self.values.dtype

    @property
    def summary(self) -> Summary:
        """What `Scaler.fit` needs: means, standard deviations and ranges of the columns.

        It is computed in each call, but only once for mapped values, which do not change.
        """
        return self._kept("summary", self._summarize)

    @property
    def extremes(self) -> list[Extremes]:
        """Smallest and largest values of each numeric column, computed as ``summary``."""
        return self._kept("extremes", self._find_extremes)

    def _kept(self, name: str, compute: Callable[[], Any]) -> Any:
        if not self.is_mapped:
            return compute()
        if name not in self._statistics:
            self._statistics[name] = compute()
        return self._statistics[name]

    def _summarize(self) -> Summary:
        return summarize((block.values for block in self.blocks()), self.schema)

    def _find_extremes(self) -> list[Extremes]:
        extremes = [Extremes() for _ in np.flatnonzero(self.schema.numeric)]
        for block in self.blocks():
            for one, column in zip(extremes, block.values[:, self.schema.numeric].T, strict=True):
                one.add(column)
        return extremes

    @property
    def block_offsets(self) -> np.ndarray:
        """Indices at which `blocks` begin, and the number of sequences, array (n_blocks + 1,).

        A block is as large as ``block_bytes`` allows, or a single longer sequence.
        """
        ends = np.cumsum(np.maximum(np.diff(self.offsets), 1)) * (4 * self.schema.num_columns)
        bounds, before = [0], 0
        while bounds[-1] < len(self):
            stop = int(np.searchsorted(ends, before + self.block_bytes, side="right"))
            bounds.append(max(stop, bounds[-1] + 1))
            before = int(ends[bounds[-1] - 1])
        return np.array(bounds, np.int64)

    def blocks(self) -> Iterator["Sequences"]:
        """Yield all sequences in blocks of about ``block_bytes``, without copying values."""
        for start, stop in pairwise(self.block_offsets.tolist()):
            yield self.block(start, stop)
            self.release(start, stop)

    def block(self, start: int, stop: int) -> "Sequences":
        """Return the sequences from ``start`` to ``stop`` without copying their values."""
        values = self.values[self.offsets[start] : self.offsets[stop]]
        offsets = self.offsets[start : stop + 1] - self.offsets[start]
        block = type(self).trusted(values, offsets, self.ids[start:stop], self.schema)
        block.block_bytes = self.block_bytes
        return block

    def release(self, start: int, stop: int) -> None:
        """Return the memory of mapped values to the system; they are read again when needed."""
        # Otherwise a pass over the data makes the whole file count as memory of this process.
        array = self.values.base
        if not (self.is_mapped and isinstance(array, np.memmap) and hasattr(mmap, "MADV_DONTNEED")):
            return
        row = self.values.strides[0]
        first = array.offset % mmap.ALLOCATIONGRANULARITY + int(self.offsets[start]) * row
        first -= first % mmap.PAGESIZE
        size = int(self.offsets[stop] - self.offsets[start]) * row + mmap.PAGESIZE
        array._mmap.madvise(mmap.MADV_DONTNEED, first, size)

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
            yield to_form(self.values[start:stop], self.schema)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            # scikit-learn's splitters index objects with a shape as X[indices, ...].
            key = tuple(part for part in key if part is not Ellipsis)
            if len(key) > 1:
                raise IndexError(
                    "Sequences have one axis and take one index. Index a sequence, then its steps."
                )
            key = key[0] if key else slice(None)
        if key is Ellipsis:
            key = slice(None)
        chosen = np.arange(len(self))[
            np.asarray(key, dtype=np.int64) if _is_empty_list(key) else key
        ]
        if chosen.ndim == 0:
            start, stop = self.offsets[chosen : chosen + 2]
            return to_form(self.values[start:stop], self.schema)
        return self._take(chosen)

    def __repr__(self) -> str:
        if not len(self):
            return f"Sequences(n=0, columns={self.schema.num_columns})"
        lengths = self.lengths
        spread = f"lengths={lengths.min()} to {lengths.max()}"
        return f"Sequences(n={len(self)}, {spread}, {column_counts(self.schema)})"

    def _repr_html_(self) -> str:
        return _to_html(self)

    def to_list(self) -> list[Any]:
        """Return a list with one entry per sequence, in the original layout.

        Examples
        --------
        >>> Sequences.from_list(["ab", ""]).to_list()
        ['ab', '']
        """
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

        Examples
        --------
        >>> Sequences.from_list([[1.0, 2.0], [3.0]]).to_padded(0.0)[:, :, 0]
        array([[1., 2.],
               [3., 0.]])
        """
        lengths = self.lengths
        num_steps = max(1, int(lengths.max(initial=0)))
        padded = np.full(
            (len(self), num_steps, self.schema.num_columns), value, dtype=self.values.dtype
        )
        padded[np.arange(num_steps) < lengths[:, None]] = self.values
        return padded

    def to_table(self, id: str = "id", time: str = "time") -> pa.Table:  # noqa: A002
        """Return a long Arrow table: one row per step, with its id and step number.

        Parameters
        ----------
        id, time : str
            Names of the id and step number columns.

        Returns
        -------
        pyarrow.Table
            Missing entries are null. The metadata of the table hold the schema.

        Raises
        ------
        DataError
            If an id repeats: its sequences would be merged.
        SchemaError
            If a feature has the same name as the id or the time.

        Warns
        -----
        UserWarning
            If there are empty sequences: they have no rows and are left out.
        """
        return table_from_parts(self._parts(), id, time)

    def to_arrow(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return an Arrow table with one row per sequence: its id and one list per feature.

        Parameters
        ----------
        id : str
            Name of the id column.

        Returns
        -------
        pyarrow.Table
            Missing entries are null. The metadata of the table hold the schema.

        Raises
        ------
        SchemaError
            If a feature has the same name as the id.

        Examples
        --------
        >>> Sequences.from_list([["a", "b"], []]).to_arrow()["token"].to_pylist()
        [['a', 'b'], []]
        """
        return arrow_from_parts(self._parts(), id)

    def align(self, schema: Schema) -> "Sequences":
        """Convert the data to another schema, such as that of a fitted model.

        Columns are matched by name, or by position if the names differ and one side has default
        names. Categories are compared as text if one side has text; then at least one must match.

        Parameters
        ----------
        schema : Schema
            The target schema.

        Returns
        -------
        Sequences

        Raises
        ------
        SchemaError
            If columns are missing, unexpected, or of a type that cannot be converted.

        Warns
        -----
        UserWarning
            Once, with counts, if categories are not in the schema: they become unknown.

        Examples
        --------
        >>> words = Sequences.from_list(["abc"])
        >>> Sequences.from_list(["cab"]).align(words.schema).values[:, 0]
        array([2., 0., 1.], dtype=float32)
        """
        if schema == self.schema:
            return self
        values = align_values(self.values, self.schema, schema, Places(self.offsets, self.ids))
        return type(self)(values, self.offsets, self.ids, schema)

    def with_values(self, values: np.ndarray) -> "Sequences":
        """Return these sequences with other values, such as scaled ones."""
        return type(self)(values, self.offsets, self.ids, self.schema)

    def with_ids(self, ids: Any) -> "Sequences":
        """Return these sequences with other ids, integers or strings."""
        new = copy.copy(self)
        new.ids = check_ids(ids, len(self))
        return new

    def _parts(self) -> Parts:
        return Parts(self.values, self.offsets, self.ids, self.schema)

    def _take(self, chosen: np.ndarray) -> "Sequences":
        """Return the chosen sequences without repeating the checks of the constructor."""
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        offsets = offsets_from_lengths(lengths)
        values = np.empty((offsets[-1], self.schema.num_columns), self.dtype)
        for first in range(0, len(chosen), _TAKEN):
            rows = positions_of(starts[first : first + _TAKEN], lengths[first : first + _TAKEN])
            begin = offsets[first]
            values[begin : begin + len(rows)] = self.values[rows]
            self.release(0, len(self))
        return type(self).trusted(values, offsets, self.ids[chosen], self.schema)


def _is_empty_list(key: Any) -> bool:
    return isinstance(key, list) and not key


def _numeric(num_columns: int) -> tuple[Column, ...]:
    return tuple(Column(name, "numeric") for name in default_names(num_columns))


def _to_html(sequences: Sequences) -> str:
    """Return an HTML table of counts, lengths, columns, missing entries and first ids."""
    lengths, ids = sequences.lengths, sequences.ids
    rows = [("columns", columns_in_words(sequences.schema))]
    if len(sequences):
        spread = f"{lengths.min()} to {lengths.max()} steps, median {np.median(lengths):g}"
        rows.insert(0, ("lengths", spread))
        empty = int((lengths == 0).sum())
        rows.append(("empty", f"{empty:,}" if empty else ""))
        missing = sum(int(np.isnan(block.values).sum()) for block in sequences.blocks())
        share = f"{missing:,} of {sequences.values.size:,} entries"
        rows.append(("missing", share if missing else ""))
        first = ", ".join(str(identity) for identity in ids[:_NUM_SHOWN].tolist())
        rows.append(("ids", first + (", ..." if len(ids) > _NUM_SHOWN else "")))
    return facts(f"{len(sequences):,} sequences, {len(sequences.values):,} steps", rows)
