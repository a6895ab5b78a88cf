"""What users pass to a model: types, conversion, checks, and warnings of unusual data.

Each ``describe_`` function returns the text of a warning, or None if there is nothing to warn of.
`count_outliers` counts values block by block, for data larger than memory.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.messages import LONGER_THAN_TRAINING_WORDS, pluralize, warn
from refold._support.rules import check, integer_rule, or_auto
from refold.errors import DataError, Message, ParameterError, argument
from refold.network.packed.network import FittedNetwork
from refold.network.packed.resampling import compute_explained_shares
from refold.network.specification import Specification
from refold.sequences import (
    Scaler,
    Schema,
    Sequences,
    Windows,
    apply_to_mapped_blocks,
    as_sequences,
    compute_window_positions,
    cut_windows,
    default_window_step,
    fingerprints,
    has_arrow_interface,
    is_batch_stream,
    read_for,
    read_from_batches,
    table_to_single_series,
    uncut_windows,
)


class ArrowTable(Protocol):
    """A table or a column of pandas, Polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object: ...

    def __len__(self) -> int: ...


SequencesLike: TypeAlias = (
    Sequences
    | ArrayLike
    | ArrowTable
    | Iterable[ArrayLike | ArrowTable]
    | Mapping[str, ArrayLike]
    | os.PathLike[str]
)


def read_user_data(
    X: SequencesLike, schema: Schema | None = None, *, as_sequence: bool = False
) -> Sequences:
    """Convert or read a user's data to sequences; large files and batches are memory-mapped."""
    # With ``as_sequence``, a file, a table of steps or an array of one or two axes is one sequence,
    # unless it has ids. Without ``as_sequence``, an array of two axes is a sequence for each row.
    if isinstance(X, Sequences):
        return X
    if is_batch_stream(X):
        return read_from_batches(X)
    if isinstance(X, str | os.PathLike):
        return read_for(schema, X, as_sequence=as_sequence)
    data: Any = X
    columns = getattr(data, "column_names", getattr(data, "columns", None))
    if as_sequence and (
        isinstance(data, Mapping) or (has_arrow_interface(data) and columns is not None)
    ):
        try:
            table = pa.table(data)
        except pa.ArrowException:
            return as_sequences(data, schema=schema)  # raises an error that names the column
        has_ids = schema is not None and schema.id_name in table.column_names
        data = table if has_ids else table_to_single_series(table, schema)
    elif as_sequence and hasattr(data, "__array__") and getattr(data, "ndim", 0) in {1, 2}:
        # an array of objects holds a sequence in each entry
        data = data if data.dtype == object else [np.asarray(data)]
    return as_sequences(data, schema=schema)


def cut_into_windows(
    series: Sequences,
    window: int | None,  # number of steps of a window; None makes each series one window
    step: int | None,  # number of steps from the start of a window to the next
    # A series is cut only if the code of the whole series would lose a larger share of its
    # variance; None cuts all series.
    max_lost_variance: float | None = None,
    curve_dim: int = 0,  # number of learned dimensions of the code, if the model is pretrained
) -> Windows:
    """Cut series into windows; memory-mapped series stay memory-mapped."""
    if window is None or series.lengths.max(initial=0) <= window:
        return uncut_windows(series)
    step = step or default_window_step(window)

    def choose_window_lengths(series_block: Sequences) -> np.ndarray:
        """Return the window length (n_series,) of each series: its own length if it is not cut."""
        if max_lost_variance is None:
            return np.full(len(series_block), window)
        lost_shares = 1.0 - compute_explained_shares(series_block, curve_dim)
        return np.where(lost_shares > max_lost_variance, window, series_block.lengths)

    if not series.is_mapped:
        return cut_windows(series, choose_window_lengths(series), step)
    sequences = apply_to_mapped_blocks(
        series, lambda block: cut_windows(block, choose_window_lengths(block), step).sequences
    )
    # the lengths are chosen again, because `apply_to_mapped_blocks` returns only sequences
    window_lengths = np.concatenate([choose_window_lengths(block) for block in series.blocks()])
    positions = compute_window_positions(series.lengths, window_lengths, step)
    return Windows(sequences, positions.series, positions.starts, series.lengths, series.ids)


def check_encodable_lengths(lengths: np.ndarray, network: FittedNetwork) -> None:
    """Refuse lengths that a network with a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    wrong_indices = np.flatnonzero((lengths == 0) | (lengths > network.fixed_steps))
    if len(wrong_indices):
        i = wrong_indices[0]
        raise DataError(
            f"sequence {i} has length {lengths[i]}, and "
            f"{argument(architecture=network.specification.architecture)} reads 1 to "
            f"{network.fixed_steps} steps, the longest training length. Leave it out, cut it, or "
            f"use {argument(architecture='default')}."
        )


def check_latent_steps(latent_steps: int | str, specification: Specification) -> int:
    """Return the number of steps of latent optimization; refuse steps if the model allows none."""
    check("latent_steps", latent_steps, or_auto(integer_rule(0)))
    required = {"cell": "lstm", "architecture": "default", "variational": False}
    actual = {name: getattr(specification, name) for name in required}
    if latent_steps and actual != required:
        texts = [argument(**{name: value}) for name, value in actual.items()]
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs LSTMs, and the default architecture that "
            f"is not variational. Got {', '.join(texts)}. Use 0."
        )
    return int(latent_steps)


# Sequences longer than any in training: neither the decoder nor the length model has seen such
# lengths. `encode`, `decode`, `score`, `detect` and the report give this warning.

# A predicted length may be longer by this share, or by one step if that is more, without a warning,
# because predictions of the longest training length are not exact.
_MAX_PREDICTED_LENGTH_EXCESS = 0.1


def describe_excess_lengths(
    lengths: np.ndarray, max_training_length: int, noun: str = "sequence"
) -> str | None:
    """Describe how many lengths exceed the longest in training; None if none does."""
    # The noun is "length" for lengths that a user asks for, "predicted length" for lengths that are
    # decoded from codes, and else "sequence".
    excess = max(1.0, _MAX_PREDICTED_LENGTH_EXCESS * max_training_length)
    tolerance = excess if noun == "predicted length" else 0.0
    count = int((lengths > max_training_length + tolerance).sum())
    if count == 0:
        return None
    remedy = f"ask for at most {max_training_length} steps with {argument('lengths=')}"
    if noun == "sequence":
        remedy = f"on windows of them, with {argument(window=max_training_length)}"
    # for example "is ...: 30 steps" for a single length, and "are ...: up to 30 steps" for several
    verb, up_to = ("is", "") if count == 1 else ("are", "up to ")
    return Message(
        f"{count} of {pluralize(len(lengths), noun)} {verb} {LONGER_THAN_TRAINING_WORDS}: {up_to}"
        f"{int(lengths.max())} steps against {max_training_length}. The model never saw the steps "
        f"after step {max_training_length}, so the results may be far off. Fit on sequences as "
        f"long as these, or {remedy}."
    )


# Outliers: values far outside of the training data, such as values in other units

# An outlier is outside of the range of the training data, and farther from the mean than this
# number of standard deviations. The range alone would be too narrow for new data, and the standard
# deviations alone would be too narrow for data with a heavy tail.
_MIN_OUTLIER_STD_FROM_MEAN = 10.0
# A column is probably in other units if more than this share of its values are outliers. Fewer
# outliers can be ordinary anomalies. Zeros do not count, because zero is the same in all units.
_MAX_OUTLIER_SHARE = 0.25
# Maximum number of columns that a warning names, so that it stays short.
_MAX_LISTED_COLUMNS = 5
# A warning writes this and larger numbers of standard deviations with an exponent.
_MIN_NUM_STD_WITH_EXPONENT = 1e6


def outlier_limits(training_scaler: Scaler) -> tuple[np.ndarray, np.ndarray]:
    """Return the two limits (n_columns,) outside of which values are outliers."""
    # a column that was constant in training has no limits, because its usual range is unknown
    varies = training_scaler.data_min_ < training_scaler.data_max_
    distances = np.where(varies, _MIN_OUTLIER_STD_FROM_MEAN * training_scaler.scale_, np.inf)
    low = np.minimum(training_scaler.data_min_, training_scaler.mean_ - distances)
    return low, np.maximum(training_scaler.data_max_, training_scaler.mean_ + distances)


class OutlierCounts(NamedTuple):
    """Counts of outliers in the columns of a block of values, arrays (n_columns,)."""

    num_outliers: np.ndarray
    num_comparable: np.ndarray  # outliers, and other observed values that are not 0
    num_observed: np.ndarray
    # largest distance of an outlier from the mean, in standard deviations; -inf without outliers
    max_std_from_mean: np.ndarray


def count_outliers(values: np.ndarray, training_scaler: Scaler) -> OutlierCounts:
    """Count the outliers among values (n_steps, n_columns)."""
    low, high = (limit.astype(values.dtype) for limit in outlier_limits(training_scaler))
    is_outlier = (values < low) | (values > high)
    num_outliers = is_outlier.sum(axis=0)
    num_observed = len(values) - np.isnan(values).sum(axis=0)
    num_zeros = ((values == 0) & ~is_outlier).sum(axis=0)
    distance = np.full(values.shape[1], -np.inf)
    if num_outliers.any():  # only a warning needs the distance, and most data cause none
        outliers = np.where(is_outlier, values, np.nan)
        lowest = np.fmin.reduce(outliers, axis=0, initial=np.inf)
        highest = np.fmax.reduce(outliers, axis=0, initial=-np.inf)
        with np.errstate(over="ignore"):  # a distance that overflows becomes inf
            distance = np.maximum(highest - training_scaler.mean_, training_scaler.mean_ - lowest)
            distance = distance / training_scaler.scale_
    return OutlierCounts(num_outliers, num_observed - num_zeros, num_observed, distance)


def describe_outlier_columns(block_counts: Sequence[OutlierCounts], schema: Schema) -> str | None:
    """Describe columns that are probably in other units; None if there is none."""
    if not block_counts:
        return None
    # each (n_blocks, n_columns)
    outliers, comparable, observed, distances = map(np.array, zip(*block_counts, strict=True))
    is_suspect = outliers.sum(axis=0) > _MAX_OUTLIER_SHARE * comparable.sum(axis=0)
    if not is_suspect.any():
        return None
    share = outliers[:, is_suspect].sum() / observed[:, is_suspect].sum()
    farthest = distances[:, is_suspect].max()
    num_std = f"{farthest:.0f}" if farthest < _MIN_NUM_STD_WITH_EXPONENT else f"{farthest:.3g}"
    all_names = [repr(name) for name in np.array(schema.names)[is_suspect].tolist()]
    names = ", ".join(all_names[:_MAX_LISTED_COLUMNS])
    num_unlisted = len(all_names) - _MAX_LISTED_COLUMNS
    names += f" and {num_unlisted} others" if num_unlisted > 0 else ""
    return (
        f"{100 * share:.0f} % of the values of column{'s' * (len(all_names) > 1)} {names} are far "
        f"outside of the training data, up to {num_std} standard deviations from its mean. Check "
        "their units: the results mean little for such values."
    )


# Sequences that a model was trained on, which are recognized by their fingerprints (hashes)

# Maximum number of fingerprints that a model stores: 256 KiB in its file. The smallest fingerprints
# are stored, so the choice does not depend on the order of the sequences.
MAX_STORED_FINGERPRINTS = 1 << 15
# Matches count as chance if their number exceeds the expected number by at most this number of
# standard deviations.
_MIN_MATCH_STD_ABOVE_CHANCE = 3.0


def check_not_trained_on(normal_sequences: Sequences, training_hashes: np.ndarray | None) -> None:
    """Refuse aligned normal sequences if all are training sequences; warn if some are."""
    num_matches, num_compared = _count_sequences_seen_in_training(normal_sequences, training_hashes)
    if 0 < num_matches == num_compared:  # all sequences match, and there is at least one
        raise DataError(
            "The normal sequences are those that the model was trained on. Their errors are "
            "smaller than those of new ones, so normal new ones would look anomalous. Give others, "
            f"or fit with {argument(calibration_fraction=0.2)}."
        )
    warn(describe_overlap_with_training(normal_sequences, training_hashes, "normal sequences"))


def describe_overlap_with_training(
    sequences: Sequences, training_hashes: np.ndarray | None, noun: str = "sequences"
) -> str | None:
    """Describe how many aligned sequences a model was trained on; None if none."""
    num_matches, num_compared = _count_sequences_seen_in_training(sequences, training_hashes)
    if training_hashes is None or not num_matches:
        return None
    # The message gives the share of matches if the model stores only some fingerprints. Only a part
    # of the sequences can be compared then, so the counts are too small. Else it gives the counts.
    share_text, verb = f"{100 * num_matches / num_compared:.0f} % of the", "are"
    if len(training_hashes) < MAX_STORED_FINGERPRINTS:
        share_text, verb = f"{num_matches} of {num_compared}", "is" if num_matches == 1 else "are"
    return (
        f"{share_text} {noun} {verb} among those that the model was trained on. Their errors are "
        "smaller than those of new ones. Leave them out."
    )


def _count_sequences_seen_in_training(
    sequences: Sequences, training_hashes: np.ndarray | None
) -> tuple[int, int]:
    """Return how many sequences a model was trained on, and how many could be compared."""
    # If sequences repeat in the data, some new sequences equal a training sequence by chance. So
    # the first number is 0 unless there are more matches than this chance explains.
    if training_hashes is None or not len(training_hashes):
        return 0, 0
    hashes = fingerprints(sequences)[sequences.lengths > 0]  # all empty sequences are equal
    if len(training_hashes) == MAX_STORED_FINGERPRINTS:
        # The model stores the smallest fingerprints, in increasing order. Larger ones than the last
        # are left out, because those of training sequences were not stored, either.
        hashes = hashes[hashes <= training_hashes[-1]]
    num_matches, num_compared = int(np.isin(hashes, training_hashes).sum()), len(hashes)
    # The probability that a new sequence equals a training sequence by chance is estimated by the
    # share of training sequences that have an equal one.
    _, counts = np.unique(training_hashes, return_counts=True)
    probability = counts[counts > 1].sum() / len(training_hashes)
    # mean and standard deviation of the binomial distribution
    mean, std = probability * num_compared, np.sqrt(probability * (1 - probability) * num_compared)
    is_chance = num_matches <= mean + _MIN_MATCH_STD_ABOVE_CHANCE * std
    return 0 if is_chance else num_matches, num_compared
