"""Column types and categories inferred from raw columns, and values to floats and back."""

import difflib
import functools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError, argument
from refold.sequences.schema._schema import Column, Schema
from refold.sequences.types import (
    BINARY,
    CATEGORICAL,
    COLUMN_TYPES,
    UNKNOWN,
    Where,
    inferred_type,
)

ColumnTypes = str | Sequence[str | None] | Mapping[str, str] | None
# Stands for an unknown or missing character (U+FFFD).
REPLACEMENT = "\ufffd"


def resolve_column_types(column_types: ColumnTypes, names: Sequence[str]) -> list[str | None]:
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
    for type_ in resolved:
        if type_ is not None and type_ not in COLUMN_TYPES:
            types = list(COLUMN_TYPES)
            raise SchemaError(
                f"The column type {type_!r} is unknown{_close(type_, types)}. Expected one of "
                f"{', '.join(map(repr, types))}."
            )
    return resolved


def _close(word: Any, words: Sequence[str]) -> str:
    """Return a hint at the word that was probably meant."""
    lower = {candidate.lower(): candidate for candidate in words}
    similar = difflib.get_close_matches(str(word), words, n=1)
    meant = lower.get(str(word).lower()) or next(iter(similar), None)
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
    column_type: str | None,
    where: Where,
    categories: tuple[Any, ...] | None = None,
) -> tuple[np.ndarray, Column]:
    """Return a raw column (num_steps,) as floats, NaN where missing, and its description."""
    # A raw column is flat: all sequences one after another. It may hold numbers, booleans, text or
    # a mix of Python objects.
    if raw.dtype.kind in "OUST":
        raw, column_type = _to_text_or_numbers(raw, name, column_type, where)
    if raw.dtype.kind == "O":
        values, categories = CATEGORICAL.encode(raw, name, where, categories)
        return values, Column(name, CATEGORICAL.name, categories)
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
    if column_type is None:
        column_type = inferred_type(raw).name
    values, categories = COLUMN_TYPES[column_type].encode(raw, name, where, categories)
    column = Column(name, column_type, categories) if categories else _column(name, column_type)
    return values, column


@functools.lru_cache(maxsize=4096)
def _column(name: str, column_type: str) -> Column:
    """Return a column without categories, from a cache: single sequences have the same ones."""
    return Column(name, column_type)


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
    types = {type(value) for value in objects}
    may_be_text = column_type is None or COLUMN_TYPES[column_type].has_categories
    if types <= {str} and may_be_text:
        return raw.astype(object, copy=False), column_type
    missing = [is_missing(value) for value in objects]
    if missing and all(missing):
        return np.full(len(objects), np.nan, np.float32), column_type
    texts = [isinstance(value, str) for value in objects]
    for row, value in enumerate(objects):
        if not (texts[row] or missing[row] or isinstance(value, Real | Decimal | np.bool_)):
            raise DataError(
                f"Got a value of type {type(value).__name__} at {where(row, name)}. "
                "Expected a number, text, or None for a missing entry."
            )
    if any(texts) and may_be_text:
        present = [i for i in range(len(objects)) if not missing[i]]
        if column_type is None and not all(texts[i] for i in present):
            row = texts.index(True)
            raise DataError(
                f"Got the text {objects[row]!r} at {where(row, name)}, where the other entries are "
                "numbers. Correct the entry, or pass "
                f"{argument(column_types={name: CATEGORICAL.name})}."
            )
        text = np.full(len(objects), None, dtype=object)
        for i in present:
            text[i] = str(objects[i])
        return text, column_type
    if column_type is None and _are_booleans(objects, missing):
        column_type = BINARY.name
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
                f"entry, or pass {argument(column_types={name: CATEGORICAL.name})}."
            ) from error
        except OverflowError:
            numbers[row] = math.inf
    return numbers


def encoded_type(raw: np.dtype, column: Column) -> np.dtype:
    """Return the dtype in which `encode_column` stores a raw column."""
    return column.column_type.dtype(raw, len(column.categories))


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
    if not column.column_type.has_categories:
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
