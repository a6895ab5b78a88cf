"""Replacement of missing-value markers, such as -99999, by NaN."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import ParameterError, argument
from refold.sequences.schema._schema import Column, Schema

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences
    from refold.sequences.files.scan._scan import Scan


def mark_missing(source: "Sequences | Scan", values: Any) -> "Sequences | Scan":
    """Replace the given numbers by NaN, except in categorical columns, and record them."""
    schema = replace(source.schema, missing=check_missing(values))
    if hasattr(source, "block_offsets"):  # a Scan: importing it here would be circular
        # reads the files once more
        return source.with_missing(schema)  # pyright: ignore[reportAttributeAccessIssue]
    return source.align(schema)  # pyright: ignore[reportAttributeAccessIssue]


def check_missing(values: Any) -> tuple[float, ...]:
    """Return the missing-value markers, a number or a list of numbers, as a tuple."""
    try:
        numbers = np.atleast_1d(np.asarray(values))
        if numbers.ndim == 1 and not numbers.size:
            return ()
        if numbers.ndim == 1 and numbers.dtype.kind in "iuf" and np.isfinite(numbers).all():
            return tuple(numbers.astype(float).tolist())
    except ValueError:
        pass
    raise ParameterError(
        f"{argument('missing_values')} must be a finite number or a list of them, such "
        f"as [-99999], or None. Got {values!r}."
    )


def without_missing(values: np.ndarray, column: Column, missing: tuple[float, ...]) -> np.ndarray:
    """Return the values of one column with its missing-value markers replaced by NaN."""
    missing = column.column_type.markers(missing)
    if not missing:
        return values
    is_marker = np.isin(values, np.array(missing).astype(values.dtype))
    return (
        np.where(is_marker, np.array(np.nan, values.dtype), values) if is_marker.any() else values
    )


def without_missing_in(values: np.ndarray, schema: Schema) -> np.ndarray:
    """Return the (num_steps, F) values with missing-value markers replaced by NaN."""
    if not schema.missing:
        return values
    columns = zip(values.T, schema.columns, strict=True)
    marked = [without_missing(one, column, schema.missing) for one, column in columns]
    return np.stack(marked, axis=1)
