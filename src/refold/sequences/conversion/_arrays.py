"""One array of all sequences as a list of sequences, and padding that is found by its values."""

from typing import Any

import numpy as np

from refold._support.output import warn
from refold._support.rules import check, one_of
from refold.errors import DataError, ParameterError
from refold.sequences.conversion._lists import unmasked
from refold.sequences.schema._column_types import is_missing

# Minimum share and number of padded sequences in an array that looks padded.
_MIN_PADDED_SHARE = 0.1
_MIN_PADDED = 2
# Maximum share of the remaining steps that look like padding.
_MAX_STRAY_SHARE = 0.01


def rows_of_array(x: Any, lengths: Any = None) -> list[np.ndarray]:
    """Return the sequences (length, F) or (length,) of an array, padded with NaN or by lengths."""
    x = _check_array(x)
    padded = None if lengths is not None else _missing_steps(x)
    return _cut(x, _check_lengths(lengths, x) if padded is None else lengths_without(padded))


def rows_of_padded(x: Any, padding_value: float | str, padding: str) -> list[np.ndarray]:
    """Return the sequences (length, F) or (length,) of an array that is padded with a value."""
    check("padding", padding, one_of("post", "pre"))
    x = _check_array(x)
    padded = _missing_steps(x) if is_missing(padding_value) else _equal_steps(x, padding_value)
    lengths = lengths_without(padded, padding)
    _warn_if_ambiguous(padded, lengths, padding_value, padding)
    if padding == "pre":
        starts = x.shape[1] - lengths
        return [row[start:] for row, start in zip(x, starts, strict=True)]
    return _cut(x, lengths)


def _cut(x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return [row[:length] for row, length in zip(x, lengths, strict=True)]


def _check_array(x: Any) -> np.ndarray:
    try:
        x = np.asarray(unmasked(x))
    except ValueError as error:
        raise DataError(
            "The sequences differ in length and do not form an array. Use Sequences.from_list."
        ) from error
    if x.ndim not in {2, 3}:
        raise DataError(
            f"Expected an array of shape (n, T, features), or (n, T) for series of one feature. "
            f"Got {x.shape}."
        )
    if not len(x):
        raise DataError(f"Got an array without sequences, shape {x.shape}. Expected at least one.")
    return x.astype(object) if x.dtype.kind in "UST" else x


def _check_lengths(lengths: Any, x: np.ndarray) -> np.ndarray:
    lengths = np.asarray(lengths)
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise DataError(
            f"lengths must hold one integer per sequence, shape ({len(x)},). "
            f"Got {lengths.dtype} of shape {lengths.shape}."
        )
    wrong = np.flatnonzero((lengths < 0) | (lengths > x.shape[1]))
    if len(wrong):
        raise DataError(
            f"Sequence {wrong[0]} has the length {lengths[wrong[0]]}. "
            f"Expected 0 to {x.shape[1]}, the number of steps of the array."
        )
    return lengths


def _missing_steps(x: np.ndarray) -> np.ndarray:
    """Return the (n, T) mask of steps that are missing in all features."""
    if x.dtype == object:
        missing = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), dtype=bool)
    elif x.dtype.kind == "f":
        missing = np.isnan(x)
    else:
        missing = np.zeros(x.shape, dtype=bool)
    return np.all(missing, axis=2) if x.ndim == 3 else missing


def _equal_steps(x: np.ndarray, value: float | str) -> np.ndarray:
    equal = np.asarray(x == value)
    if equal.shape != x.shape:
        raise ParameterError(
            f"padding_value is {value!r}, which no {x.dtype} entry can equal. Pass the value of "
            "padded steps."
        )
    return np.all(equal, axis=2) if x.ndim == 3 else equal


def _warn_if_ambiguous(
    padded: np.ndarray, lengths: np.ndarray, value: float | str, padding: str
) -> None:
    """Warn if steps treated as padding may be data."""
    stray = int(_inside(padded, padding).any(axis=1).sum())
    trimmed = int((lengths < padded.shape[1]).sum())
    if padding == "post" and not trimmed and stray and padded[:, 0].any():
        warn(
            f"{int(padded[:, 0].sum())} sequences begin with steps of {value!r} and none ends with "
            "such a step, as with the default padding of Keras. If these steps are padding, pass "
            "padding='pre'."
        )
    elif trimmed and stray:
        warn(
            f"Steps of {value!r} were treated as padding in {trimmed} sequences, but {stray} "
            "sequences have such steps between real ones, so they may be data. Pass the lengths: "
            "Sequences.from_array(x, lengths=...)."
        )
    elif trimmed and lengths.max() < padded.shape[1]:
        warn(
            f"No sequence fills the {padded.shape[1]} steps of the array, so trailing steps of "
            f"{value!r} may be data. Pass the lengths: Sequences.from_array(x, lengths=...)."
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
