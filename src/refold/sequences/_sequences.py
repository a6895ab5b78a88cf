"""`Sequences`: many sequences of unequal length as one array of values plus offsets.

Owns the container: what it holds, how it is indexed and shown. Ways in and out are thin
methods here and live in the modules they call.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences._arrays import parts_from_array, parts_from_padded
from refold.sequences._columns import Kinds
from refold.sequences._forms import to_form
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import Places, plain
from refold.sequences._schema import Column, Layout, Schema, default_names


class Sequences:
    """Sequences of any lengths over the same columns.

    Sequence ``i`` is ``values[offsets[i]:offsets[i + 1]]``. Lengths are data: a step of zeros or a
    step with everything missing is a step like any other.

    Parameters
    ----------
    values : array of shape (num_steps, F)
        All steps of all sequences, one sequence after another. A categorical column holds the
        index of the label, or ``len(labels)`` for an unknown one; NaN is a missing entry.
    offsets : array of int of shape (n + 1,)
        Where each sequence starts, and where the last one ends.
    ids : array of shape (n,), optional
        Integers or text; ``0`` to ``n - 1`` if left out.
    schema : Schema, optional
        What the columns are; numeric columns ``x0``, ``x1``, ... if left out.

    Raises
    ------
    DataError
        If a value is infinite or not a label's index, or the offsets do not fit.
    SchemaError
        If the schema has another number of columns.

    See Also
    --------
    refold.sequences.as_sequences : From whatever there is.

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

    # NumPy must not take this for a nested list of its own.
    __array_ufunc__ = None

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
        offsets = _check_offsets(offsets, len(values))
        ids = check_ids(ids, len(offsets) - 1)
        _check_values(values, schema, Places(offsets, ids))
        self._set(values, offsets, ids, schema)

    def _set(
        self, values: np.ndarray, offsets: np.ndarray, ids: np.ndarray, schema: Schema
    ) -> "Sequences":
        self.values = values
        self.offsets = offsets
        self.ids = ids
        self.schema = schema
        return self

    @classmethod
    def from_list(
        cls,
        sequences: Iterable[Any],
        *,
        kinds: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
        schema: Schema | None = None,
        layout: Layout | None = None,
    ) -> "Sequences":
        """Convert a list with one entry a sequence.

        Parameters
        ----------
        sequences : list
            Arrays of shape (length, features) or (length,), lists of numbers, lists of tokens,
            strings (one character a step), or one table a sequence.
        kinds : str, list of str or dict, optional
            Kind of all columns, of each, or of those named; the rest are inferred: text is
            categorical, columns of 0 and 1 are binary, anything else is numeric.
        names : list of str, optional
            Names of the features.
        ids : array of shape (n,), optional
            One integer or text a sequence.
        schema : Schema, optional
            A schema to read the data under, such as that of a fitted model; see `align`.
        layout : str, optional
            What a sequence looks like on the way back, where that differs from what came in.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the list is empty, or an entry is not what its column holds.
        SchemaError
            If the sequences differ in their features, or from ``schema``.

        Examples
        --------
        >>> sequences = Sequences.from_list([["view", "buy"], ["view"]])
        >>> sequences.schema.columns[0].labels
        ('buy', 'view')
        """
        sequences = list(sequences) if not isinstance(sequences, str | bytes | dict) else sequences
        if ids is not None and not isinstance(sequences, str | bytes | dict):
            ids = check_ids(ids, len(sequences))
        return cls(*parts_from_list(sequences, kinds=kinds, names=names, ids=ids, layout=layout))

    @classmethod
    def from_array(
        cls,
        x: Any,
        lengths: Any = None,
        *,
        kinds: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> "Sequences":
        """Convert a 3-D array, or a 2-D array whose rows are series of one feature.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            With ``lengths``, what lies beyond each length is left out. Without, trailing steps
            that are NaN in all features are padding.
        lengths : array of int of shape (n,), optional
            Number of steps of each sequence.
        kinds, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the array has another shape, or a length is not in 0 to ``T``.

        Examples
        --------
        >>> import numpy as np
        >>> Sequences.from_array(np.zeros((3, 4, 2)), lengths=[4, 0, 2]).lengths
        array([4, 0, 2])
        """
        return cls(*parts_from_array(x, lengths, kinds=kinds, names=names, ids=ids))

    @classmethod
    def from_padded(
        cls,
        x: Any,
        padding_value: float | str = 0.0,
        *,
        padding: str = "post",
        kinds: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> "Sequences":
        """Convert an array padded with a value, as Keras's ``pad_sequences`` returns it.

        Lengths are read from the values here, which is a guess: with a remark (a warning) where
        the data speak against it.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            Padded sequences.
        padding_value : float or str, default=0.0
            What padded steps hold in all features.
        padding : {"post", "pre"}, default="post"
            The side of the padding. Keras pads in front unless told otherwise.
        kinds, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the array has another shape.

        Examples
        --------
        >>> padded = [[[1.0], [2.0], [0.0]], [[3.0], [4.0], [5.0]]]
        >>> Sequences.from_padded(padded).lengths
        array([2, 3])
        """
        return cls(
            *parts_from_padded(x, padding_value, padding=padding, kinds=kinds, names=names, ids=ids)
        )

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sequence, array of int of shape (n,)."""
        return np.diff(self.offsets)

    @property
    def shape(self) -> tuple[int]:
        """``(n,)``: an array of sequences has one axis."""
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
            # scikit-learn's splitters ask for X[indices, ...] where there is a shape.
            key = tuple(part for part in key if part is not Ellipsis)
            if len(key) > 1:
                raise IndexError(
                    "Sequences have one axis and take one index. Take the sequence, then its steps."
                )
            key = key[0] if key else slice(None)
        if key is Ellipsis:
            key = slice(None)
        chosen = np.arange(len(self))[np.asarray(key, dtype=np.int64) if _no_items(key) else key]
        if chosen.ndim == 0:
            start, stop = self.offsets[chosen : chosen + 2]
            return to_form(self.values[start:stop], self.schema)
        return self._take(chosen)

    def __repr__(self) -> str:
        if not len(self):
            return f"Sequences(n=0, columns={self.schema.num_columns})"
        lengths = self.lengths
        kinds = [column.kind for column in self.schema.columns]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        return f"Sequences(n={len(self)}, lengths={lengths.min()} to {lengths.max()}, {counts})"

    def to_list(self) -> list[Any]:
        """Return one entry a sequence, in the layout that came in.

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
            What padded steps hold in all features.

        Returns
        -------
        array of shape (n, T, F)
            ``T`` is the greatest length, at least 1.

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
        padded[np.arange(num_steps) < lengths[:, None]] = self._real_values()
        return padded

    def with_values(self, values: np.ndarray) -> "Sequences":
        """Return the same sequences with other values, such as scaled ones."""
        return type(self)(values, self.offsets, self.ids, self.schema)

    def _real_values(self) -> np.ndarray:
        return self.values[self.offsets[0] : self.offsets[-1]]

    def _take(self, chosen: np.ndarray) -> "Sequences":
        """Return the chosen sequences, without checking anew what was checked already."""
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        new = type(self).__new__(type(self))
        return new._set(self.values[rows], offsets, self.ids[chosen], self.schema)


def check_ids(ids: Any, num_sequences: int) -> np.ndarray:
    """Return one integer or text a sequence, ``0`` to ``n - 1`` where none are given."""
    if ids is None:
        return np.arange(num_sequences)
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        ids = np.array([str(plain(identity)) for identity in ids], dtype=str)
    if ids.shape != (num_sequences,):
        raise DataError(
            f"ids must hold one entry a sequence, shape ({num_sequences},). Got {ids.shape}."
        )
    return ids


def _no_items(key: Any) -> bool:
    return isinstance(key, list) and not key


def _numeric(num_columns: int) -> tuple[Column, ...]:
    return tuple(Column(name, "numeric") for name in default_names(num_columns))


def _check_offsets(offsets: Any, num_steps: int) -> np.ndarray:
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or not len(offsets) or offsets.dtype.kind not in "iu":
        raise DataError("offsets must be a one-dimensional array of at least one integer.")
    offsets = offsets.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != num_steps or (np.diff(offsets) < 0).any():
        raise DataError(
            f"offsets must rise from 0 to the number of steps, {num_steps}. "
            f"Got {offsets[0]} to {offsets[-1]}."
        )
    return offsets


def _check_values(values: np.ndarray, schema: Schema, places: Places) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise DataError(
            f"Got an infinite value at {places(int(row), schema.names[column])}. "
            "Expected finite numbers; use NaN for a missing entry."
        )
    for i in schema.categorical:
        index = values[:, i]
        limit = len(schema.columns[i].labels)
        wrong = np.flatnonzero((index < 0) | (index > limit) | (index != np.floor(index)))
        wrong = wrong[~np.isnan(index[wrong])]
        if len(wrong):
            raise DataError(
                f"Got {index[wrong[0]]:g} at {places(int(wrong[0]), schema.names[i])}. Expected "
                f"the index of a label, 0 to {limit - 1}, or {limit} for an unknown one."
            )
