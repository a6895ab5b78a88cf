"""Conversion from and to the formats of aeon and tslearn.

aeon puts channels before time points; tslearn and `Sequences` put time points first.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrays import parts_from_array
from refold.sequences.conversion._lists import parts_from_list, unmasked
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._decoding import decode_column
from refold.sequences.schema._parts import Parts

AEON = (
    "an array of shape (n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints), or a list "
    "of arrays of shape (n_channels, n_timepoints)"
)


def parts_from_aeon(
    x: Any, *, column_types: ColumnTypes = None, names: Sequence[str] | None = None, ids: Any = None
) -> Parts:
    """Convert an aeon collection; implements `Sequences.from_aeon`."""
    if isinstance(x, list | tuple):
        cases = [np.asarray(unmasked(case)) for case in x]
        _check_cases(cases)
        return parts_from_list(
            [case.T for case in cases], column_types=column_types, names=names, ids=ids
        )
    x = check_numpy(x, (2, 3), f"aeon's collections are {AEON}")
    if x.ndim == 3:
        x = x.transpose(0, 2, 1)
        _warn_if_swapped(x, "(n_cases, n_channels, n_timepoints)", "from_array")
    return parts_from_array(x, column_types=column_types, names=names, ids=ids)


def parts_from_tslearn(
    x: Any, *, column_types: ColumnTypes = None, names: Sequence[str] | None = None, ids: Any = None
) -> Parts:
    """Convert a tslearn array; implements `Sequences.from_tslearn`."""
    expected = (
        "tslearn's data sets are arrays of shape (n_ts, sz, d), padded with NaN, as "
        "to_time_series_dataset makes them"
    )
    x = check_numpy(x, (3,), expected)
    _warn_if_swapped(x, "(n_ts, sz, d)", "from_aeon")
    return parts_from_array(x, column_types=column_types, names=names, ids=ids)


def check_numpy(x: Any, dimensions: tuple[int, ...], expected: str) -> np.ndarray:
    """Return an unmasked array; raise ``DataError`` unless its number of axes is allowed."""
    if hasattr(x, "columns"):
        raise DataError(
            f"Got a {type(x).__name__}, but {expected}. Sequences.from_sktime and "
            "Sequences.from_table take frames."
        )
    if not isinstance(x, np.ndarray):
        hint = " Sequences.from_list takes a list." if isinstance(x, list | tuple) else ""
        raise DataError(f"Got a {type(x).__name__}, but {expected}.{hint}")
    if x.ndim not in dimensions:
        hint = " Sequences.from_array takes (n, T)." if x.ndim == 2 else ""
        raise DataError(f"Got an array of shape {x.shape}, but {expected}.{hint}")
    return np.asarray(unmasked(x))


def to_cases(parts: Parts, library: str) -> list[np.ndarray]:
    """Return a (length, F) array of numbers per sequence, NaN where missing or unknown.

    Raises
    ------
    SchemaError
        If a column has text categories.
    """
    values = np.empty(parts.values.shape, dtype=np.float64)
    for i, column in enumerate(parts.schema.columns):
        if column.categories and not column.has_integer_categories:
            raise SchemaError(
                f"The categories of column {column.name!r} are text, and {library} takes numbers "
                "only. Leave the column out, or convert it to numbers."
            )
        values[:, i] = decode_column(parts.values[:, i], column)
    return np.split(values, parts.offsets[1:-1])[: len(parts.offsets) - 1]


def _check_cases(cases: list[np.ndarray]) -> None:
    for i, case in enumerate(cases):
        if case.ndim != 2:
            raise DataError(
                f"Case {i} has the shape {case.shape}. An aeon list holds arrays of shape "
                "(n_channels, n_timepoints); Sequences.from_list takes series of shape (length,)."
            )
    channels = [len(case) for case in cases]
    if len(set(channels)) < 2:
        return
    if len({case.shape[1] for case in cases}) == 1:
        raise SchemaError(
            f"Cases have {min(channels)} to {max(channels)} channels and {cases[0].shape[1]} time "
            "points each. The axes seem to be swapped, (n_timepoints, n_channels): use "
            "Sequences.from_list."
        )
    other = next(i for i, count in enumerate(channels) if count != channels[0])
    raise SchemaError(
        f"Case {other} has {channels[other]} channels, but case 0 has {channels[0]}. All cases "
        "need the same, shape (n_channels, n_timepoints)."
    )


def _warn_if_swapped(x: np.ndarray, layout: str, other: str) -> None:
    """Warn if NaN pads the features instead of the steps. ``x`` has shape (n, steps, F)."""
    if x.dtype.kind != "f" or x.shape[2] < 2:
        return
    missing = np.isnan(x)
    features, steps = np.all(missing, axis=1), np.all(missing, axis=2)
    trailing = np.all(features[:, 1:] >= features[:, :-1]) and not np.any(features[:, 0])
    complete = not np.any(steps) and not np.any(np.all(features, axis=0))
    if trailing and complete and np.any(features):
        warnings.warn(
            f"{int(np.any(features, axis=1).sum())} of {len(x)} cases miss their last channels "
            "throughout, and none ends early. This looks like padding with the axes swapped. "
            f"Expected {layout}; Sequences.{other} takes the other order.",
            UserWarning,
            stacklevel=4,
        )
