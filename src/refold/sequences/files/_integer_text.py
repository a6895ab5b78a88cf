"""Integers written as text: one rule for the ids and labels of all file formats."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["integers_from_text", "matches"]

# ASCII digits, few enough for int64.
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"


def integers_from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text as integers if every cell is one in its shortest form, else unchanged.

    Different ids and labels stay different: 007 and 7, 1 and 1.0, +1 and 1.

    Parameters
    ----------
    cells : pyarrow.Array or pyarrow.ChunkedArray of strings
        Missing cells stay missing.

    Returns
    -------
    pyarrow.Array or pyarrow.ChunkedArray
        Integers of type int64, or the input.

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
    """Return the mask of cells that match a regular expression; missing cells do not."""
    found = pc.call_function("match_substring_regex", [cells], pc.MatchSubstringOptions(pattern))
    return np.asarray(found.fill_null(False))  # noqa: FBT003
