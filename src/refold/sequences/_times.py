"""Times of steps: text as times, times as numbers, gaps between times, and times that follow.

`parse_times` makes times from text. `times_as_numbers` makes numbers from times, to order the
steps, and `compute_time_gaps` makes gaps from these numbers. `times_from_gaps` and
`future_times` continue times at their median gap.
"""

import contextlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.compute import ReplaceSubstringOptions, StrptimeOptions, call_function

from refold._support.arrays import concatenated_ranges
from refold._support.rules import check, integer_rule
from refold.errors import DataError, SchemaError, argument
from refold.sequences._encoding import DEFAULT_ROW_NAMER, RowNamer, is_text_type
from refold.sequences._schema import Column, Schema, check_unique_names

# Name of the column of gaps.
TIME_GAP_COLUMN = "time_gap"
# Arrow stores times as integers, which we call ticks. Ticks per second, by the unit of the times.
_TICKS_PER_SECOND_BY_UNIT = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
# Seconds of a day. The ticks of Arrow's dates are days.
_SECONDS_PER_DAY = 86_400
# Patterns of common dates that Arrow does not parse, and what replaces them.
_DATE_REPLACEMENTS = (
    (r"^(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:\6"),  # 20240531T120000
    (r"^(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)", r"\1-\2-\3T\4:\5"),  # 20240531T1200
    (r"^(\d{4})[/.](\d\d)[/.](\d\d)", r"\1-\2-\3"),  # 2024/05/31
    (r"^(\d{4})-(\d\d)$", r"\1-\2-01"),  # 2024-05
    (r"(:\d\d),(\d+)", r"\1.\2"),  # 12:00:00,5
    (r"(:\d\d(?:\.\d+)?) ?(?:UTC|GMT)$", r"\1Z"),  # 12:00 UTC
    (r"(:\d\d(?:\.\d+)?) ([+-]\d\d)", r"\1\2"),  # 12:00 +02
)
# Puts a date in front of a time of day, which Arrow cannot parse alone.
_DATE_PREFIX_FOR_TIME_OF_DAY = ((r"^", "1970-01-01T"),)
# Patterns of an offset from UTC at the end of a time, and the name of its time zone.
_EXTRACT_ZONE_REPLACEMENTS = (
    (r"^.*([+-]\d\d)$", r"\1:00"),  # 12:00+02
    (r"^.*([+-]\d\d):?(\d\d)$", r"\1:\2"),  # 12:00+0200
)


def check_has_times(time_name_or_none: str | None, option_text: str) -> None:
    """Raise ``SchemaError`` about an option that needs a column of times, if there is none."""
    if time_name_or_none is None:
        raise SchemaError(
            f"{option_text} needs a long table with a column of times. Name it with "
            f"{argument('time=')}."
        )


def parse_times(
    column: Any, name: str, row_namer: RowNamer = DEFAULT_ROW_NAMER, time_format: str | None = None
) -> Any:
    """Return a column of times; text becomes dates, times or numbers, other types are unchanged."""
    # dates such as 20240531 may have been read as integers, and a format needs text
    if time_format is not None and pa.types.is_integer(column.type):
        column = column.cast(pa.large_string())
    if not is_text_type(column.type):
        if time_format is None:
            return column
        raise SchemaError(
            f"Column {name!r} holds {column.type}, and {argument('time_format=')} describes times "
            "as text. Leave it out."
        )
    # large_string, because Arrow cannot parse dates in string views
    cells = call_function("utf8_trim_whitespace", [column.cast(pa.large_string())])
    if time_format is not None:
        options = StrptimeOptions(time_format, "us", error_is_null=True)
        times = call_function("strptime", [cells], options)
        if times.null_count == cells.null_count:  # Arrow parsed all cells
            return _restore_time_zone(times, cells)
        # Python is slower and parses more formats, such as those with fractions of seconds
        values = []
        for row, cell in enumerate(cells.to_pylist()):
            try:
                values.append(None if cell is None else datetime.strptime(cell, time_format))
            except ValueError as error:
                raise DataError(
                    f"Column {name!r} cannot order the steps: {row_namer(row)} holds {cell!r} "
                    f"({error}). Correct it, or {argument('time_format=')}."
                ) from error
        return _restore_time_zone(pa.chunked_array([pa.array(values)]), cells)
    # The first cell that is not missing tells what all cells hold. If other cells hold something
    # else, no cast below succeeds, and an error names the first cell that is wrong.
    first = cells.drop_null()[:1]
    is_number = _cast_or_none(first, pa.float64()) is not None
    time_of_day = _rewrite_time_texts(first, _DATE_PREFIX_FOR_TIME_OF_DAY)
    is_time_of_day = not is_number and _cast_or_none(time_of_day, pa.timestamp("ns")) is not None
    zone, types_of_other_zone = None, []
    if is_number:
        types = [pa.float64()]
    elif is_time_of_day:
        cells = _rewrite_time_texts(cells, _DATE_PREFIX_FOR_TIME_OF_DAY)
        # microseconds have the wider range of years, nanoseconds are exact for more digits
        types = [pa.timestamp("us"), pa.timestamp("ns")]
    else:
        # Arrow casts text with a zone only to a type with a zone, so the cast without one fails
        date = _rewrite_time_texts(first, _DATE_REPLACEMENTS)
        zone = "UTC" if _cast_or_none(date, pa.timestamp("ns")) is None else None
        types = [pa.timestamp("us", zone), pa.timestamp("ns", zone)]
        other_zone = "UTC" if zone is None else None
        types_of_other_zone = [pa.timestamp(type_.unit, other_zone) for type_ in types]
    times = _cast_or_none(cells, *types)
    if times is None and not is_number:
        cells = _rewrite_time_texts(cells, _DATE_REPLACEMENTS)
        times = _cast_or_none(cells, *types)
    if times is None:
        wrong = (i for i in range(len(cells)) if _cast_or_none(cells[i : i + 1], *types) is None)
        # row 0 if each cell alone is a time: no type holds both nanoseconds and the year 1600
        row = next(wrong, 0)
        if _cast_or_none(cells[row : row + 1], *types_of_other_zone) is not None:
            first_row = np.argmax(cells.is_valid()).item()
            rows = (row, first_row) if zone is None else (first_row, row)
            with_zone, without = (f"{column[i].as_py()!r} in {row_namer(i)}" for i in rows)
            raise DataError(
                f"Column {name!r} has times with a zone and times without: {with_zone}, and "
                f"{without}. Write a zone for all times, or for none."
            )
        raise DataError(
            f"Column {name!r} cannot order the steps: it holds text such as "
            f"{column[row].as_py()!r}, in {row_namer(row)}. Expected all numbers or all dates, "
            f"such as 2024-05-31 12:00; name another form with {argument('time_format=')}, as "
            "'%d.%m.%Y %H:%M'."
        )
    if is_time_of_day:
        return times.cast(pa.time64(times.type.unit))
    return _restore_time_zone(times, cells)


def _cast_or_none(cells: Any, *types: pa.DataType) -> Any:
    """Return cells of text as the first of these types to which Arrow can cast them, or None."""
    for type_ in types:
        with contextlib.suppress(pa.ArrowInvalid):
            return cells.cast(type_)
    return None


def _rewrite_time_texts(cells: Any, replacements: tuple[tuple[str, str], ...]) -> Any:
    """Return cells of text with each pattern replaced, one after another."""
    for pattern, replacement in replacements:
        options = ReplaceSubstringOptions(pattern, replacement)
        cells = call_function("replace_substring_regex", [cells], options)
    return cells


def _restore_time_zone(times: Any, cells: Any) -> Any:
    """Return times in the time zone that all cells of their text name, or else in UTC."""
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        return times
    zones = _rewrite_time_texts(cells, _EXTRACT_ZONE_REPLACEMENTS).drop_null().unique().to_pylist()
    # a pattern that does not match leaves the text as it is, such as 12:00Z
    is_offset = len(zones) == 1 and len(zones[0]) == len("+02:00") and zones[0][0] in "+-"
    return times.cast(pa.timestamp(times.type.unit, zones[0] if is_offset else "UTC"))


def times_as_numbers(column: Any, name: str, row_namer: RowNamer) -> np.ndarray:
    """Return times as numbers (num_rows,); raise if a time is missing or is no number or date."""
    problem = f"Column {name!r} cannot order the steps"
    has_no_time = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if has_no_time.any():
        row = int(np.argmax(has_no_time))
        raise DataError(f"{problem}: {row_namer(row)} has no time. Fill it in or drop the row.")
    if not len(column):
        return np.zeros(0)
    ticks = _times_to_ticks(column)
    if not (pa.types.is_integer(ticks.type) or pa.types.is_floating(ticks.type)):
        raise DataError(f"{problem}: it holds {column.type} values. Expected numbers or dates.")
    return ticks.to_numpy()


def _times_to_ticks(times: Any) -> Any:
    """Return Arrow times as Arrow numbers, for dates and times the integers that Arrow stores."""
    if pa.types.is_date32(times.type) or pa.types.is_time32(times.type):
        return times.cast(pa.int32())
    if pa.types.is_temporal(times.type):
        return times.cast(pa.int64())
    return times.cast(pa.float64()) if pa.types.is_decimal(times.type) else times


def compute_time_gaps(ticks: np.ndarray, offsets: np.ndarray, time_type: pa.DataType) -> np.ndarray:
    """Return the time since the previous step (num_steps,), 0 for the first step of a sequence."""
    gaps = np.zeros(len(ticks))
    # The ticks get 64 bits (8 bytes), because differences of shorter integers overflow. Unsigned
    # integers stay as they are: their differences do not overflow, because times ascend.
    if ticks.dtype.kind != "u":
        ticks = np.asarray(ticks, f"{ticks.dtype.kind}8")
    first_steps = offsets[:-1][np.diff(offsets) > 0]  # of sequences that are not empty
    later_steps = np.delete(np.arange(len(ticks)), first_steps)
    gaps[later_steps] = ticks[later_steps] - ticks[later_steps - 1]
    # seconds for dates and times, else the unit of the column
    return gaps / _ticks_per_second(time_type)


def _ticks_per_second(time_type: pa.DataType) -> float:
    """Return how many ticks are one second; 1 for times that are numbers."""
    if pa.types.is_date32(time_type):
        return 1 / _SECONDS_PER_DAY
    if pa.types.is_date64(time_type):
        return _TICKS_PER_SECOND_BY_UNIT["ms"]
    return _TICKS_PER_SECOND_BY_UNIT[time_type.unit] if pa.types.is_temporal(time_type) else 1.0


def compute_median_gaps(times: pa.Array, offsets: np.ndarray) -> np.ndarray:
    """Return the median gap of each sequence (n,), NaN for fewer than two steps."""
    gaps = compute_time_gaps(_times_to_ticks(times).to_numpy(), offsets, times.type)
    # without the first step of each sequence, which has no previous step
    bounds = zip((offsets[:-1] + 1).tolist(), offsets[1:].tolist(), strict=True)
    return np.array([np.median(gaps[i:j]) if i < j else np.nan for i, j in bounds])


def times_from_gaps(first_times: pa.Array, gaps: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """Return times (num_steps,) from the first time (n,), gap (n,) and length (n,) of sequences."""
    # Integer times get 64 bits. Times are null where the first time or the gap is unknown.
    time_type = first_times.type
    # index of the sequence of each step, and of the step in its sequence, both (num_steps,)
    sequence_indices = np.repeat(np.arange(len(lengths)), lengths)
    steps = concatenated_ranges(np.zeros_like(lengths), lengths)
    has_gap = ~np.isnan(gaps)[sequence_indices] | (steps == 0)
    is_unknown = np.asarray(first_times.is_null())[sequence_indices] | ~has_gap
    ticks = np.asarray(_times_to_ticks(first_times).fill_null(0))
    gaps = np.nan_to_num(gaps) * _ticks_per_second(time_type)  # in ticks
    if ticks.dtype.kind != "f":  # float64 would round nanoseconds since 1970
        ticks, gaps = ticks.astype(np.int64), np.rint(gaps).astype(np.int64)
    ticks = ticks[sequence_indices] + gaps[sequence_indices] * steps
    if pa.types.is_time(time_type):  # a time of day begins again at midnight
        ticks %= int(_SECONDS_PER_DAY * _TICKS_PER_SECOND_BY_UNIT[time_type.unit])
    # Arrow stores these types in 32 bits
    if pa.types.is_date32(time_type) or pa.types.is_time32(time_type):
        ticks = ticks.astype(np.int32)
    times = pa.array(ticks, mask=is_unknown)
    return times if pa.types.is_integer(time_type) else times.cast(time_type)


def add_time_gap_to_schema(schema: Schema) -> Schema:
    """Return a schema that has the column of time gaps after all other columns."""
    advice = f"Rename the one in the table, or leave {argument('time_gaps')} out."
    check_unique_names([*schema.names, TIME_GAP_COLUMN], advice)
    columns = (*schema.columns, Column(TIME_GAP_COLUMN, "numeric"))
    return replace(schema, columns=columns, layout="array", time_gaps=True)


def future_times(times: pa.Array, steps: int) -> pa.Array:
    """Return times that follow the times of a sequence, at the usual gap of the sequence.

    The gap is the median difference of times. So if the times are the first days of months, the
    times that follow are not all first days.

    Parameters
    ----------
    times : pyarrow.Array of shape (length,)
        Times of a sequence, as those in `Sequences.times`.
    steps : int
        Number of times to return.

    Returns
    -------
    pyarrow.Array of shape (steps,)
        Times of the same type, but integers get 64 bits; null if there are fewer than two times.

    Examples
    --------
    >>> import pyarrow as pa
    >>> future_times(pa.array([10, 20, 30]), 2).to_pylist()
    [40, 50]
    """
    check("steps", steps, integer_rule(0))
    if not len(times):
        return pa.nulls(steps, times.type)
    gaps = compute_median_gaps(times, np.array([0, len(times)]))
    # without the first of the times, which is the last time of the sequence
    return times_from_gaps(times[-1:], gaps, np.array([steps + 1]))[1:]
