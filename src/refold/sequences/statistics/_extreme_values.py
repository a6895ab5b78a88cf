"""Detection of outliers and missing-value markers among the extreme values of a numeric column."""

import re
from typing import NamedTuple

import numpy as np

# The rules compare the gap next to an extreme value with the range of all other values. So they
# ignore heavy tails, where neighboring extremes differ by a small factor, and columns that are
# constant with few exceptions, where the other values have no range.

# Number of values kept at each end.
_KEPT = 8
# Maximum number of suspects at each end.
_MAX_SUSPECTS = 3
# Size of a piece above which a sample narrows down its extreme values first.
_LARGE = 1 << 12
# Size of that sample.
_SAMPLE = 1 << 10
# Minimum number of other values next to a missing-value marker.
_MIN_OTHERS_MARKER = 5
# Minimum number of other values next to any other suspect.
_MIN_OTHERS = 100
# Minimum number of distinct other values.
_MIN_DISTINCT = 8
# Minimum gap next to a missing-value marker, in ranges of the other values.
_GAP_MARKER = 10.0
# Minimum gap next to a negative number if all others are nonnegative, in the same unit.
_GAP_NEGATIVE = 3.0
# Minimum gap next to any other number, in the same unit.
_GAP = 100.0
# Minimum gap if all other values are equal, relative to that value: they have no range.
_GAP_CONSTANT = 100.0
# Maximum share of suspects; of known markers only if all other values are equal.
_MINORITY = 0.5
# Share of suspects above which the gap must be larger, because a signal may be on or off.
_RARE = 0.01
# Minimum gap next to suspects that are not rare, in ranges of the other values.
_GAP_FREQUENT = 10_000.0
# Minimum share of the column's variance that such suspects cause.
_DOMINANT = 0.5
# Known markers made of repeated digits: 999, -9999, 999.9, -8888.
_REPEATED = re.compile(r"-?(9{3,}(\.9+)?|8{4,})")
# Known markers are also all numbers of at least this size, such as 1e20.
_HUGE = 1e10
# Whole numbers below this are written without an exponent.
_NO_EXPONENT = 1e15
# Known markers are also the limits of integer types.
_LIMITS = {32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0}


class Suspect(NamedTuple):
    """A value far from all others of its column."""

    value: float
    count: int  # occurrences
    least: float  # range of the values that are not suspects
    greatest: float
    is_marker: bool  # looks like a missing-value marker


class Extremes:
    """The smallest and largest values of a column that may come in pieces, with counts."""

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.count = 0
        self._low: dict[float, int] = {}
        self._high: dict[float, int] = {}
        if values is not None:
            self.add(values)

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps,)."""
        values = values[~np.isnan(values)]
        self.count += len(values)
        self._low = _least(values, self._low)
        negated = _least(-values, {-value: count for value, count in self._high.items()})
        self._high = {-value: count for value, count in negated.items()}

    def suspects(self, mean: float, std: float) -> list[Suspect]:
        """Return the values far from all others, by the mean and deviation of the whole column."""
        if not std > 0:
            return []
        ends = [(a, b) for a in range(_MAX_SUSPECTS + 1) for b in range(_MAX_SUSPECTS + 1) if a + b]
        for below, above in sorted(ends, key=sum, reverse=True):
            suspects = self._apart(below, above, mean, std)
            if suspects:
                return suspects
        return []

    def _apart(self, below: int, above: int, mean: float, std: float) -> list[Suspect]:
        """Return this many values of each end if all of them are far from all others."""
        low, high = sorted(self._low), sorted(self._high)
        if len(low) <= below or len(high) <= above or low[below] > high[-1 - above]:
            return []
        least, greatest = low[below], high[-1 - above]
        counts = self._high | self._low
        taken = [*low[:below], *high[len(high) - above :]]
        num_others = self.count - sum(counts[value] for value in taken)
        if num_others < _MIN_OTHERS_MARKER:
            return []
        distinct = sum(least <= value <= greatest for value in counts)
        suspects, unknown, gaps = [], [], []
        for value in taken:
            count, gap = counts[value], max(least - value, value - greatest)
            one = Suspect(value, count, least, greatest, is_marker=True)
            if not _looks_missing(one, gap, count / self.count, distinct):
                one = Suspect(value, count, least, greatest, is_marker=False)
                unknown.append(one)
                gaps.append(gap)
            suspects.append(one)
        if not unknown:
            return suspects
        number = sum(one.count for one in unknown)
        needed = _GAP if number <= max(1, _RARE * self.count) else _GAP_FREQUENT
        enough = num_others >= _MIN_OTHERS and distinct >= _MIN_DISTINCT
        variance = sum(one.count * ((one.value - mean) / std) ** 2 for one in suspects) / self.count
        far = enough and min(gaps) > needed * (greatest - least)
        return suspects if far and number < _MINORITY * self.count and variance > _DOMINANT else []


def _looks_missing(one: Suspect, gap: float, share: float, distinct: int) -> bool:
    """Return whether a value looks like a missing-value marker, by its digits or its sign."""
    width = one.greatest - one.least
    if _is_marker(one.value):
        if width:
            return gap > _GAP_MARKER * width
        return share < _MINORITY and gap > _GAP_CONSTANT * max(1.0, abs(one.least))
    negative_integer = one.value < 0 and float(one.value).is_integer()
    return (
        negative_integer
        and one.least >= 0
        and one.count > 1
        and distinct >= _MIN_DISTINCT
        and gap > _GAP_NEGATIVE * width
    )


def _is_marker(value: float) -> bool:
    by_size = abs(value) in _LIMITS or abs(value) >= _HUGE
    return by_size or _REPEATED.fullmatch(shown(value)) is not None


def shown(value: float) -> str:
    """Format a number as people write it: as an integer, or with the digits of float32."""
    if abs(value) < _NO_EXPONENT and float(value).is_integer():
        return str(int(value))
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single) if float(single) == value else repr(float(value))


def _least(values: np.ndarray, kept: dict[float, int]) -> dict[float, int]:
    """Return the smallest of the kept and the given values, with their counts."""
    if len(kept) == _KEPT:
        values = values[values <= max(kept)]
    if len(values) > _LARGE:
        sample = np.unique(values[:: len(values) // _SAMPLE])
        if len(sample) >= _KEPT:
            values = values[values <= sample[_KEPT - 1]]
    found, counts = np.unique(values, return_counts=True)
    merged = dict(kept)
    for value, count in zip(found[:_KEPT].tolist(), counts[:_KEPT].tolist(), strict=True):
        merged[value] = merged.get(value, 0) + count
    return {value: merged[value] for value in sorted(merged)[:_KEPT]}
