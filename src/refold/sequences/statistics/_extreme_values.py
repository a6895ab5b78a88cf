"""The values at both ends of a numeric column, and which of them stand far away from all others.

A column may come in pieces: what is kept of it are its least and greatest values, with counts.
The rules compare the gap beside an extreme value with the range of all other values. So they are
silent on heavy tails, where neighbouring extremes are within a factor of each other, and on
columns that are constant but for a few exceptions, whose other values have no range.
"""

import re
from typing import NamedTuple

import numpy as np

__all__ = ["Extremes", "Suspect", "shown"]

# Values kept at each end, and how many of these may be suspects.
_KEPT, _MOST = 8, 3
# Values of a piece from which its ends are looked for in a sample first, and the size of that.
_LARGE, _SAMPLE = 1 << 12, 1 << 10
# Other values that there must be, for a number that is written for a missing value and for any
# other; of these, different ones.
_FEWEST_CODE, _FEWEST, _FEWEST_DISTINCT = 5, 100, 8
# Ranges of the other values that make a gap wide: beside a number that is written for a missing
# value, beside a negative number where no other is negative, and beside any other number.
_WIDE_CODE, _WIDE_NEGATIVE, _WIDE = 10.0, 3.0, 100.0
# Where all others are the same, a gap is wide by the size of the numbers.
_WIDE_BESIDE_CONSTANT, _MINORITY = 100.0, 0.5
# A number that itself tells nothing must be rare, and most of the variance of the column.
_RARE, _DOMINANT = 0.01, 0.5
# Numbers that are written for a missing value: 999, -9999, 999.9, -8888; 1e20 and such; limits of
# integers.
_REPEATED, _HUGE = re.compile(r"-?(9{3,}(\.9+)?|8{4,})"), 1e10
_WHOLE = 1e15  # numbers below are written without an exponent
_LIMITS = {32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0}


class Suspect(NamedTuple):
    """A value that stands far away from the others of its column.

    Attributes
    ----------
    value : float
    count : int
        How often it occurs.
    least, greatest : float
        Range of the values that are not suspect.
    is_code : bool
        Whether it is a number that people write for a missing value.
    """

    value: float
    count: int
    least: float
    greatest: float
    is_code: bool


class Extremes:
    """The least and the greatest values of a column, each with its count.

    Examples
    --------
    >>> extremes = Extremes()
    >>> extremes.add(np.linspace(0.0, 1.0, 100))
    >>> extremes.add(np.array([0.5, np.nan, -99999.0, -99999.0]))
    >>> [(suspect.value, suspect.count) for suspect in extremes.suspects(-1980.0, 13930.0)]
    [(-99999.0, 2)]
    """

    def __init__(self) -> None:
        self.count = 0
        self._low: dict[float, int] = {}
        self._high: dict[float, int] = {}

    def add(self, values: np.ndarray) -> None:
        """Add a piece, an array of finite numbers and NaN of shape (num_steps,)."""
        values = values[~np.isnan(values)]
        self.count += len(values)
        self._low = _least(values, self._low)
        negated = _least(-values, {-value: count for value, count in self._high.items()})
        self._high = {-value: count for value, count in negated.items()}

    def suspects(self, mean: float, deviation: float) -> list[Suspect]:
        """Return the values that stand far away from all others, in ascending order.

        Parameters
        ----------
        mean, deviation : float
            Of the whole column.

        Returns
        -------
        list of Suspect
        """
        if not deviation > 0:
            return []
        ends = [(a, b) for a in range(_MOST + 1) for b in range(_MOST + 1) if a + b]
        for below, above in sorted(ends, key=sum, reverse=True):
            found = self._apart(below, above, mean, deviation)
            if found:
                return found
        return []

    def _apart(self, below: int, above: int, mean: float, deviation: float) -> list[Suspect]:
        """Return so many values of each end if each of them stands apart from all others."""
        low, high = sorted(self._low), sorted(self._high)
        if len(low) <= below or len(high) <= above or low[below] > high[-1 - above]:
            return []
        least, greatest = low[below], high[-1 - above]
        counts = self._high | self._low
        taken = [*low[:below], *high[len(high) - above :]]
        num_others = self.count - sum(counts[value] for value in taken)
        if num_others < _FEWEST_CODE:
            return []
        distinct = sum(least <= value <= greatest for value in counts)
        found, plain = [], []
        for value in taken:
            count, gap = counts[value], max(least - value, value - greatest)
            one = Suspect(value, count, least, greatest, is_code=True)
            if not _is_apart(one, gap, count / self.count, distinct):
                one = one._replace(is_code=False)
                plain.append(one)
                few = num_others < _FEWEST or distinct < _FEWEST_DISTINCT
                if few or gap <= _WIDE * (greatest - least):
                    return []
            found.append(one)
        rare = sum(one.count for one in plain) <= max(1, _RARE * self.count)
        share = sum(one.count * ((one.value - mean) / deviation) ** 2 for one in found) / self.count
        return found if not plain or (rare and share > _DOMINANT) else []


def _is_apart(one: Suspect, gap: float, share: float, distinct: int) -> bool:
    """Say whether a value is one that is written for a missing value, by itself or by its sign."""
    width = one.greatest - one.least
    if _is_code(one.value):
        if width:
            return gap > _WIDE_CODE * width
        return share < _MINORITY and gap > _WIDE_BESIDE_CONSTANT * max(1.0, abs(one.least))
    whole_and_negative = one.value < 0 and float(one.value).is_integer()
    return (
        whole_and_negative
        and one.least >= 0
        and one.count > 1
        and distinct >= _FEWEST_DISTINCT
        and gap > _WIDE_NEGATIVE * width
    )


def _is_code(value: float) -> bool:
    plain = abs(value) in _LIMITS or abs(value) >= _HUGE
    return plain or _REPEATED.fullmatch(shown(value)) is not None


def shown(value: float) -> str:
    """Return a number as people write it: whole, or in the digits of float32 that hold it.

    Examples
    --------
    >>> shown(-99999.0), shown(float(np.float32(999.9))), shown(1e20)
    ('-99999', '999.9', '1e+20')
    """
    if abs(value) < _WHOLE and float(value).is_integer():
        return str(int(value))
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single) if float(single) == value else repr(float(value))


def _least(values: np.ndarray, kept: dict[float, int]) -> dict[float, int]:
    """Return the least values of those kept and of others, with their counts."""
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
