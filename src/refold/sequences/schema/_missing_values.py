"""Numbers that stand for a missing value, such as -99999, as NaN."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import ParameterError
from refold.sequences.schema._schema import Column, Schema

if TYPE_CHECKING:
    from refold.sequences._sequences import Sequences
    from refold.sequences.files.scan._scan import Scan

__all__ = ["check_missing", "mark_missing", "without_missing"]


def mark_missing(source: "Sequences | Scan", values: Any) -> "Sequences | Scan":
    """Take numbers for missing, and remember in the schema which.

    Kinds of columns stay as they are. A binary column cannot hold these numbers, but data that is
    aligned with its schema later on may.

    Parameters
    ----------
    source : Sequences or Scan
    values : float or list of float
        Such as -99999. They are missing in numeric columns; labels stay labels.

    Returns
    -------
    Sequences or Scan
        What came in, with NaN in their places. Files of a `Scan` are read once more for this.

    Raises
    ------
    ParameterError
        If one is no finite number.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> marked = mark_missing(as_sequences([[1.5, -99999.0, 2.5]]), [-99999])
    >>> marked[0], marked.schema.missing
    (array([1.5, nan, 2.5]), (-99999.0,))
    >>> as_sequences([[-99999.0, 3.5]]).align(marked.schema)[0]
    array([nan, 3.5])
    """
    schema = replace(source.schema, missing=check_missing(values))
    if hasattr(source, "block_offsets"):  # a Scan, whose module needs this one
        return source.with_missing(schema)  # pyright: ignore[reportAttributeAccessIssue]
    return source.align(schema)  # pyright: ignore[reportAttributeAccessIssue]


def check_missing(values: Any) -> tuple[float, ...]:
    """Return numbers that stand for a missing value, one or several, as a tuple.

    Parameters
    ----------
    values : float or list of float

    Returns
    -------
    tuple of float

    Raises
    ------
    ParameterError
        If one is no finite number.

    Examples
    --------
    >>> check_missing([-99999, 1e20]), check_missing(-1)
    ((-99999.0, 1e+20), (-1.0,))
    """
    try:
        numbers = np.atleast_1d(np.asarray(values))
        if numbers.ndim == 1 and not numbers.size:
            return ()
        if numbers.ndim == 1 and numbers.dtype.kind in "iuf" and np.isfinite(numbers).all():
            return tuple(numbers.astype(float).tolist())
    except ValueError:
        pass
    raise ParameterError(
        "missing_values must be a finite number or a list of them, such as [-99999], or None. Got "
        f"{values!r}."
    )


def without_missing(values: np.ndarray, column: Column, missing: tuple[float, ...]) -> np.ndarray:
    """Return the values of a column with NaN where they stand for a missing value."""
    if column.type == "binary":
        missing = tuple(value for value in missing if not 0 <= value <= 1)
    if column.type == "categorical" or not missing:
        return values
    hit = np.isin(values, np.array(missing).astype(values.dtype))
    return np.where(hit, np.array(np.nan, values.dtype), values) if hit.any() else values


def without_missing_in(values: np.ndarray, schema: Schema) -> np.ndarray:
    """Return the (num_steps, F) values of all columns with NaN in these places."""
    if not schema.missing:
        return values
    columns = zip(values.T, schema.columns, strict=True)
    marked = [without_missing(one, column, schema.missing) for one, column in columns]
    return np.stack(marked, axis=1)
