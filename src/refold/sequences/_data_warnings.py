"""Warnings about suspicious training data: single steps, padding, missing-value markers, outliers.

`data_warnings` returns them. `find_id_or_time_features` finds columns that look like ids or times.
"""

import re
from itertools import product
from typing import NamedTuple

import numpy as np

from refold.errors import Message, argument, python_or_cli
from refold.sequences._conversions import sequence_and_step_indices
from refold.sequences._encoding import StepLocator
from refold.sequences._lists import find_inner_padding, lengths_without_padding
from refold.sequences._schema import join_names
from refold.sequences._sequences import Sequences

# Minimum number of sequences for a column of ids: among fewer, constant columns are common.
_MIN_SEQUENCES_WITH_IDS = 10
# Minimum number of changes from step to step for a column of times: fewer may all rise by chance.
_MIN_CHANGES_FOR_TIME_COLUMN = 20
# Minimum share of distinct values among the sequences, for a column of ids: some ids may repeat.
_MIN_DISTINCT_ID_SHARE = 0.9

# Minimum share of padded sequences in an array that looks padded: in fewer, it may be chance.
_MIN_PADDED_SHARE = 0.1
# Minimum number of padded sequences in an array that looks padded; it matters for small arrays.
_MIN_PADDED_SEQUENCES_FOR_WARNING = 2
# Maximum share of real steps that look like padding. If there are more, such steps are data.
_MAX_STRAY_PADDING_SHARE = 0.01

# A suspect is a number that is far from all regular values of its column: a marker or an outlier.
# Its gap to the nearest regular value is compared with the range of all regular values. So extremes
# of heavy tails are no suspects, because their gaps are small multiples of the range. In a column
# of few distinct values, such as a constant one, only markers are suspects.

# Number of distinct values that are stored at each end of a column, as candidates for suspects.
_EXTREMES_PER_END = 8
# Maximum number of suspects at each end of a column; more are no exceptions.
_MAX_SUSPECTS_PER_END = 3
# Minimum number of regular values next to a missing-value marker. Markers need little evidence.
_MIN_REGULAR_VALUES_FOR_MARKER = 5
# Minimum number of regular values next to an outlier, which is a suspect that is no marker.
_MIN_REGULAR_VALUES_FOR_OUTLIER = 100
# Minimum number of distinct regular values next to an outlier; fewer may be labels or states.
_MIN_DISTINCT_BESIDE_OUTLIER = 8
# Minimum gap next to a missing-value marker, in ranges of the regular values.
_MIN_MARKER_GAP = 10.0
# Minimum gap next to an outlier, in ranges of the regular values.
_MIN_OUTLIER_GAP = 100.0
# Maximum share of all values that are one outlier: a more frequent one may be a signal that is on.
_MAX_SHARE_OF_REPEATED_OUTLIER = 0.01
# Markers made of repeated digits: 999, -9999, 999.9, -8888.
_MARKER_DIGITS_PATTERN = re.compile(r"-?(9{3,}(\.9+)?|8{4,})")
# Numbers of at least this magnitude are markers, such as 1e20.
_MIN_HUGE_MARKER = 1e10
# Maximum values of integer types, and magnitudes of their minimum values. They are markers, too.
_INTEGER_LIMIT_MARKERS = {32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0}
# Whole numbers from this magnitude on are written with an exponent.
_MIN_MAGNITUDE_WITH_EXPONENT = 1e15


def data_warnings(sequences: Sequences, *, single_steps: bool = True) -> list[str]:
    """Return warnings about data that should be checked before training.

    There is one line for each finding: all sequences have one step; steps of zeros look like
    padding; a numeric column has numbers such as -99999 that probably mark missing values, or
    outliers. Without ``single_steps``, the first of these is left out.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> data_warnings(as_sequences([[0.1, 0.5, -99999.0, 0.3], [0.2, 0.4]]))
    ["-99999 occurs in 'x0' once at sequence 0, step 2, column 'x0', far from all other values \
(0.1 to 0.5). It dominates training. Correct it, or if it stands for missing values, pass \
missing_values=[-99999]."]
    """
    messages = []
    # a single sequence of one step may be meant so
    if single_steps and len(sequences) > 1 and sequences.lengths.max() == 1:
        messages.append(
            f"All {len(sequences)} sequences have at most one step. If they are the steps of one "
            f"series x, pass [x], or add {argument(window=100)}. If they are rows of a table, name "
            f"the column of sequence ids with {argument('id=')}, or pass "
            f"{argument(layout='wide')} if a row is a whole sequence."
        )
    messages += [*_describe_padding(sequences), *_describe_far_values(sequences)]
    return [Message(message) for message in messages]


def find_id_or_time_features(sequences: Sequences) -> dict[str, str]:
    """Return the columns that look like ids or times, with ``"id"`` or ``"time"`` for each."""
    _, steps = sequence_and_step_indices(sequences)
    is_change = steps[1:] > 0  # False where the next row begins another sequence
    first_rows = sequences.offsets[:-1][sequences.lengths > 1]  # of sequences of several steps
    key_columns = {}
    for column, values in zip(sequences.schema.columns, sequences.values.T, strict=True):
        changes = np.diff(values.astype(np.float64))[is_change]
        changes = changes[~np.isnan(changes)]
        # ids are constant within each sequence and differ between sequences
        if len(changes) and not changes.any() and len(first_rows) >= _MIN_SEQUENCES_WITH_IDS:
            if len(np.unique(values[first_rows])) >= _MIN_DISTINCT_ID_SHARE * len(first_rows):
                key_columns[column.name] = "id"
        # a single column is data, and no column of times
        elif len(changes) < _MIN_CHANGES_FOR_TIME_COLUMN or sequences.schema.num_columns == 1:
            continue
        # times ascend within each sequence
        elif column.column_type.is_number and (changes > 0).all():
            key_columns[column.name] = "time"
    return key_columns


def _describe_padding(sequences: Sequences) -> list[str]:
    """Return one warning if sequences of equal length end or begin with steps of zeros, or none."""
    # padded sequences all have the same length
    num_steps = int(sequences.lengths.max(initial=0))
    if num_steps < 2 or (sequences.lengths != num_steps).any():
        return []
    block = next(sequences.blocks())  # the first block is enough, and fast for large files
    padded_step = np.zeros(sequences.schema.num_columns)
    # In a categorical column, a padded step holds the index of the category 0. Without such a
    # category, no step is padded: NaN equals nothing.
    for i in sequences.schema.categorical_indices:
        categories: tuple = sequences.schema.columns[i].categories
        padded_step[i] = categories.index(0) if 0 in categories else np.nan
    # (num_sequences, num_steps)
    is_padded = (block.values == padded_step).all(axis=1).reshape(len(block), -1)
    for side in ("post", "pre"):
        lengths = lengths_without_padding(is_padded, side)
        lengths = lengths[lengths > 0]  # sequences of zeros alone do not count
        num_padded = (lengths < num_steps).sum()
        num_stray_steps = find_inner_padding(is_padded, side).sum()
        # padding is frequent, differs in length, and hardly occurs between real steps
        if (
            num_padded >= max(_MIN_PADDED_SEQUENCES_FOR_WARNING, _MIN_PADDED_SHARE * len(lengths))
            and lengths.min() < lengths.max()
            and num_stray_steps <= _MAX_STRAY_PADDING_SHARE * lengths.sum()
        ):
            break
    else:
        return []
    verb, side_argument = ("end", "") if side == "post" else ("begin", ", padding_side='pre'")
    count = int(is_padded[:, -1 if side == "post" else 0].sum())
    checked = f"{'the first ' * (len(block) < len(sequences))}{len(block)}"
    return [
        f"{count} of {checked} sequences {verb} with steps of zeros, as padded ones do. If this "
        f"is padding, remove it with Sequences.from_array(x, padding_value=0{side_argument})."
    ]


class _FarValue(NamedTuple):
    """A value far from all regular values of its column."""

    column_index: int
    value: float
    count: int  # how often it occurs
    min_regular: float  # minimum of the values that are no suspects
    max_regular: float


def _describe_far_values(sequences: Sequences) -> list[str]:
    """Return one warning for each marker or outlier, which names all columns that hold it."""
    extremes = {int(i): _ColumnExtremes() for i in np.flatnonzero(sequences.schema.numeric)}
    for block in sequences.blocks():
        for column_index, column_extremes in extremes.items():
            column_extremes.add(block.values[:, column_index])
    suspects_by_value: dict[float, list[_FarValue]] = {}
    for column_index, column_extremes in extremes.items():
        for suspect in _find_far_values(column_extremes, column_index):
            suspects_by_value.setdefault(suspect.value, []).append(suspect)
    numbers = ",".join(_format_number(value) for value in sorted(suspects_by_value))
    fix = python_or_cli(f"missing_values=[{numbers.replace(',', ', ')}]", f"--missing {numbers}")
    messages = []
    for value, suspects in suspects_by_value.items():
        names = [sequences.schema.names[suspect.column_index] for suspect in suspects]
        first, count = suspects[0], sum(suspect.count for suspect in suspects)
        step_index = 0  # of the first occurrence in the first column, among all steps
        for block in sequences.blocks():
            is_suspect = block.values[:, first.column_index] == value
            if is_suspect.any():
                step_index += int(np.argmax(is_suspect))
                break
            step_index += len(is_suspect)
        location = StepLocator(sequences.offsets, sequences.ids)(step_index, names[0])
        how_often = "once" if count == 1 else f"{count} times, first"
        messages.append(
            f"{_format_number(value)} occurs in {join_names(names)} {how_often} at {location}, "
            f"far from all other values ({first.min_regular:.6g} to {first.max_regular:.6g}). It "
            f"dominates training. Correct it, or if it stands for missing values, pass {fix}."
        )
    return messages


class _ColumnExtremes:
    """The extreme values of a column that is added in blocks, and how often each occurs."""

    def __init__(self) -> None:
        self.num_values = 0
        # The distinct values in ascending order, and how often each occurs. If there are more than
        # twice _EXTREMES_PER_END, only that number at each end is stored.
        self.values, self.counts = np.zeros(0), np.zeros(0, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps,)."""
        values = values[~np.isnan(values)]
        self.num_values += len(values)
        if len(self.values) == 2 * _EXTREMES_PER_END:
            # the values between the two ends are no extremes, and need not be sorted
            low, high = self.values[_EXTREMES_PER_END - 1 : _EXTREMES_PER_END + 1]
            values = values[(values <= low) | (values >= high)]
        distinct, counts = np.unique(values, return_counts=True)
        merged, index = np.unique(np.append(self.values, distinct), return_inverse=True)
        counts = np.bincount(index, np.append(self.counts, counts)).astype(np.int64)
        # what is between the two ends; nothing if there are few values
        middle = slice(_EXTREMES_PER_END, max(_EXTREMES_PER_END, len(merged) - _EXTREMES_PER_END))
        self.values, self.counts = np.delete(merged, middle), np.delete(counts, middle)


def _find_far_values(column_extremes: _ColumnExtremes, column_index: int) -> list[_FarValue]:
    """Return the values of a column that are far from all its others, as many as possible."""
    values, counts = column_extremes.values, column_extremes.counts
    # Try 3 suspects at each end, then fewer, until all suspects are far from the regular values.
    # The regular values are those between the suspects at the two ends.
    counts_per_end = range(_MAX_SUSPECTS_PER_END + 1)
    for num_low, num_high in sorted(product(counts_per_end, repeat=2), key=sum, reverse=True):
        regular = slice(num_low, len(values) - num_high)
        num_distinct = len(values[regular])
        if not num_distinct:
            continue
        low, high = values[regular][[0, -1]].tolist()
        # the suspects are what remains without the regular values
        ends = zip(np.delete(values, regular), np.delete(counts, regular), strict=True)
        suspects = [_FarValue(column_index, float(x), int(count), low, high) for x, count in ends]
        num_values = column_extremes.num_values
        num_regular = num_values - sum(suspect.count for suspect in suspects)
        if all(_is_far(suspect, num_regular, num_distinct, num_values) for suspect in suspects):
            return suspects
    return []


def _is_far(suspect: _FarValue, num_regular: int, num_distinct: int, num_values: int) -> bool:
    """Return whether a suspect is far enough from the regular values of its column."""
    low, high, magnitude = suspect.min_regular, suspect.max_regular, abs(suspect.value)
    gap = max(low - suspect.value, suspect.value - high)
    # In a constant column the range is 0. A multiple of the constant takes the place of the range,
    # or a multiple of 1 if the constant is smaller.
    value_range = (high - low) or _MIN_MARKER_GAP * max(1.0, abs(low))
    has_digit_run = _MARKER_DIGITS_PATTERN.fullmatch(_format_number(suspect.value))
    if magnitude in _INTEGER_LIMIT_MARKERS or magnitude >= _MIN_HUGE_MARKER or has_digit_run:
        return num_regular >= _MIN_REGULAR_VALUES_FOR_MARKER and gap > _MIN_MARKER_GAP * value_range
    if num_regular < _MIN_REGULAR_VALUES_FOR_OUTLIER or num_distinct < _MIN_DISTINCT_BESIDE_OUTLIER:
        return False
    is_rare = suspect.count <= max(1, _MAX_SHARE_OF_REPEATED_OUTLIER * num_values)
    return is_rare and gap > _MIN_OUTLIER_GAP * value_range


def _format_number(value: float) -> str:
    """Return a number as text: as an integer, or with the digits of float32 if these suffice."""
    if abs(value) < _MIN_MAGNITUDE_WITH_EXPONENT and float(value).is_integer():
        return str(int(value))
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single) if float(single) == value else repr(float(value))
