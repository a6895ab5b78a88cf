"""Conversion from and to the formats of aeon, sktime and tslearn."""

from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.output import warn
from refold.errors import DataError, SchemaError
from refold.sequences._lists import parts_from_list, rows_of_array, unmasked
from refold.sequences._parts import ColumnTypes, Parts
from refold.sequences._schema import Schema, check_unique, decode_column, default_names
from refold.sequences._tables import parts_from_arrow, parts_from_table

# aeon puts channels before time points; tslearn and `Sequences` put time points first. pandas is
# not imported: the owner of a frame has already loaded it.
_AEON = (
    "aeon's layout: an array of shape (n_cases, n_channels, n_timepoints) or (n_cases, "
    "n_timepoints), or a list of arrays of shape (n_channels, n_timepoints)"
)
_PANELS = (
    "sktime's layout: an array of shape (instances, variables, time points), a list of frames with "
    "one row per time point, a frame whose index is (instance, time point), or a frame of series"
)
_TSLEARN = "tslearn's layout: an array of shape (n_ts, sz, d), padded with NaN"


def rows_from_aeon(x: Any, expected: str = _AEON) -> list[np.ndarray]:
    """Return the cases (length, channels) or (length,) of an aeon collection."""
    if isinstance(x, list | tuple):
        return [np.asarray(unmasked(case)).T for case in x]
    x = _check_numpy(x, (2, 3), expected)
    if x.ndim == 3:
        x = x.transpose(0, 2, 1)
        _warn_if_swapped(x, "(n_cases, n_channels, n_timepoints)", "from_array")
    return rows_of_array(x)


def rows_from_tslearn(x: Any) -> list[np.ndarray]:
    """Return the series (length, d) of a tslearn array."""
    x = _check_numpy(x, (3,), _TSLEARN)
    _warn_if_swapped(x, "(n_ts, sz, d)", "from_aeon")
    return rows_of_array(x)


def to_numbers(values: np.ndarray, schema: Schema, library: str) -> np.ndarray:
    """Return values (num_steps, F) as numbers, NaN where missing or unknown."""
    numbers = np.empty(values.shape, dtype=np.float64)
    for i, column in enumerate(schema.columns):
        if column.categories and not column.has_integer_categories:
            raise SchemaError(
                f"The categories of column {column.name!r} are text, and {library} takes numbers "
                "only. Leave the column out, or convert it to numbers."
            )
        numbers[:, i] = decode_column(values[:, i], column)
    return numbers


def _check_numpy(x: Any, dimensions: tuple[int, ...], expected: str) -> np.ndarray:
    """Return an unmasked array; raise ``DataError`` unless its number of axes is allowed."""
    if isinstance(x, np.ndarray) and x.ndim in dimensions:
        return np.asarray(unmasked(x))
    shape = f" of shape {x.shape}" if isinstance(x, np.ndarray) else ""
    raise DataError(
        f"Got a {type(x).__name__}{shape}. Expected {expected}. Sequences.from_array takes other "
        "arrays, Sequences.from_list takes lists, and Sequences.from_sktime and from_table take "
        "frames."
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
        warn(
            f"{int(np.any(features, axis=1).sum())} of {len(x)} cases miss their last channels "
            "throughout, and none ends early. This looks like padding with the axes swapped. "
            f"Expected {layout}; Sequences.{other} takes the other order."
        )


def parts_from_sktime(x: Any, column_types: ColumnTypes) -> Parts:
    """Convert an sktime panel; implements `Sequences.from_sktime`."""
    if isinstance(x, list | tuple):
        return _from_frames(list(x), column_types)
    if not _is_frame(x):
        return parts_from_list(rows_from_aeon(x, _PANELS), column_types=column_types)
    if x.index.nlevels == 2:
        return _from_multiindex(x, column_types)
    is_empty = not len(x) or not len(x.columns)
    if x.index.nlevels > 2 or is_empty or not all(np.ndim(cell) for cell in x.iloc[0]):
        raise DataError(
            f"Got a frame of {len(x)} rows and {len(x.columns)} columns with an index of "
            f"{x.index.nlevels} levels. Expected {_PANELS}. Put a single series "
            "into a list."
        )
    return _from_nested(x, column_types)


def _from_frames(frames: list[Any], column_types: ColumnTypes) -> Parts:
    for i, frame in enumerate(frames):
        is_frame = _is_frame(frame)
        if not (is_frame and frame.index.is_monotonic_increasing and frame.index.is_unique):
            got = (
                "has an index that does not ascend" if is_frame else f"is a {type(frame).__name__}"
            )
            raise DataError(
                f"Entry {i} of the list {got}. An sktime list holds frames whose index is the "
                "time, as frame.sort_index() sorts it; Sequences.from_aeon takes lists of "
                "(channels, time points), Sequences.from_list of (time points, channels)."
            )
    names = _names(frames[0]) if frames else None
    return parts_from_list(frames, column_types=column_types, names=names)


def _from_multiindex(frame: Any, column_types: ColumnTypes) -> Parts:
    names = _names(frame)
    index, times = [_free(name, names) for name in ("instance", "time")]
    time_level = frame.index.levels[1]
    if hasattr(time_level, "to_timestamp"):  # Arrow does not support periods as times
        frame = frame.set_axis(frame.index.set_levels(time_level.to_timestamp(), level=1))
    table = frame.set_axis(list(names), axis=1).reset_index(names=[index, times])
    return parts_from_table(table, index, times, names, column_types)


def _from_nested(frame: Any, column_types: ColumnTypes) -> Parts:
    names = _names(frame)
    check_unique(names)
    index = _free("instance", names)
    table = {index: frame.index.tolist()}
    for j, name in enumerate(names):
        table[name] = [np.asarray(cell) for cell in frame.iloc[:, j]]
    parts = parts_from_arrow(table, index, names, column_types)
    return parts.with_schema(replace(parts.schema, layout="array"))


def _is_frame(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "index")


def _names(frame: Any) -> tuple[str, ...]:
    """Return the column names; default names if pandas only numbered the columns."""
    names = frame.columns.tolist()
    is_numbered = names == list(range(len(names)))
    return default_names(len(names)) if is_numbered else tuple(map(str, names))


def _free(name: str, taken: tuple[str, ...]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
