"""Column types and categories inferred from raw columns, and values to floats and back."""

import difflib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError, argument
from refold.sequences.schema._schema import COLUMN_TYPES, UNKNOWN, Column, ColumnType, Schema

ColumnTypes = str | Sequence[str | None] | Mapping[str, str] | None
# Stands for an unknown or missing character (U+FFFD).
REPLACEMENT = "\ufffd"
Where = Callable[[int, str | None], str]

# Largest number of categories whose indices are exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24
# Largest integer that is exact in float64.
_LARGEST_CATEGORY = (1 << 53) - 1


def resolve_column_types(
    column_types: ColumnTypes, names: Sequence[str]
) -> list[ColumnType | None]:
    """Return one type per column, None where it is to be inferred."""
    if column_types is None:
        resolved: list[Any] = [None] * len(names)
    elif isinstance(column_types, str):
        resolved = [column_types] * len(names)
    elif isinstance(column_types, Mapping):
        unknown = [name for name in column_types if name not in names]
        if unknown:
            raise SchemaError(
                f"column_types names the column {unknown[0]!r}, which does not exist"
                f"{_close(unknown[0], names)}. The columns are {', '.join(map(repr, names))}."
            )
        resolved = [column_types.get(name) for name in names]
    else:
        resolved = list(column_types)
        if len(resolved) != len(names):
            raise SchemaError(
                f"column_types has {len(resolved)} entries for {len(names)} columns. "
                "Give one per column, or a dictionary of the types to override."
            )
    for one in resolved:
        if one is not None and one not in COLUMN_TYPES:
            raise SchemaError(
                f"The column type {one!r} is unknown{_close(one, COLUMN_TYPES)}. Expected one of "
                f"{', '.join(map(repr, COLUMN_TYPES))}."
            )
    return resolved


def _close(word: Any, words: Sequence[str]) -> str:
    """Return a hint at the word that was probably meant."""
    found = difflib.get_close_matches(str(word), words, n=1)
    lower = {one.lower(): one for one in words}
    meant = lower.get(str(word).lower()) or (found[0] if found else None)
    return "" if meant is None else f" (did you mean {meant!r}?)"


def encode_columns(
    raws: Sequence[np.ndarray],
    names: Sequence[str],
    column_types: ColumnTypes,
    where: Where,
    categories: Mapping[str, tuple[Any, ...]] | None = None,  # known ones, by column name
) -> tuple[np.ndarray, tuple[Column, ...]]:
    """Return the (num_steps, F) encoded values of raw columns, and their descriptions."""
    encoded = [
        encode_column(raw, name, column_type, where, (categories or {}).get(name))
        for raw, name, column_type in zip(
            raws, names, resolve_column_types(column_types, names), strict=True
        )
    ]
    dtype = np.result_type(np.float32, *(values.dtype for values, _ in encoded))
    table = np.empty((len(raws[0]), len(raws)), dtype=dtype)
    for i, (values, _) in enumerate(encoded):
        table[:, i] = values
    return table, tuple(column for _, column in encoded)


def encode_column(
    raw: np.ndarray,
    name: str,
    column_type: ColumnType | None,
    where: Where,
    categories: tuple[Any, ...] | None = None,
) -> tuple[np.ndarray, Column]:
    """Return a raw column (num_steps,) as floats, NaN where missing, and its description."""
    # A raw column is flat: all sequences one after another. It may hold numbers, booleans, text or
    # a mix of Python objects.
    if raw.dtype.kind in "OUST":
        raw, column_type = _to_text_or_numbers(raw, name, column_type, where)
    if raw.dtype.kind == "O":
        return _encode_text(raw, name, categories)
    if raw.dtype.kind in "Mm":
        raise SchemaError(
            f"Column {name!r} holds dates or durations. Pass it as {argument('time=')}, leave it "
            "out, or convert it to numbers."
        )
    if raw.dtype.kind == "c":
        raise DataError(
            f"Complex data not supported: column {name!r} holds {raw.dtype} values. Pass real and "
            "imaginary part, or magnitude and angle, as two columns."
        )
    if raw.dtype.kind not in "biuf":
        raise DataError(f"Column {name!r} holds {raw.dtype} values. Expected real numbers or text.")
    if column_type == "categorical":
        return _encode_integers(raw, name, where, categories)
    values = raw.astype(_float_type(raw.dtype), copy=False)
    if column_type is None:
        column_type = "binary" if raw.dtype.kind == "b" or _is_binary(values) else "numeric"
    if column_type == "binary":
        check_binary(values, name, where)
        if raw.dtype.kind in "biu":
            values = values.astype(np.float32)
    return values, _column(name, column_type)


@functools.lru_cache(maxsize=4096)
def _column(name: str, column_type: ColumnType) -> Column:
    """Return a column without categories, from a cache: single sequences have the same ones."""
    return Column(name, column_type)


def check_binary(values: np.ndarray, name: str, where: Where) -> None:
    """Raise a DataError if a binary column holds a value outside 0 to 1."""
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if len(wrong):
        raise DataError(
            f"Got {values[wrong[0]]:g} at {where(int(wrong[0]), name)}. A binary column holds "
            "values from 0 to 1; make it numeric or correct the entry."
        )


def is_missing(value: Any) -> bool:
    """Return whether an object marks a missing entry: None, NaN, pandas NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, Real | Decimal) and value != value


def _to_text_or_numbers(
    raw: np.ndarray, name: str, column_type: ColumnType | None, where: Where
) -> tuple[np.ndarray, ColumnType | None]:
    """Return a column of objects as text (still objects) or numbers, and its type if known."""
    objects = raw.tolist()
    types = {type(value) for value in objects}
    if types <= {str} and column_type in {None, "categorical"}:
        return raw.astype(object, copy=False), column_type
    missing = [is_missing(value) for value in objects]
    texts = [isinstance(value, str) for value in objects]
    for row, value in enumerate(objects):
        if not (texts[row] or missing[row] or isinstance(value, Real | Decimal | np.bool_)):
            raise DataError(
                f"Got a value of type {type(value).__name__} at {where(row, name)}. "
                "Expected a number, text, or None for a missing entry."
            )
    if any(texts) and column_type in {None, "categorical"}:
        present = [i for i in range(len(objects)) if not missing[i]]
        if column_type is None and not all(texts[i] for i in present):
            row = texts.index(True)
            raise DataError(
                f"Got the text {objects[row]!r} at {where(row, name)}, where the other entries are "
                "numbers. Correct the entry, or pass "
                f"{argument(column_types={name: 'categorical'})}."
            )
        text = np.full(len(objects), None, dtype=object)
        for i in present:
            text[i] = str(objects[i])
        return text, column_type
    if column_type is None and _are_booleans(objects, missing):
        column_type = "binary"
    return _numbers(objects, missing, name, where), column_type


def _are_booleans(objects: list[Any], missing: list[bool]) -> bool:
    present = [type(value) for value, absent in zip(objects, missing, strict=True) if not absent]
    return bool(present) and set(present) <= {bool, np.bool_}


def _numbers(objects: list[Any], missing: list[bool], name: str, where: Where) -> np.ndarray:
    numbers = np.full(len(objects), np.nan)
    for row, value in enumerate(objects):
        if missing[row] or (isinstance(value, str) and not value.strip()):
            continue
        try:
            numbers[row] = float(value)
        except ValueError as error:
            raise DataError(
                f"Got the text {value!r} at {where(row, name)}. Expected a number; correct the "
                f"entry, or pass {argument(column_types={name: 'categorical'})}."
            ) from error
        except OverflowError:
            numbers[row] = math.inf
    return numbers


def _encode_text(
    raw: np.ndarray, name: str, known: tuple[Any, ...] | None
) -> tuple[np.ndarray, Column]:
    objects = raw.tolist()
    present = set(objects) - {None}
    if known is not None and present <= {*known, UNKNOWN}:
        categories = known
    else:  # none are known, or they do not cover the data
        categories = tuple(sorted(present))
    index: dict[Any, float] = {category: i for i, category in enumerate(categories)}
    index.setdefault(UNKNOWN, len(categories))
    index[None] = math.nan
    dtype = np.float32 if len(categories) < _EXACT_IN_FLOAT32 else np.float64
    values = np.fromiter((index[value] for value in objects), dtype=dtype, count=len(objects))
    return values, Column(name, "categorical", categories)


def _encode_integers(
    raw: np.ndarray, name: str, where: Where, known: tuple[Any, ...] | None
) -> tuple[np.ndarray, Column]:
    values = raw.astype(np.float64)
    observed = ~np.isnan(values)
    wrong = np.flatnonzero(observed & (values != np.round(values)) | np.isinf(values))
    if len(wrong):
        raise DataError(
            f"Got {values[wrong[0]]:g} at {where(int(wrong[0]), name)}. A categorical column holds "
            "integers or text; make it numeric or correct the entry."
        )
    large = np.flatnonzero(np.abs(values) > _LARGEST_CATEGORY)
    if len(large):
        raise DataError(
            f"Got {int(raw[large[0]])} at {where(int(large[0]), name)}. Integer categories "
            f"beyond {_LARGEST_CATEGORY} cannot be told apart; write them as text."
        )
    found, inverse = np.unique(values[observed], return_inverse=True)
    categories = tuple(int(category) for category in found)
    if known is not None and set(categories) <= set(known):
        position = {category: i for i, category in enumerate(known)}
        inverse = np.array([position[category] for category in categories], dtype=np.int64)[inverse]
        categories = known
    dtype = np.float32 if len(categories) < _EXACT_IN_FLOAT32 else np.float64
    indices = np.full(len(values), np.nan, dtype=dtype)
    indices[observed] = inverse
    return indices, Column(name, "categorical", categories)


def _is_binary(values: np.ndarray) -> bool:
    # the first value decides about most numeric columns, and a Python float does it fastest
    if len(values):
        first = values[0].item()
        if first != 0 and first != 1 and not math.isnan(first):
            return False
    zeros = values == 0
    if not zeros.any():  # as of most numeric columns
        return False
    ones = values == 1
    return bool(ones.any() and (zeros | ones | np.isnan(values)).all())


def encoded_type(raw: np.dtype, column: Column) -> np.dtype:
    """Return the dtype in which `encode_column` stores a raw column."""
    if column.type == "categorical":
        return np.dtype(np.float32 if len(column.categories) < _EXACT_IN_FLOAT32 else np.float64)
    if column.type == "binary" and raw.kind in "biu":
        return np.dtype(np.float32)
    return _float_type(raw)


def _float_type(dtype: np.dtype) -> np.dtype:
    """Return float32 if it holds the values of a dtype exactly, else float64."""
    if dtype.kind == "b" or (dtype.kind in "iu" and dtype.itemsize <= 2):
        return np.dtype(np.float32)
    if dtype.kind == "f" and dtype.itemsize <= 4:
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def to_form(values: np.ndarray, schema: Schema) -> Any:
    """Return one sequence's (length, F) values in the user's layout."""
    if schema.layout == "array":
        return _to_array(values, schema)
    column = schema.columns[0]
    if schema.layout == "series":
        return decode_column(values[:, 0], column) if column.categories else values[:, 0].copy()
    tokens = decode_column(values[:, 0], column).tolist()
    if schema.layout == "characters":
        return "".join(
            REPLACEMENT if token is None or token == UNKNOWN else str(token) for token in tokens
        )
    if column.has_integer_categories:
        return [None if token != token else int(token) for token in tokens]
    return tokens


def decode_column(values: np.ndarray, column: Column) -> np.ndarray:
    """Return a flat column (num_steps,) with categories in place of indices."""
    if column.type != "categorical":
        return values
    missing = np.isnan(values)
    index = np.where(missing, len(column.categories) + 1, values).astype(np.int64)
    # Text gives objects: None for missing and "<unknown>" for unknown. Integers give floats, NaN
    # for both.
    return column.forms[index]


def _to_array(values: np.ndarray, schema: Schema) -> np.ndarray:
    if not len(schema.categorical):
        return values.copy()
    decoded = [decode_column(values[:, i], column) for i, column in enumerate(schema.columns)]
    # Integer categories stay numbers.
    textual = any(column.dtype == object for column in decoded)
    out = np.empty(values.shape, dtype=object if textual else np.float64)
    for i, column in enumerate(decoded):
        out[:, i] = column
    return out
