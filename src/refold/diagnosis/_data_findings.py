"""`data_findings` checks data for what often makes a fit poor.

Each private function below checks for some problems, and yields a `Finding` for each that it sees.
"""

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from refold.errors import DataError, Message, argument, python_or_cli
from refold.model import SequencesLike
from refold.sequences import (
    Column,
    Sequences,
    as_sequences,
    data_warnings,
    find_id_or_time_features,
    fingerprints,
    sequence_and_step_indices,
    sequence_mean_std,
)
from refold.sequences.types import NUMERIC

# Names of all findings, the most important ones first.
NAMES_BY_IMPORTANCE = (
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


# The thresholds below are rules of thumb. With others, checks miss problems or raise false alarms.

# Checks read a sample of at most this many values, which bounds their time.
MAX_CHECKED_VALUES = 2_000_000
# Seed of the sample, so that the findings of the same data are the same.
_SAMPLE_SEED = 0
# A fit has too few sequences if there are fewer than this for each latent dimension.
_MIN_SEQUENCES_PER_DIMENSION = 4
# Window in steps that a message suggests for long sequences.
_SUGGESTED_WINDOW = 100
# Duplicates are reported if more than this share of the sequences are copies of others.
_MAX_DUPLICATE_SHARE = 0.01
# Repeated ends are reported if at least this share of the sequences has one.
_MIN_REPEATED_END_SHARE = 0.2
# Ids that `refold.sequences.windows` gives, such as "a[0:100]".
_WINDOW_ID_PATTERN = re.compile(r"(.*)\[(\d+):(\d+)\]")
# The search for windows that overlap reads this many ids, so it takes little time.
_MAX_CHECKED_WINDOW_IDS = 20_000
# At least this many equal steps at the end of a sequence are unlikely to be chance.
_MIN_REPEATED_END_STEPS = 3
# Sequences differ in spread if the 0.9 quantile of the standard deviations of the sequences is more
# than this many times the 0.1 quantile.
_MAX_STD_RATIO = 100.0
# Sequences differ in level if the standard deviation of their means is more than this many times
# the median of the standard deviations within the sequences.
_MAX_LEVEL_TO_SPREAD_RATIO = 10.0
# A column has heavy tails if its tail values cause at least this share of its variance.
_TAIL_VARIANCE_SHARE = 0.5
# This share of the values of a column, those farthest from the mean, are its tail values.
_TAIL_VALUE_SHARE = 0.01
# Columns with fewer values are not checked for heavy tails, because only one value is a tail value.
_MIN_VALUES_TO_CHECK_TAILS = 200
# A column with this many categories or more is reported.
_MIN_REPORTED_CATEGORIES = 1000
# A column with more categories than this is reported if its categories are rare.
_MAX_CATEGORIES_IF_RARE = 50
# Categories are rare if they occur less often than this on average.
_MIN_MEAN_OCCURRENCES = 5.0
# If most categories occur once, they look like ids. With fewer categories than this, it may be
# chance.
_MIN_CATEGORIES_LIKE_IDS = 20
# With fewer changes between neighboring steps than this, a column may ascend by chance, so it is
# not checked for times.
_MIN_CHANGES_OF_TIMES = 20
# With fewer sequences than this, it may be chance that all of them differ in level, or that a
# column is constant in each of them.
_MIN_SEQUENCES_FOR_PATTERN = 10
# A message names at most this many columns.
_MAX_LISTED_COLUMNS = 5
# Names, in lower case, of columns that hold times.
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
        # a `Message` remembers which words are arguments, and the command line shows them as
        # options
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
        Data to check. If there are many values, a random sample is checked.
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
    >>> [finding.name for finding in data_findings(waves + waves[:7])]
    ['duplicates']
    """
    sequences = X if isinstance(X, Sequences) else as_sequences(X)
    if not len(sequences) or not sequences.lengths.any():
        raise DataError("There is nothing to check: all sequences are empty. Give some with steps.")
    warning_messages = data_warnings(sequences)
    joined_data_warnings = " ".join(warning_messages)
    sample = draw_sample(sequences)
    findings = [Finding("suspicious-values", message) for message in warning_messages]
    findings += _find_too_few_sequences(sequences, latent_dim)
    # a warning about padding already says what a repeated end would say
    findings += () if "padded" in joined_data_warnings else _find_repeated_ends(sample)
    findings += _find_duplicates(sample)
    findings += _find_overlapping_windows(sequences.ids[:_MAX_CHECKED_WINDOW_IDS])
    if scale == "features":
        findings += _find_different_levels(sample)
    findings += _find_column_problems(sample, joined_data_warnings)
    return sort_by_importance(findings)


def draw_sample(sequences: Sequences, max_values: int = MAX_CHECKED_VALUES) -> Sequences:
    """Return all sequences, or a random sample with about ``max_values`` values."""
    num_values = int(sequences.lengths.sum()) * sequences.schema.num_columns
    indices = np.arange(len(sequences))
    if num_values > max_values:
        num_sampled = max(1, int(len(sequences) * max_values / num_values))
        rng = np.random.default_rng(_SAMPLE_SEED)
        indices = np.sort(rng.choice(indices, num_sampled, replace=False))
    return sequences[indices]


def _find_too_few_sequences(sequences: Sequences, latent_dim: int) -> Iterator[Finding]:
    """Find too few sequences for the number of latent dimensions."""
    if len(sequences) >= _MIN_SEQUENCES_PER_DIMENSION * latent_dim:
        return
    advice = "Collect more, or use"
    if np.median(sequences.lengths) > 2 * _SUGGESTED_WINDOW:  # most have at least two windows
        advice = f"Cut them into windows, {argument(window=_SUGGESTED_WINDOW)}, or use"
    # half of the dimensions that would raise no finding
    suggested_dimensions = max(1, len(sequences) // (2 * _MIN_SEQUENCES_PER_DIMENSION))
    noun = "windows" if _WINDOW_ID_PATTERN.fullmatch(str(sequences.ids[0])) else "sequences"
    yield Finding(
        "few-sequences",
        f"{len(sequences)} {noun} are few for {latent_dim} latent dimensions. {advice} fewer "
        f"dimensions, such as {argument(latent_dim=suggested_dimensions)}.",
    )


def _find_repeated_ends(sample: Sequences) -> Iterator[Finding]:
    """Find sequences of equal length whose last steps are equal, as in padded sequences."""
    lengths = sample.lengths
    if lengths.min() != lengths.max() or lengths[0] <= _MIN_REPEATED_END_STEPS:
        return
    values = sample.values.reshape(len(sample), int(lengths[0]), -1)
    # whether a value equals that of the last step of its sequence; two missing values are equal
    is_equal = (values == values[:, -1:]) | (np.isnan(values) & np.isnan(values[:, -1:]))
    is_repeated = is_equal.all(axis=2)  # (n_sequences, n_steps)
    # number of equal steps at the end: the first False from the end; 0 if all steps are equal
    run_lengths = np.argmin(is_repeated[:, ::-1], axis=1)
    ends_flat = run_lengths >= _MIN_REPEATED_END_STEPS
    # if all repeated ends have the same length, they may be a property of the data, not padding
    has_one_length = len(np.unique(run_lengths[ends_flat])) < 2
    if ends_flat.mean() < _MIN_REPEATED_END_SHARE or has_one_length:
        return
    yield Finding(
        "repeated-end",
        f"All sequences have {lengths[0]} steps, and {ends_flat.sum()} of {len(sample)} end with "
        f"{_MIN_REPEATED_END_STEPS} or more equal steps, as padded ones do. If this is padding, "
        "give the true lengths: Sequences.from_array(x, lengths=...), or the padding_value=.",
    )


def _find_duplicates(sample: Sequences) -> Iterator[Finding]:
    """Find sequences that are exact copies of others."""
    nonempty = sample[np.flatnonzero(sample.lengths > 0)]
    num_copies = len(nonempty) - len(np.unique(fingerprints(nonempty)))
    if num_copies > _MAX_DUPLICATE_SHARE * len(nonempty):
        advice = "Remove them."
        if not sample.schema.numeric.any():  # sequences of tokens may be equal by chance
            advice = "If the same record is there twice, remove it."
        yield Finding(
            "duplicates",
            f"{num_copies} of {len(nonempty)} sequences are exact copies of others. Copies end up "
            "in the training and in the validation split, so held-out errors look too good. "
            f"{advice}",
        )


def _find_overlapping_windows(window_ids: np.ndarray) -> Iterator[Finding]:
    """Find windows, by their ids, that share steps with the window before."""
    matches = [_WINDOW_ID_PATTERN.fullmatch(str(name)) for name in window_ids.tolist()]
    # name of the series, first step, and step after the last one, of each window
    windows = [(match[1], int(match[2]), int(match[3])) for match in matches if match]
    num_shared = sum(
        series == next_series and next_first < end
        for (series, _, end), (next_series, next_first, _) in itertools.pairwise(windows)
    )
    # Also without overlap, the last window of a series is moved back until it ends with the series,
    # so it may share steps with the window before. If all series have two windows, half of all
    # windows may share steps. So only a larger share is reported.
    if num_shared > 0.5 * len(window_ids):
        _, first_step, end = windows[0]
        yield Finding(
            "overlapping-windows",
            f"{num_shared} of {len(window_ids)} windows share steps with the one before, and so do "
            "training and validation: held-out errors look too good. For honest errors, give the "
            f"series to the fit, with {argument(window=end - first_step)}: it holds out windows "
            "that share no step with the others.",
        )


def _find_different_levels(sample: Sequences) -> Iterator[Finding]:
    """Find a column whose level or spread differs more between sequences than within them."""
    # a short sequence may have a small standard deviation by chance
    measured = sample[np.flatnonzero(sample.lengths > _MIN_REPEATED_END_STEPS)]
    if not len(measured):
        return
    for column, values in zip(sample.schema.columns, measured.values.T, strict=True):
        mean, std = sequence_mean_std(values[:, None], measured)  # (n_sequences, 1) each
        stds, means = std[std > 0], mean[~np.isnan(mean)]
        if not column.column_type.is_number or len(stds) < _MIN_SEQUENCES_FOR_PATTERN:
            continue
        low_std, high_std = np.quantile(stds, [0.1, 0.9])
        differs_in_spread = high_std > _MAX_STD_RATIO * low_std
        if differs_in_spread or np.std(means) > _MAX_LEVEL_TO_SPREAD_RATIO * np.median(stds):
            yield Finding(
                "different-levels",
                f"In column {column.name!r}, sequences differ much more in level or spread than "
                "values within one, so their shapes are hardly in the loss. Use "
                f"{argument(scale='sequence')}.",
            )
            return  # one column is enough, because the advice is the same


def _find_column_problems(sample: Sequences, joined_data_warnings: str) -> Iterator[Finding]:
    """Find problems of columns, but no heavy tails if a warning names the column already."""
    key_types = find_id_or_time_features(sample)  # by name of a column: "id" or "time"
    _, steps = sequence_and_step_indices(sample)
    # whether a step and the step before it are in the same sequence, (n_steps - 1,)
    is_inside = steps[1:] > 0
    # with few sequences, all of them may have a constant column by chance
    has_enough_sequences = (sample.lengths > 1).sum() >= _MIN_SEQUENCES_FOR_PATTERN
    constant_names = []
    for column, values in zip(sample.schema.columns, sample.values.T, strict=True):
        name, observed_values = column.name, values[~np.isnan(values)].astype(np.float64)
        # differences of neighboring steps of a sequence that both have a value
        changes = np.diff(values.astype(np.float64))[is_inside]
        changes = changes[~np.isnan(changes)]
        is_static = has_enough_sequences and len(changes) > 0 and not changes.any()
        if not len(observed_values):
            continue
        if observed_values.min() == observed_values.max():
            constant_names.append(name)
        elif is_static and key_types.get(name) == "id":
            yield Finding(
                "id-like",
                f"Column {name!r} is constant within each sequence and differs between sequences, "
                f"as ids do. Name it with {argument('id=')}, or leave it out with "
                f"{argument('columns=')}.",
            )
        elif is_static:
            yield Finding(
                "per-sequence",
                f"Column {name!r} is constant within each sequence, as labels are. The code will "
                "hold it. If you want to predict it later, leave it out with "
                f"{argument('columns=')}.",
            )
        elif column.column_type.has_categories:
            yield from _find_rare_categories(column, observed_values)
        elif column.column_type.is_number:
            # a single column is the data, and cannot be left out
            if sample.schema.num_columns > 1:
                is_time = key_types.get(name) == "time"
                yield from _yield_time_findings(name, changes, is_ascending=is_time)
            # a warning that names the column is about its values, and one message is enough
            if repr(name) not in joined_data_warnings:
                yield from _find_heavy_tails(name, observed_values)
    if constant_names:
        listed_names = [repr(name) for name in constant_names[:_MAX_LISTED_COLUMNS]]
        note = " and others" if len(constant_names) > _MAX_LISTED_COLUMNS else ""
        yield Finding(
            "constant-column",
            f"There is nothing to learn from constant columns: {', '.join(listed_names)}{note}. "
            f"Leave them out with {argument('columns=')}.",
        )


def _find_rare_categories(column: Column, observed_values: np.ndarray) -> Iterator[Finding]:
    """Find too many or too rare categories in the observed values (n,) of a column."""
    name, num_categories = column.name, len(column.categories)
    mean_occurrences = len(observed_values) / len(np.unique(observed_values))
    # if the mean is below 2, some categories occur once, usually most of them
    if num_categories >= _MIN_CATEGORIES_LIKE_IDS and mean_occurrences < 2:
        yield Finding(
            "id-like",
            f"Column {name!r} has {num_categories} categories, and most occur once, as ids do. "
            f"Leave it out with {argument('columns=')}, or pass "
            f"{argument(column_types={name: NUMERIC.name})} if it holds numbers.",
        )
    elif num_categories >= _MIN_REPORTED_CATEGORIES or (
        num_categories > _MAX_CATEGORIES_IF_RARE and mean_occurrences < _MIN_MEAN_OCCURRENCES
    ):
        yield Finding(
            "many-categories",
            f"Column {name!r} has {num_categories} categories, which occur {mean_occurrences:.1f} "
            "times on average. Rare ones are not learned, and each costs memory and time. Keep the "
            "most frequent ones, and replace the others by one category, such as 'other'.",
        )


def _yield_time_findings(
    name: str, changes: np.ndarray, *, is_ascending: bool
) -> Iterator[Finding]:
    """Find a column that looks like times in order, or is named like times but out of order."""
    # `changes` are differences (n,) of neighboring steps in a sequence. `is_ascending` says whether
    # the column ascends in every sequence.
    if len(changes) < _MIN_CHANGES_OF_TIMES:
        return
    ascending_share = float((changes > 0).mean())
    # a column that descends as often as it ascends does not hold the times of the steps
    if name.lower() in _TIME_NAMES and 0.5 < ascending_share < 1:
        yield Finding(
            "unsorted-time",
            f"Column {name!r} looks like times, but goes back or repeats at "
            f"{(changes <= 0).sum()} steps, so the steps are not in order. Sort them with "
            + python_or_cli(f"time={name!r} and sort=True of `read`.", f"--time {name} --sort."),
        )
    elif is_ascending:
        yield Finding(
            "time-like",
            f"Column {name!r} ascends in every sequence, as times and row numbers do, so the code "
            f"spends dimensions on it. Name it with {argument('time=')}, leave it out with "
            f"{argument('columns=')}, or use the differences.",
        )


def _find_heavy_tails(name: str, observed_values: np.ndarray) -> Iterator[Finding]:
    """Find observed values (n,) whose variance comes from a small share of the values."""
    if len(observed_values) < _MIN_VALUES_TO_CHECK_TAILS:
        return
    squares = np.sort(np.square(observed_values - observed_values.mean()))
    num_tail = max(1, int(_TAIL_VALUE_SHARE * len(squares)))
    share = squares[-num_tail:].sum() / squares.sum()  # of the variance
    if share < _TAIL_VARIANCE_SHARE:
        return
    transform = "np.log1p(x)" if observed_values.min() >= 0 else "np.arcsinh(x)"
    yield Finding(
        "heavy-tails",
        f"{_TAIL_VALUE_SHARE:.0%} of the values of column {name!r} hold {share:.0%} of its "
        "variance, so the loss is mostly about them. Correct them if they are errors, or "
        f"transform the column, for example with {transform}.",
    )


def sort_by_importance(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, the most important ones first."""
    return tuple(sorted(findings, key=lambda finding: NAMES_BY_IMPORTANCE.index(finding.name)))
