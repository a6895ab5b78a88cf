"""`Sequences`: sequences of unequal length, stored as one array of values plus offsets.

Owns storage, indexing and display. Conversion methods delegate to other modules.
"""

from collections.abc import Iterator
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
        self._set(values, offsets, ids, schema)

    def _set(
        self, values: np.ndarray, offsets: np.ndarray, ids: np.ndarray, schema: Schema
    ) -> "Sequences":
        self.values = values
        self.offsets = offsets
        self.ids = ids
        self.schema = schema
        return self

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
        """What `Scaler.fit` needs, computed in each call; see `Scan.summary`."""
        return summarize(self.values, self.schema)

    @property
    def extremes(self) -> list[Extremes]:
        """Extremes of the numeric columns, computed in each call; see `Scan.extremes`."""
        return [Extremes(column) for column in self.values[:, self.schema.numeric].T]

    def blocks(self, block_bytes: int | None = None) -> Iterator["Sequences"]:  # noqa: ARG002
        """Yield all sequences in one block, as they are in memory; see `Scan.blocks`."""
        yield self

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
        ids = check_ids(ids, len(self))
        return type(self).__new__(type(self))._set(self.values, self.offsets, ids, self.schema)

    def _parts(self) -> Parts:
        return Parts(self.values, self.offsets, self.ids, self.schema)

    def _take(self, chosen: np.ndarray) -> "Sequences":
        """Return the chosen sequences without repeating the checks of the constructor."""
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        offsets, values = offsets_from_lengths(lengths), self.values[positions_of(starts, lengths)]
        new = type(self).__new__(type(self))
        return new._set(values, offsets, self.ids[chosen], self.schema)


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
        missing = int(np.isnan(sequences.values).sum())
        share = f"{missing:,} of {sequences.values.size:,} entries"
        rows.append(("missing", share if missing else ""))
        first = ", ".join(str(identity) for identity in ids[:_NUM_SHOWN].tolist())
        rows.append(("ids", first + (", ..." if len(ids) > _NUM_SHOWN else "")))
    return facts(f"{len(sequences):,} sequences, {len(sequences.values):,} steps", rows)
