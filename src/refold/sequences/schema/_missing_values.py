"""Replacement of missing-value markers, such as -99999, by NaN."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import ParameterError, argument
from refold.sequences.schema._schema import Column

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences


def mark_missing(sequences: "Sequences", values: Any) -> "Sequences":
    """Replace the given numbers by NaN, except in categorical columns, and record them."""
    return sequences.align(replace(sequences.schema, missing=check_missing(values)))


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
