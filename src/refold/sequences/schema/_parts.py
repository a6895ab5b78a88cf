"""The result type of all conversions to `Sequences`, and locations for error messages.

Conversion functions return `Parts`, so they need not import `Sequences`.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from refold.sequences.schema._schema import Schema


class Parts(NamedTuple):
    """Converted data, ready for the constructor of `Sequences`."""

    values: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray | None
    schema: Schema


class Places(NamedTuple):
    """Describes a location in flat data for messages: sequence, step and column."""

    offsets: np.ndarray
    ids: np.ndarray | None = None
    # Describes the row of a file, given the index of the sequence and the flat row.
    note: Callable[[int, int], str] | None = None

    def __call__(self, row: int, column: str | None = None) -> str:
        """Return ``sequence 3 (id 'a'), step 5, column 'x0'`` for a flat row."""
        index = int(np.searchsorted(self.offsets, row, side="right")) - 1
        step = int(row - self.offsets[index])
        place = f"{self.sequence(index)}, step {step}"
        place += "" if column is None else f", column {column!r}"
        return place if self.note is None else f"{place} ({self.note(index, row)})"

    def sequence(self, index: int) -> str:
        """Return ``sequence 3``, with its id if it differs from the index."""
        return sequence_name(index, None if self.ids is None else self.ids[index])


class Rows(NamedTuple):
    """Describes rows of a table for messages, counted from 0 or as in the file."""

    noun: str = "row"
    number: Callable[[int], object] = int

    def __call__(self, row: int) -> str:
        """Return ``row 3``."""
        return f"{self.noun} {self.number(row)}".strip()

    def both(self, first: int, second: int) -> str:
        """Return ``rows 3 and 4``."""
        if not self.noun:
            return f"{self(first)} and {self(second)}"
        return f"{self.noun}s {self.number(first)} and {self.number(second)}"


PLAIN_ROWS = Rows()


def sequence_name(index: int, identity: Any = None) -> str:
    """Return ``sequence 3``, with the id if it differs from the index."""
    if identity is None or identity == index:
        return f"sequence {index}"
    return f"sequence {index} (id {plain(identity)!r})"


def plain(value: Any) -> Any:
    """Return a NumPy scalar as a Python scalar: messages show ``3``, not ``int64(3)``."""
    return value.item() if isinstance(value, np.generic) else value


def offsets_from_lengths(lengths: Any) -> np.ndarray:
    """Return the offsets, of shape (n + 1,), of consecutive sequences of these lengths."""
    lengths = np.asarray(lengths, dtype=np.int64)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def positions_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the positions in runs of rows with these starts and lengths, run after run."""
    return np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def object_array(values: Iterable[Any]) -> np.ndarray:
    """Return values, which may be lists, as a one-dimensional array of objects."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
