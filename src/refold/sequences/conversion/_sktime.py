"""Conversion of sktime panels: arrays, and pandas frames in three layouts.

Does not import pandas: a frame's owner has already loaded it.
"""

from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences.conversion._aeon_tslearn import check_numpy, parts_from_aeon
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.conversion._long_tables import parts_from_table
from refold.sequences.schema._column_types import ColumnTypes, encode_columns
from refold.sequences.schema._parts import Parts, Places, offsets_from_lengths, sequence_name
from refold.sequences.schema._schema import Schema, default_names
from refold.sequences.schema._validation import check_ids

PANELS = (
    "sktime's panels are an array of shape (instances, variables, time points), a list of frames "
    "with one row per time point, a frame whose index is (instance, time point), or a frame whose "
    "cells are series"
)


def parts_from_sktime(x: Any, *, column_types: ColumnTypes = None) -> Parts:
    """Convert an sktime panel; implements `Sequences.from_sktime`."""
    if isinstance(x, list | tuple):
        return _from_frames(list(x), column_types)
    if not hasattr(x, "columns") or not hasattr(x, "index"):
        return parts_from_aeon(check_numpy(x, (2, 3), PANELS), column_types=column_types)
    if x.index.nlevels == 2:
        return _from_multiindex(x, column_types)
    if x.index.nlevels > 2:
        raise DataError(
            f"The index of the frame has {x.index.nlevels} levels. Expected two, instance and time "
            "point; combine the outer levels into one."
        )
    if not len(x) or not len(x.columns):
        raise DataError(
            f"Got a frame of {len(x)} rows and {len(x.columns)} columns, which holds no "
            f"sequences; {PANELS}."
        )
    if all(_is_series(cell) for cell in x.iloc[0]):
        return _from_nested(x, column_types)
    raise DataError(
        f"Got a frame of {len(x)} rows and {len(x.columns)} columns whose cells are single values. "
        f"That looks like a single series, so put it into a list; {PANELS}."
    )


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
    ids = None if _is_range(frame.index) else check_ids(frame.index.to_numpy(), len(frame))
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
            f"The cells of {sequence_name(i, None if ids is None else ids[i])} differ in length: "
            f"{listed}. All variables of an instance need the same time points."
        )
    offsets = offsets_from_lengths(lengths[0])
    raws = [np.concatenate(column) for column in cells]
    values, columns = encode_columns(raws, names, column_types, Places(offsets, ids))
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
