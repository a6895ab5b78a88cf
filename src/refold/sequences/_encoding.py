"""From raw columns to `SequenceArrays`, the result of all conversions to `Sequences`.

`encode_columns` infers types and categories and makes `SequenceArrays`. Conversions return
`SequenceArrays`, so they need not import `Sequences`. `RowNamer` and `StepLocator` name rows and
steps in messages. The checks refuse values and ids that `Sequences` cannot have.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.rules import check_counts_match
from refold.errors import DataError, SchemaError, argument
from refold.sequences._schema import Column, DecodedLayout, Schema, check_column_type, join_names
from refold.sequences.types import BINARY, CATEGORICAL, COLUMN_TYPES, NUMERIC, Locator, refuse_where

# One type for all columns, a type for each column, or types by column name; None where inferred.
ColumnTypes = str | Sequence[str | None] | Mapping[str, str] | None
# The largest number of float32, in which networks compute.
MAX_FLOAT32 = float(np.finfo(np.float32).max)


class SequenceArrays(NamedTuple):
    """Converted data, ready for `Sequences.from_checked`."""

    values: np.ndarray  # (num_steps, F)
    offsets: np.ndarray  # (n + 1,)
    ids: np.ndarray  # (n,)
    schema: Schema
    times: pa.Array | None = None  # (num_steps,)
    row_steps: np.ndarray | None = None  # (num_rows,), the step of each row of a long table


# Names of rows and steps in messages


@dataclass(frozen=True)
class RowNamer:
    """Names rows of a table in messages."""

    noun: str = "row"  # or "line", "entry"
    # function from the index of a row to the number or text that follows the noun
    describe_row: Callable[[int], object] = int

    def __call__(self, row: int) -> str:
        """Return ``row 3`` for the index of a row."""
        return f"{self.noun} {self.describe_row(row)}".strip()


# Names the rows of a table that comes from no file.
DEFAULT_ROW_NAMER = RowNamer()


@dataclass(frozen=True)
class StepLocator:
    """Names steps of sequences in messages, by sequence or by the row of a file."""

    offsets: np.ndarray  # (n + 1,)
    ids: np.ndarray | None = None  # (n,); None if they are the indices
    row_namer: RowNamer | None = None  # if the data come from a file
    row_indices: np.ndarray | None = None  # (num_steps,); None if a row of the file is a sequence

    def __call__(self, step_index: int, column_name: str | None = None) -> str:
        """Return ``sequence 3 (id 'a'), step 5, column 'x0'`` for a step among all steps."""
        # for data from a file, "row 3, step 5", or "row 17 (id 'a')" if each step has a row
        index = int(np.searchsorted(self.offsets, step_index, side="right")) - 1
        step = f"step {step_index - self.offsets[index]}"
        if self.row_namer is None:
            id_ = None if self.ids is None else self.ids[index]
            location = f"{name_sequence(index, id_)}, {step}"
        elif self.row_indices is None or self.ids is None:
            location = f"{self.row_namer(index)}, {step}"
        else:
            row_name = self.row_namer(self.row_indices.item(step_index))
            location = f"{row_name} (id {to_scalar(self.ids[index])!r})"
        return location if column_name is None else f"{location}, column {column_name!r}"


def capitalize_first(location: str) -> str:
    """Return a location with a capital letter, for the start of a message; ids keep their case."""
    return location[:1].upper() + location[1:]


def name_sequence(index: int, id_: Any = None) -> str:
    """Return ``sequence 3``, with the id if it differs from the index."""
    if id_ is None or id_ == index:
        return f"sequence {index}"
    return f"sequence {index} (id {to_scalar(id_)!r})"


def to_scalar(value: object) -> Any:
    """Return a NumPy scalar as a Python scalar, so that messages show ``3``, not ``int64(3)``."""
    return value.item() if isinstance(value, np.generic) else value


# Columns


def expand_column_types(column_types: ColumnTypes, names: Sequence[str]) -> list[str | None]:
    """Return one type per column, None where it is to be inferred."""
    if column_types is None or isinstance(column_types, str):
        resolved: list[Any] = [column_types] * len(names)
    elif isinstance(column_types, Mapping):
        if unknown := [name for name in column_types if name not in names]:
            raise SchemaError(
                f"{argument('column_types')} names the column {unknown[0]!r}, which does not exist"
                f". The columns are {', '.join(map(repr, names))}."
            )
        resolved = [column_types.get(name) for name in names]
    else:
        resolved = list(column_types)
        check_counts_match(len(resolved), argument("column_types"), len(names), "columns")
    for type_name in resolved:
        if type_name is not None:
            check_column_type(type_name)
    return resolved


def encode_columns(
    names: Sequence[str],
    raw_columns: Sequence[np.ndarray],  # each (num_steps,)
    type_names: Sequence[str | None],  # None where it is inferred
    locate: StepLocator,
    *,
    has_1d_sequences: bool = False,  # sequences of one column are (length,), not (length, 1)
    stored_schema: Schema | None = None,  # its categories are used if they cover the data
) -> SequenceArrays:
    """Return raw columns as encoded values with a schema."""
    stored_columns = () if stored_schema is None else stored_schema.columns
    stored_categories = {column.name: column.categories or None for column in stored_columns}
    encoded, columns = [], []
    for name, raw_values, type_name in zip(names, raw_columns, type_names, strict=True):
        # raw values may be numbers, booleans, text or a mix of Python objects
        if raw_values.dtype.kind in "OUST":  # objects and three kinds of text
            raw_values, type_name = _objects_to_text_or_numbers(raw_values, name, type_name, locate)
        if raw_values.dtype.kind == "O":  # still objects, so it is text
            type_name = CATEGORICAL.name
        elif raw_values.dtype.kind not in "biuf":  # neither booleans, integers nor floats
            # scikit-learn's estimator checks expect the words "Complex data not supported"
            raise SchemaError(
                f"Column {name!r} holds {raw_values.dtype} values. Expected real numbers or text. "
                f"Pass dates as {argument('time=')}, or as numbers. Complex data not supported: "
                "pass it as two columns."
            )
        if type_name is None:
            # whole numbers alone are no reason for a count column, which the user has to request
            type_name = (BINARY if BINARY.looks_binary(raw_values) else NUMERIC).name
        stored = stored_categories.get(name)
        column_values, categories = COLUMN_TYPES[type_name].encode(raw_values, name, locate, stored)
        encoded.append(column_values)
        columns.append(Column(name, type_name, categories))
    # float32, or float64 if a column needs it
    dtype = np.result_type(np.float32, *encoded)
    values = np.stack(encoded, axis=1, dtype=dtype)
    # A stored layout applies only to data with exactly the stored columns. Without a stored schema,
    # lists of one column are series or tokens. All other data are arrays.
    layout: DecodedLayout = "array"
    if stored_schema is not None and stored_schema.names == tuple(names):
        layout = stored_schema.layout
    elif stored_schema is None and has_1d_sequences and len(names) == 1:
        layout = "tokens" if columns[0].column_type.has_categories else "series"
    schema = Schema(tuple(columns), layout)
    check_finite_and_categories(values, schema, locate)
    ids = to_id_array(locate.ids, len(locate.offsets) - 1)
    return SequenceArrays(values, locate.offsets, ids, schema)


def numeric_text_warnings(columns: Sequence[Column], type_names: Sequence[str | None]) -> list[str]:
    """Return a warning for each column of text that is all numbers, if no type was requested."""
    messages = []
    for column, type_name in zip(columns, type_names, strict=True):
        if type_name is not None or not column.categories or column.has_integer_categories:
            continue
        numbers = [_value_to_float_or_none(category) for category in column.categories]
        if all(number is not None and math.isfinite(number) for number in numbers):
            messages.append(
                f"Column {column.name!r} holds numbers written as text and is treated as "
                f"categorical. Pass {argument(column_types={column.name: NUMERIC.name})} to read "
                "it as numbers."
            )
    return messages


def is_text_type(arrow_type: pa.DataType) -> bool:
    """Return whether an Arrow type is a text type."""
    return arrow_type in {pa.string(), pa.large_string(), pa.string_view()}


def is_missing_value(value: object) -> bool:
    """Return whether an object marks a missing entry: None, NaN, pandas NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, Real | Decimal) and value != value  # only NaN differs from itself


def _objects_to_text_or_numbers(
    raw_values: np.ndarray, name: str, column_type_name: str | None, locate: Locator
) -> tuple[np.ndarray, str | None]:
    """Return objects (num_steps,) as an array of text or numbers, and the column type if known."""
    objects = raw_values.tolist()
    may_be_text = column_type_name is None or COLUMN_TYPES[column_type_name].has_categories
    if may_be_text and {type(value) for value in objects} <= {str}:  # the common case, fast
        return raw_values.astype(object, copy=False), column_type_name
    objects = [None if is_missing_value(value) else value for value in objects]
    observed = [value for value in objects if value is not None]
    if objects and not observed:  # all entries are missing
        return np.full(len(objects), np.nan, np.float32), column_type_name
    num_texts = sum(isinstance(value, str) for value in observed)
    # without a requested type, text beside numbers is a mistake, and the error below is raised
    if may_be_text and num_texts and (column_type_name is not None or num_texts == len(observed)):
        return make_object_array(None if v is None else str(v) for v in objects), column_type_name
    if column_type_name is None and {type(value) for value in observed} <= {bool, np.bool_}:
        column_type_name = BINARY.name
    # text such as "1.5" becomes a number only if the user requested numbers
    may_parse_text = column_type_name is not None
    numbers = [
        math.nan if value is None else _value_to_float_or_none(value, may_parse_text=may_parse_text)
        for value in objects
    ]
    if None in numbers:
        i = numbers.index(None)
        value = objects[i]
        got = f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise DataError(
            f"Got {got} at {locate(i, name)}, where a number is expected. Use None for a missing "
            f"entry, or pass {argument(column_types={name: CATEGORICAL.name})}."
        )
    return np.array(numbers, float), column_type_name


def _value_to_float_or_none(value: Any, *, may_parse_text: bool = True) -> float | None:
    """Return a number, or text that holds one, as a float; blank text is NaN, all else None."""
    if isinstance(value, str):
        if not may_parse_text:
            return None
        value = value.strip() or math.nan
    elif not isinstance(value, Real | Decimal | np.bool_):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:  # a large integer; infinite values have an error of their own
        return math.inf


# Checks


def to_id_array(ids: Any, num_sequences: int) -> np.ndarray:
    """Return one integer or string per sequence (n,); ``0`` to ``n - 1`` if ``ids`` is None."""
    if ids is None:
        return np.arange(num_sequences)
    array = np.asarray(ids).reshape(-1)
    check_counts_match(len(array), argument("ids"), num_sequences, "sequences")
    if array.dtype.kind in "iu" and array.max(initial=0) < 1 << 63:
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "U":
        return array
    # `objects` are the original ids, because NumPy turns integers into floats if one is too large
    objects = np.asarray(ids, dtype=object).reshape(-1).tolist()
    for i, id_ in enumerate(objects):
        if is_missing_value(id_):
            raise DataError(f"Sequence {i} has no id. Give each sequence an integer or a string.")
    are_whole_numbers = all(
        isinstance(id_, Integral) or (isinstance(id_, Real) and float(id_).is_integer())
        for id_ in objects
    )
    if are_whole_numbers and not any(isinstance(id_, bool) for id_ in objects):
        objects = [int(id_) for id_ in objects]
        if all(-(1 << 63) <= id_ < 1 << 63 for id_ in objects):
            return np.array(objects, dtype=np.int64)
    # an integer too large for int64, as a hash may be, makes all ids strings
    return np.array([str(id_) for id_ in objects], dtype=str)


def check_unique_ids(ids: np.ndarray) -> None:
    """Raise ``DataError`` if two sequences have the same id."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    if len(repeated):
        first, second = np.flatnonzero(ids == repeated[0])[:2].tolist()
        raise DataError(
            f"ids must differ. Got {join_names(repeated.tolist())} more than once, first for the "
            f"sequences {first} and {second}. Give each its own id, as Sequences.with_ids does."
        )


def check_finite_and_categories(values: np.ndarray, schema: Schema, locate: StepLocator) -> None:
    """Refuse infinite values (num_steps, F), and wrong indices in categorical columns."""
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise DataError(
            f"Got an infinite value at {locate(int(row), schema.names[column])}. "
            "Expected finite numbers; use NaN for a missing entry."
        )
    for i in schema.categorical_indices:
        # the number of categories, n, is also the index of an unknown one
        indices, n = values[:, i], len(schema.columns[i].categories)
        has_fraction = (indices != np.floor(indices)) & ~np.isnan(indices)
        is_wrong = (indices < 0) | (indices > n) | has_fraction
        advice = f"Expected the index of a category, 0 to {n - 1}, or {n} for an unknown one."
        refuse_where(is_wrong, indices, schema.names[i], locate, advice)


def check_codes_finite(is_finite: np.ndarray, ids: np.ndarray) -> None:
    """Refuse sequences whose codes overflow float32; ``is_finite`` is a mask (n, width)."""
    wrong = np.flatnonzero(~is_finite.all(axis=1))
    if len(wrong):
        raise DataError(
            f"The code of {name_sequence(int(wrong[0]), ids[wrong[0]])} overflows float32. It is "
            "too far from the training data."
        )


def check_decoded_finite(is_finite: np.ndarray, offsets: np.ndarray) -> None:
    """Refuse decoded values that overflow float32; ``is_finite`` is a mask (num_steps, F)."""
    if not is_finite.all():
        # argmin of a mask is the first step with a value that is not finite
        location = StepLocator(offsets)(int(np.argmin(is_finite.all(axis=1))))
        raise DataError(
            f"Decoding overflows float32 at {location}. The code, or the sequence that was "
            "encoded, is too far from the training data."
        )


def make_object_array(values: Iterable[Any]) -> np.ndarray:
    """Return values as a one-dimensional array of objects, even if the values are lists."""
    # NumPy would make an array of more dimensions from lists of equal length
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
