"""Warnings about suspicious training data."""

from typing import NamedTuple

import numpy as np

from refold.errors import Message, argument, spelled
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrays import looks_padded
from refold.sequences.preprocessing._padding import positions
from refold.sequences.schema._parts import sequence_name
from refold.sequences.schema._schema import Column
from refold.sequences.statistics._extreme_values import Suspect, shown

# Number of columns named in a warning.
_LISTED = 5
# Numbers of sequences and of changes from which a pattern is no accident.
_FEWEST_SEQUENCES = 10
_FEWEST_CHANGES = 20


def data_warnings(source: Sequences) -> list[str]:
    """Return warnings about data that should be checked before training.

    Parameters
    ----------
    source : Sequences
        Data to check.

    Returns
    -------
    list of str
        One line for each of these findings: all sequences have one step; steps of zeros look like
        padding; a numeric column has numbers such as -99999 that probably mark missing values, or
        other extreme outliers.

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
        if len(changes) and not changes.any() and len(begins) >= _FEWEST_SEQUENCES:
            if len(np.unique(values[begins])) >= 0.9 * len(begins):
                keys[column.name] = "id"
        elif len(changes) < _FEWEST_CHANGES or sequences.schema.num_columns == 1:
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
    zeros = np.array([_zero(column) for column in source.schema.columns])
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


def _zero(column: Column) -> float:
    """Return the encoding of the number 0 in a column; NaN if it has no such category."""
    if not column.column_type.has_categories:
        return 0.0
    return float(column.categories.index(0)) if 0 in column.categories else np.nan


class _ColumnSuspect(NamedTuple):
    index: int  # of the column
    suspect: Suspect


def _outliers(source: Sequences) -> list[str]:
    """Return one line per suspicious number, with all columns that hold it."""
    by_value: dict[float, list[_ColumnSuspect]] = {}
    for one in _suspects(source):
        by_value.setdefault(one.suspect.value, []).append(one)
    values = [shown(value) for value in sorted(by_value)]
    fix = spelled(f"missing_values=[{', '.join(values)}]", f"--missing {','.join(values)}")
    return [_outlier_message(source, same, fix) for same in by_value.values()]


def _suspects(source: Sequences) -> list[_ColumnSuspect]:
    numeric, summary = np.flatnonzero(source.schema.numeric), source.summary
    return [
        _ColumnSuspect(int(index), suspect)
        for index, one, mean, std in zip(
            numeric, source.extremes, summary.mean, summary.scale, strict=True
        )
        for suspect in one.suspects(mean, std)
    ]


def _outlier_message(source: Sequences, same: list[_ColumnSuspect], fix: str) -> str:
    suspect, count = same[0].suspect, sum(one.suspect.count for one in same)
    names = [repr(source.schema.names[one.index]) for one in same]
    several = len(names) > 1
    place = _first_location(source, same[0].index, suspect.value)
    place = f"{place}, column {names[0]}" if several else place
    columns = f"columns {', '.join(names[:_LISTED])}" if several else f"column {names[0]}"
    columns += f" and {len(names) - _LISTED} others" if len(names) > _LISTED else ""
    times = "once" if count == 1 else f"{count} times"
    others = "" if several else f" ({suspect.least:.6g} to {suspect.greatest:.6g})"
    return (
        f"{shown(suspect.value)} occurs {times} in {columns} ({'first in ' * (count > 1)}{place}), "
        f"far from all other values{others}. "
        + (
            f"If it stands for missing values, pass {fix}."
            if suspect.is_marker
            else f"Such a value dominates training. Correct it, or treat it as missing with {fix}."
        )
    )


def _first_location(source: Sequences, column: int, value: float) -> str:
    """Describe the first step with a value."""
    passed = 0
    for block in source.blocks():
        rows = np.flatnonzero(block.values[:, column] == value)
        if len(rows):
            index = int(np.searchsorted(block.offsets, rows[0], side="right")) - 1
            name = sequence_name(passed + index, block.ids[index])
            return f"{name}, step {rows[0] - block.offsets[index]}"
        passed += len(block)
    raise AssertionError
