"""Tables with one row per sequence that come in pieces: lengths, ids and entries."""

from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrow_columns import flatten_lists, has_lists, is_nested
from refold.sequences.files.scan._chunked_columns import Piece, piece_of
from refold.sequences.files.scan._parquet_files import ScannedFiles
from refold.sequences.files.scan._row_index import (
    RowIndex,
    check_has_ids,
    ids_as_arrow,
    ids_as_numpy,
)

__all__ = ["ListIndexer", "check_lists", "nested_width", "split_lists", "split_nested"]


class ListIndexer:
    """Builds the index of a table with one row per sequence."""

    def __init__(self, files: ScannedFiles) -> None:
        self._id = files.layout.id
        self._ids: list[pa.Array] = []
        self._lengths: list[np.ndarray] = []

    def add(self, first_row: int, table: pa.Table, lengths: np.ndarray) -> None:
        """Add the next rows; ``first_row`` is the number of the first one in its file."""
        self._lengths.append(lengths)
        name = self._id
        if name is not None:
            check_has_ids(table[name], name, first_row)
            self._ids.append(ids_as_arrow(table[name]))

    def finish(self) -> RowIndex:
        """Return the index of all rows added."""
        lengths = np.concatenate(self._lengths).astype(np.int64)
        rows = np.arange(len(lengths) + 1)
        ids = rows[:-1]
        if self._ids:
            ids = ids_as_numpy(pa.chunked_array(self._ids).combine_chunks())
        return RowIndex(ids, lengths, rows[:-1], rows[1:], rows)


def check_lists(schema: pa.Schema, features: list[str]) -> bool:
    """Return whether the features are in one column of lists of lists.

    Raises
    ------
    SchemaError
        If a column holds no lists, or holds lists of lists and is not the only one.
    """
    fields = [schema.field(name) for name in features]
    if len(fields) == 1 and is_nested(fields[0]) and has_lists(fields[0].type.value_field):
        return True
    for field in fields:
        if not has_lists(field) or is_nested(field):
            raise SchemaError(
                f"Column {field.name!r} has the type {field.type}. Expected lists of numbers or "
                "tokens, one list per row; choose the columns with columns=."
            )
    return False


def split_lists(
    table: pa.Table, features: list[str], first_row: int
) -> tuple[np.ndarray, list[Piece]]:
    """Return the length of each row's lists, and the entries of each column.

    Raises
    ------
    DataError
        If the lists of a row differ in length.
    """
    lengths, pieces = [], []
    for name in features:
        count, flat = flatten_lists(table[name])
        lengths.append(count)
        pieces.append(piece_of(flat, name))
    for name, count in zip(features, lengths, strict=True):
        wrong = np.flatnonzero(count != lengths[0])
        if len(wrong):
            i = int(wrong[0])
            raise DataError(
                f"Row {first_row + i} has {lengths[0][i]} steps in column {features[0]!r}, but "
                f"{count[i]} in {name!r}. The lists of a row must have the same length."
            )
    return lengths[0], pieces


def nested_width(table: pa.Table, feature: str) -> int:
    """Return the number of features of the first step in lists of lists, 0 without steps."""
    steps = flatten_lists(table[feature])[1]
    return int(flatten_lists(steps.slice(0, 1))[0].sum())


def split_nested(
    table: pa.Table, feature: str, width: int, first_row: int
) -> tuple[np.ndarray, list[Piece]]:
    """Return the number of steps of each row, and the entries of each feature.

    Raises
    ------
    DataError
        If a step has another number of features.
    """
    lengths, steps = flatten_lists(table[feature])
    if not len(steps):
        return lengths, [Piece(np.zeros(0, np.float32))] * width
    widths, flat = flatten_lists(steps)
    wrong = np.flatnonzero(widths != width)
    if len(wrong):
        row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        raise DataError(
            f"Row {first_row + row} has a step of {widths[wrong[0]]} features in column "
            f"{feature!r}, but others have {width}. All steps need the same; fill missing ones "
            "with null."
        )
    piece = piece_of(flat, feature)
    if piece.index is not None:
        return lengths, [_used(piece.values, index) for index in piece.index.reshape(-1, width).T]
    # Use the types of Python numbers, as `read` does for these lists.
    values = piece.values
    if values.dtype.kind in "iu" and values.itemsize < 8 and not _holds_booleans(flat):
        values = values.astype(np.int64)
    elif values.dtype.kind == "f":
        values = values.astype(np.float64)
    values = values.reshape(-1, width)
    return lengths, [Piece(values[:, i]) for i in range(width)]


def _used(values: np.ndarray, index: np.ndarray) -> Piece:
    """Return a piece with only the values that occur in it."""
    used, inverse = np.unique(index, return_inverse=True)
    return Piece(values[used], inverse)


def _holds_booleans(flat: Any) -> bool:
    return pa.types.is_boolean(flat.type)
