"""The result type of all conversions to `Sequences`, its checks, and locations for messages.

Conversion functions return `Parts`, so they need not import `Sequences`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from refold._support.arrays import lengths_from_offsets
from refold.errors import DataError
from refold.sequences.schema._column_types import is_missing
from refold.sequences.schema._schema import Schema
from refold.sequences.types import refuse

# The largest number of float32, in which networks compute.
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# Number of repeated ids named in a message.
_LISTED = 5


class Parts(NamedTuple):
    """Converted data, ready for `Sequences.trusted`."""

    values: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray | None
    schema: Schema

    def with_schema(self, schema: Schema, values: np.ndarray | None = None) -> "Parts":
        """Return the parts with another schema, and other values if they are given."""
        return Parts(self.values if values is None else values, self.offsets, self.ids, schema)


@dataclass(frozen=True)
class Places:
    """Describes a location in flat data for messages: sequence, step and column."""

    offsets: np.ndarray
    ids: np.ndarray | None = None
    # Describes the row of a file, given the index of the sequence and the flat row.
    note: Callable[[int, int], str] | None = None
    # Names a flat row of a part of a file, in which sequences have other numbers.
    name: Callable[[int], str] | None = None

    def __call__(self, row: int, column: str | None = None) -> str:
        """Return ``sequence 3 (id 'a'), step 5, column 'x0'`` for a flat row."""
        index = int(np.searchsorted(self.offsets, row, side="right")) - 1
        step = int(row - self.offsets[index])
        place = f"{self.sequence(index)}, step {step}" if self.name is None else self.name(row)
        place += "" if column is None else f", column {column!r}"
        return place if self.note is None else f"{place} ({self.note(index, row)})"

    def sequence(self, index: int) -> str:
        """Return ``sequence 3``, with its id if it differs from the index."""
        return sequence_name(index, None if self.ids is None else self.ids[index])


@dataclass(frozen=True)
class Rows:
    """Describes rows of a table for messages, counted from 0 or as in the file."""

    noun: str = "row"
    number: Callable[[int], object] = int
    is_part: bool = False  # whether the table is a part of a file

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


def plain(value: object) -> Any:
    """Return a NumPy scalar as a Python scalar: messages show ``3``, not ``int64(3)``."""
    return value.item() if isinstance(value, np.generic) else value


def object_array(values: Iterable[Any]) -> np.ndarray:
    """Return values, which may be lists, as a one-dimensional array of objects."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def check_ids(ids: Any, num_sequences: int) -> np.ndarray:
    """Return one integer or string per sequence; ``0`` to ``n - 1`` if ``ids`` is None."""
    if ids is None:
        return np.arange(num_sequences)
    objects, ids = ids, np.asarray(ids)
    if ids.shape != (num_sequences,):
        raise DataError(
            f"ids must hold one entry per sequence, shape ({num_sequences},). Got {ids.shape}."
        )
    if ids.dtype.kind == "i" or (ids.dtype.kind == "u" and ids.max(initial=0) < 1 << 63):
        return ids.astype(np.int64, copy=False)
    if ids.dtype.kind == "U":
        return ids
    # Start from the original objects: NumPy turns integers into floats if some are too large.
    plain_ids = np.asarray(objects, dtype=object).tolist()
    for i, identity in enumerate(plain_ids):
        if is_missing(identity):
            raise DataError(f"Sequence {i} has no id. Give each sequence an integer or a string.")
    if all(map(_is_integer, plain_ids)):
        plain_ids = [int(identity) for identity in plain_ids]
        if all(-(1 << 63) <= identity < 1 << 63 for identity in plain_ids):
            return np.array(plain_ids, dtype=np.int64)
    # an integer too large for int64, as a hash may be, makes all ids strings
    return np.array([str(identity) for identity in plain_ids], dtype=str)


def check_distinct(ids: np.ndarray) -> None:
    """Raise ``DataError`` if two sequences have the same id."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    if len(repeated):
        names = ", ".join(repr(plain(identity)) for identity in repeated[:_LISTED])
        names += f" and {len(repeated) - _LISTED} others" if len(repeated) > _LISTED else ""
        first, second = np.flatnonzero(ids == repeated[0])[:2].tolist()
        raise DataError(
            f"ids must differ. Got {names} more than once, first for the sequences {first} and "
            f"{second}. Give each sequence its own id."
        )


def _is_integer(identity: Any) -> bool:
    if isinstance(identity, Integral):
        return not isinstance(identity, bool)
    return isinstance(identity, Real) and float(identity).is_integer()


def check_offsets(offsets: Any, num_steps: int) -> np.ndarray:
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or not len(offsets) or offsets.dtype.kind not in "iu":
        raise DataError("offsets must be a one-dimensional array of at least one integer.")
    offsets = offsets.astype(np.int64)
    falling = (lengths_from_offsets(offsets) < 0).any()
    if offsets[0] != 0 or offsets[-1] != num_steps or falling:
        raise DataError(
            f"offsets must rise from 0 to the number of steps, {num_steps}. "
            f"Got {offsets[0]} to {offsets[-1]}."
        )
    return offsets


def check_values(values: np.ndarray, schema: Schema, places: Places) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise DataError(
            f"Got an infinite value at {places(int(row), schema.names[column])}. "
            "Expected finite numbers; use NaN for a missing entry."
        )
    for i in schema.categorical:
        index = values[:, i]
        limit = len(schema.columns[i].categories)
        wrong = (index < 0) | (index > limit) | (index != np.floor(index))
        advice = (
            f"Expected the index of a category, 0 to {limit - 1}, or {limit} for an unknown one."
        )
        refuse(wrong & ~np.isnan(index), index, schema.names[i], places, advice)


def check_codes_finite(finite: np.ndarray, ids: np.ndarray) -> None:
    """Refuse sequences whose codes (n, width) are not all finite numbers of float32."""
    wrong = np.flatnonzero(~finite.all(axis=1))
    if len(wrong):
        raise DataError(
            f"The code of {sequence_name(int(wrong[0]), ids[wrong[0]])} overflows float32. It is "
            "too far from the training data."
        )


def check_decoded(finite: np.ndarray, offsets: np.ndarray) -> None:
    """Refuse decoded sequences if not all outputs (num_steps, n) are finite in float32."""
    if not finite.all():
        place = Places(offsets)(int(np.argmin(finite.all(axis=1))))
        raise DataError(
            f"Decoding overflows float32 at {place}. The code, or the sequence that was encoded, "
            "is too far from the training data."
        )
