"""One feature of data that comes in pieces: its kind, labels and moments, found piece by piece.

Finds what `refold.sequences.schema._column_types.encode_column` finds in the whole, by the same
functions.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileAccessError
from refold.sequences.conversion._arrow_columns import as_raw, is_text, without_dictionary
from refold.sequences.schema._column_types import Where, encode_column, encoded_type
from refold.sequences.schema._schema import UNKNOWN, Column, ColumnType
from refold.sequences.statistics._extreme_values import Extremes
from refold.sequences.statistics._running_moments import RunningMoments

__all__ = ["Piece", "ScannedColumn", "piece_of"]


class Piece(NamedTuple):
    """Some entries of a column: numbers, or different texts and the number of each entry's."""

    values: np.ndarray
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values if self.index is None else self.index)

    def where(self, where: Where) -> Where:
        """Return how places in ``values`` are named, by how those of entries are."""
        index = self.index
        if index is None:
            return where
        return lambda row, name: where(int(np.argmax(index == row)), name)


def piece_of(column: Any, name: str) -> Piece:
    """Return an Arrow column as a piece."""
    column = without_dictionary(column)
    if not is_text(column.type):
        return Piece(as_raw(column, name)[0])
    # Text is encoded once for each different one, in Arrow.
    text = column.cast(pa.large_string()).combine_chunks()
    encoded = text.dictionary_encode(null_encoding="encode")
    values = np.empty(len(encoded.dictionary), dtype=object)
    values[:] = encoded.dictionary.to_pylist()
    return Piece(values, encoded.indices.to_numpy(zero_copy_only=False))


class ScannedColumn:
    """A feature: what it is, learned by `look`, and its numbers, by `encode` afterwards.

    Parameters
    ----------
    name : str
        Its name.
    kind : {"numeric", "binary", "categorical"}, optional
        Its kind where that is known; found in the data otherwise.
    labels : tuple, optional
        Labels that were written beside the data; they hold if they cover it.
    text : bool
        Whether it holds text.
    dtype : dtype
        What it holds where nothing is missing.
    """

    def __init__(
        self,
        name: str,
        kind: ColumnType | None,
        labels: tuple[Any, ...] | None,
        *,
        text: bool,
        dtype: np.dtype,
    ) -> None:
        self.name = name
        self.type: ColumnType | None = kind
        self._start_anew()
        self._known = labels
        self._text = text
        self._dtype = dtype
        self._num_steps = 0
        self._found: set[Any] = set()
        # Whether zeros, ones and others occur; enough to tell a binary column.
        self._zero = self._one = self._other = False

    def _start_anew(self) -> None:
        self.moments, self.extremes, self.num_observed = RunningMoments(), Extremes(), 0

    def look(self, piece: Piece, where: Where) -> None:
        """Take note of the next piece.

        Raises
        ------
        DataError
            If an entry cannot be what the column holds.
        """
        self._num_steps += len(piece)
        if not len(piece):
            return
        if self._text and self.type in {None, "categorical"}:
            self._found.update(value for value in piece.values if value is not None)
            present = np.array([value is not None for value in piece.values], bool)
            self.num_observed += int(
                (present if piece.index is None else present[piece.index]).sum()
            )
            return
        self._dtype = np.result_type(self._dtype, _type_of(piece.values))
        kind: ColumnType = self.type or "numeric"
        values, column = encode_column(piece.values, self.name, kind, piece.where(where))
        if piece.index is not None:
            values = values[piece.index]
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise DataError(
                f"Got an infinite value at {where(int(infinite[0]), self.name)}. "
                "Expected finite numbers; use NaN for a missing entry."
            )
        self.observe(values, kind)
        if kind == "categorical":
            self._found.update(column.categories)
        elif kind == "numeric" and not self._other:
            self._look_for_binary(values)

    def observe(self, values: np.ndarray, kind: ColumnType) -> None:
        """Count and measure what is observed among numbers of shape (num_steps,)."""
        self.num_observed += int((~np.isnan(values)).sum())
        if kind == "numeric":
            self.moments.add(values)
            self.extremes.add(values)

    def unobserved(self) -> "ScannedColumn":
        """Return the same column before anything was observed."""
        column = copy.copy(self)
        column._start_anew()
        return column

    def _look_for_binary(self, values: np.ndarray) -> None:
        zeros, ones = values == 0, values == 1
        self._zero = self._zero or bool(zeros.any())
        self._one = self._one or bool(ones.any())
        self._other = not bool((zeros | ones | np.isnan(values)).all())

    def settle(self) -> None:
        """Decide what the column is, now that all has been looked at."""
        self.column = self._column()
        raw = self._dtype
        if self._text and self.column.type != "categorical":
            raw = np.dtype(np.float64)
        self.dtype = encoded_type(raw, self.column)

    def _column(self) -> Column:
        if self.type == "categorical" or (self._text and self.type is None and self._has_labels):
            known = self._known
            if known is not None and self._found <= {*known, *([UNKNOWN] * self._text)}:
                return Column(self.name, "categorical", known)
            return Column(self.name, "categorical", tuple(sorted(self._found)))
        if self.type is not None:
            return Column(self.name, self.type)
        if self._zero and self._one and not self._other:
            return Column(self.name, "binary")
        return Column(self.name, "numeric")

    @property
    def _has_labels(self) -> bool:
        # As in a whole: a column without steps is of labels, one of missing steps of numbers.
        return bool(self._found) or not self._num_steps

    def encode(self, piece: Piece) -> np.ndarray:
        """Return the numbers of a piece that has been looked at.

        Raises
        ------
        FileAccessError
            If it holds what it did not hold then.
        """
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
            f"Column {self.name!r} has other entries than when it was opened. Open the data anew."
        )


def _type_of(values: np.ndarray) -> np.dtype:
    return np.dtype(np.float64) if values.dtype == object else values.dtype
