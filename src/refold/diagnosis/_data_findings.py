"""Findings about data: lengths, copies, levels and columns that often make a fit poor."""

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refold.errors import DataError, Message, argument, spelled
from refold.model import SequencesLike
from refold.sequences import (
    Column,
    Sequences,
    as_sequences,
    data_warnings,
    fingerprints,
    key_columns,
    positions,
    sequence_moments,
)
from refold.sequences.types import NUMERIC

# All findings, from what spoils a fit to what is only worth a look.
ORDER = (
    "cannot-fit",
    "diverged",
    "suspicious-values",
    "unsorted-time",
    "repeated-end",
    "output-is-mean",
    "stuck-loss",
    "heavy-tails",
    "different-levels",
    "few-sequences",
    "overfitting",
    "duplicates",
    "overlapping-windows",
    "id-like",
    "time-like",
    "per-sequence",
    "many-categories",
    "constant-column",
    "wrong-lengths",
    "no-better-than-pca",
    "too-short",
)


# Cap on values that are looked at, and seed of the sample.
MOST_VALUES, _SEED = 2_000_000, 0
# Sequences for each latent dimension that are few.
_FEW_PER_DIMENSION = 4
# Length that suits windows.
_WINDOW = 100
# Share of copies and of repeated ends worth a word.
_COPIES, _REPEATED = 0.01, 0.2
# Ids of `refold.sequences.windows`, and how many of them are looked at.
_WINDOW_ID, _MOST_IDS = re.compile(r"(.*)\[(\d+):(\d+)\]"), 20_000
# Number of equal steps at the end that is no accident.
_RUN = 3
# Ratio of standard deviations of sequences that differ wildly, and of levels to swings.
_SCALES, _LEVELS = 100.0, 10.0
# Share of a column's variance, and share of its values that hold it, for heavy tails.
_TAIL_VARIANCE, _TAIL_VALUES, _FEWEST_VALUES = 0.5, 0.01, 200
# Number of categories that are many, and average number of occurrences that are few.
_MANY_CATEGORIES, _FEW_OCCURRENCES = 1000, 5.0
# Numbers of changes and of sequences from which a pattern is no accident.
_FEWEST_CHANGES, _FEWEST_SEQUENCES = 20, 10
# Number of columns that a message names.
_LISTED = 5
_TIME_NAMES = {"time", "timestamp", "date", "datetime", "ts", "at", "when", "seconds", "step"}


@dataclass(frozen=True)
class Finding:
    """One likely cause of a poor fit.

    Attributes
    ----------
    name : str
        Name of the check, such as ``"heavy-tails"``. Names stay the same between versions.
    message : str
        One line: what was found, and what to set.

    Examples
    --------
    >>> Finding("constant-column", "Column 'x0' is constant.").name
    'constant-column'
    """

    name: str
    message: str

    def __post_init__(self) -> None:
        # the message may mark arguments, which the command line spells as options
        object.__setattr__(self, "message", Message(self.message))

    def __repr__(self) -> str:
        return f"Finding({self.name}: {textwrap.shorten(self.message, 150, placeholder=' ...')})"


def data_findings(
    X: SequencesLike, *, latent_dim: int = 16, scale: str | None = "features"
) -> tuple[Finding, ...]:
    """Check data for what often makes a fit poor.

    Parameters
    ----------
    X : Sequences, list of arrays, array or table
        Data to check. Of much data, a random sample is checked.
    latent_dim, scale : int, {"features", "sequence"} or None
        Arguments of the planned fit.

    Returns
    -------
    tuple of Finding
        The most important ones first; empty if nothing looks wrong.

    Examples
    --------
    >>> waves = [[0.1 * i + 0.01 * j * j for j in range(12)] for i in range(70)]
    >>> data_findings(waves)
    ()
    >>> [one.name for one in data_findings(waves + waves[:7])]
    ['duplicates']
    """
    source = X if isinstance(X, Sequences) else as_sequences(X)
    if not len(source) or not source.lengths.any():
        raise DataError("There is nothing to check: all sequences are empty. Give some with steps.")
    warned = data_warnings(source)
    sample = sampled(source)
    findings = [Finding("suspicious-values", message) for message in warned]
    findings += _few_sequences(source, latent_dim)
    findings += _repeated_end(sample, " ".join(warned))
    findings += _copies(sample)
    findings += _overlap(source.ids[:_MOST_IDS])
    if scale == "features":
        findings += _different_levels(sample)
    findings += _column_findings(sample, " ".join(warned))
    return by_importance(findings)


def sampled(source: Sequences, most: int = MOST_VALUES) -> Sequences:
    """Return all sequences, or a random sample of about as many values as given."""
    values = int(source.lengths.sum()) * source.schema.num_columns
    rows = np.arange(len(source))
    if values > most:
        count = max(1, int(len(source) * most / values))
        rows = np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))
    return source[rows]


def _few_sequences(source: Sequences, latent_dim: int) -> Iterator[Finding]:
    if len(source) >= _FEW_PER_DIMENSION * latent_dim:
        return
    long = np.median(source.lengths) > 2 * _WINDOW
    fewer = argument(latent_dim=max(1, len(source) // (2 * _FEW_PER_DIMENSION)))
    windows = argument(window=_WINDOW)
    noun = "windows" if _WINDOW_ID.fullmatch(str(source.ids[0])) else "sequences"
    advice = f"Cut them into windows, {windows}, or use" if long else "Collect more, or use"
    yield Finding(
        "few-sequences",
        f"{len(source)} {noun} are few for {latent_dim} latent dimensions. {advice} fewer "
        f"dimensions, such as {fewer}.",
    )


def _repeated_end(sample: Sequences, warned: str) -> Iterator[Finding]:
    """Find equal lengths with ends that repeat one step, which padding and filling leave."""
    lengths = sample.lengths
    if lengths.min() != lengths.max() or lengths[0] <= _RUN or "padded" in warned:
        return
    values = sample.values.reshape(len(sample), int(lengths[0]), -1)
    same = ((values == values[:, -1:]) | (np.isnan(values) & np.isnan(values[:, -1:]))).all(axis=2)
    runs = np.argmin(same[:, ::-1], axis=1)  # 0 if all steps are the same
    padded = runs >= _RUN
    if padded.mean() < _REPEATED or len(np.unique(runs[padded])) < 2:
        return
    yield Finding(
        "repeated-end",
        f"All sequences have {lengths[0]} steps, and {padded.sum()} of {len(sample)} end with "
        f"{_RUN} or more equal steps, as padded ones do. If this is padding, give the true "
        "lengths: Sequences.from_array(x, lengths=...), or the padding_value=.",
    )


def _copies(sample: Sequences) -> Iterator[Finding]:
    real = sample[np.flatnonzero(sample.lengths > 0)]
    copies = len(real) - len(np.unique(fingerprints(real)))
    if copies > _COPIES * len(real):
        # tokens may be equal by chance
        is_error = sample.schema.numeric.any()
        advice = "Remove them." if is_error else "If the same record is there twice, remove it."
        yield Finding(
            "duplicates",
            f"{copies} of {len(real)} sequences are exact copies of others. Copies end up in the "
            f"training and in the validation split, so held-out errors look too good. {advice}",
        )


def _overlap(ids: np.ndarray) -> Iterator[Finding]:
    """Find windows that share steps with the one before, which the last of a series always may."""
    if ids.dtype.kind not in "OUT":
        return
    parts = [_WINDOW_ID.fullmatch(name) for name in ids.tolist()]
    spans = [(part[1], int(part[2]), int(part[3])) for part in parts if part]
    shared = sum(
        name == other and first < end
        for (name, _, end), (other, first, _) in itertools.pairwise(spans)
    )
    if shared > 0.5 * len(ids):
        windows = argument(window=spans[0][2] - spans[0][1])
        yield Finding(
            "overlapping-windows",
            f"{shared} of {len(ids)} windows share steps with the one before, and so do training "
            "and validation: held-out errors look too good. For honest errors, give the series to "
            f"the fit, with {windows}: it holds out windows that share no step with the others.",
        )


def _different_levels(sample: Sequences) -> Iterator[Finding]:
    """Find a column whose level or spread differs more between sequences than within them."""
    long = sample[np.flatnonzero(sample.lengths > _RUN)]
    if not len(long):
        return
    for column, values in zip(sample.schema.columns, long.values.T, strict=True):
        mean, std = sequence_moments(values[:, None], long)
        stds, means = std[std > 0], mean[~np.isnan(mean)]
        if not column.column_type.is_number or len(stds) < _FEWEST_SEQUENCES:
            continue
        low, high = np.quantile(stds, [0.1, 0.9])
        if high > _SCALES * low or np.std(means) > _LEVELS * np.median(stds):
            yield Finding(
                "different-levels",
                f"In column {column.name!r}, sequences differ much more in level or spread than "
                "values within one, so their shapes are hardly in the loss. Use "
                f"{argument(scale='sequence')}.",
            )
            return


class _ColumnFacts(NamedTuple):
    """What one pass over the sample finds out about a column."""

    name: str
    column: Column
    seen: np.ndarray  # observed values
    changes: np.ndarray  # differences of neighboring steps that both have a value
    is_static: bool  # no value differs from its neighbor


def _column_findings(sample: Sequences, suspicious: str) -> Iterator[Finding]:
    """Yield the findings about the columns of some sequences."""
    facts, keys = _facts_of(sample), key_columns(sample)
    names = [f.name for f in facts if len(f.seen) and f.seen.min() == f.seen.max()]
    if names:
        shown = ", ".join(map(repr, names[:_LISTED])) + " and others" * (len(names) > _LISTED)
        yield Finding(
            "constant-column",
            f"There is nothing to learn from constant columns: {shown}. Leave them out with "
            f"{argument('columns=')}.",
        )
    for column in facts:
        if not len(column.seen) or column.name in names:
            continue
        key, column_type = keys.get(column.name), column.column.column_type
        if column.is_static:
            yield _per_sequence(column.name, is_id=key == "id")
        elif column_type.has_categories:
            yield from _many_categories(column)
        elif column_type.is_number:
            if len(facts) > 1:
                yield from _time_like(column, is_time=key == "time")
            # `suspicious` has the warnings about values; one is enough for a column
            if repr(column.name) not in suspicious:
                yield from _heavy_tails(column)


def _facts_of(sample: Sequences) -> list[_ColumnFacts]:
    _, step = positions(sample)
    later = step[1:] > 0  # False where the next row begins another sequence
    several = (sample.lengths > 1).sum() >= _FEWEST_SEQUENCES
    facts = []
    for column, values in zip(sample.schema.columns, sample.values.T, strict=True):
        seen = values[~np.isnan(values)].astype(np.float64)
        changes = np.diff(values.astype(np.float64))[later]
        changes = changes[~np.isnan(changes)]
        static = several and len(changes) > 0 and not changes.any()
        facts.append(_ColumnFacts(column.name, column, seen, changes, bool(static)))
    return facts


def _per_sequence(name: str, *, is_id: bool) -> Finding:
    if is_id:
        return Finding(
            "id-like",
            f"Column {name!r} is constant within each sequence and differs between sequences, as "
            f"ids do. Name it with {argument('id=')}, or leave it out with {argument('columns=')}.",
        )
    return Finding(
        "per-sequence",
        f"Column {name!r} is constant within each sequence, as labels are. The code will hold it. "
        f"If you want to predict it later, leave it out with {argument('columns=')}.",
    )


def _many_categories(column: _ColumnFacts) -> Iterator[Finding]:
    name, count = column.name, len(column.column.categories)
    often = len(column.seen) / len(np.unique(column.seen))
    if count >= _FEWEST_CHANGES and often < 2:
        yield Finding(
            "id-like",
            f"Column {name!r} has {count} categories, and most occur once, as ids do. Leave it out "
            f"with {argument('columns=')}"
            f", or pass {argument(column_types={name: NUMERIC.name})} if it holds numbers.",
        )
    elif count >= _MANY_CATEGORIES or (count > 50 and often < _FEW_OCCURRENCES):
        yield Finding(
            "many-categories",
            f"Column {name!r} has {count} categories, which occur {often:.1f} times on average. "
            "Rare ones are not learned, and each costs memory and time. Keep the most frequent "
            "ones, and replace the others by one category, such as 'other'.",
        )


def _time_like(column: _ColumnFacts, *, is_time: bool) -> Iterator[Finding]:
    changes, name = column.changes, column.name
    if len(changes) < _FEWEST_CHANGES:
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


def _heavy_tails(column: _ColumnFacts) -> Iterator[Finding]:
    seen = column.seen
    if len(seen) < _FEWEST_VALUES:
        return
    squared = np.sort(np.square(seen - seen.mean()))
    share = squared[-max(1, int(_TAIL_VALUES * len(squared))) :].sum() / squared.sum()
    if share < _TAIL_VARIANCE:
        return
    fix = "np.log1p(x)" if seen.min() >= 0 else "np.arcsinh(x)"
    yield Finding(
        "heavy-tails",
        f"{_TAIL_VALUES:.0%} of the values of column {column.name!r} hold {share:.0%} of its "
        "variance, so the loss is mostly about them. Correct them if they are errors, or "
        f"transform the column, for example with {fix}.",
    )


def by_importance(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, the most important ones first."""
    return tuple(sorted(findings, key=lambda finding: ORDER.index(finding.name)))
