"""The time since the previous step, as a numeric column that is computed from times."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import SchemaError, argument
from refold.sequences.schema._schema import Column, Schema

TIME_GAP = "time_gap"
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def time_gaps(times: np.ndarray, offsets: np.ndarray, arrow_type: Any) -> np.ndarray:
    """Return the time from the step before (num_steps,), 0 for the first step of a sequence."""
    gaps = np.zeros(len(times))
    wide = times if times.dtype.kind == "u" else np.asarray(times, f"{times.dtype.kind}8")
    starts = offsets[:-1][np.diff(offsets) > 0]
    later = np.delete(np.arange(len(times)), starts)
    gaps[later] = wide[later] - wide[later - 1]
    # seconds for dates and times, else the unit of the column
    if pa.types.is_date32(arrow_type):
        return gaps * 86_400.0
    if pa.types.is_date64(arrow_type):
        return gaps / _PER_SECOND["ms"]
    if pa.types.is_temporal(arrow_type):
        return gaps / _PER_SECOND[arrow_type.unit]
    is_number = pa.types.is_integer(arrow_type) or times.dtype.kind == "f"
    return gaps if is_number else gaps / _PER_SECOND["ns"]  # dates as text


def check_times(time: str | None) -> None:
    """Raise ``SchemaError`` if there is no column of times to compute gaps from."""
    if time is None:
        raise SchemaError(
            f"{argument(time_gaps=True)} needs a long table with a column of times. Name it with "
            f"{argument('time=')}."
        )


def with_time_gaps(schema: Schema) -> Schema:
    """Return a schema with the column of gaps behind its columns."""
    if TIME_GAP in schema.names:
        raise SchemaError(
            f"The table has a column {TIME_GAP!r} already. Rename it, or leave "
            f"{argument('time_gaps')} out."
        )
    columns = (*schema.columns, Column(TIME_GAP, "numeric"))
    return replace(schema, columns=columns, layout="array", time_gaps=True)
