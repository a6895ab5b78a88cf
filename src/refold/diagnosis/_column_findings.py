"""Findings about columns: what their values look like, one column at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from refold.diagnosis._finding import Finding, shown_names
from refold.errors import argument, spelled
from refold.sequences import Column, Sequences, key_columns, positions
from refold.sequences.types import CATEGORICAL, NUMERIC

# Share of a column's variance, and share of its values that hold it, for heavy tails.
_TAIL_VARIANCE, _TAIL_VALUES, _FEWEST_VALUES = 0.5, 0.01, 200
# Share of missing values worth a word, and share that is most of a column.
_MISSING, _MOSTLY_MISSING = 0.3, 0.8
# Number of categories that are many, and average number of occurrences that are few.
_MANY_CATEGORIES, _FEW_OCCURRENCES = 1000, 5.0
# Number of distinct integers that may be codes of categories.
_FEW_INTEGERS = 12
# Numbers of changes and of sequences from which a pattern is no accident.
_FEWEST_CHANGES, _FEWEST_SEQUENCES = 20, 10
_TIME_NAMES = {"time", "timestamp", "date", "datetime", "ts", "at", "when", "seconds", "step"}


class _ColumnFacts(NamedTuple):
    """What one pass over the sample finds out about a column."""

    column: Column
    seen: np.ndarray  # observed values
    missing: float  # share of missing values
    changes: np.ndarray  # differences of neighboring steps, NaN if one is missing
    firsts: np.ndarray  # first value of each sequence with at least two steps
    is_static: bool  # no value differs from its neighbor


def column_findings(sample: Sequences, suspicious: str = "") -> Iterator[Finding]:
    """Yield the findings about the columns of some sequences."""
    facts, keys = _facts_of(sample), key_columns(sample)
    yield from _constant(facts)
    yield from _missing(facts)
    varying = [one for one in facts if len(one.seen) and one.seen.min() < one.seen.max()]
    for one in varying:
        key = keys.get(one.column.name)
        if one.is_static:
            yield from _per_sequence(one, is_id=key == "id")
        elif one.column.column_type.has_categories:
            yield from _many_categories(one)
        elif one.column.column_type.is_number:
            yield from _time_like(one, is_time=key == "time", alone=len(facts) == 1)
            if one.column.column_type is NUMERIC:
                yield from _integer_codes(one)
            # `suspicious` has the warnings about values; one is enough for a column
            if repr(one.column.name) not in suspicious:
                yield from _heavy_tails(one)


def _facts_of(sample: Sequences) -> list[_ColumnFacts]:
    _, step = positions(sample)
    later = step[1:] > 0  # False where the next row begins another sequence
    begins = sample.offsets[:-1][sample.lengths > 1]
    facts = []
    for column, values in zip(sample.schema.columns, sample.values.T, strict=True):
        seen = values[~np.isnan(values)].astype(np.float64)
        changes = np.diff(values.astype(np.float64))[later]
        known = changes[~np.isnan(changes)]
        firsts = values[begins]
        static = len(firsts) >= _FEWEST_SEQUENCES and len(known) > 0 and not known.any()
        missing = 1 - len(seen) / max(1, len(values))
        facts.append(_ColumnFacts(column, seen, missing, changes, firsts, bool(static)))
    return facts


def _constant(facts: list[_ColumnFacts]) -> Iterator[Finding]:
    names = [f.column.name for f in facts if len(f.seen) and f.seen.min() == f.seen.max()]
    if names:
        rest = spelled("the other columns", f"the other columns with {argument('columns=')}")
        yield Finding(
            "constant-column",
            f"{shown_names(names)} constant, so there is nothing to learn. Use {rest} only.",
        )


def _missing(facts: list[_ColumnFacts]) -> Iterator[Finding]:
    mostly = [f.column.name for f in facts if f.missing >= _MOSTLY_MISSING]
    if mostly:
        yield Finding(
            "missing-values",
            f"{shown_names(mostly)} missing in more than {_MOSTLY_MISSING:.0%} of the steps. "
            f"Choose other columns with {argument('columns=')}, or keep only the steps that have "
            "values.",
        )
        return
    share = float(np.mean([f.missing for f in facts]))
    if share >= _MISSING:
        yield Finding(
            "missing-values",
            f"{share:.0%} of the values are missing. To make codes depend less on which values "
            f"are missing, train with time-step dropout: {argument(denoise='steps:0.2')}.",
        )


def _per_sequence(one: _ColumnFacts, *, is_id: bool) -> Iterator[Finding]:
    name = one.column.name
    if is_id:
        yield Finding(
            "id-like",
            f"Column {name!r} is constant within each sequence and differs between sequences, as "
            f"ids do. Name it with {argument('id=')}, or leave it out with {argument('columns=')}.",
        )
        return
    yield Finding(
        "per-sequence",
        f"Column {name!r} is constant within each sequence, as labels are. The code will hold it. "
        f"If you want to predict it later, leave it out with {argument('columns=')}.",
    )


def _many_categories(one: _ColumnFacts) -> Iterator[Finding]:
    name, count = one.column.name, len(one.column.categories)
    often = len(one.seen) / len(np.unique(one.seen))
    if count >= _FEWEST_CHANGES and often < 2:
        yield Finding(
            "id-like",
            f"Column {name!r} has {count} categories, and most occur once, as ids do. Leave it out "
            f"with {argument('columns=')}"
            + (f", or pass {argument(column_types={name: NUMERIC.name})} if it holds numbers."),
        )
    elif count >= _MANY_CATEGORIES or (count > 50 and often < _FEW_OCCURRENCES):
        yield Finding(
            "many-categories",
            f"Column {name!r} has {count} categories, which occur {often:.1f} times on average. "
            "Rare ones are not learned, and each costs memory and time. Keep the most frequent "
            "ones, and replace the others by one category, such as 'other'.",
        )


def _time_like(one: _ColumnFacts, *, is_time: bool, alone: bool) -> Iterator[Finding]:
    changes, name = one.changes[~np.isnan(one.changes)], one.column.name
    if len(changes) < _FEWEST_CHANGES or alone:
        return
    ascending = float((changes > 0).mean())
    if name.lower() in _TIME_NAMES and 0.5 < ascending < 1:
        yield Finding(
            "unsorted-time",
            f"Column {name!r} looks like times, but goes back or repeats at "
            f"{(changes <= 0).sum()} steps, so the steps are not in order. Sort them with "
            + spelled(f"time={name!r} and sort=True of `read`.", f"--time {name} --sort."),
        )
    elif is_time:
        yield Finding(
            "time-like",
            f"Column {name!r} ascends in every sequence, as times and row numbers do, so the code "
            f"spends dimensions on it. Name it with {argument('time=')}, leave it out with "
            f"{argument('columns=')}, or use the differences.",
        )


def _integer_codes(one: _ColumnFacts) -> Iterator[Finding]:
    distinct = np.unique(one.seen[:100_000])
    few = 2 < len(distinct) <= _FEW_INTEGERS and len(one.seen) > _FEWEST_VALUES
    if few and distinct.min() >= 0 and (distinct == np.round(distinct)).all():
        types = argument(column_types={one.column.name: CATEGORICAL.name})
        yield Finding(
            "integer-codes",
            f"Column {one.column.name!r} is numeric and holds only {len(distinct)} different whole "
            f"numbers. If they are codes of categories and not counts, pass {types}.",
        )


def _heavy_tails(one: _ColumnFacts) -> Iterator[Finding]:
    if len(one.seen) < _FEWEST_VALUES:
        return
    squared = np.sort(np.square(one.seen - one.seen.mean()))
    share = squared[-max(1, int(_TAIL_VALUES * len(squared))) :].sum() / squared.sum()
    if share < _TAIL_VARIANCE:
        return
    fix = "np.log1p(x)" if one.seen.min() >= 0 else "np.arcsinh(x)"
    yield Finding(
        "heavy-tails",
        f"{_TAIL_VALUES:.0%} of the values of column {one.column.name!r} hold {share:.0%} of its "
        "variance, so the loss is mostly about them. Correct them if they are errors, or "
        f"transform the column, for example with {fix}.",
    )
