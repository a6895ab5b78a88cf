"""Whole numbers written as text: one rule for ids and labels, whatever file they come from."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["integers_from_text", "matches"]

# Digits of ASCII, and no more of them than int64 holds.
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"


def integers_from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text as integers if all of it is, written in the one way that they are, else as it is.

    Ids and labels that differ stay different so: 007 and 7, 1 and 1.0, +1 and 1.

    Parameters
    ----------
    cells : pyarrow.Array or pyarrow.ChunkedArray of strings
        What is missing stays missing.

    Returns
    -------
    pyarrow.Array or pyarrow.ChunkedArray
        Of int64, or what was given.

    Examples
    --------
    >>> import pyarrow as pa
    >>> integers_from_text(pa.array(["-3", None, "12"])).to_pylist()
    [-3, None, 12]
    >>> integers_from_text(pa.array(["7", "007"])).to_pylist()
    ['7', '007']
    """
    present = cells.drop_null()
    return cells.cast(pa.int64()) if matches(present, _INTEGER).all() else cells


def matches(cells: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Return the mask of cells that match a regular expression; an empty one does not."""
    found = pc.call_function("match_substring_regex", [cells], pc.MatchSubstringOptions(pattern))
    return np.asarray(found.fill_null(False))  # noqa: FBT003
