"""Times of steps: text as times, times as numbers, the gaps between them, and those that follow."""

import contextlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.compute import ReplaceSubstringOptions, StrptimeOptions, call_function

from refold._support.rules import check, whole
from refold.errors import DataError, SchemaError, argument
from refold.sequences._parts import PLAIN_ROWS, Rows, is_text
from refold.sequences._schema import Column, Schema, check_unique

TIME_GAP = "time_gap"
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SECONDS_PER_DAY = 86_400
# Common forms of dates that Arrow does not parse, and how it expects them.
_FORMS = (
    (r"^(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:\6"),  # 20240531T120000
    (r"^(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)", r"\1-\2-\3T\4:\5"),
    (r"^(\d{4})[/.](\d\d)[/.](\d\d)", r"\1-\2-\3"),  # 2024/05/31
    (r"^(\d{4})-(\d\d)$", r"\1-\2-01"),
    (r"(:\d\d),(\d+)", r"\1.\2"),
    (r"(:\d\d(?:\.\d+)?) ?(?:UTC|GMT)$", r"\1Z"),
    (r"(:\d\d(?:\.\d+)?) ([+-]\d\d)", r"\1\2"),
)
# Times of a day, which Arrow parses with a date only.
_CLOCK = ((r"^", "1970-01-01T"),)
# The offset at the end of a time, as the name of a time zone.
_OFFSET = (
    (r"^.*([+-]\d\d)$", r"\1:00"),
    (r"^.*([+-]\d\d):?(\d\d)$", r"\1:\2"),
)


def check_times(time: str | None, what: str = argument(time_gaps=True)) -> None:
    """Raise ``SchemaError`` if there is no column of times, which an argument needs."""
    if time is None:
        raise SchemaError(
            f"{what} needs a long table with a column of times. Name it with {argument('time=')}."
        )


# Text as times


def parse_times(
    column: Any, name: str, rows: Rows = PLAIN_ROWS, time_format: str | None = None
) -> Any:
    """Return a column of times with text as dates or numbers; others keep their type."""
    if time_format is not None and pa.types.is_integer(column.type):
        column = column.cast(pa.large_string())  # such as 20240531
    if not is_text(column.type):
        if time_format is None:
            return column
        raise SchemaError(
            f"Column {name!r} holds {column.type}, and {argument('time_format=')} describes times "
            "as text. Leave it out."
        )
    # Arrow cannot parse dates in string views
    text = call_function("utf8_trim_whitespace", [column.cast(pa.large_string())])
    if time_format is not None:
        return _parse_format(text, name, rows, time_format)
    first = text.drop_null()[:1]
    is_number = _cast(first, pa.float64()) is not None
    is_clock = not is_number and _cast(_replace(first, _CLOCK), pa.timestamp("ns")) is not None
    if is_number:
        types = [pa.float64()]
    elif is_clock:
        text = _replace(text, _CLOCK)
        types = [pa.timestamp("us"), pa.timestamp("ns")]
    else:
        has_zone = _cast(_replace(first, _FORMS), pa.timestamp("ns")) is None
        zone = "UTC" if has_zone else None
        types = [pa.timestamp("us", zone), pa.timestamp("ns", zone)]
    times = _cast(text, *types)
    if times is None and not is_number:
        text = _replace(text, _FORMS)
        times = _cast(text, *types)
    if times is None:
        wrong = (row for row in range(len(text)) if _cast(text[row : row + 1], *types) is None)
        # each alone may be a time, but no type holds both nanoseconds and the year 1600
        row = next(wrong, 0)
        raise DataError(
            f"Column {name!r} cannot order the steps: it holds text such as "
            f"{column[row].as_py()!r}, in {rows(row)}. Expected all numbers or all dates, such as "
            f"2024-05-31 12:00; name another form with {argument('time_format=')}, as "
            "'%d.%m.%Y %H:%M'."
        )
    return times.cast(pa.time64(times.type.unit)) if is_clock else _in_zone(times, text)


def _parse_format(text: Any, name: str, rows: Rows, time_format: str) -> Any:
    """Return text as times of a format."""
    options = StrptimeOptions(time_format, "us", error_is_null=True)
    times = call_function("strptime", [text], options)
    if times.null_count == text.null_count:
        return _in_zone(times, text)
    # Python takes more formats, such as those with fractions of seconds, but more time
    values = []
    for row, cell in enumerate(text.to_pylist()):
        try:
            values.append(None if cell is None else datetime.strptime(cell, time_format))
        except ValueError as error:
            raise DataError(
                f"Column {name!r} cannot order the steps: {rows(row)} holds {cell!r} ({error}). "
                f"Correct it, or {argument('time_format=')}."
            ) from error
    return _in_zone(pa.chunked_array([pa.array(values)]), text)


def _cast(text: Any, *types: pa.DataType) -> Any:
    """Return text as the first of these types that it can have, or None."""
    for type_ in types:
        with contextlib.suppress(pa.ArrowInvalid):
            return text.cast(type_)
    return None


def _replace(text: Any, forms: tuple[tuple[str, str], ...]) -> Any:
    for pattern, replacement in forms:
        options = ReplaceSubstringOptions(pattern, replacement)
        text = call_function("replace_substring_regex", [text], options)
    return text


def _in_zone(times: Any, text: Any) -> Any:
    """Return times with a zone in that of their text, if all have the same offset from UTC."""
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        return times
    zones = _replace(text, _OFFSET).drop_null().unique().to_pylist()
    is_offset = len(zones) == 1 and len(zones[0]) == len("+02:00") and zones[0][0] in "+-"
    return times.cast(pa.timestamp(times.type.unit, zones[0] if is_offset else "UTC"))


# Times as numbers


def time_numbers(column: Any, name: str, rows: Rows) -> np.ndarray:
    """Return times, which must not be missing, as numbers."""
    wrong = f"Column {name!r} cannot order the steps"
    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(f"{wrong}: {rows(row)} has no time. Fill it in or drop the row.")
    if not len(column):
        return np.zeros(0)
    numbers = _numbers(column)
    if not (pa.types.is_integer(numbers.type) or pa.types.is_floating(numbers.type)):
        raise DataError(f"{wrong}: it holds {column.type} values. Expected numbers or dates.")
    return numbers.to_numpy()


def _numbers(times: Any) -> Any:
    if pa.types.is_date32(times.type) or pa.types.is_time32(times.type):
        return times.cast(pa.int32())
    if pa.types.is_temporal(times.type):
        return times.cast(pa.int64())
    return times.cast(pa.float64()) if pa.types.is_decimal(times.type) else times


def gaps_between(times: np.ndarray, offsets: np.ndarray, arrow_type: pa.DataType) -> np.ndarray:
    """Return the time from the step before (num_steps,), 0 for the first step of a sequence."""
    gaps = np.zeros(len(times))
    wide = times if times.dtype.kind == "u" else np.asarray(times, f"{times.dtype.kind}8")
    starts = offsets[:-1][np.diff(offsets) > 0]
    later = np.delete(np.arange(len(times)), starts)
    gaps[later] = wide[later] - wide[later - 1]
    # seconds for dates and times, else the unit of the column
    return gaps / _per_second(arrow_type)


def _per_second(type_: pa.DataType) -> float:
    """Return how many numbers of a type of times make a second; 1 if it is no such type."""
    if pa.types.is_date32(type_):
        return 1 / _SECONDS_PER_DAY
    if pa.types.is_date64(type_):
        return _PER_SECOND["ms"]
    return _PER_SECOND[type_.unit] if pa.types.is_temporal(type_) else 1.0


def usual_gaps(times: pa.Array, offsets: np.ndarray) -> np.ndarray:
    """Return the median of `gaps_between` in each sequence (n_sequences,), NaN without gaps."""
    gaps = gaps_between(_numbers(times).to_numpy(), offsets, times.type)
    bounds = zip((offsets[:-1] + 1).tolist(), offsets[1:].tolist(), strict=True)
    return np.array([np.median(gaps[i:j]) if i < j else np.nan for i, j in bounds])


def times_from(firsts: pa.Array, gaps: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """Return times (num_steps,) that count on from the first time and usual gap of each sequence.

    Integers have 64 bits. Times that do not follow, as without a gap, are null.
    """
    row, type_ = np.repeat(np.arange(len(lengths)), lengths), firsts.type
    step = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    unknown = np.asarray(firsts.is_null())[row] | np.isnan(gaps)[row] & (step > 0)
    numbers = np.asarray(_numbers(firsts).fill_null(0))
    gaps = np.nan_to_num(gaps) * _per_second(type_)
    if numbers.dtype.kind != "f":  # floats cannot hold nanoseconds since 1970
        numbers, gaps = numbers.astype(np.int64), np.rint(gaps).astype(np.int64)
    numbers = numbers[row] + gaps[row] * step
    if pa.types.is_time(type_):  # of a day
        numbers %= int(_SECONDS_PER_DAY * _PER_SECOND[type_.unit])
    if pa.types.is_date32(type_) or pa.types.is_time32(type_):
        numbers = numbers.astype(np.int32)
    times = pa.array(numbers, mask=unknown)
    return times if pa.types.is_integer(type_) else times.cast(type_)


def with_time_gaps(schema: Schema) -> Schema:
    """Return a schema with the column of gaps behind its columns."""
    advice = f"Rename the one in the table, or leave {argument('time_gaps')} out."
    check_unique([*schema.names, TIME_GAP], advice)
    columns = (*schema.columns, Column(TIME_GAP, "numeric"))
    return replace(schema, columns=columns, layout="array", time_gaps=True)


def future_times(times: pa.Array, steps: int) -> pa.Array:
    """Return times that follow those of a sequence, at its usual gap.

    The gap is the median difference of times. Times of months, say, are not on the same day.

    Parameters
    ----------
    times : pyarrow.Array of shape (length,)
        Times of a sequence, as those in `Sequences.times`.
    steps : int
        Number of times to return.

    Returns
    -------
    pyarrow.Array of shape (steps,)
        Times of the same type, but integers of 64 bits; null if there are fewer than two times.

    Examples
    --------
    >>> import pyarrow as pa
    >>> future_times(pa.array([10, 20, 30]), 2).to_pylist()
    [40, 50]
    """
    check("steps", steps, whole(0))
    if not len(times):
        return pa.nulls(steps, times.type)
    gaps = usual_gaps(times, np.array([0, len(times)]))
    return times_from(times[-1:], gaps, np.array([steps + 1]))[1:]
