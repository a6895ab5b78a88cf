"""Conversion of lists with one entry per sequence: arrays, tables, strings, numbers or tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import offsets_from_lengths
from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrow_columns import as_raw
from refold.sequences.schema._column_types import ColumnTypes, encode_columns
from refold.sequences.schema._parts import (
    Parts,
    Places,
    Rows,
    check_ids,
    check_values,
    object_array,
    sequence_name,
)
from refold.sequences.schema._schema import Layout, Schema, default_names
from refold.sequences.types import CATEGORICAL


def parts_from_list(
    sequences: Iterable[Any],
    *,
    column_types: ColumnTypes = None,
    names: Sequence[str] | None = None,
    ids: ArrayLike | None = None,
    layout: Layout | None = None,
    rows: Rows | None = None,  # the location of each entry in a file, for messages
) -> Parts:
    """Convert a list; implements `Sequences.from_list`."""
    if isinstance(sequences, str | bytes | Mapping):
        raise DataError(
            f"Expected a list of sequences. Got one {type(sequences).__name__}; put it into a list."
        )
    items = list(sequences)
    if not items:
        raise DataError("Got an empty list. Expected at least one sequence.")
    ids = check_ids(ids, len(items))
    arrays = [_as_array(item, i, ids) for i, item in enumerate(items)]
    _check_same_form(items, arrays, ids)
    raw, offsets = _concatenate(arrays), offsets_from_lengths([len(array) for array in arrays])
    places = Places(offsets, ids)
    if rows is not None:
        places = replace(places, note=lambda sequence, _: rows(sequence))
    if any(array.ndim == 2 for array in arrays):
        frame_names = _frame_names(items)
        names = names or frame_names or default_names(raw.shape[1])
        raws = list(raw.T)
    else:
        names = [_name_of_single(raw, column_types)] if names is None else names
        raws = [raw]
    names = (names,) if isinstance(names, str) else tuple(names)
    if len(names) != len(raws):
        raise SchemaError(
            f"names has {len(names)} entries for {len(raws)} features. Give one per feature."
        )
    values, columns = encode_columns(raws, names, column_types, places)
    if layout is None:
        layout = "array"
        if raw.ndim == 1:
            layout = "tokens" if columns[0].column_type.has_categories else "series"
        if layout == "tokens" and all(isinstance(item, str) for item in items):
            layout = "characters"
    schema = Schema(columns, layout)
    check_values(values, schema, places)
    return Parts(values, offsets, ids, schema)


def _as_array(item: Any, index: int, ids: np.ndarray) -> np.ndarray:
    """Return one sequence as a (length,) or (length, features) array of numbers or objects."""
    if isinstance(item, str):
        return object_array(list(item))
    if hasattr(item, "column_names"):
        return _from_arrow_table(item)
    if hasattr(item, "to_numpy"):
        arrow = hasattr(item, "to_pylist")
        item = item.to_numpy(zero_copy_only=False) if arrow else item.to_numpy()
    item = unmasked(item)
    if not hasattr(item, "__array__"):
        if isinstance(item, bytes | Mapping | set) or not hasattr(item, "__len__"):
            raise _single(item, index, ids)
        if any(isinstance(value, str) for value in item):
            return object_array(item)
    try:
        array = np.asarray(item)
    except ValueError:
        array = None
    if array is not None and array.ndim == 0:
        raise _single(item, index, ids)
    if array is not None and array.dtype.kind in "US" and not isinstance(item, np.ndarray):
        array = np.asarray(item, dtype=object)
    if array is None or (array.dtype == object and array.ndim == 1 and _has_rows(array)):
        raise DataError(
            f"The steps of {sequence_name(index, ids[index])} have differing numbers of features. "
            "Every step needs the same; fill missing entries with NaN or None."
        )
    if array.ndim not in {1, 2}:
        raise DataError(
            f"The array of {sequence_name(index, ids[index])} has {array.ndim} dimensions, shape "
            f"{array.shape}. Expected (length,) or (length, features)."
        )
    if array.shape == (0, 0):
        array = array.reshape(0)
    return array.astype(object) if array.dtype.kind in "US" else array


def _check_same_form(items: list[Any], arrays: list[np.ndarray], ids: np.ndarray) -> None:
    """Raise if a sequence differs from the first in form or number of features."""

    def name(i: int) -> str:
        return sequence_name(i, ids[i])

    first: int | None = None
    for i, array in enumerate(arrays):
        if array.shape[1:] == (0,):
            raise SchemaError(
                f"{name(i).capitalize()} has no features, shape {array.shape}. Expected at least "
                "one."
            )
        if array.shape == (0,):
            continue
        if first is None:
            first = i
            continue
        if array.shape[1:] != arrays[first].shape[1:]:
            raise SchemaError(
                f"{name(i).capitalize()} has {_form(array)}, but {name(first)} has "
                f"{_form(arrays[first])}. All sequences need the same features."
            )
        if isinstance(items[i], str) != isinstance(items[first], str):
            raise SchemaError(
                f"{name(i).capitalize()} is a {type(items[i]).__name__}, but {name(first)} is a "
                f"{type(items[first]).__name__}. Pass all as str or all as lists."
            )


def _form(array: np.ndarray) -> str:
    if array.ndim == 1:
        return f"no feature axis (shape {array.shape})"
    return f"{array.shape[1]} feature{'s' if array.shape[1] != 1 else ''} (shape {array.shape})"


def _concatenate(arrays: list[np.ndarray]) -> np.ndarray:
    full = [array for array in arrays if array.ndim == 2 or array.size]
    if not full:
        return np.zeros(0, dtype=np.float32)
    if any(array.dtype == object for array in full):
        full = [array.astype(object, copy=False) for array in full]
    return np.concatenate(full)


def _name_of_single(raw: np.ndarray, column_types: ColumnTypes) -> str:
    """Return the name of a column that has none: "token" for text and categories, else "x0"."""
    if isinstance(column_types, Mapping):
        named = next((name for name in column_types if name in {"x0", "token"}), None)
        if named is not None:
            return named
        column_types = None  # names no column of this data, which `encode_columns` refuses
    requested = column_types
    if column_types and not isinstance(column_types, str):
        requested = next(iter(column_types))
    if requested:
        return "token" if requested == CATEGORICAL.name else "x0"
    textual = raw.dtype == object and all(isinstance(v, str) or v is None for v in raw)
    return "token" if textual and any(isinstance(v, str) for v in raw) else "x0"


def _frame_names(items: list[Any]) -> tuple[str, ...] | None:
    """Return the column names if the sequences are tables, else None."""
    names = _columns_of(items[0])
    if names is None:
        return None
    for i, item in enumerate(items):
        other = _columns_of(item)
        if other != names:
            raise SchemaError(
                f"Sequence {i} has the columns {other}, but sequence 0 has {names}. "
                "All sequences need the same columns in the same order."
            )
    return names


def _columns_of(item: Any) -> tuple[str, ...] | None:
    columns = getattr(item, "column_names", getattr(item, "columns", None))
    return None if columns is None else tuple(str(name) for name in columns)


def _single(item: Any, index: int, ids: np.ndarray) -> DataError:
    number = isinstance(item, int | float | complex | np.generic)
    shown = f"the number {item}" if number else f"a value of type {type(item).__name__}"
    return DataError(
        f"Got {shown} for {sequence_name(index, ids[index])}. Expected an array, a list or a str; "
        "put a single sequence into a list."
    )


def _from_arrow_table(table: Any) -> np.ndarray:
    raws = [as_raw(table[name], name)[0] for name in table.column_names]
    objects = any(raw.dtype == object for raw in raws)
    return np.stack([raw.astype(object) if objects else raw for raw in raws], axis=1)


def unmasked(x: Any) -> Any:
    """Return a masked array with NaN or None where masked; anything else unchanged."""
    if not isinstance(x, np.ma.MaskedArray):
        return x
    numeric = x.dtype.kind in "biuf"
    filled = np.array(x.data, dtype=np.result_type(x.dtype, np.float32) if numeric else object)
    filled[np.ma.getmaskarray(x)] = np.nan if numeric else None
    return filled


def _has_rows(array: np.ndarray) -> bool:
    return any(isinstance(value, list | tuple | np.ndarray) for value in array)
