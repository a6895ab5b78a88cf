"""From raw columns to numbers: the kind of a column, its labels, and what cannot be one.

A raw column is flat, all sequences one after another. What comes in may be numbers, booleans,
text or Python objects of any mixture; what goes out is one float a step, NaN where missing.
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences.schema._schema import COLUMN_TYPES, UNKNOWN, Column, ColumnType

Kinds = str | Sequence[str | None] | Mapping[str, str] | None
Where = Callable[[int, str | None], str]

# Above this many labels their indices are no longer exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24
# Above this integers are no longer exact in float64.
_LARGEST_LABEL = (1 << 53) - 1


def resolve_kinds(column_types: Kinds, names: Sequence[str]) -> list[ColumnType | None]:
    """Return one kind a column, None where it is to be inferred.

    Raises
    ------
    SchemaError
        If a kind or a column name is unknown, or their number is wrong.
    """
    if column_types is None:
        resolved: list[Any] = [None] * len(names)
    elif isinstance(column_types, str):
        resolved = [column_types] * len(names)
    elif isinstance(column_types, Mapping):
        unknown = [name for name in column_types if name not in names]
        if unknown:
            raise SchemaError(
                f"column_types names the column {unknown[0]!r}, which is not there"
                f"{_close(unknown[0], names)}. The columns are {', '.join(map(repr, names))}."
            )
        resolved = [column_types.get(name) for name in names]
    else:
        resolved = list(column_types)
        if len(resolved) != len(names):
            raise SchemaError(
                f"column_types has {len(resolved)} entries for {len(names)} columns. "
                "Give one a column, or a dictionary of those to override."
            )
    for kind in resolved:
        if kind is not None and kind not in COLUMN_TYPES:
            raise SchemaError(
                f"The kind {kind!r} is unknown{_close(kind, COLUMN_TYPES)}. Expected one of "
                f"{', '.join(map(repr, COLUMN_TYPES))}."
            )
    return resolved


def _close(word: Any, words: Sequence[str]) -> str:
    """Return the word that was probably meant, for a message."""
    found = difflib.get_close_matches(str(word), words, n=1)
    lower = {one.lower(): one for one in words}
    meant = lower.get(str(word).lower()) or (found[0] if found else None)
    return "" if meant is None else f"; {meant!r} is close"


def encode_columns(
    raws: Sequence[np.ndarray],
    names: Sequence[str],
    column_types: Kinds,
    where: Where,
    labels: Mapping[str, tuple[Any, ...]] | None = None,
) -> tuple[np.ndarray, tuple[Column, ...]]:
    """Return the (num_steps, F) values and the columns of raw columns.

    ``labels`` gives labels that are known already; where they do not cover the data they are
    found anew.
    """
    encoded = [
        encode_column(raw, name, kind, where, (labels or {}).get(name))
        for raw, name, kind in zip(raws, names, resolve_kinds(column_types, names), strict=True)
    ]
    dtype = np.result_type(np.float32, *(values.dtype for values, _ in encoded))
    table = np.empty((len(raws[0]), len(raws)), dtype=dtype)
    for i, (values, _) in enumerate(encoded):
        table[:, i] = values
    return table, tuple(column for _, column in encoded)


def encode_column(
    raw: np.ndarray,
    name: str,
    kind: ColumnType | None,
    where: Where,
    labels: tuple[Any, ...] | None = None,
) -> tuple[np.ndarray, Column]:
    """Return one flat column as floats, with its description.

    Raises
    ------
    DataError
        If an entry cannot be what the column holds; the message says where it is.
    """
    if raw.dtype.kind in "OUST":
        raw, kind = _settle(raw, name, kind, where)
    if raw.dtype.kind == "O":
        return _encode_text(raw, name, labels)
    if raw.dtype.kind in "Mm":
        raise SchemaError(
            f"Column {name!r} holds dates or durations. Give it as time=, leave it out, "
            "or turn it into numbers."
        )
    if raw.dtype.kind == "c":
        raise DataError(
            f"Complex data not supported: column {name!r} holds {raw.dtype} values. Give real and "
            "imaginary part, or amount and angle, as two columns."
        )
    if raw.dtype.kind not in "biuf":
        raise DataError(f"Column {name!r} holds {raw.dtype} values. Expected real numbers or text.")
    if kind == "categorical":
        return _encode_integers(raw, name, where, labels)
    values = raw.astype(_float_type(raw.dtype), copy=False)
    if kind is None:
        kind = "binary" if raw.dtype.kind == "b" or _is_binary(values) else "numeric"
    if kind == "binary":
        check_binary(values, name, where)
        if raw.dtype.kind in "biu":
            values = values.astype(np.float32)
    return values, Column(name, kind)


def check_binary(values: np.ndarray, name: str, where: Where) -> None:
    """Raise a DataError where a binary column holds something outside 0 to 1."""
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if len(wrong):
        raise DataError(
            f"Got {values[wrong[0]]:g} at {where(int(wrong[0]), name)}. A binary column holds "
            "0 and 1 only; make it numeric or mend the entry."
        )


def is_missing(value: Any) -> bool:
    """Say whether an object stands for a missing entry: None, NaN, pandas NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, Real | Decimal) and value != value


def _settle(
    raw: np.ndarray, name: str, kind: ColumnType | None, where: Where
) -> tuple[np.ndarray, ColumnType | None]:
    """Return a column of objects as text (objects still) or numbers, and its kind if that shows."""
    objects = raw.tolist()
    types = {type(value) for value in objects}
    if types <= {str} and kind in {None, "categorical"}:
        return raw.astype(object, copy=False), kind
    missing = [is_missing(value) for value in objects]
    texts = [isinstance(value, str) for value in objects]
    for row, value in enumerate(objects):
        if not (texts[row] or missing[row] or isinstance(value, Real | Decimal | np.bool_)):
            raise DataError(
                f"Got a value of type {type(value).__name__} at {where(row, name)}. "
                "Expected a number, text, or None for a missing entry."
            )
    if any(texts) and kind in {None, "categorical"}:
        present = [i for i in range(len(objects)) if not missing[i]]
        if kind is None and not all(texts[i] for i in present):
            row = texts.index(True)
            raise DataError(
                f"Got the text {objects[row]!r} at {where(row, name)}, where the other entries are "
                f"numbers. Mend the entry, or pass column_types={{{name!r}: 'categorical'}}."
            )
        settled = np.full(len(objects), None, dtype=object)
        for i in present:
            settled[i] = str(objects[i])
        return settled, kind
    if kind is None and _are_booleans(objects, missing):
        kind = "binary"
    return _numbers(objects, missing, name, where), kind


def _are_booleans(objects: list[Any], missing: list[bool]) -> bool:
    present = [type(value) for value, gone in zip(objects, missing, strict=True) if not gone]
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
                f"Got the text {value!r} at {where(row, name)}. Expected a number; mend the entry, "
                f"or pass column_types={{{name!r}: 'categorical'}}."
            ) from error
        except OverflowError:
            numbers[row] = math.inf
    return numbers


def _encode_text(
    raw: np.ndarray, name: str, known: tuple[Any, ...] | None
) -> tuple[np.ndarray, Column]:
    objects = raw.tolist()
    present = set(objects) - {None}
    labels = known if known is not None and present <= {*known, UNKNOWN} else sorted(present)
    index: dict[Any, float] = {label: i for i, label in enumerate(labels)}
    index.setdefault(UNKNOWN, len(labels))
    index[None] = math.nan
    dtype = np.float32 if len(labels) < _EXACT_IN_FLOAT32 else np.float64
    values = np.fromiter((index[value] for value in objects), dtype=dtype, count=len(objects))
    return values, Column(name, "categorical", tuple(labels))


def _encode_integers(
    raw: np.ndarray, name: str, where: Where, known: tuple[Any, ...] | None
) -> tuple[np.ndarray, Column]:
    values = raw.astype(np.float64)
    observed = ~np.isnan(values)
    wrong = np.flatnonzero(observed & (values != np.round(values)) | np.isinf(values))
    if len(wrong):
        raise DataError(
            f"Got {values[wrong[0]]:g} at {where(int(wrong[0]), name)}. A categorical column holds "
            "integers or text; make it numeric or mend the entry."
        )
    large = np.flatnonzero(np.abs(values) > _LARGEST_LABEL)
    if len(large):
        raise DataError(
            f"Got {int(raw[large[0]])} at {where(int(large[0]), name)}. Integer labels beyond "
            f"{_LARGEST_LABEL} run together; write them as text."
        )
    found, inverse = np.unique(values[observed], return_inverse=True)
    labels = tuple(int(label) for label in found)
    if known is not None and set(labels) <= set(known):
        position = {label: i for i, label in enumerate(known)}
        inverse = np.array([position[label] for label in labels], dtype=np.int64)[inverse]
        labels = known
    dtype = np.float32 if len(labels) < _EXACT_IN_FLOAT32 else np.float64
    indices = np.full(len(values), np.nan, dtype=dtype)
    indices[observed] = inverse
    return indices, Column(name, "categorical", labels)


def _is_binary(values: np.ndarray) -> bool:
    zeros, ones = values == 0, values == 1
    return bool(zeros.any() and ones.any() and (zeros | ones | np.isnan(values)).all())


def encoded_type(raw: np.dtype, column: Column) -> np.dtype:
    """Return the type that `encode_column` gives a raw column of numbers, or its labels."""
    if column.type == "categorical":
        return np.dtype(np.float32 if len(column.categories) < _EXACT_IN_FLOAT32 else np.float64)
    if column.type == "binary" and raw.kind in "biu":
        return np.dtype(np.float32)
    return _float_type(raw)


def _float_type(dtype: np.dtype) -> np.dtype:
    """Return the smallest of float32 and float64 that holds a type's values exactly."""
    if dtype.kind == "b" or (dtype.kind in "iu" and dtype.itemsize <= 2):
        return np.dtype(np.float32)
    if dtype.kind == "f" and dtype.itemsize <= 4:
        return np.dtype(np.float32)
    return np.dtype(np.float64)
