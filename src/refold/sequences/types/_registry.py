"""The table of all column types, and what follows from the types of several columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from refold.sequences.types._binary import BINARY
from refold.sequences.types._categorical import CATEGORICAL
from refold.sequences.types._column_type import ColumnType
from refold.sequences.types._count import COUNT
from refold.sequences.types._numeric import NUMERIC

# To add a type, write its class and name it here.
_ALL = (NUMERIC, BINARY, CATEGORICAL, COUNT)
COLUMN_TYPES: dict[str, ColumnType] = {type_.name: type_ for type_ in _ALL}

# Types of numbers, the most special one first.
_NUMBERS = sorted(
    (type_ for type_ in _ALL if type_.generality is not None),
    key=lambda type_: type_.generality or 0,
)


class Outputs(NamedTuple):
    """The outputs of a decoder for one column."""

    index: int  # of the column
    type: ColumnType
    block: slice


def outputs_of(column_types: Iterable[str], num_categories: Sequence[int]) -> Iterator[Outputs]:
    """Iterate over the outputs of columns, given the names of their types."""
    first = 0
    for i, (name, number) in enumerate(zip(column_types, num_categories, strict=True)):
        type_ = COLUMN_TYPES[name]
        width = type_.width(number)
        yield Outputs(i, type_, slice(first, first + width))
        first += width


def number_mask(column_types: Iterable[str]) -> np.ndarray:
    """Return which columns hold quantities, bool array of shape (F,)."""
    return np.array([COLUMN_TYPES[name].is_number for name in column_types], dtype=bool)


def inferred_type(raw: np.ndarray) -> ColumnType:
    """Return the type of a raw column (num_steps,) of numbers."""
    return next(type_ for type_ in _NUMBERS if type_.describes(raw))


def common_type(names: Iterable[str]) -> ColumnType | None:
    """Return the type that columns of these types have together; None if there is none."""
    types = {COLUMN_TYPES[name] for name in names}
    if len(types) == 1:
        return types.pop()
    if types - set(_NUMBERS):
        return None
    return max(types, key=lambda type_: type_.generality or 0)
