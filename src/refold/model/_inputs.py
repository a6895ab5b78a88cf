"""What users pass to a model: types, conversion, checks, and warnings of unusual data.

Each ``describe_`` function returns the text of a warning, or None if there is nothing to warn of.
`count_outliers` counts values block by block, for data larger than memory.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.messages import LONGER_WARNING, warn
from refold._support.rules import check, integer_rule, or_auto
from refold.errors import DataError, Message, ParameterError, argument, spelled
from refold.network.packed.network import FittedNetwork
from refold.network.packed.resampling import explained_variance_shares
from refold.network.specification import Specification
from refold.sequences import (
    Scaler,
    Schema,
    Sequences,
    Windows,
    as_sequences,
    cut_windows,
    default_window_step,
    fingerprints,
    is_batch_stream,
    is_table,
    map_blocks,
    read,
    read_batches,
    read_for,
    series_from_table,
    uncut_windows,
    window_positions,
)


class ArrowTable(Protocol):
    """A table or a column of pandas, Polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """Export the data as an Arrow stream."""
        ...

    def __len__(self) -> int: ...


SequencesLike: TypeAlias = (
    Sequences
    | ArrayLike
    | ArrowTable
    | Iterable[ArrayLike | ArrowTable]
    | Mapping[str, ArrayLike]
    | os.PathLike[str]
)


def open_sequences(
    X: SequencesLike, schema: Schema | None = None, *, as_series: bool = False
) -> Sequences:
    """Convert or read a user's data to sequences; large files and batches are memory-mapped."""
    # with ``as_series``, a file, a table or an array without ids is one series
    if isinstance(X, Sequences):
        return X
    if is_batch_stream(X):
        return read_batches(X)
    if isinstance(X, str | os.PathLike):
        return read_for(schema, X, as_series=as_series) if schema else read(X, as_series=as_series)
    return as_sequences(_as_single_series(X, schema) if as_series else X, schema=schema)


def _as_single_series(X: Any, schema: Schema | None) -> Any:
    """Convert a table of steps without ids, and put an array of one or two axes into a list."""
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if isinstance(X, Mapping) or (is_table(X) and columns is not None):
        try:
            table = pa.table(X)
        except pa.ArrowException:
            return X  # `as_sequences` raises an error that names the column
        has_ids = schema is not None and schema.id_name in table.column_names
        return table if has_ids else series_from_table(table, schema)
    is_array = hasattr(X, "__array__") and getattr(X, "ndim", 0) in {1, 2}
    return [np.asarray(X)] if is_array and X.dtype != object else X


def cut_into_windows(
    series: Sequences,
    window: int | None,  # steps of a window; None makes each series one window
    step: int | None,  # steps from the start of a window to the next
    max_loss: float | None = None,  # cut only series whose codes lose a larger share of variance
    dims: int = 0,  # number of dimensions of these codes
) -> Windows:
    """Cut series into windows; memory-mapped series stay memory-mapped."""
    if window is None or series.lengths.max(initial=0) <= window:
        return uncut_windows(series)
    step = step or default_window_step(window)

    def window_lengths(block: Sequences) -> np.ndarray:
        """Return the window length (n_series,) for each series; its own length if not cut."""
        if max_loss is None:
            return np.full(len(block), window)
        return np.where(
            1.0 - explained_variance_shares(block, dims) > max_loss, window, block.lengths
        )

    if not series.is_mapped:
        return cut_windows(series, window_lengths(series), step)
    sequences = map_blocks(
        series, lambda block: cut_windows(block, window_lengths(block), step).sequences
    )
    lengths = np.concatenate([window_lengths(block) for block in series.blocks()])
    positions = window_positions(series.lengths, lengths, step)
    return Windows(sequences, positions.series, positions.starts, series.lengths, series.ids)


# Lengths, codes and latent steps that a network can use

# A warning says if a dimension of a code is farther from the mean of the training codes than this
# number of standard deviations. Such a code is an error of the user, and no unusual sequence.
MAX_CODE_STD_FROM_MEAN = 1000.0


def check_encodable_lengths(lengths: np.ndarray, network: FittedNetwork) -> None:
    """Refuse lengths that a network with a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    wrong_rows = np.flatnonzero((lengths == 0) | (lengths > network.fixed_steps))
    if len(wrong_rows):
        row = wrong_rows[0]
        raise DataError(
            f"sequence {row} has length {lengths[row]}, and "
            f"{argument(architecture=network.specification.architecture)} reads 1 to "
            f"{network.fixed_steps} steps, the longest training length. Leave it out, cut it, or "
            f"use {argument(architecture='default')}."
        )


def check_codes(codes: Any, width: int) -> np.ndarray:
    """Return codes as float32 (n_sequences, width); refuse other shapes and infinite numbers."""
    try:
        with np.errstate(over="ignore"):  # refused below, as infinite
            array = np.asarray(codes, dtype=np.float32)
        got = str(array.shape)
    except (TypeError, ValueError, OverflowError):
        array, got = np.empty(0), "no array of numbers"
    if array.shape[1:] != (width,):
        raise DataError(
            f"codes must have shape (n_sequences, {width}), as transform returns them. Got {got}."
        )
    finite = np.isfinite(array)
    if not finite.all():
        row, dimension = np.argwhere(~finite)[0]
        raise DataError(
            f"codes must be finite in float32. The code of sequence {row} is not, in dimension "
            f"{dimension}."
        )
    return array


def check_lengths(lengths: Any, num_codes: int, network: FittedNetwork) -> np.ndarray:
    """Return lengths to decode to as int64 (num_codes,); refuse those that cannot be decoded."""
    try:
        array = np.asarray(lengths)
        got = str(array.shape)
    except ValueError:
        array, got = np.empty(()), "lists of different lengths"
    if array.shape != (num_codes,):
        raise DataError(
            f"{argument('lengths')} must have one entry per code, shape ({num_codes},). Got {got}."
        )
    if num_codes and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
        raise DataError(f"{argument('lengths')} must be integers of at least 0.")
    longest = network.most_steps
    if longest is not None and array.max(initial=0) > longest:
        raise DataError(
            f"this architecture writes at most {longest} steps. Got the length {array.max()}; "
            f"use {argument(architecture='default')} for more."
        )
    return array.astype(np.int64)


def check_latent_steps(latent_steps: int | str, specification: Specification) -> int:
    """Return a number of steps of latent optimization; refuse it if the model has none."""
    check("latent_steps", latent_steps, or_auto(integer_rule(0)))
    is_supported = specification.architecture == "default" and specification.cell == "lstm"
    if latent_steps and (not is_supported or specification.variational):
        names = ("cell", "architecture", "variational")
        got = ", ".join(argument(**{name: getattr(specification, name)}) for name in names)
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs LSTMs, and the default architecture that "
            f"is not variational. Got {got}. Use 0."
        )
    return int(latent_steps)


# Sequences longer than any in training. Neither the decoder nor the length model has seen steps
# after the longest training length. So `reconstruct` uses the true lengths of longer sequences, and
# predicted lengths for all others. `encode`, `decode`, `score`, `detect` and the report share this
# warning.

# What is too long: a sequence, a length that a user asks for, or a length that a code stands for.
LengthNoun = Literal["sequence", "length", "predicted length"]
# A predicted length may be longer by this share, or by one step if that is more, without a warning,
# because predictions of the longest training length are not exact.
_PREDICTED_LENGTH_TOLERANCE = 0.1


def describe_too_long(
    lengths: np.ndarray, max_steps: int, noun: LengthNoun = "sequence"
) -> str | None:
    """Describe in one line how many lengths exceed the longest in training; None if none does."""
    is_predicted = noun == "predicted length"
    tolerance = max(1.0, _PREDICTED_LENGTH_TOLERANCE * max_steps) if is_predicted else 0.0
    count = int((lengths > max_steps + tolerance).sum())
    if count == 0:
        return None
    remedy = f"ask for at most {max_steps} steps with {argument('lengths=')}"
    if noun == "sequence":
        remedy = f"on windows of them, with {argument(window=max_steps)}"
    return Message(
        f"{count} of {len(lengths)} {noun}{'' if len(lengths) == 1 else 's'} "
        f"{'is' if count == 1 else 'are'} {LONGER_WARNING}: {'' if count == 1 else 'up to '}"
        f"{int(lengths.max())} steps against {max_steps}. The model never saw the steps after step "
        f"{max_steps}, so the results may be far off. Fit on sequences as long as these, or "
        f"{remedy}."
    )


# Series that vary too fast for the code of a pretrained model, which holds slow cosines

# A warning says if codes explain a smaller share of the variance of series than this on average.
_MIN_MEAN_EXPLAINED_VARIANCE = 0.9
# A warning says if the code of a series explains a smaller share of its variance than this.
_MIN_EXPLAINED_VARIANCE = 0.5


def describe_explained_variance(
    shares: Sequence[np.ndarray], dims: int, *, is_cut: bool
) -> str | None:
    """Describe in one line what share of the variance codes explain; None if nearly all."""
    explained = np.concatenate([*shares, []])  # NumPy concatenates one array at least
    if not len(explained):
        return None
    if (
        explained.mean() >= _MIN_MEAN_EXPLAINED_VARIANCE
        and explained.min() >= _MIN_EXPLAINED_VARIANCE
    ):
        return None
    remedy = "They vary too fast for a code"
    if not is_cut:
        in_python, in_shell = "adapt(X, max_loss=0.1)", "refold adapt --max-loss 0.1"
        remedy += f". Windows of the fastest keep more: {spelled(in_python, in_shell)}"
    return Message(
        f"{dims} numbers explain {100 * explained.mean():.0f} % of your series, and "
        f"{100 * explained.min():.0f} % of one. {remedy}."
    )


# Values far outside of the training data, such as values in other units

# A value is far outside if it is outside of the range of the training data, and farther from the
# mean than this number of standard deviations. The range alone would be too narrow for new data.
# The standard deviations alone would be too narrow for data with a heavy tail.
_FAR_STD_FROM_MEAN = 10.0
# A column is probably in other units if more than this share of its values is far outside. A
# smaller share can be ordinary anomalies. Zeros do not count, because they are the same in all
# units.
_MAX_FAR_SHARE = 0.25
# Maximum number of columns that a warning names, so that it stays short.
_MAX_LISTED_COLUMNS = 5
# A number of standard deviations from here on is written with an exponent, so that it stays short.
_MIN_SCIENTIFIC_NOTATION = 1e6


def outlier_limits(error_scaler: Scaler) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of each column beyond which values are far outside of the training data."""
    # the range of new data is unknown if the training data was constant
    varies = error_scaler.least_ < error_scaler.greatest_
    width = np.where(varies, _FAR_STD_FROM_MEAN * error_scaler.scale_, np.inf)
    low = np.minimum(error_scaler.least_, error_scaler.mean_ - width)
    return low, np.maximum(error_scaler.greatest_, error_scaler.mean_ + width)


def count_outliers(values: np.ndarray, error_scaler: Scaler) -> np.ndarray:
    """Count values (n_steps, n_columns) far outside of the training data, (4, n_columns)."""
    # The rows are the numbers of far values, of values that are far or not zero, and of observed
    # values; and the largest distance of a value from the mean in standard deviations.
    low, high = (limit.astype(values.dtype) for limit in outlier_limits(error_scaler))
    far = (values < low) | (values > high)
    # In the usual case, no value is far. Approximate counts are then enough, and save time.
    if not far.any():
        counts = np.array([0, len(values), len(values), 0])
        return np.repeat(counts[:, None], values.shape[1], axis=1)
    observed = ~np.isnan(values)
    masks = [far, far | (observed & (values != 0)), observed]
    lowest, highest = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    with np.errstate(over="ignore"):
        distance = np.fmax(highest - error_scaler.mean_, error_scaler.mean_ - lowest)
        distance = distance / error_scaler.scale_
    return np.stack([*(mask.sum(axis=0) for mask in masks), distance])


def describe_outliers(counts: Sequence[np.ndarray], schema: Schema) -> str | None:
    """Describe columns that are probably in other units, in one line; None if there is none."""
    # ``counts`` are the results of `count_outliers` for each block of the data
    if not counts:
        return None
    num_far, num_comparable, num_observed, _ = np.sum(counts, axis=0)
    distance = np.max(counts, axis=0)[3]
    wrong = np.flatnonzero(num_far > _MAX_FAR_SHARE * num_comparable)
    if not len(wrong):
        return None
    farthest = distance[wrong].max()
    num_std = f"{farthest:.0f}" if farthest < _MIN_SCIENTIFIC_NOTATION else f"{farthest:.3g}"
    names = ", ".join(repr(schema.names[i]) for i in wrong[:_MAX_LISTED_COLUMNS])
    num_unlisted = len(wrong) - _MAX_LISTED_COLUMNS
    names += f" and {num_unlisted} others" if num_unlisted > 0 else ""
    return (
        f"{100 * num_far[wrong].sum() / num_observed[wrong].sum():.0f} % of the values of "
        f"column{'s' * (len(wrong) > 1)} {names} are far outside of the training data, up "
        f"to {num_std} standard deviations from its mean. Check their units: the "
        "results mean little for such values."
    )


# Sequences that a model was trained on, which are recognized by their fingerprints (hashes)

# Maximum number of fingerprints that a model stores: 256 KiB in its file. The smallest fingerprints
# are stored, so the choice does not depend on the order of the sequences.
MAX_STORED_FINGERPRINTS = 1 << 15
# Matches are chance if they are at most this number of standard deviations more than expected.
_MAX_CHANCE_MATCH_STD = 3.0


def check_not_trained_on(normal: Sequences, trained: np.ndarray | None) -> None:
    """Refuse aligned normal sequences that are all training sequences; warn if some are."""
    count, total = _count_training_sequences(normal, trained)
    if 0 < count == total:
        raise DataError(
            "The normal sequences are those that the model was trained on. Their errors are "
            "smaller than those of new ones, so normal new ones would look anomalous. Give others, "
            f"or fit with {argument(calibration_fraction=0.2)}."
        )
    warn(describe_training_sequences(normal, trained, "normal sequences"))


def describe_training_sequences(
    sequences: Sequences, trained: np.ndarray | None, noun: str = "sequences"
) -> str | None:
    """Describe in one line how many aligned sequences a model was trained on; None if none."""
    count, total = _count_training_sequences(sequences, trained)
    if trained is None or not count:
        return None
    # if the model stores a sample of fingerprints, only a share of the sequences is compared
    all_compared = len(trained) < MAX_STORED_FINGERPRINTS
    share = f"{count} of {total}" if all_compared else f"{100 * count / total:.0f} % of the"
    verb = "is" if all_compared and count == 1 else "are"
    return (
        f"{share} {noun} {verb} among those that the model was trained on. Their errors are "
        "smaller than those of new ones. Leave them out."
    )


def _count_training_sequences(sequences: Sequences, trained: np.ndarray | None) -> tuple[int, int]:
    """Return how many sequences a model was trained on, and how many could be compared."""
    # If sequences repeat in the data, some new sequences equal a training sequence by chance. So
    # the number is 0 unless there are more matches than repeats in the training data explain.
    if trained is None or not len(trained):
        return 0, 0
    hashes = fingerprints(sequences)[sequences.lengths > 0]  # all empty sequences are equal
    if len(trained) == MAX_STORED_FINGERPRINTS:  # larger fingerprints were not stored
        hashes = hashes[hashes <= trained[-1]]
    count, total = int(np.isin(hashes, trained).sum()), len(hashes)
    _, counts = np.unique(trained, return_counts=True)
    # the probability that a new sequence equals a training sequence by chance
    chance = counts[counts > 1].sum() / len(trained)
    max_by_chance = chance * total + _MAX_CHANCE_MATCH_STD * np.sqrt(chance * (1 - chance) * total)
    return count if count > max_by_chance else 0, total


def mark_held_back(hashes: np.ndarray, held_back: np.ndarray) -> np.ndarray:
    """Mark the hashes (n,) of held-back sequences; of equal hashes, as many as were held back."""
    if not len(held_back):
        return np.zeros(len(hashes), bool)
    values, counts = np.unique(held_back, return_counts=True)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    # how many equal hashes come before each hash
    num_before = np.arange(len(hashes)) - np.searchsorted(ordered, ordered)
    index = np.minimum(np.searchsorted(values, ordered), len(values) - 1)
    marked = np.empty(len(hashes), bool)
    marked[order] = (values[index] == ordered) & (num_before < counts[index])
    return marked
