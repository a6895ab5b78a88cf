"""Alignment of data with another schema.

Columns are matched, categories mapped, and missing-value markers such as -99999 replaced by NaN.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from refold._support.output import warn
from refold.errors import ParameterError, SchemaError, argument
from refold.sequences.schema._column_types import decode_column
from refold.sequences.schema._parts import Places
from refold.sequences.schema._schema import Column, Schema, has_default_names
from refold.sequences.types import BINARY

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences


def align_values(values: np.ndarray, source: Schema, target: Schema, places: Places) -> np.ndarray:
    """Return the values under the target schema; implements `Sequences.align`."""
    if not len(values) and has_default_names(source):
        return np.zeros((0, target.num_columns), dtype=values.dtype)
    order = _match_columns(source, target)
    aligned = np.empty((len(values), target.num_columns), dtype=values.dtype)
    unseen: list[str] = []
    for i, (index, column) in enumerate(zip(order, target.columns, strict=True)):
        raw, before = values[:, index], source.columns[index]
        if column.column_type.has_categories:
            aligned[:, i], descriptions = _to_categories(raw, before, column)
            unseen += descriptions
        else:
            numbers = _to_numbers(raw, before, column)
            aligned[:, i] = _without_missing(numbers, column, target.missing)
            column.column_type.check(aligned[:, i], column.name, places)
    if unseen:
        warn(f"Not among the fitted categories and treated as unknown: {'; '.join(unseen)}.")
    return aligned


def _match_columns(source: Schema, target: Schema) -> list[int]:
    """Return the position of each target column among the source's."""
    if set(source.names) == set(target.names):
        return [source.names.index(name) for name in target.names]
    by_position = has_default_names(source) or has_default_names(target)
    if by_position and source.num_columns == target.num_columns:
        return list(range(target.num_columns))
    missing = [name for name in target.names if name not in source.names]
    extra = [name for name in source.names if name not in target.names]
    if by_position:
        raise SchemaError(
            f"The data have {source.num_columns} features, but the model was fitted on "
            f"{target.num_columns}. Pass the same features in the same order."
        )
    if missing or extra:
        parts = [f"lack {_some(missing)}"] * bool(missing) + [f"have {_some(extra)}"] * bool(extra)
        raise SchemaError(
            f"The data {' and '.join(parts)}, unlike those the model was fitted on. "
            f"Choose the same features with {argument('columns=')}."
        )
    return [source.names.index(name) for name in target.names]


def _to_numbers(raw: np.ndarray, source: Column, target: Column) -> np.ndarray:
    if not source.column_type.has_categories:
        return raw
    if source.has_integer_categories:
        return decode_column(raw, source)
    raise _mismatch(source, target)


def _to_categories(raw: np.ndarray, source: Column, target: Column) -> tuple[np.ndarray, list[str]]:
    """Return indices into the target's categories, and a description of unseen categories."""
    categories, index = source.categories, raw
    if not source.column_type.has_categories:
        categories, index = _integers(raw, source, target)
    fitted, unknown = target.categories, len(target.categories)
    if categories and fitted and isinstance(categories[0], str) != isinstance(fitted[0], str):
        # A file with 1, 2 and N5 holds text; one with only 1 and 2 holds integers.
        categories, fitted = _as_text(categories, source, target), tuple(map(str, fitted))
        if not set(categories) & set(fitted):
            raise _mismatch(source, target)
    position = {category: i for i, category in enumerate(fitted)}
    mapping = np.array([position.get(category, unknown) for category in categories] + [unknown])
    missing = np.isnan(index)
    num = len(categories)
    integer_index = np.where(missing, num, index).astype(np.int64)
    mapped = np.where(missing, np.nan, mapping[integer_index])
    counts = np.bincount(integer_index[~missing], minlength=num + 1)[:num]
    unseen = [i for i, category in enumerate(categories) if category not in position and counts[i]]
    if not unseen:
        return mapped, []
    total = int(counts[unseen].sum())
    return mapped, [
        f"{total} {'entry' if total == 1 else 'entries'} of column {target.name!r} "
        f"({_some([categories[i] for i in unseen])})"
    ]


def _as_text(categories: tuple, source: Column, target: Column) -> tuple[str, ...]:
    """Return categories as text; booleans in the spelling of the target."""
    words = {str(word).lower(): str(word) for word in target.categories}
    if source.column_type is not BINARY or not {"false", "true"} & set(words):
        return tuple(map(str, categories))
    return tuple(words.get("true" if value else "false", str(value)) for value in categories)


def _integers(
    raw: np.ndarray, source: Column, target: Column
) -> tuple[tuple[int, ...], np.ndarray]:
    observed = ~np.isnan(raw)
    if (raw[observed] != np.floor(raw[observed])).any():
        raise _mismatch(source, target)
    categories, inverse = np.unique(raw[observed], return_inverse=True)
    index = np.full(len(raw), np.nan)
    index[observed] = inverse
    return tuple(int(category) for category in categories), index


def _mismatch(source: Column, target: Column) -> SchemaError:
    return SchemaError(
        f"Column {source.name!r} holds {_content(source)}, but the model was fitted on "
        f"{_content(target)}. Convert the column."
    )


def _content(column: Column) -> str:
    if column.column_type.has_categories:
        return "integer categories" if column.has_integer_categories else "text categories"
    return f"{column.type} values"


def _some(names: list) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def mark_missing(sequences: "Sequences", values: Any) -> "Sequences":
    """Replace some numbers by NaN, except in categorical columns, and record them."""
    return sequences.align(replace(sequences.schema, missing=check_missing(values)))


def check_missing(values: Any) -> tuple[float, ...]:
    """Return the missing-value markers, a number or a list of numbers, as a tuple."""
    try:
        numbers = np.atleast_1d(np.asarray(values))
    except ValueError:  # lists of different lengths
        numbers = np.zeros((0, 0))
    if numbers.shape == (0,):
        return ()
    if numbers.ndim == 1 and numbers.dtype.kind in "iuf" and np.isfinite(numbers).all():
        return tuple(map(float, numbers))
    raise ParameterError(
        f"{argument('missing_values')} must be a finite number or a list of them, such "
        f"as [-99999], or None. Got {values!r}."
    )


def _without_missing(values: np.ndarray, column: Column, missing: tuple[float, ...]) -> np.ndarray:
    """Return the values of one column with its missing-value markers replaced by NaN."""
    markers = column.column_type.markers(missing)
    if not markers:
        return values
    is_marker = np.isin(values, np.array(markers).astype(values.dtype))
    return np.where(is_marker, np.array(np.nan, values.dtype), values)
