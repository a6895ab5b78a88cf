"""The index of sequences: their ids, lengths and runs of rows."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold.errors import DataError
from refold.sequences.conversion._arrow_columns import is_text, without_dictionary
from refold.sequences.schema._validation import check_ids

__all__ = [
    "RowIndex",
    "check_has_ids",
    "cut_into_blocks",
    "ids_as_arrow",
    "ids_as_numpy",
    "row_locations",
]

# Number of ids that are converted to Python objects at a time.
CHUNK = 1 << 16


class RowIndex(NamedTuple):
    """Sequences as runs of rows.

    Run ``k`` is the rows ``starts[k]`` to ``stops[k]``, and the runs of sequence ``i``, in order,
    are ``offsets[i]`` to ``offsets[i + 1]``.
    """

    ids: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    offsets: np.ndarray

    def runs(self, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the starts and stops of the runs of some sequences, one after another."""
        begins, counts = self.offsets[sequences], np.diff(self.offsets)[sequences]
        before = np.cumsum(counts) - counts
        chosen = np.arange(counts.sum()) + np.repeat(begins - before, counts)
        return self.starts[chosen], self.stops[chosen]


def check_has_ids(column: Any, name: str, first_row: int) -> None:
    """Raise ``DataError`` if a row has no id."""
    missing = np.flatnonzero(column.is_null(nan_is_null=True).to_numpy())
    if len(missing):
        raise DataError(
            f"Row {first_row + int(missing[0])} has no id in column {name!r}. "
            "Every row needs an id; fill it in or drop the row."
        )


def ids_as_arrow(column: Any) -> pa.Array:
    """Return ids as one array, of a type that all files share."""
    column = without_dictionary(column)
    if is_text(column.type):
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def ids_as_numpy(ids: pa.Array) -> np.ndarray:
    """Return ids as a `Sequences` holds them: int64 or text."""
    if pa.types.is_integer(ids.type):
        return check_ids(ids.to_numpy(), len(ids))
    if not pa.types.is_large_string(ids.type):
        return check_ids(ids.to_pylist(), len(ids))
    width = call_function("max", [call_function("utf8_length", [ids])]).as_py()
    out = np.empty(len(ids), f"U{max(1, width or 0)}")
    for start in range(0, len(ids), CHUNK):
        out[start : start + CHUNK] = ids.slice(start, CHUNK).to_pylist()
    return out


def cut_into_blocks(lengths: np.ndarray, step_bytes: int, block_bytes: int) -> np.ndarray:
    """Return the offsets of blocks, each within the limit or of a single sequence."""
    ends = np.cumsum(np.maximum(lengths, 1)) * step_bytes
    offsets, before = [0], 0
    while offsets[-1] < len(lengths):
        stop = int(np.searchsorted(ends, before + block_bytes, side="right"))
        offsets.append(max(stop, offsets[-1] + 1))
        before = int(ends[offsets[-1] - 1])
    return np.array(offsets, np.int64)


def row_locations(lengths: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the positions of the steps of each run after the runs are put in ``order``."""
    before = np.empty_like(lengths)
    before[order] = np.cumsum(lengths[order]) - lengths[order]
    return np.arange(lengths.sum()) + np.repeat(before - np.cumsum(lengths) + lengths, lengths)
