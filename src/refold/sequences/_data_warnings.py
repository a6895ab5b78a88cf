"""Warnings about suspicious training data: single steps, padding, missing-value markers, outliers.

Also finds columns that look like ids or times.
"""

import re
from itertools import product
from typing import NamedTuple

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
# Minimum number of other values next to a missing-value marker, and next to any other suspect.
_MIN_OTHERS_MARKER = 5
_MIN_OTHERS = 100
# Minimum number of distinct values next to a suspect that is no marker.
_MIN_DISTINCT = 8
# Minimum gap next to a missing-value marker, and next to any other suspect, in ranges of the other
# values.
_GAP_MARKER = 10.0
_GAP = 100.0
# Maximum share of a suspect that is no marker: a signal may be on or off.
_RARE = 0.01
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
    ["-99999 occurs in 'x0' once at sequence 0, step 2, column 'x0', far from all other values \
(0.1 to 0.5). It dominates training. Correct it, or if it stands for missing values, pass \
missing_values=[-99999]."]
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
    return (
        f"All {len(source)} sequences have at most one step. If they are the steps of one series "
        f"x, pass [x], or add {argument(window=100)}. "
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
        f"is padding, remove it with Sequences.from_array(x, padding_value=0{argument})."
    )


class _Suspect(NamedTuple):
    """A value far from all others of its column."""

    column: int
    value: float
    count: int  # occurrences
    least: float  # range of the values that are not suspects
    greatest: float


def _outliers(source: Sequences) -> list[str]:
    """Return one line per suspicious number, with all columns that hold it."""
    columns = np.flatnonzero(source.schema.numeric).tolist()
    extremes = [_Extremes() for _ in columns]
    for block in source.blocks():
        for column, values in zip(columns, extremes, strict=True):
            values.add(block.values[:, column])
    by_value: dict[float, list[_Suspect]] = {}
    for column, values in zip(columns, extremes, strict=True):
        for suspect in _suspects(values, column):
            by_value.setdefault(suspect.value, []).append(suspect)
    texts = [_shown(value) for value in sorted(by_value)]
    fix = spelled(f"missing_values=[{', '.join(texts)}]", f"--missing {','.join(texts)}")
    return [_outlier_message(source, suspects, fix) for suspects in by_value.values()]


def _outlier_message(source: Sequences, suspects: list[_Suspect], fix: str) -> str:
    """Describe a number by all columns in which it is suspicious."""
    first, count = suspects[0], sum(suspect.count for suspect in suspects)
    names = [source.schema.names[suspect.column] for suspect in suspects]
    times = "once" if count == 1 else f"{count} times, first"
    return (
        f"{_shown(first.value)} occurs in {listed(names)} {times} at "
        f"{_first_location(source, first)}, far from all other values ({first.least:.6g} to "
        f"{first.greatest:.6g}). It dominates training. Correct it, or if it stands for missing "
        f"values, pass {fix}."
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
    return Places(source.offsets, source.ids)(first, source.schema.names[suspect.column])


class _Extremes:
    """The smallest and largest values of a column that comes in pieces, with their counts."""

    def __init__(self) -> None:
        self.num_values = 0
        # distinct values in ascending order: all of them, or as many at each end as are kept
        self.values, self.counts = np.zeros(0), np.zeros(0, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps,)."""
        values = values[~np.isnan(values)]
        self.num_values += len(values)
        if len(self.values) == 2 * _KEPT:  # what lies between the ends stays there
            low, high = self.values[_KEPT - 1 : _KEPT + 1]
            values = values[(values <= low) | (values >= high)]
        distinct, counts = np.unique(values, return_counts=True)
        merged, index = np.unique(np.append(self.values, distinct), return_inverse=True)
        counts = np.bincount(index, np.append(self.counts, counts)).astype(np.int64)
        ends = np.r_[0:_KEPT, len(merged) - _KEPT : len(merged)]
        ends = ends if len(merged) > 2 * _KEPT else slice(None)
        self.values, self.counts = merged[ends], counts[ends]


def _suspects(extremes: _Extremes, column: int) -> list[_Suspect]:
    """Return the values far from all others, as many at each end as possible."""
    values, counts = extremes.values, extremes.counts
    numbers = range(_MAX_SUSPECTS + 1)
    for below, above in sorted(product(numbers, numbers), key=sum, reverse=True):
        others = slice(below, len(values) - above)
        if not len(values[others]):
            continue
        least, greatest = values[others][[0, -1]].tolist()
        ends = zip(np.delete(values, others), np.delete(counts, others), strict=True)
        suspects = [
            _Suspect(column, float(value), int(count), least, greatest) for value, count in ends
        ]
        distinct = len(values[others])
        if all(_is_far(suspect, suspects, distinct, extremes.num_values) for suspect in suspects):
            return suspects
    return []


def _is_far(suspect: _Suspect, suspects: list[_Suspect], distinct: int, num_values: int) -> bool:
    """Return whether a value is far from those that are not suspects."""
    num_others = num_values - sum(other.count for other in suspects)
    gap = max(suspect.least - suspect.value, suspect.value - suspect.greatest)
    # equal values have no range; the gap is then relative to them
    width = (suspect.greatest - suspect.least) or _GAP_MARKER * max(1.0, abs(suspect.least))
    size = abs(suspect.value)
    if size in _LIMITS or size >= _HUGE or _REPEATED.fullmatch(_shown(suspect.value)):
        return num_others >= _MIN_OTHERS_MARKER and gap > _GAP_MARKER * width
    enough = num_others >= _MIN_OTHERS and distinct >= _MIN_DISTINCT
    return enough and suspect.count <= max(1, _RARE * num_values) and gap > _GAP * width


def _shown(value: float) -> str:
    """Format a number as people write it: as an integer, or with the digits of float32."""
    if abs(value) < _NO_EXPONENT and float(value).is_integer():
        return str(int(value))
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single) if float(single) == value else repr(float(value))
