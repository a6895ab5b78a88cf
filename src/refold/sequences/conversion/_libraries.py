"""Conversion from and to the formats of aeon, sktime and tslearn."""

from typing import Any

import numpy as np

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrays import rows_of_array
from refold.sequences.conversion._lists import parts_from_list, unmasked
from refold.sequences.conversion._long_tables import parts_from_table
from refold.sequences.schema._column_types import ColumnTypes, decode_column, encode_columns
from refold.sequences.schema._parts import Parts, Places, check_ids, check_values, sequence_name
from refold.sequences.schema._schema import Schema, default_names

# aeon puts channels before time points; tslearn and `Sequences` put time points first. pandas is
# not imported: the owner of a frame has already loaded it.
_AEON = (
    "aeon's collections are an array of shape (n_cases, n_channels, n_timepoints) or (n_cases, "
    "n_timepoints), or a list of arrays of shape (n_channels, n_timepoints)"
)
_PANELS = (
    "sktime's panels are an array of shape (instances, variables, time points), a list of frames "
    "with one row per time point, a frame whose index is (instance, time point), or a frame whose "
    "cells are series"
)
_TSLEARN = (
    "tslearn's data sets are arrays of shape (n_ts, sz, d), padded with NaN, as "
    "to_time_series_dataset makes them"
)


def rows_from_aeon(x: Any, expected: str = _AEON) -> list[np.ndarray]:
    """Return the cases (length, channels) or (length,) of an aeon collection."""
    if isinstance(x, list | tuple):
        cases = [np.asarray(unmasked(case)) for case in x]
        _check_cases(cases)
        return [case.T for case in cases]
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
        warn(
            f"{int(np.any(features, axis=1).sum())} of {len(x)} cases miss their last channels "
            "throughout, and none ends early. This looks like padding with the axes swapped. "
            f"Expected {layout}; Sequences.{other} takes the other order."
        )


def parts_from_sktime(x: Any, column_types: ColumnTypes) -> Parts:
    """Convert an sktime panel; implements `Sequences.from_sktime`."""
    if isinstance(x, list | tuple):
        return _from_frames(list(x), column_types)
    if not hasattr(x, "columns") or not hasattr(x, "index"):
        return parts_from_list(rows_from_aeon(x, _PANELS), column_types=column_types)
    if x.index.nlevels == 2:
        return _from_multiindex(x, column_types)
    if x.index.nlevels > 2:
        raise DataError(
            f"The index of the frame has {x.index.nlevels} levels. Expected two, instance and time "
            "point; combine the outer levels into one."
        )
    got = f"Got a frame of {len(x)} rows and {len(x.columns)} columns"
    if not len(x) or not len(x.columns):
        raise DataError(f"{got}, which holds no sequences; {_PANELS}.")
    if not all(_is_series(cell) for cell in x.iloc[0]):
        raise DataError(
            f"{got} whose cells are single values. That looks like a single series, so put it into "
            f"a list; {_PANELS}."
        )
    return _from_nested(x, column_types)


def _from_frames(frames: list[Any], column_types: ColumnTypes) -> Parts:
    for i, frame in enumerate(frames):
        if not hasattr(frame, "columns") or not hasattr(frame, "index"):
            raise DataError(
                f"Entry {i} of the list is a {type(frame).__name__}. An sktime list holds "
                "frames; Sequences.from_aeon takes lists of (channels, time points), "
                "Sequences.from_list of (time points, channels)."
            )
        if not (frame.index.is_monotonic_increasing and frame.index.is_unique):
            raise DataError(
                f"The index of frame {i} holds the times and must ascend. Sort it with "
                "frame.sort_index()."
            )
    names = _names(frames[0]) if frames else None
    unnamed = frames and names == default_names(len(frames[0].columns))
    return parts_from_list(frames, column_types=column_types, names=names if unnamed else None)


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
    ids = check_ids(None if _is_range(frame.index) else frame.index.to_numpy(), len(frame))
    cells = [
        [_cell(cell, i, name) for i, cell in enumerate(frame.iloc[:, j])]
        for j, name in enumerate(names)
    ]
    lengths = np.array([[len(cell) for cell in column] for column in cells])
    uneven = np.flatnonzero((lengths != lengths[0]).any(axis=0))
    if len(uneven):
        i = int(uneven[0])
        listed = ", ".join(
            f"{name!r} {length}" for name, length in zip(names, lengths[:, i], strict=True)
        )
        raise SchemaError(
            f"The cells of {sequence_name(i, ids[i])} differ in length: {listed}. All variables "
            "of an instance need the same time points."
        )
    offsets = offsets_from_lengths(lengths[0])
    places, raws = Places(offsets, ids), [np.concatenate(column) for column in cells]
    values, columns = encode_columns(raws, names, column_types, places)
    check_values(values, Schema(columns), places)
    return Parts(values, offsets, ids, Schema(columns))


def _cell(cell: Any, row: int, name: str) -> np.ndarray:
    if not _is_series(cell):
        raise DataError(
            f"The cell of row {row}, column {name!r} is a {type(cell).__name__}. Expected a "
            "series, as in row 0."
        )
    values = np.asarray(cell)
    if values.ndim != 1:
        raise DataError(
            f"The cell of row {row}, column {name!r} has the shape {values.shape}. Expected a "
            "series of single values."
        )
    return values.astype(object) if values.dtype.kind in "US" else values


def _is_series(cell: Any) -> bool:
    return hasattr(cell, "__array__") and np.ndim(cell) > 0


def _names(frame: Any) -> tuple[str, ...]:
    """Return the column names; default names if pandas only numbered the columns."""
    if _is_range(frame.columns):
        return default_names(len(frame.columns))
    return tuple(str(name) for name in frame.columns)


def _is_range(index: Any) -> bool:
    return index.dtype.kind in "iu" and index.tolist() == list(range(len(index)))


def _free(name: str, taken: tuple[str, ...]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
