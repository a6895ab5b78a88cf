"""The warnings of a model: its data, codes or results are unlike those of the training.

`DataWarnings` collects what there is to warn of in sequences, block by block, so that data larger
than memory cause each warning once. `Model` and the service take their texts from here. Each
``describe_`` function returns the text of a warning, or None if there is nothing to warn of.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import refold
from refold._support.messages import LONGER_THAN_TRAINING_WORDS, pluralize, warn
from refold.errors import DataError, Message, argument, python_or_cli
from refold.network.packed.resampling import iterate_explained_shares
from refold.sequences import Scaler, Schema, Sequences, fingerprints


class DataWarnings:
    """What a model warns of in aligned sequences, collected block by block."""

    def __init__(self, model: "refold.Model", *, checks_lengths: bool = True) -> None:
        self._model, self._checks_lengths = model, checks_lengths
        self._lengths: list[np.ndarray] = []
        self._num_missing = 0
        self._outlier_counts: list[OutlierCounts] = []
        self._explained_variance = ExplainedVariance(model) if model.is_pretrained else None

    def add(self, aligned: Sequences) -> None:
        """Add a block of aligned sequences."""
        model = self._model
        self._lengths.append(aligned.lengths)
        counts = count_outliers(aligned.values, model.error_scaler)
        self._outlier_counts.append(counts)
        self._num_missing += aligned.values.size - int(counts.num_observed.sum())
        if self._explained_variance is not None:
            self._explained_variance.add(aligned)

    def describe(self) -> list[str]:
        """Return the texts of all warnings about the sequences that were added."""
        model, lengths = self._model, np.concatenate([np.empty(0, np.int64), *self._lengths])
        texts = [
            describe_missing_values(self._num_missing, model),
            describe_outlier_columns(self._outlier_counts, model.schema),
        ]
        if self._explained_variance is not None:
            texts.append(self._explained_variance.describe())
        if self._checks_lengths:
            texts.append(describe_excess_lengths(lengths, model.max_training_length))
        return [text for text in texts if text is not None]


def describe_unusual_data(
    model: "refold.Model", aligned: Sequences, *, checks_lengths: bool = True
) -> list[str]:
    """Return the texts of all warnings about aligned sequences in memory."""
    data_warnings = DataWarnings(model, checks_lengths=checks_lengths)
    data_warnings.add(aligned)
    return data_warnings.describe()


# Missing values


def describe_missing_values(num_missing: int, model: "refold.Model") -> str | None:
    """Describe missing values that a model does not tell from the mean; None if there is none."""
    # A model whose encoder reads which values are missing (``observed_flags``) tells them apart,
    # and a pretrained model interpolates them.
    if not num_missing or model.specification.observed_flags or model.is_pretrained:
        return None
    return (
        f"{pluralize(num_missing, 'value')} {'is' if num_missing == 1 else 'are'} missing, "
        "and the model was fitted on data without gaps: it reads them as the mean. Fit on "
        "data with gaps, so that the model tells gaps from values."
    )


# Series that vary too fast for the code of a pretrained model, which holds slow cosines only

# A warning says if codes explain a smaller share of the variance than this, on average over series.
_WARNING_MEAN_EXPLAINED_VARIANCE = 0.9
# A warning says if the code of any series explains a smaller share of its variance than this.
_WARNING_SERIES_EXPLAINED_VARIANCE = 0.5


class ExplainedVariance:
    """Share of the variance of series that the codes of a pretrained model explain."""

    # It is also counted for codes of more dimensions, so that the warning can say how many would be
    # enough. The full model has half as many dimensions as its curves have points.

    def __init__(self, model: "refold.Model") -> None:
        self._model = model
        self._min_dims = model.specification.num_dims_per_curve
        self._max_dims = model.specification.grid // 2
        num_sizes = self._max_dims - self._min_dims + 1  # of codes
        self._num_series = 0
        # (num_sizes,): sum over the series of the share that is lost, and the share that is
        # explained of the worst series
        self._lost_sums, self._worst = np.zeros(num_sizes), np.ones(num_sizes)

    def add(self, series: Sequences) -> None:
        """Add a block of aligned series."""
        self._num_series += len(series)
        for _, shares in iterate_explained_shares(series, self._min_dims, self._max_dims):
            self._lost_sums += (1.0 - shares).sum(axis=0)
            self._worst = np.minimum(self._worst, shares.min(axis=0))

    def describe(self) -> str | None:
        """Describe the share that codes explain; None if they explain enough."""
        means = 1.0 - self._lost_sums / max(1, self._num_series)
        is_enough = (means >= _WARNING_MEAN_EXPLAINED_VARIANCE) & (
            self._worst >= _WARNING_SERIES_EXPLAINED_VARIANCE
        )
        if is_enough[0]:
            return None
        if is_enough.any():
            index = int(is_enough.argmax())
            dims = self._min_dims + index
            load_call = python_or_cli(f'refold.load("series", dims={dims})', f"series-{dims}")
            if dims == self._max_dims:
                load_call = python_or_cli('refold.load("series")', "series")
            remedy = f"Codes of {dims} explain {100 * means[index]:.0f} %: use {load_call}."
        else:
            sizes = "" if len(means) == 1 else f", and those of {self._max_dims} explain "
            sizes += "" if len(means) == 1 else f"{100 * means[-1]:.0f} %"
            windows = python_or_cli(
                "adapt(X, max_lost_variance=0.1)", "refold adapt --max-lost-variance 0.1"
            )
            remedy = f"No code of the model is long enough{sizes}. "
            if self._model.window is None:
                remedy += f"Cut such series into windows, to lose less, with {windows}, or fit "
            else:
                remedy += "Adapt it to shorter windows, or fit "
            remedy += "a model to your data."
        return Message(
            f"Codes of {self._min_dims} numbers explain {100 * means[0]:.0f} % of the variance of "
            f"your series on average, and {100 * self._worst[0]:.0f} % for the worst one. Some "
            f"series vary too fast for such a code. {remedy}"
        )


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
