"""Conversion of lists with one entry per sequence, and of arrays whose rows are sequences."""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold._support.rules import check, check_one_each, check_some, one_of
from refold.errors import DataError, SchemaError, argument
from refold.sequences._parts import (
    ColumnTypes,
    Parts,
    Places,
    Rows,
    check_ids,
    encode_parts,
    is_missing,
    object_array,
    resolve_column_types,
    sequence_name,
)
from refold.sequences._schema import Layout, default_names
from refold.sequences.types import CATEGORICAL

# Minimum share and number of padded sequences in an array that looks padded.
_MIN_PADDED_SHARE = 0.1
_MIN_PADDED = 2
# Maximum share of the remaining steps that look like padding.
_MAX_STRAY_SHARE = 0.01


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
    if isinstance(sequences, str | bytes | Mapping) or not hasattr(sequences, "__iter__"):
        raise DataError(
            f"Expected a list of sequences, an array or a table. Got a {type(sequences).__name__}; "
            "put a single sequence into a list."
        )
    items = list(sequences)
    check_some(len(items), "sequence", "in the list")
    ids = check_ids(ids, len(items))
    arrays = [_as_array(item, i, ids) for i, item in enumerate(items)]
    frame_names = _check_same_form(items, arrays, ids)
    full = [array for array in arrays if array.ndim == 2 or array.size]
    raw = np.concatenate(full or [np.zeros(0, np.float32)])
    places = Places(offsets_from_lengths([len(array) for array in arrays]), ids, rows)
    is_table = raw.ndim == 2
    if is_table:
        check_some(raw.shape[1], "feature", "in the sequences")
        names = names or frame_names or default_names(raw.shape[1])
    elif names is None:
        names = [_name_of_single(raw, column_types)]
    names = (names,) if isinstance(names, str) else tuple(names)
    raws = list(raw.T) if is_table else [raw]
    check_one_each(len(names), argument("names"), len(raws), "features")
    types = resolve_column_types(column_types, names)
    parts = encode_parts(names, raws, types, places, lists=not is_table)
    is_tokens = parts.schema.layout == "tokens"
    if layout is None and is_tokens and all(isinstance(item, str) for item in items):
        layout = "characters"
    if layout is None or layout == parts.schema.layout:
        return parts
    return parts._replace(schema=replace(parts.schema, layout=layout))


def _as_array(item: Any, index: int, ids: np.ndarray) -> np.ndarray:
    """Return one sequence as a (length,) or (length, features) array of numbers or objects."""
    if isinstance(item, str):
        return object_array(item)
    item = unmasked(item)
    is_array = hasattr(item, "__array__")
    is_list = hasattr(item, "__len__") and not isinstance(item, bytes | Mapping | set)
    if is_list and not is_array and any(isinstance(value, str) for value in item):
        return object_array(item)
    try:
        array = np.asarray(item)
        if array.dtype.kind in "US":
            array = np.asarray(item, dtype=object)
    except (ValueError, TypeError):  # lists of unequal length, or a table with dates and numbers
        array = object_array(item)
    objects = array if array.dtype == object and array.ndim == 1 else ()
    if not (is_array or is_list) or array.ndim == 0:
        got = reprlib.repr(item)
    elif any(isinstance(value, list | tuple | np.ndarray) for value in objects):
        got = "steps with differing numbers of features"
    elif array.ndim > 2:
        got = f"an array of {array.ndim} dimensions, shape {array.shape},"
    else:
        return array.reshape(0) if array.shape == (0, 0) else array
    raise DataError(
        f"Got {got} for {sequence_name(index, ids[index])}. Expected a str, or an array or a list "
        "of shape (length,) or (length, features). Put a single sequence into a list, and fill "
        "missing entries with NaN or None."
    )


def _check_same_form(
    items: list[Any], arrays: list[np.ndarray], ids: np.ndarray
) -> tuple[str, ...] | None:
    """Raise if a sequence differs from the first in form or columns; return names of tables."""

    def form(i: int) -> tuple[bool, tuple[int, ...], tuple[str, ...] | None]:
        columns = getattr(items[i], "column_names", getattr(items[i], "columns", None))
        names = None if columns is None else tuple(map(str, columns))
        return isinstance(items[i], str), arrays[i].shape[1:], names

    def described(i: int) -> str:
        names = form(i)[2]
        columns = f" with the columns {names}" if names else ""
        shape = f"a {type(items[i]).__name__} of shape {arrays[i].shape}{columns}"
        return f"{shape} for {sequence_name(i, ids[i])}"

    full = [i for i, array in enumerate(arrays) if array.shape != (0,)]  # others have any form
    first = form(full[0]) if full else (False, (), None)
    for i in full:
        if form(i) != first:
            raise SchemaError(
                f"Got {described(i)}, but {described(full[0])}. All sequences need the same "
                "features in the same order, and either all or none are a str."
            )
    return first[2]


def _name_of_single(raw: np.ndarray, column_types: ColumnTypes) -> str:
    """Return the name of a column that has none: "token" for text and categories, else "x0"."""
    if column_types and isinstance(column_types, Mapping):
        return "token" if "token" in column_types else "x0"
    requested = resolve_column_types(column_types or None, ["x0"])[0]
    if requested is not None:
        return "token" if requested == CATEGORICAL.name else "x0"
    types = {type(value) for value in raw} if raw.dtype == object else set()
    return "token" if str in types and types <= {str, type(None)} else "x0"


def unmasked(x: Any) -> Any:
    """Return a masked array with NaN or None where masked; anything else unchanged."""
    if not isinstance(x, np.ma.MaskedArray):
        return x
    numeric = x.dtype.kind in "biuf"
    filled = np.array(x.data, dtype=np.result_type(x.dtype, np.float32) if numeric else object)
    filled[np.ma.getmaskarray(x)] = np.nan if numeric else None
    return filled


# Arrays


def rows_of_array(
    x: Any, lengths: Any = None, padding_value: float | str = np.nan, padding: str = "post"
) -> list[np.ndarray]:
    """Return the sequences (length, F) or (length,) of a padded array."""
    check("padding", padding, one_of("post", "pre"))
    x = _check_array(x)
    num_steps = x.shape[1]
    if lengths is None:
        padded = _steps_of(x, padding_value)
        lengths = lengths_without(padded, padding)
        if not is_missing(padding_value):
            _warn_if_ambiguous(padded, lengths, padding_value, padding)
    else:
        lengths = np.asarray(lengths).reshape(-1)
        check_one_each(len(lengths), argument("lengths"), len(x), "sequences")
        wrong = np.flatnonzero(~np.isin(lengths, np.arange(num_steps + 1)))
        if len(wrong):
            raise DataError(
                f"Sequence {wrong[0]} has the length {lengths[wrong[0]]}. Expected an integer from "
                f"0 to {num_steps}, the number of steps of the array."
            )
        lengths = lengths.astype(np.int64)
    starts = num_steps - lengths if padding == "pre" else 0 * lengths
    return [row[i : i + n] for row, i, n in zip(x, starts, lengths, strict=True)]


def rows_from_aeon(x: Any) -> list[np.ndarray]:
    """Return the cases (length, channels) or (length,) of an aeon collection."""
    if isinstance(x, list | tuple):
        return [np.asarray(unmasked(case)).T for case in x]
    if isinstance(x, np.ndarray) and x.ndim in {2, 3}:
        # aeon puts channels before time points
        return rows_of_array(unmasked(x).swapaxes(1, -1))
    shape = f" of shape {x.shape}" if isinstance(x, np.ndarray) else ""
    raise DataError(
        f"Got a {type(x).__name__}{shape}. Expected aeon's layout: an array of shape (n_cases, "
        "n_channels, n_timepoints) or (n_cases, n_timepoints), or a list of arrays of shape "
        "(n_channels, n_timepoints). Sequences.from_table takes frames."
    )


def _check_array(x: Any) -> np.ndarray:
    try:
        x = np.asarray(unmasked(x))
    except ValueError as error:
        raise DataError(
            "The sequences differ in length and do not form an array. Use Sequences.from_list."
        ) from error
    if x.ndim not in {2, 3}:
        raise DataError(
            f"Got an array of shape {x.shape}. Expected (n, T, features), or (n, T) for series of "
            "one feature; put a single sequence into a list."
        )
    check_some(len(x), "sequence", f"in an array of shape {x.shape}")
    return x.astype(object) if x.dtype.kind in "UST" else x


def _steps_of(x: np.ndarray, value: float | str) -> np.ndarray:
    """Return the (n, T) mask of steps that are a value, or missing if it is, in all features."""
    if not is_missing(value):
        mask = np.asarray(x == value)
    elif x.dtype == object:
        mask = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), dtype=bool)
    else:
        mask = x != x  # NaN
    return np.all(mask, axis=2) if x.ndim == 3 else mask


def _warn_if_ambiguous(
    padded: np.ndarray, lengths: np.ndarray, value: float | str, padding: str
) -> None:
    """Warn if steps treated as padding may be data."""
    stray = int(_inside(padded, padding).any(axis=1).sum())
    trimmed = int((lengths < padded.shape[1]).sum())
    doubt = ""
    # leading steps of this value are as the default padding of Keras makes them
    if stray and (trimmed or (padding == "post" and padded[:, 0].any())):
        doubt = f"{stray} sequences have such steps elsewhere"
    elif trimmed and lengths.max() < padded.shape[1]:
        doubt = f"no sequence fills the {padded.shape[1]} steps of the array"
    if doubt:
        other_side = ", or padding='pre' if the padding is in front" if padding == "post" else ""
        warn(
            f"Steps of {value!r} were treated as padding in {trimmed} sequences, but {doubt}, so "
            f"they may be data. Pass lengths= instead{other_side}."
        )


def lengths_without(padded: np.ndarray, side: str = "post") -> np.ndarray:
    """Return lengths (n,) without the padding on one side, a mask (n, T)."""
    padded = padded if side == "post" else padded[:, ::-1]
    position = np.arange(1, padded.shape[1] + 1)
    return np.where(padded, 0, position).max(axis=1, initial=0).astype(np.int64)


def _inside(padded: np.ndarray, side: str) -> np.ndarray:
    """Return the mask (n, T) of steps that look like padding but lie between real steps."""
    real = np.arange(padded.shape[1]) < lengths_without(padded, side)[:, None]
    return padded & (real if side == "post" else real[:, ::-1])


def looks_padded(padded: np.ndarray, side: str) -> bool:
    """Return whether a mask (n, T) looks like padding: frequent, and of unequal length."""
    lengths = lengths_without(padded, side)
    lengths = lengths[lengths > 0]
    num_padded = (lengths < padded.shape[1]).sum()
    stray = _inside(padded, side).sum()
    return bool(
        num_padded >= max(_MIN_PADDED, _MIN_PADDED_SHARE * len(lengths))
        and lengths.min() < lengths.max()
        and stray <= _MAX_STRAY_SHARE * lengths.sum()
    )
