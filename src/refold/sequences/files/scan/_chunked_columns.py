"""A column of data that comes in pieces: its type, categories and moments, found piece by piece.

The result is that of `refold.sequences.schema._column_types.encode_column` on the whole column.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileAccessError
from refold.sequences.conversion._arrow_columns import as_raw, is_text, without_dictionary
from refold.sequences.schema._column_types import encode_column, encoded_type
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._parts import object_array
from refold.sequences.schema._schema import Column
from refold.sequences.statistics._extreme_values import Extremes
from refold.sequences.statistics._moments import RunningMoments
from refold.sequences.types import BINARY, CATEGORICAL, COLUMN_TYPES, NUMERIC, UNKNOWN, Where


class Piece(NamedTuple):
    """Some entries of a column: numbers, or distinct texts and the index of each entry's text."""

    values: np.ndarray
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values if self.index is None else self.index)

    def where(self, where: Where) -> Where:
        """Return a function that names places in ``values``, from one that names entries."""
        index = self.index
        if index is None:
            return where
        return lambda row, name: where(int(np.argmax(index == row)), name)


def piece_of(column: Any, name: str) -> Piece:
    """Return an Arrow column as a piece."""
    column = without_dictionary(column)
    if not is_text(column.type):
        return Piece(as_raw(column, name)[0])
    # Arrow finds the distinct texts, so that each is encoded only once.
    text = column.cast(pa.large_string()).combine_chunks()
    encoded = text.dictionary_encode(null_encoding="encode")
    values = object_array(encoded.dictionary.to_pylist())
    return Piece(values, encoded.indices.to_numpy(zero_copy_only=False))


class ScannedColumn:
    """A column whose type is found by `look`, and whose values are then encoded by `encode`."""

    def __init__(self, name: str, arrow_type: pa.DataType, known: KnownColumns) -> None:
        empty, hint = as_raw(pa.chunked_array([], arrow_type), name)
        self.name, self._dtype = name, empty.dtype
        self.type: str | None = known.type(name, hint)
        self._known = known.categories.get(name)
        encoded = pa.types.is_dictionary(arrow_type)
        self._text = is_text(arrow_type.value_type if encoded else arrow_type)
        self._reset()
        self._num_steps = 0
        self._categories: set[Any] = set()
        # Whether zeros, ones and other values occur, which tells a binary column.
        self._zero = self._one = self._other = False

    def _reset(self) -> None:
        self.moments, self.extremes, self.num_observed = RunningMoments(1), Extremes(), 0

    def look(self, piece: Piece, where: Where) -> None:
        """Update the type, categories and moments with the next piece."""
        self._num_steps += len(piece)
        if not len(piece):
            return
        if self._text and self.type in {None, CATEGORICAL.name}:
            self._categories.update(value for value in piece.values if value is not None)
            present = np.array([value is not None for value in piece.values], bool)
            self.num_observed += int(
                (present if piece.index is None else present[piece.index]).sum()
            )
            return
        self._dtype = np.result_type(self._dtype, _numeric_dtype(piece.values))
        type_ = self.type or NUMERIC.name
        values, column = encode_column(piece.values, self.name, type_, piece.where(where))
        if piece.index is not None:
            values = values[piece.index]
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise DataError(
                f"Got an infinite value at {where(int(infinite[0]), self.name)}. "
                "Expected finite numbers; use NaN for a missing entry."
            )
        self.observe(values, type_)
        self._categories.update(column.categories)
        if self.type is None and not self._other:
            self._look_for_binary(values)

    def observe(self, values: np.ndarray, type_: str) -> None:
        """Update the counts and moments with values of shape (num_steps,)."""
        self.num_observed += int((~np.isnan(values)).sum())
        if COLUMN_TYPES[type_].is_number:
            self.moments.add(values[:, None])
            self.extremes.add(values)

    def merge(self, other: "ScannedColumn") -> None:
        """Add the entries that another object has looked at, before the column is settled."""
        self._num_steps += other._num_steps
        self.num_observed += other.num_observed
        self.moments.merge(other.moments)
        self.extremes.merge(other.extremes)
        self._categories |= other._categories
        self._dtype = np.result_type(self._dtype, other._dtype)
        self._zero, self._one = self._zero or other._zero, self._one or other._one
        self._other = self._other or other._other

    def unobserved(self) -> "ScannedColumn":
        """Return the same column without counts and moments."""
        column = copy.copy(self)
        column._reset()
        return column

    def _look_for_binary(self, values: np.ndarray) -> None:
        zeros, ones = values == 0, values == 1
        self._zero = self._zero or bool(zeros.any())
        self._one = self._one or bool(ones.any())
        self._other = not bool((zeros | ones | np.isnan(values)).all())

    def settle(self) -> None:
        """Decide the type of the column, after the last piece."""
        self.column = self._column()
        raw = self._dtype
        if self._text and not self.column.column_type.has_categories:
            raw = np.dtype(np.float64)
        self.dtype = encoded_type(raw, self.column)

    def _column(self) -> Column:
        if self.type == CATEGORICAL.name or (
            self._text and self.type is None and self._is_categorical
        ):
            known = self._known
            if known is not None and self._categories <= {*known, *([UNKNOWN] * self._text)}:
                return Column(self.name, CATEGORICAL.name, known)
            return Column(self.name, CATEGORICAL.name, tuple(sorted(self._categories)))
        if self.type is not None:
            return Column(self.name, self.type)
        if self._zero and self._one and not self._other:
            return Column(self.name, BINARY.name)
        return Column(self.name, NUMERIC.name)

    @property
    def _is_categorical(self) -> bool:
        # As for whole columns, text without steps is categorical, with only missing steps numeric.
        return bool(self._categories) or not self._num_steps

    def encode(self, piece: Piece) -> np.ndarray:
        """Return the values of a piece that `look` has seen, unless the file has changed."""
        column = self.column
        try:
            values, now = encode_column(
                piece.values, self.name, column.type, lambda *_: "", column.categories or None
            )
        except DataError as error:
            raise self._changed() from error
        if now.categories != column.categories:
            raise self._changed()
        return values if piece.index is None else values[piece.index]

    def _changed(self) -> FileAccessError:
        return FileAccessError(
            f"Column {self.name!r} has changed since the data were opened. Open them again."
        )


def _numeric_dtype(values: np.ndarray) -> np.dtype:
    return np.dtype(np.float64) if values.dtype == object else values.dtype
