"""From raw columns to `Parts`, the result of all conversions to `Sequences`.

Infers types and categories, checks values and ids, and names places in messages. Conversions return
`Parts`, so they need not import `Sequences`.
"""

import math
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.rules import check_one_each
from refold.errors import DataError, SchemaError, argument
from refold.sequences._schema import Column, Layout, Schema, check_column_type, listed
from refold.sequences.types import BINARY, CATEGORICAL, COLUMN_TYPES, NUMERIC, Where, refuse

ColumnTypes = str | Sequence[str | None] | Mapping[str, str] | None
# The largest number of float32, in which networks compute.
MAX_FLOAT32 = float(np.finfo(np.float32).max)


class Parts(NamedTuple):
    """Converted data, ready for `Sequences.trusted`."""

    values: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray
    schema: Schema
    times: pa.Array | None = None  # (num_steps,)


# Places in messages


@dataclass(frozen=True)
class Rows:
    """Describes rows of a table for messages, counted from 0 or as in the file."""

    noun: str = "row"
    number: Callable[[int], object] = int

    def __call__(self, row: int) -> str:
        """Return ``row 3``."""
        return f"{self.noun} {self.number(row)}".strip()


PLAIN_ROWS = Rows()


@dataclass(frozen=True)
class Places:
    """Describes a location in flat data for messages: sequence, step and column."""

    offsets: np.ndarray
    ids: np.ndarray | None = None  # as their indices
    rows: Rows | None = None  # of the file, if there is one
    order: np.ndarray | None = None  # row of each step; None if each sequence has a row

    def __call__(self, row: int, column: str | None = None) -> str:
        """Return ``sequence 3 (id 'a'), step 5, column 'x0'`` for a flat row, or its file row."""
        index = int(np.searchsorted(self.offsets, row, side="right")) - 1
        place = f"step {row - self.offsets[index]}"
        if self.rows is None:
            place = f"{self.sequence(index)}, {place}"
        elif self.order is None or self.ids is None:
            place = f"{self.rows(index)}, {place}"
        else:
            place = f"{self.rows(self.order.item(row))} (id {plain(self.ids[index])!r})"
        return place if column is None else f"{place}, column {column!r}"

    def sequence(self, index: int) -> str:
        """Return ``sequence 3``, with its id if it differs from the index."""
        return sequence_name(index, None if self.ids is None else self.ids[index])


def sentence_start(place: str) -> str:
    """Return a place as the first words of a message; ids keep their case."""
    return place[:1].upper() + place[1:]


def sequence_name(index: int, identity: Any = None) -> str:
    """Return ``sequence 3``, with the id if it differs from the index."""
    if identity is None or identity == index:
        return f"sequence {index}"
    return f"sequence {index} (id {plain(identity)!r})"


def plain(value: object) -> Any:
    """Return a NumPy scalar as a Python scalar: messages show ``3``, not ``int64(3)``."""
    return value.item() if isinstance(value, np.generic) else value


# Columns


def resolve_column_types(column_types: ColumnTypes, names: Sequence[str]) -> list[str | None]:
    """Return one type per column, None where it is to be inferred."""
    if column_types is None or isinstance(column_types, str):
        resolved: list[Any] = [column_types] * len(names)
    elif isinstance(column_types, Mapping):
        unknown = [name for name in column_types if name not in names]
        if unknown:
            raise SchemaError(
                f"{argument('column_types')} names the column {unknown[0]!r}, which does not exist"
                f". The columns are {', '.join(map(repr, names))}."
            )
        resolved = [column_types.get(name) for name in names]
    else:
        resolved = list(column_types)
        check_one_each(len(resolved), argument("column_types"), len(names), "columns")
    for type_ in resolved:
        if type_ is not None:
            check_column_type(type_)
    return resolved


def encode_parts(
    names: Sequence[str],
    raws: Sequence[np.ndarray],
    types: Sequence[str | None],
    places: Places,
    *,
    lists: bool,
    stored: Schema | None = None,
) -> Parts:
    """Encode raw columns (num_steps,), with stored categories where these suffice."""
    columns = () if stored is None else stored.columns
    categories = {column.name: column.categories for column in columns if column.categories}
    encoded = [
        _encode_column(raw, name, type_, places, categories.get(name))
        for name, raw, type_ in zip(names, raws, types, strict=True)
    ]
    dtype = np.result_type(np.float32, *(column.dtype for column, _ in encoded))
    values = np.empty((len(raws[0]), len(raws)), dtype=dtype)
    for i, (column, _) in enumerate(encoded):
        values[:, i] = column
    layout: Layout = "array"
    if stored is not None:
        layout = stored.layout if stored.names == tuple(names) else "array"
    elif lists and len(names) == 1:
        layout = "tokens" if encoded[0][1].column_type.has_categories else "series"
    schema = Schema(tuple(column for _, column in encoded), layout)
    check_values(values, schema, places)
    ids = np.arange(len(places.offsets) - 1) if places.ids is None else places.ids
    return Parts(values, places.offsets, ids, schema)


def text_warnings(columns: Sequence[Column], types: Sequence[str | None]) -> list[str]:
    """Return a warning for each column of no known type whose categories are all numbers."""
    return [
        f"Column {column.name!r} holds numbers written as text and is treated as categorical. "
        f"Pass {argument(column_types={column.name: NUMERIC.name})} to read it as numbers."
        for column, type_ in zip(columns, types, strict=True)
        if type_ is None and column.categories and all(map(_is_number_text, column.categories))
    ]


def _encode_column(
    raw: np.ndarray,
    name: str,
    column_type: str | None,
    where: Where,
    categories: tuple[Any, ...] | None,
) -> tuple[np.ndarray, Column]:
    """Return a raw column (num_steps,) as floats, NaN where missing, and its description."""
    # A raw column is flat: all sequences one after another. It may hold numbers, booleans, text or
    # a mix of Python objects.
    if raw.dtype.kind in "OUST":
        raw, column_type = _to_text_or_numbers(raw, name, column_type, where)
    if raw.dtype.kind == "O":
        column_type = CATEGORICAL.name
    elif raw.dtype.kind not in "biuf":
        # scikit-learn's checks look for the words about complex data
        raise SchemaError(
            f"Column {name!r} holds {raw.dtype} values. Expected real numbers or text. Pass dates "
            f"as {argument('time=')}, or as numbers. Complex data not supported: pass it as two "
            "columns."
        )
    if column_type is None:
        # counts are declared, not found
        column_type = (BINARY if BINARY.describes(raw) else NUMERIC).name
    values, categories = COLUMN_TYPES[column_type].encode(raw, name, where, categories)
    return values, Column(name, column_type, categories)


def is_text(type_: pa.DataType) -> bool:
    """Return whether an Arrow type is a text type."""
    return type_ in {pa.string(), pa.large_string(), pa.string_view()}


def is_missing(value: object) -> bool:
    """Return whether an object marks a missing entry: None, NaN, pandas NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, Real | Decimal) and value != value


def _to_text_or_numbers(
    raw: np.ndarray, name: str, column_type: str | None, where: Where
) -> tuple[np.ndarray, str | None]:
    """Return a column of objects as text (still objects) or numbers, and its type if known."""
    objects = raw.tolist()
    may_be_text = column_type is None or COLUMN_TYPES[column_type].has_categories
    if may_be_text and {type(value) for value in objects} <= {str}:
        return raw.astype(object, copy=False), column_type
    objects = [None if is_missing(value) else value for value in objects]
    present = [value for value in objects if value is not None]
    if objects and not present:
        return np.full(len(objects), np.nan, np.float32), column_type
    texts = sum(isinstance(value, str) for value in present)
    # without a type, text beside numbers is a mistake
    if may_be_text and texts and (column_type is not None or texts == len(present)):
        return object_array(None if v is None else str(v) for v in objects), column_type
    if column_type is None and {type(value) for value in present} <= {bool, np.bool_}:
        column_type = BINARY.name
    parse = column_type is not None  # text that holds a number
    numbers = [math.nan if v is None else _number(v, parse=parse) for v in objects]
    if None in numbers:
        i = numbers.index(None)
        is_text = isinstance(objects[i], str)
        got = f"the text {objects[i]!r}" if is_text else f"a {type(objects[i]).__name__}"
        raise DataError(
            f"Got {got} at {where(i, name)}, where a number is expected. Use None for a missing "
            f"entry, or pass {argument(column_types={name: CATEGORICAL.name})}."
        )
    return np.array(numbers, float), column_type


def _number(value: Any, *, parse: bool = True) -> float | None:
    """Return a number, or text that holds one, as a float; blank text is NaN, all else None."""
    if isinstance(value, str):
        if not parse:
            return None
        value = value.strip() or math.nan
    elif not isinstance(value, Real | Decimal | np.bool_):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _is_number_text(category: Any) -> bool:
    number = _number(category) if isinstance(category, str) else None
    return number is not None and math.isfinite(number)


# Checks


def check_ids(ids: Any, num_sequences: int) -> np.ndarray:
    """Return one integer or string per sequence; ``0`` to ``n - 1`` if ``ids`` is None."""
    if ids is None:
        return np.arange(num_sequences)
    objects, ids = ids, np.asarray(ids).reshape(-1)
    check_one_each(len(ids), argument("ids"), num_sequences, "sequences")
    if ids.dtype.kind in "iu" and ids.max(initial=0) < 1 << 63:
        return ids.astype(np.int64, copy=False)
    if ids.dtype.kind == "U":
        return ids
    # Start from the original objects: NumPy turns integers into floats if some are too large.
    plain_ids = np.asarray(objects, dtype=object).reshape(-1).tolist()
    for i, identity in enumerate(plain_ids):
        if is_missing(identity):
            raise DataError(f"Sequence {i} has no id. Give each sequence an integer or a string.")
    if all(map(_is_integer, plain_ids)):
        plain_ids = [int(identity) for identity in plain_ids]
        if all(-(1 << 63) <= identity < 1 << 63 for identity in plain_ids):
            return np.array(plain_ids, dtype=np.int64)
    # an integer too large for int64, as a hash may be, makes all ids strings
    return np.array([str(identity) for identity in plain_ids], dtype=str)


def _is_integer(identity: Any) -> bool:
    if isinstance(identity, Integral):
        return not isinstance(identity, bool)
    return isinstance(identity, Real) and float(identity).is_integer()


def check_distinct(ids: np.ndarray) -> None:
    """Raise ``DataError`` if two sequences have the same id."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    if len(repeated):
        first, second = np.flatnonzero(ids == repeated[0])[:2].tolist()
        raise DataError(
            f"ids must differ. Got {listed(repeated.tolist())} more than once, first for the "
            f"sequences {first} and {second}. Give each its own id, as Sequences.with_ids does."
        )


def check_offsets(offsets: Any, num_steps: int) -> np.ndarray:
    """Return offsets (n + 1,) as int64 if they rise from 0 to the number of steps."""
    offsets = np.asarray(offsets)
    is_valid = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu"
    if is_valid:
        offsets = offsets.astype(np.int64)
        is_valid = offsets[0] == 0 and offsets[-1] == num_steps and (np.diff(offsets) >= 0).all()
    if not is_valid:
        raise DataError(
            f"offsets must rise from 0 to the number of steps, {num_steps}, in integers. "
            f"Got {reprlib.repr(offsets.tolist())}."
        )
    return offsets


def check_values(values: np.ndarray, schema: Schema, places: Places) -> None:
    """Refuse infinite values, and those that are no index of a category; values (num_steps, F)."""
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


def object_array(values: Iterable[Any]) -> np.ndarray:
    """Return values, which may be lists, as a one-dimensional array of objects."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
