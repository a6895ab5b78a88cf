"""Warnings about suspicious training data: single steps, padding, missing-value markers, outliers.

Also finds columns that look like ids or times.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np

from refold.errors import Message, argument, spelled
from refold.sequences._lists import looks_padded
from refold.sequences._parts import Places
from refold.sequences._schema import listed
from refold.sequences._sequences import Sequences
from refold.sequences._sets import positions

# Numbers of sequences and of changes from which a pattern is no accident.
_MIN_SEQUENCES = 10
_MIN_CHANGES = 20

# Outliers. The rules compare the gap next to an extreme value with the range of all other values.
# So they ignore heavy tails, where neighboring extremes differ by a small factor, and columns that
# are constant with few exceptions, where the other values have no range.

# Number of values kept at each end.
_KEPT = 8
# Maximum number of suspects at each end.
_MAX_SUSPECTS = 3
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
# Minimum gap next to any other number, in the same unit. If all other values are equal, they have
# no range, and the gap is relative to that value.
_GAP = 100.0
# Share of suspects above which the gap must be larger, because a signal may be on or off.
_RARE = 0.01
# Minimum gap next to suspects that are not rare, in ranges of the other values.
_GAP_FREQUENT = 10_000.0
# Maximum share of suspects; of known markers only if all other values are equal.
_MINORITY = 0.5
# Minimum share of the column's variance that such suspects cause.
_DOMINANT = 0.5
# Known markers made of repeated digits: 999, -9999, 999.9, -8888.
_REPEATED = re.compile(r"-?(9{3,}(\.9+)?|8{4,})")
# Known markers are also all numbers of at least this size, such as 1e20.
_HUGE = 1e10
# Known markers are also the limits of integer types.
_LIMITS = {32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0}
# Whole numbers below this are written without an exponent.
_NO_EXPONENT = 1e15


def data_warnings(source: Sequences) -> list[str]:
    """Return warnings about data that should be checked before training.

    There is one line for each finding: all sequences have one step; steps of zeros look like
    padding; a numeric column has numbers such as -99999 that probably mark missing values, or
    outliers.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> data_warnings(as_sequences([[0.1, 0.5, -99999.0, 0.3], [0.2, 0.4]]))
    ["-99999 occurs once in column 'x0' (sequence 0, step 2), far from all other values (0.1 to \
0.5). If it stands for missing values, pass missing_values=[-99999]."]
    """
    messages = [_one_step(source), _padding(source), *_outliers(source)]
    return [Message(message) for message in messages if message is not None]


def key_columns(sequences: Sequences) -> dict[str, str]:
    """Return the columns that look like ids or times, with ``"id"`` or ``"time"`` for each."""
    _, step = positions(sequences)
    later = step[1:] > 0  # False where the next row begins another sequence
    begins = sequences.offsets[:-1][sequences.lengths > 1]
    keys = {}
    for column, values in zip(sequences.schema.columns, sequences.values.T, strict=True):
        changes = np.diff(values.astype(np.float64))[later]
        changes = changes[~np.isnan(changes)]
        # ids are constant within each sequence and differ between sequences
        if len(changes) and not changes.any() and len(begins) >= _MIN_SEQUENCES:
            if len(np.unique(values[begins])) >= 0.9 * len(begins):
                keys[column.name] = "id"
        elif len(changes) < _MIN_CHANGES or sequences.schema.num_columns == 1:
            continue
        elif column.column_type.is_number and (changes > 0).all():
            keys[column.name] = "time"
    return keys


def _one_step(source: Sequences) -> str | None:
    if len(source) < 2 or source.lengths.max() != 1:
        return None
    windows = spelled("refold.sequences.windows([x], 100)", "--window 100")
    return (
        f"All {len(source)} sequences have at most one step. If they are the steps of one series "
        f"x, pass [x], or windows of it, {windows}. "
        f"If they are rows of a table, name the column of sequence ids with {argument('id=')}, "
        f"or pass {argument(layout='wide')} if a row is a whole sequence."
    )


def _padding(source: Sequences) -> str | None:
    """Check the first block for padding, if all lengths are equal."""
    lengths = source.lengths
    if not len(lengths) or lengths.min() != lengths.max() or lengths[0] < 2:
        return None
    part = next(source.blocks())
    zeros = np.zeros(source.schema.num_columns)
    for i in source.schema.categorical:  # the index of the category 0; NaN if there is none
        categories: tuple = source.schema.columns[i].categories
        zeros[i] = categories.index(0) if 0 in categories else np.nan
    padded = (part.values == zeros).all(axis=1).reshape(len(part), -1)
    side = next((side for side in ("post", "pre") if looks_padded(padded, side)), None)
    if side is None:
        return None
    end, argument = ("end", "") if side == "post" else ("begin", ", padding='pre'")
    count = int(padded[:, -1 if side == "post" else 0].sum())
    those = f"{'the first ' * (len(part) < len(source))}{len(part)}"
    return (
        f"{count} of {those} sequences {end} with steps of zeros, as padded ones do. If this "
        f"is padding, remove it, for example with Sequences.from_padded(x{argument})."
    )


@dataclass
class _Suspect:
    """A value far from all others of its column."""

    value: float
    count: int  # occurrences
    least: float  # range of the values that are not suspects
    greatest: float
    column: int
    is_marker: bool = False  # looks like a missing-value marker


def _outliers(source: Sequences) -> list[str]:
    """Return one line per suspicious number, with all columns that hold it."""
    numeric, summary = np.flatnonzero(source.schema.numeric), source.summary
    extremes = [_Extremes(index) for index in numeric.tolist()]
    for block in source.blocks():
        for column in extremes:
            column.add(block.values[:, column.index])
    by_value: dict[float, list[_Suspect]] = {}
    for column, mean, std in zip(extremes, summary.mean, summary.scale, strict=True):
        for suspect in column.suspects(mean, std):
            by_value.setdefault(suspect.value, []).append(suspect)
    values = [_shown(value) for value in sorted(by_value)]
    fix = spelled(f"missing_values=[{', '.join(values)}]", f"--missing {','.join(values)}")
    return [_outlier_message(source, suspects, fix) for suspects in by_value.values()]


def _outlier_message(source: Sequences, suspects: list[_Suspect], fix: str) -> str:
    """Describe a number by all columns in which it is suspicious."""
    first, count = suspects[0], sum(suspect.count for suspect in suspects)
    names = [source.schema.names[suspect.column] for suspect in suspects]
    several = len(names) > 1
    place = _first_location(source, first) + (f", column {names[0]!r}" if several else "")
    columns = f"column{'s' if several else ''} {listed(names)}"
    times = "once" if count == 1 else f"{count} times"
    others = "" if several else f" ({first.least:.6g} to {first.greatest:.6g})"
    return (
        f"{_shown(first.value)} occurs {times} in {columns} "
        f"({'first in ' * (count > 1)}{place}), far from all other values{others}. "
        + (
            f"If it stands for missing values, pass {fix}."
            if first.is_marker
            else f"Such a value dominates training. Correct it, or treat it as missing with {fix}."
        )
    )


def _first_location(source: Sequences, suspect: _Suspect) -> str:
    """Describe the first step with a value."""
    first = 0
    for block in source.blocks():
        rows = np.flatnonzero(block.values[:, suspect.column] == suspect.value)
        if len(rows):
            first += int(rows[0])
            break
        first += len(block.values)
    return Places(source.offsets, source.ids)(first)


class _Extremes:
    """The smallest and largest values of a column that may come in pieces, with counts."""

    def __init__(self, index: int) -> None:
        self.index, self._count = index, 0
        self._low: Counter[float] = Counter()
        self._high: Counter[float] = Counter()  # of the negated values

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps,)."""
        values = values[~np.isnan(values)]
        self._count += len(values)
        self._low, self._high = _smallest(values, self._low), _smallest(-values, self._high)

    def suspects(self, mean: float, std: float) -> list[_Suspect]:
        """Return the values far from all others, by the mean and deviation of the whole column."""
        numbers = range(_MAX_SUSPECTS + 1 if std > 0 else 0)
        for below, above in sorted(product(numbers, numbers), key=sum, reverse=True):
            if suspects := self._far(below, above, mean, std):
                return suspects
        return []

    def _far(self, below: int, above: int, mean: float, std: float) -> list[_Suspect]:
        """Return this many values of each end if all of them are far from all others."""
        low, high = sorted(self._low), sorted(-value for value in self._high)
        if len(low) <= below or len(high) <= above or low[below] > high[-1 - above]:
            return []
        least, greatest = low[below], high[-1 - above]
        counts = {-value: count for value, count in self._high.items()} | self._low
        ends = [*low[:below], *high[len(high) - above :]]
        num_others = self._count - sum(counts[value] for value in ends)
        if num_others < _MIN_OTHERS_MARKER:
            return []
        distinct = sum(least <= value <= greatest for value in counts)
        suspects, gaps = [], []  # gaps next to values that are no markers
        number = 0  # occurrences of such values
        for value in ends:
            count, gap = counts[value], max(least - value, value - greatest)
            suspect = _Suspect(value, count, least, greatest, self.index)
            suspect.is_marker = _looks_missing(suspect, gap, count / self._count, distinct)
            suspects.append(suspect)
            if not suspect.is_marker:
                number += count
                gaps.append(gap)
        if not gaps:
            return suspects
        needed = _GAP if number <= max(1, _RARE * self._count) else _GAP_FREQUENT
        enough = num_others >= _MIN_OTHERS and distinct >= _MIN_DISTINCT
        variance = sum(suspect.count * ((suspect.value - mean) / std) ** 2 for suspect in suspects)
        dominant = variance / self._count > _DOMINANT
        far = enough and min(gaps) > needed * (greatest - least)
        return suspects if far and number < _MINORITY * self._count and dominant else []


def _looks_missing(suspect: _Suspect, gap: float, share: float, distinct: int) -> bool:
    """Return whether a value looks like a missing-value marker, by its digits or its sign."""
    width, size = suspect.greatest - suspect.least, abs(suspect.value)
    if size in _LIMITS or size >= _HUGE or _REPEATED.fullmatch(_shown(suspect.value)):
        if width:
            return gap > _GAP_MARKER * width
        return share < _MINORITY and gap > _GAP * max(1.0, abs(suspect.least))
    negative_integer = suspect.value < 0 and float(suspect.value).is_integer()
    return (
        negative_integer
        and suspect.least >= 0
        and suspect.count > 1
        and distinct >= _MIN_DISTINCT
        and gap > _GAP_NEGATIVE * width
    )


def _shown(value: float) -> str:
    """Format a number as people write it: as an integer, or with the digits of float32."""
    if abs(value) < _NO_EXPONENT and float(value).is_integer():
        return str(int(value))
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single) if float(single) == value else repr(float(value))


def _smallest(values: np.ndarray, kept: Counter[float]) -> Counter[float]:
    """Return the smallest of the kept and the new values, with their counts."""
    if len(kept) == _KEPT:
        values = values[values <= max(kept)]
    distinct, counts = (array[:_KEPT].tolist() for array in np.unique(values, return_counts=True))
    merged = kept + Counter(dict(zip(distinct, counts, strict=True)))
    return Counter({value: merged[value] for value in sorted(merged)[:_KEPT]})
