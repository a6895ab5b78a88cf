"""Errors of reconstructions: of single entries, their means, NMSE, accuracy and exact match.

An entry is the value of a column at a step. `entry_errors` returns the error of each entry, and
most measures are means of these errors. `fidelity` returns the measures that Refold shows.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from refold._support.messages import format_rounded, pluralize
from refold._support.rules import (
    check_counts_match,
    check_has_attribute,
    check_integer,
    check_not_empty,
)
from refold.errors import ParameterError, SchemaError
from refold.sequences import (
    Scaler,
    Sequences,
    as_sequences,
    sequence_and_step_indices,
    sum_by_sequence,
)

AnySequences: TypeAlias = Sequences | Sequence[Any]

# What an argument ``scaler`` must be, for an error message.
_EXPECTED_SCALER_TEXT = 'a Scaler, such as Scaler.fit(train, mode="features")'


def entry_errors(
    original: AnySequences, reconstructed: AnySequences, scaler: Scaler | None = None
) -> np.ndarray:
    """Error of each entry: squared for numeric columns, else 1 if wrong and 0 if right.

    Numeric columns are scaled by ``scaler``, if there is one. For a step that the reconstruction
    lacks, numeric columns count as the training mean (without a scaler, the mean of the column) and
    the others as wrong. Extra steps are ignored. Other measures take the same arguments.

    Parameters
    ----------
    original, reconstructed : Sequences or list of shape (n_sequences,)
        The true sequences, and the reconstructed ones in the same order.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``, as ``error_scaler_`` of a fitted
        estimator is.

    Returns
    -------
    array of shape (n_steps, n_features)
        One row per step of ``original``; NaN where nothing was observed.

    Examples
    --------
    >>> original = Sequences.from_list([[1.0, 5.0, float("nan")], [3.0]])
    >>> entry_errors(original, [[1.0, 4.0, 0.0], []])[:, 0].tolist()
    [0.0, 1.0, nan, 0.0]
    """
    original, reconstructed = _check_pair(original, reconstructed)
    num_columns, numeric = original.schema.num_columns, original.schema.numeric
    if scaler is not None:
        check_has_attribute("scaler", scaler, _EXPECTED_SCALER_TEXT, attribute="mode")
        if scaler.mode != "features" or len(scaler.mean_) != num_columns:
            raise ParameterError(
                f"Errors of {num_columns} columns are measured in the units of the training "
                f"split. Got a scaler of mode {scaler.mode!r}, fitted on {len(scaler.mean_)} "
                'columns; pass Scaler.fit(train, mode="features").'
            )
    # x and y: true and reconstructed values, both (n_steps, n_columns)
    x = original.values.astype(float)
    y, is_correct = _compare_at_original_steps(original, reconstructed, tolerance=0.0)
    errors = np.where(np.isnan(x), np.nan, (~is_correct).astype(float))
    if numeric.any():
        if scaler is not None:
            x, y = ((values - scaler.mean_) / scaler.scale_ for values in (x, y))
        x, y = x[:, numeric], y[:, numeric]
        mean = 0.0  # of standardized values
        if scaler is None:  # mean of the column, or 0 if it has no value
            mean = np.nansum(x, axis=0) / np.maximum(1, (~np.isnan(x)).sum(axis=0))
        errors[:, numeric] = np.square(x - np.where(np.isnan(y), mean, y))
    return errors


def errors_by_feature(
    original: AnySequences, reconstructed: AnySequences, scaler: Scaler | None = None
) -> np.ndarray:
    """Mean of `entry_errors` over each feature, an array of shape (n_features,).

    It is the mean squared error of a numeric column, and the share of wrong entries of any other;
    NaN for a feature that was never observed.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors_by_feature(words, ["abbb", "ca"]).round(3).tolist()
    [0.286]
    """
    errors = entry_errors(original, reconstructed, scaler)
    counts = (~np.isnan(errors)).sum(axis=0)
    return np.where(counts > 0, np.nansum(errors, axis=0) / np.maximum(counts, 1), np.nan)


class SequenceErrors(NamedTuple):
    """Mean errors of each sequence.

    Attributes
    ----------
    numeric, categorical : arrays of shape (n_sequences,)
        Mean squared error of the numeric columns, and share of wrong binary and categorical
        entries; NaN where nothing was observed.
    """

    numeric: np.ndarray
    categorical: np.ndarray

    def __repr__(self) -> str:
        return f"SequenceErrors({pluralize(len(self.numeric), 'sequence')})"

    def to_table(self) -> pa.Table:
        """Return one row per sequence, in the order of the sequences; NaN is null."""
        return _to_table_with_nulls(self._asdict())


def errors_by_sequence(
    original: AnySequences, reconstructed: AnySequences, scaler: Scaler | None = None
) -> SequenceErrors:
    """Mean of `entry_errors` over each sequence.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors_by_sequence(words, ["abbb", "cab"]).categorical.tolist()
    [0.25, 0.0]
    """
    original = as_sequences(original)
    sequence_indices, _ = sequence_and_step_indices(original)  # of each step
    errors = _compute_group_means(original, reconstructed, scaler, sequence_indices, len(original))
    return SequenceErrors(*errors)


class GroupErrors(NamedTuple):
    """Mean errors of groups of lengths or of positions, in ascending order.

    Attributes
    ----------
    first, last : arrays of int of shape (n_groups,)
        First and last length or step of each group, both inclusive.
    numeric, categorical : arrays of shape (n_groups,)
        Mean errors over the entries of each group, as in `SequenceErrors`.
    num_sequences : array of int of shape (n_groups,)
        Number of sequences that have such a length, or such a step.
    """

    first: np.ndarray
    last: np.ndarray
    numeric: np.ndarray
    categorical: np.ndarray
    num_sequences: np.ndarray

    def __repr__(self) -> str:
        limits = f", {self.first[0]} to {self.last[-1]}" if len(self.first) else ""
        return f"GroupErrors({pluralize(len(self.first), 'group')}{limits})"

    def to_table(self) -> pa.Table:
        """Return one row per group; NaN is null."""
        return _to_table_with_nulls(self._asdict())

    @property
    def names(self) -> list[str]:
        """Name of each group, such as ``7`` or ``7–9``."""
        pairs = zip(self.first.tolist(), self.last.tolist(), strict=True)
        return [str(low) if low == high else f"{low}–{high}" for low, high in pairs]


def errors_by_length(
    original: AnySequences,
    reconstructed: AnySequences,
    scaler: Scaler | None = None,
    *,
    num_groups: int = 8,
) -> GroupErrors:
    """Mean of `entry_errors` over groups of sequences of similar length.

    Groups are of about equal size; sequences of the same length are in the same group. Within a
    group, every step has the same weight.

    Parameters
    ----------
    num_groups : int, default=8
        Maximum number of groups.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> errors = errors_by_length(words, ["abbb", "cab", "b"], num_groups=2)
    >>> errors.first.tolist(), errors.last.tolist(), errors.categorical.round(3).tolist()
    ([1, 3], [1, 4], [0.0, 0.143])
    """
    check_integer("num_groups", num_groups)
    original = as_sequences(original)
    check_not_empty(len(original), "sequence", "to measure")
    # distinct lengths in ascending order, the index of the length of each sequence, and counts
    lengths, length_indices, counts = np.unique(
        original.lengths, return_inverse=True, return_counts=True
    )
    # Sequences are ordered by length and split into groups of equal size. The middle sequence of
    # each length decides the group of all sequences of this length. Its rank is a share from 0 to
    # 1. The second `np.unique` leaves out empty groups.
    middle_rank = (np.cumsum(counts) - counts / 2) / len(original)
    _, group_of_length = np.unique((middle_rank * num_groups).astype(int), return_inverse=True)
    # indices of the first and the last length of each group
    first = np.flatnonzero(np.diff(group_of_length, prepend=-1))
    last = np.append(first[1:], len(lengths)) - 1
    group_of_sequence = group_of_length[length_indices]
    sequence_indices, _ = sequence_and_step_indices(original)  # of each step
    group_of_step = group_of_sequence[sequence_indices]
    means = _compute_group_means(original, reconstructed, scaler, group_of_step, len(first))
    return GroupErrors(lengths[first], lengths[last], *means, np.bincount(group_of_sequence))


def errors_by_position(
    original: AnySequences,
    reconstructed: AnySequences,
    scaler: Scaler | None = None,
    *,
    num_groups: int = 60,
) -> GroupErrors:
    """Mean of `entry_errors` over groups of neighboring steps, which count from 0.

    Parameters
    ----------
    num_groups : int, default=60
        Maximum number of groups. If there are more steps, neighboring ones share a group.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> errors = errors_by_position(words, ["abbb", "cab", "a"])
    >>> errors.categorical.round(3).tolist(), errors.num_sequences.tolist()
    ([0.333, 0.0, 0.0, 1.0], [3, 2, 2, 1])
    """
    check_integer("num_groups", num_groups)
    original = as_sequences(original)
    _, step_indices = sequence_and_step_indices(original)  # index of each step in its sequence
    max_steps = int(original.lengths.max(initial=0))
    steps_per_group = max(1, math.ceil(max_steps / num_groups))
    first = np.arange(0, max_steps, steps_per_group)
    group_of_step = step_indices // steps_per_group
    means = _compute_group_means(original, reconstructed, scaler, group_of_step, len(first))
    last = np.minimum(first + steps_per_group, max_steps) - 1
    num_sequences = (original.lengths[:, None] > first).sum(axis=0)
    return GroupErrors(first, last, *means, num_sequences)


def nmse(original: AnySequences, reconstructed: AnySequences, scaler: Scaler) -> float:
    """Compute the normalized mean squared error of the numeric columns.

    This is the sum of the squared errors, divided by the sum of the squared values; both are
    standardized on the training split. 0 is perfect. 1 is the error of the training mean at every
    step. Only observed entries of the original count. A step that the reconstruction lacks counts
    as the training mean; extra steps are ignored. If all values of the original are the training
    mean, the result is 0 without any error, else infinity. For other columns, see `accuracy`.

    Examples
    --------
    >>> original = Sequences.from_list([np.array([-1.0, 1.0, -1.0, 1.0])])
    >>> scaler = Scaler.fit(original, mode="features")
    >>> nmse(original, [np.array([-1.0, 1.0])], scaler)  # two of four steps are missing
    0.5
    """
    total_error, total_square = _compute_total_error_and_square(original, reconstructed, scaler)
    if total_square > 0:
        return total_error / total_square
    return 0.0 if total_error == 0 else math.inf


def explained_variance(
    original: AnySequences, reconstructed: AnySequences, scaler: Scaler
) -> float:
    """Share of the variance of the numeric columns that is explained, at most 1: 1 - `nmse`.

    If all values of the original are the training mean, it is 1 without any error, else 0.

    Examples
    --------
    >>> original = Sequences.from_list([np.array([1.0, 2.0, 3.0])])
    >>> explained_variance(original, [np.array([1.0, 2.0, 2.0])], Scaler.fit(original))
    0.5
    """
    total_error, total_square = _compute_total_error_and_square(original, reconstructed, scaler)
    if total_square > 0:
        return 1.0 - total_error / total_square
    return 1.0 if total_error == 0 else 0.0


def exact(original: AnySequences, reconstructed: AnySequences, *, tolerance: float = 1e-6) -> float:
    """Share of sequences that are reconstructed exactly, length included, from 0 to 1.

    A binary entry is right if it rounds to the original at 0.5. A categorical entry is right if it
    is the same category; a category unknown to the schema is always wrong. A numeric entry is right
    if it is within ``tolerance``. Entries that are missing in the original are not compared.

    Parameters
    ----------
    tolerance : float, default 1e-6
        Maximum difference of a numeric entry; relative if the magnitude of the entry is above 1.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> exact(words, words[[0, 1, 1]])
    0.6666666666666666
    """
    original, reconstructed = _check_pair(original, reconstructed)
    _, is_correct = _compare_at_original_steps(original, reconstructed, tolerance)
    num_wrong = sum_by_sequence(~is_correct, original).sum(axis=1)  # entries of each sequence
    return float(np.mean((num_wrong == 0) & (original.lengths == reconstructed.lengths)))


def accuracy(original: AnySequences, reconstructed: AnySequences) -> float:
    """Share of steps at which all binary and categorical entries are right, from 0 to 1.

    Entries are compared as in `exact`. A step that the reconstruction lacks is wrong, extra steps
    are ignored, and steps without an observed entry do not count. It is 1 if no step counts.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> accuracy(words, words[[0, 1, 1]])
    0.875
    """
    original = as_sequences(original)
    numeric = original.schema.numeric
    if numeric.all():
        raise SchemaError(
            "Accuracy needs binary or categorical columns. Got numeric columns only; "
            "use nmse or explained_variance."
        )
    errors = entry_errors(original, reconstructed)[:, ~numeric]
    observed = ~np.isnan(errors).all(axis=1)
    is_wrong = (errors[observed] == 1).any(axis=1)
    return float(np.mean(~is_wrong)) if observed.any() else 1.0


@dataclass(frozen=True)
class Fidelity:
    """Reconstruction quality.

    Attributes
    ----------
    nmse : float or None
        Normalized squared error of the numeric columns (`nmse`); None if there are none.
    accuracy : float or None
        Share of steps at which all binary and categorical entries are right (`accuracy`); None if
        there are no such columns.
    exact : float
        Share of sequences that are reconstructed exactly, length included (`exact`).

    Examples
    --------
    >>> Fidelity(0.25, 0.9, 0.5).error, Fidelity(None, 0.75, 0.5).error
    (0.25, 0.25)
    """

    nmse: float | None
    accuracy: float | None
    exact: float

    @property
    def measure_name(self) -> str:
        """Name of `error`: ``"NMSE"``, or ``"1 - accuracy"`` if no column is numeric."""
        return "1 - accuracy" if self.nmse is None else "NMSE"

    @property
    def error(self) -> float:
        """NMSE, or 1 - accuracy if no column is numeric."""
        return 1.0 - (self.accuracy or 0.0) if self.nmse is None else self.nmse

    @property
    def larger_lost_share(self) -> float:
        """The larger of NMSE and 1 - accuracy."""
        return self.error if self.accuracy is None else max(self.error, 1.0 - self.accuracy)

    def to_table(self) -> pa.Table:
        """Return one row with the fields."""
        columns = {name: pa.array([value], pa.float64()) for name, value in asdict(self).items()}
        return pa.table(columns)

    def text(self, pca: "Fidelity | None" = None, *, pca_name: str = "PCA") -> str:
        """Format the measures that apply, each next to the measure of PCA.

        ``pca_name`` is what PCA is called where it first appears. After that, it is "PCA".
        """
        fields = ["nmse", "accuracy"] if self.nmse is not None else ["accuracy", "exact"]
        texts = []
        for field in fields:
            value, pca_value = getattr(self, field), getattr(pca, field, None)  # None without PCA
            if value is None:
                continue
            to_text = format_rounded if field == "nmse" else as_percent
            text = f"{field.replace('nmse', 'NMSE')} {to_text(value)}"
            if pca_value is not None:
                text += f", {pca_name} {to_text(pca_value)}"
                pca_name = "PCA"  # only the first mention has the given name
            texts.append(text)
        return "; ".join(texts)


# The NMSE, the accuracy and the exact match that Refold shows all come from this function. The
# lengths of reconstructions are predicted, so steps may be missing; `entry_errors` counts them.
def fidelity(original: AnySequences, reconstructed: AnySequences, scaler: Scaler) -> Fidelity:
    """Measure reconstruction quality, separately for numeric and other columns.

    Examples
    --------
    >>> words = Sequences.from_list(["abba", "cab", "b"])
    >>> fidelity(words, ["abba", "cab", "a"], Scaler.fit(words))
    Fidelity(nmse=None, accuracy=0.875, exact=0.6666666666666666)
    """
    original, reconstructed = _check_pair(original, reconstructed)
    numeric = original.schema.numeric
    return Fidelity(
        nmse(original, reconstructed, scaler) if numeric.any() else None,
        None if numeric.all() else accuracy(original, reconstructed),
        exact(original, reconstructed),
    )


def as_percent(share: float) -> str:
    """Format a share in percent, rounded down so that it never looks better than it is."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    # to 9 digits first, so that a rounding error of the product does not lower the result
    return f"{math.floor(round(1000 * share, 9)) / 10:.1f} %"


@dataclass(frozen=True)
class ErrorCurve:
    """Held-out errors by the number of latent dimensions.

    Attributes
    ----------
    sizes : tuple of int
        Latent dimensions, ascending.
    errors, pca : tuple of float
        Error of a fit with codes of each size, and of PCA with this number of components. PCA has
        fewer components where the data do not allow that many.
    measure : {"NMSE", "1 - accuracy"}
        Measure of the errors: normalized squared error of the numeric columns or, if no column is
        numeric, the share of steps with a wrong binary or categorical entry.
    num_sequences, num_held_out : int
        Number of all sequences used, and of held-out ones.
    complete : bool
        Whether all requested sizes are there; False after Ctrl-C.
    accuracy, pca_accuracy : tuple of float
        Share of the steps whose binary and categorical values are all correct; empty if all columns
        are numeric.

    Examples
    --------
    >>> curve = ErrorCurve((2, 4), (0.3, 0.1), (0.4, 0.15), "NMSE", 100, 10)
    >>> min(curve.errors)
    0.1
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    pca: tuple[float, ...]
    measure: str
    num_sequences: int
    num_held_out: int
    complete: bool = True
    accuracy: tuple[float, ...] = ()
    pca_accuracy: tuple[float, ...] = ()

    def __repr__(self) -> str:
        pairs = [*zip(self.sizes, self.errors, strict=True)]
        first, last = (f"{format_rounded(error)} at {n}" for n, error in (pairs[0], pairs[-1]))
        return f"ErrorCurve({pluralize(len(pairs), 'size')}, {self.measure} {first} to {last})"

    def to_table(self) -> pa.Table:
        """Return one row per size: ``size``, ``error``, ``pca`` and, if any, the accuracies."""
        columns = {"size": self.sizes, "error": self.errors, "pca": self.pca}
        if self.accuracy:
            columns |= {"accuracy": self.accuracy, "pca_accuracy": self.pca_accuracy}
        return pa.table(columns)


def _to_table_with_nulls(arrays: dict[str, np.ndarray]) -> pa.Table:
    """Return a table of arrays of the same length, with null for NaN."""
    return pa.table({name: pa.array(x, from_pandas=True) for name, x in arrays.items()})


def _check_pair(original: AnySequences, reconstructed: AnySequences) -> tuple[Sequences, Sequences]:
    """Convert both, and check that they have the same number of sequences and the same columns."""
    original = as_sequences(original)
    if not isinstance(reconstructed, Sequences):
        reconstructed = as_sequences(reconstructed, schema=original.schema)
    check_not_empty(len(original), "sequence", "to measure")
    check_counts_match(len(reconstructed), "reconstructed sequences", len(original), "originals")
    if reconstructed.schema.columns != original.schema.columns:
        raise SchemaError(
            f"The originals have columns {list(original.schema.names)}. Got reconstructions with "
            f"{list(reconstructed.schema.names)} (types and categories count, too). Bring both to "
            "one schema with `reconstructed.convert_to_schema(original.schema)`."
        )
    return original, reconstructed


def _compare_at_original_steps(
    original: Sequences, reconstructed: Sequences, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return reconstructed values at the steps of the original, and whether they are correct."""
    # Both have the shape (n_steps, n_columns). At a step that the reconstruction lacks, values are
    # NaN. Extra steps are dropped, and an entry that is missing in the original counts as correct.
    sequence_indices, step_indices = sequence_and_step_indices(original)
    exists = step_indices < reconstructed.lengths[sequence_indices]
    decoded_indices = reconstructed.offsets[sequence_indices] + step_indices  # among all steps
    values, is_correct = np.full(original.values.shape, np.nan), np.isnan(original.values)
    values[exists] = reconstructed.values[decoded_indices[exists]]
    for i, column in enumerate(original.schema.columns):
        x, y = original.values[:, i].astype(float), values[:, i]
        is_correct[:, i] |= column.column_type.is_correct(x, y, tolerance, len(column.categories))
    return values, is_correct


def _compute_group_means(
    original: Sequences,
    reconstructed: AnySequences,
    scaler: Scaler | None,
    group_of_step: np.ndarray,  # (n_steps,), indices of groups
    num_groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean errors (num_groups,) of the numeric columns, and of all other columns."""
    errors, numeric = entry_errors(original, reconstructed, scaler), original.schema.numeric
    means = []
    for part in (errors[:, numeric], errors[:, ~numeric]):
        sums = np.bincount(group_of_step, np.nansum(part, axis=1), num_groups)
        counts = np.bincount(group_of_step, (~np.isnan(part)).sum(axis=1), num_groups)
        means.append(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))
    return means[0], means[1]


def _compute_total_error_and_square(
    original: AnySequences, reconstructed: AnySequences, scaler: Scaler
) -> tuple[float, float]:
    """Return the sums of the squared errors and of the squared values, both standardized."""
    check_has_attribute("scaler", scaler, _EXPECTED_SCALER_TEXT, attribute="mode")
    original = as_sequences(original)
    numeric = original.schema.numeric
    if not numeric.any():
        raise SchemaError(
            "NMSE and explained variance need numeric columns. Got binary and categorical columns "
            "only; use accuracy or exact."
        )
    errors = entry_errors(original, reconstructed, scaler)[:, numeric]
    centered = original.values[:, numeric].astype(float) - scaler.mean_[numeric]
    squares = np.square(centered) / np.square(scaler.scale_[numeric])
    return float(np.nansum(errors)), float(np.nansum(squares))
