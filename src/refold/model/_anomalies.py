"""Anomaly scores and their p-values, and drift of all sequences together.

The anomaly score of a sequence is the sum of two components: its reconstruction error, and the
distance of its code and ROCKET features to those of training sequences. Each component is divided
by its mean over training sequences.

`measure_errors_and_features` measures what scores and drift need. `with_reference_statistics` adds
the statistics of training sequences to a model, and `build_calibration` returns the scores of
normal sequences. `measure_drift` tests whether all new sequences together differ from the training
data. `Detection` is the result of `Model.detect`, and `Drift` of `Model.drift`.

Codes are made without latent optimization, which would make anomalies look more normal. Empty
steps, which have no value in any column, are interpolated, because the encoder reads an empty step
as a jump to the mean.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import refold
from refold._support.arrays import linspace_indices, offsets_from_lengths
from refold._support.messages import pluralize
from refold._support.optional_imports import check_training_packages
from refold.evaluation import adjusted_p_values, conformal_p_values
from refold.model._training_statistics import Calibration, ReferenceStatistics, fit_mixture
from refold.network.packed.resampling import interpolate_missing_values
from refold.sequences import Scaler, Sequences, Windows, sequence_and_step_indices, sum_by_sequence

# Values are clipped to this number of standard deviations from the mean, because a network turns
# larger values into NaN in single precision.
_INPUT_CLIP_STD = 1e12
# Maximum number of reconstruction errors that a model stores. It limits the size of the file.
MAX_STORED_HELD_OUT_ERRORS = 1024
# Maximum number of step scores that a calibration stores. It limits the size of the file. P-values
# of steps can still be as small as 1 / 100,001.
_MAX_STORED_STEP_SCORES = 100_000
# Scores that differ by less than this share count as equal, because rounding can make them differ.
_SCORE_ROUNDING_TOLERANCE = 1e-4
# A feature with a smaller standard deviation over the training sequences varies by rounding alone.
_MIN_FEATURE_STD = 1e-3
# Maximum number of training sequences that are decoded for the mean error and the mean distance. It
# limits the time of a fit.
_MAX_SEQUENCES_FOR_MEAN_SCORES = 256
# Family-wise error rate of `str(drift)`: if there is no drift, the text names a difference with at
# most this probability. It is small, so that the text names only real differences.
_FAMILY_WISE_ALPHA = 0.001


class ErrorsAndFeatures(NamedTuple):
    """Errors, codes and features of sequences, from which scores and drift are computed."""

    # (n_steps, n_columns): squared error of each numeric value in standardized units; in other
    # columns, 1 if the value is wrong and 0 if it is right; NaN for missing values
    value_errors: np.ndarray
    sequence_errors: np.ndarray  # (n_sequences,), mean value error, 0 if all values are missing
    codes: np.ndarray  # (n_sequences, code_size), of the encoder
    features: np.ndarray  # (n_sequences, n_features), the code and then ROCKET features


def measure_errors_and_features(model: "refold.Model", sequences: Sequences) -> ErrorsAndFeatures:
    """Measure errors, codes and features of aligned sequences."""
    # both (n_columns,)
    mean, max_deviation = model.error_scaler.mean_, _INPUT_CLIP_STD * model.error_scaler.scale_
    values = np.clip(sequences.values, mean - max_deviation, mean + max_deviation)
    sequences = sequences.with_values(values.astype(sequences.values.dtype))
    codes, features = _compute_codes_and_features(model, sequences)
    value_errors = _compute_errors_by_value(model, sequences, codes)
    sequence_errors = mean_errors_by_sequence(value_errors, sequences)
    return ErrorsAndFeatures(value_errors, sequence_errors, codes, features)


def compute_score_components(
    measured: ErrorsAndFeatures, training_statistics: ReferenceStatistics
) -> np.ndarray:
    """Return the error and the distance of each sequence, divided by their means in training."""
    # (n_sequences, 2); the anomaly score is the sum of both
    distances = _squared_mahalanobis(measured.features, training_statistics)
    components = np.stack([measured.sequence_errors, distances], axis=1)
    return components / training_statistics.mean_score_components


def _compute_codes_and_features(
    model: "refold.Model", sequences: Sequences
) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder's codes (n_sequences, code_size), and features that begin with them."""
    sequences = _interpolate_or_drop_empty_steps(sequences)
    # a pretrained model reads no missing values, not even in steps that have other values
    sequences = interpolate_missing_values(sequences) if model.is_pretrained else sequences
    scaled = model.scaler.transform(sequences)
    codes = model.network.encode(scaled)
    codes = np.concatenate([codes, model.scaler.statistics(sequences)], axis=1).astype(np.float32)
    features = np.concatenate([codes, model.network.compute_rocket_features(scaled)], axis=1)
    return codes, features.astype(float)


def _squared_mahalanobis(features: np.ndarray, reference: ReferenceStatistics) -> np.ndarray:
    """Return the squared distances (n_sequences,) of features from their mean in training."""
    precision = reference.require_precision_matrix().astype(float)
    standardized = (features - reference.feature_mean) / reference.feature_std
    # The distances are computed row by row, because the bits of a product of matrices may depend on
    # the number of rows. Rounding can make a tiny distance negative, which then becomes 0.
    return np.maximum([row @ precision @ row for row in standardized], 0.0)


def _compute_errors_by_value(
    model: "refold.Model", sequences: Sequences, codes: np.ndarray
) -> np.ndarray:
    """Decode the codes of sequences, and return the error (n_steps, n_columns) of each value."""
    # raises an error if a sequence is longer than what the decoder can write
    model.check_lengths(sequences.lengths, num_codes=len(sequences))
    # empty steps at the end of a sequence are not decoded, because they have no error
    lengths = _interpolate_or_drop_empty_steps(sequences).lengths
    decoded = model.decode_to_sequences(codes, lengths).values
    sequence_indices, step_indices = sequence_and_step_indices(sequences)  # (n_steps,) each
    values = np.zeros(sequences.values.shape, decoded.dtype)
    values[step_indices < lengths[sequence_indices]] = decoded
    return compute_value_errors(sequences, sequences.with_values(values), model.error_scaler)


def compute_value_errors(
    sequences: Sequences, decoded: Sequences, error_scaler: Scaler
) -> np.ndarray:
    """Return the error (n_steps, n_columns) of each decoded value; NaN for missing true values."""
    true_values = error_scaler.transform(sequences).values.astype(float)
    decoded_values = error_scaler.transform(decoded).values.astype(float)
    columns = zip(sequences.schema.columns, true_values.T, decoded_values.T, strict=True)
    errors = np.stack([column.column_type.error(x, y, xp=np) for column, x, y in columns], axis=1)
    return np.where(np.isnan(true_values), np.nan, errors)


def mean_errors_by_sequence(value_errors: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the mean error (n_sequences,) of the observed values of each sequence."""
    # summed sequence by sequence, so that no other sequence affects the rounding
    observed = ~np.isnan(value_errors)
    sums = sum_by_sequence(np.where(observed, value_errors, 0.0), sequences).sum(axis=1)
    counts = sum_by_sequence(observed.astype(float), sequences).sum(axis=1)
    return sums / np.maximum(counts, 1)


def _interpolate_or_drop_empty_steps(sequences: Sequences) -> Sequences:
    """Interpolate steps without any value, and drop such steps at the end of a sequence."""
    # Empty steps at the start get the first values after them. In a column that is not numeric, an
    # empty step gets the value before it. A sequence without any value stays as it is.
    values, schema = sequences.values, sequences.schema
    # the last column may be the time since the step before, which an empty step has, too
    without_times = values[:, :-1] if schema.time_gaps else values
    is_empty = np.isnan(without_times).all(axis=1)
    if not is_empty.any():
        return sequences
    # arrays (n_steps,): index of the sequence of each step, and of each step among all steps
    sequence_indices, indices = sequence_and_step_indices(sequences)[0], np.arange(len(values))
    # indices of the nearest steps with values, which may be in another sequence
    before = np.maximum.accumulate(np.where(is_empty, -1, indices))
    after = np.minimum.accumulate(np.where(is_empty, len(values), indices)[::-1])[::-1]
    has_before = before >= sequences.offsets[sequence_indices]
    has_after = after < sequences.offsets[sequence_indices + 1]
    is_filled = is_empty & has_after
    # from here on, ``before`` and ``after`` are (n_filled,): only of the steps that are filled
    after = after[is_filled]
    before = np.where(has_before[is_filled], before[is_filled], after)
    # how far an empty step is from the step before to the step after, from 0 to 1
    fraction = (indices[is_filled] - before) / np.maximum(after - before, 1)
    change = np.where(schema.numeric, values[after] - values[before], 0.0)
    interpolated = values[before] + fraction[:, None] * change
    result = values.copy()
    # an empty step keeps the time since the step before
    result[is_filled] = np.where(np.isnan(values[is_filled]), interpolated, values[is_filled])
    # empty steps at the end of a sequence are dropped, unless the whole sequence is empty
    is_kept = ~is_empty | has_after | ~has_before
    lengths = np.bincount(sequence_indices[is_kept], minlength=len(sequences))
    return Sequences(result[is_kept], offsets_from_lengths(lengths), sequences.ids, schema)


def with_reference_statistics(
    model: "refold.Model", sequences: Sequences, *, mixture_seed: int
) -> "refold.Model":
    """Return a model that knows the statistics of a sample of its training sequences."""
    # The statistics are the mean and the covariance of codes and ROCKET features. Codes hold what
    # the decoder can reconstruct. ROCKET features also describe patterns that the decoder may not
    # know.
    check_training_packages("Learning what is normal")
    codes, features = _compute_codes_and_features(model, sequences)
    mean, std = features.mean(axis=0), features.std(axis=0)
    std = np.where(std > _MIN_FEATURE_STD, std, 1.0)
    standardized = (features - mean) / std
    precision: Any = np.eye(len(mean))  # if no feature varies, there is no covariance to invert
    if standardized.any():
        # not at the top, because only a fit and a calibration need it
        from sklearn.covariance import LedoitWolf

        # shrunk, because there may be more features than sequences: O. Ledoit and M. Wolf, "A
        # well-conditioned estimator for large-dimensional covariance matrices", Journal of
        # Multivariate Analysis 88, 2004
        precision = LedoitWolf(assume_centered=True).fit(standardized).get_precision()
    mean, std, precision = (array.astype(np.float32) for array in (mean, std, precision))
    mixture = fit_mixture(codes, seed=mixture_seed)
    # The components are 1 for now and replaced below, because the mean distance can be measured
    # only with the other statistics.
    reference = ReferenceStatistics(
        codes, mean, std, precision, mean_score_components=np.ones(2), mixture=mixture
    )
    # the means of both score components, over a sample of the sequences
    rows = linspace_indices(len(sequences), _MAX_SEQUENCES_FOR_MEAN_SCORES)
    sample = sequences[rows]
    errors = mean_errors_by_sequence(_compute_errors_by_value(model, sample, codes[rows]), sample)
    distances = _squared_mahalanobis(features[rows], reference)
    means = np.array([errors.mean(), distances.mean()])
    # scores are divided by these means, so a mean of 0 becomes 1
    means = np.where(means > 0, means, 1.0)
    return replace(model, reference=replace(reference, mean_score_components=means))


def build_calibration(
    measured: ErrorsAndFeatures,
    training_statistics: ReferenceStatistics,
    forecast_residuals: np.ndarray | None,
) -> Calibration:
    """Return sorted scores of normal sequences and of their steps, and the forecast residuals."""
    step_scores = compute_step_scores(measured.value_errors)
    step_scores = np.sort(step_scores[~np.isnan(step_scores)])
    step_scores = step_scores[linspace_indices(len(step_scores), _MAX_STORED_STEP_SCORES)]
    scores = np.sort(compute_score_components(measured, training_statistics).sum(axis=1))
    return Calibration(scores, step_scores, forecast_residuals)


def anomaly_p_values(scores: np.ndarray, normal_scores: np.ndarray) -> np.ndarray:
    """Return the p-value (n,) of each score: the share of normal scores at least as high."""
    # scores are lowered a little, because rounding can make scores of equal sequences differ
    return conformal_p_values(scores * (1.0 - _SCORE_ROUNDING_TOLERANCE), normal_scores)


def compute_step_scores(value_errors: np.ndarray) -> np.ndarray:
    """Return the mean error (n_steps,) of each step's observed values, NaN if there is none."""
    counts = (~np.isnan(value_errors)).sum(axis=1)
    return np.where(counts > 0, np.nansum(value_errors, axis=1) / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True)
class Drift:
    """Kolmogorov-Smirnov tests of the errors and of each dimension of the codes.

    The distribution of each dimension of an autoencoder's codes is a sensitive and inexpensive
    measure of drift [1]_. The p-value of a dimension is the first term of Kolmogorov's series,
    an upper bound of its sum. The test of the errors is one-sided, and its p-value is half of that.

    Attributes
    ----------
    num_sequences : int
        Number of new sequences.
    code_statistics, code_p_values : arrays of shape (code_size,)
        For each dimension, the largest difference between its distribution functions in the new
        sequences and in the training data, and the p-value of this difference.
    error_statistic, error_p_value : float, optional
        The same for reconstruction errors, compared with those of sequences that were not trained
        on. The test is one-sided: it finds larger errors. None if errors were not tested.

    References
    ----------
    .. [1] S. Rabanser, S. Günnemann and Z. C. Lipton, "Failing Loudly: An Empirical Study of
       Methods for Detecting Dataset Shift", NeurIPS 2019.

    Examples
    --------
    >>> drift = Drift(90, np.array([0.7, 0.1]), np.array([1e-20, 0.9]), 0.1, 0.4)
    >>> drift.p_value < 0.001
    True
    >>> print(drift)
    p = 3e-20, 1 of 2 code dimensions differs
    """

    num_sequences: int
    code_statistics: np.ndarray
    code_p_values: np.ndarray
    error_statistic: float | None = None
    error_p_value: float | None = None

    @property
    def p_value(self) -> float:
        """p-value of all tests together, float: the smallest one times the number of tests."""
        # Bonferroni correction
        error_p_value = 1.0 if self.error_p_value is None else self.error_p_value
        return min(1.0, self._num_tests * float(min(self.code_p_values.min(), error_p_value)))

    @property
    def _num_tests(self) -> int:
        return len(self.code_p_values) + (self.error_p_value is not None)

    def __repr__(self) -> str:
        return f"Drift({pluralize(self.num_sequences, 'sequence')}, {self})"

    def __str__(self) -> str:
        """Return the p-value, and what differs at a family-wise error rate of 0.001."""
        # Bonferroni correction: the error rate of all tests is divided among the tests
        alpha, num_dimensions = _FAMILY_WISE_ALPHA / self._num_tests, len(self.code_p_values)
        num_different = int((self.code_p_values <= alpha).sum())
        text = f"p = {self.p_value:.2g}, {num_different} of {num_dimensions} code dimensions "
        text += "differs" if num_different == 1 else "differ"
        is_larger = self.error_p_value is not None and self.error_p_value <= alpha
        return text + ", and errors are larger" * is_larger

    def to_table(self) -> pa.Table:
        """Return one row per test: ``test``, ``statistic`` and ``p_value``."""
        pairs = zip(self.code_statistics.tolist(), self.code_p_values.tolist(), strict=True)
        rows = [(f"code dimension {i}", *pair) for i, pair in enumerate(pairs)]
        if self.error_p_value is not None:
            rows.append(("reconstruction error", self.error_statistic, self.error_p_value))
        columns = [list(column) for column in zip(*rows, strict=True)]
        return pa.table(columns, ["test", "statistic", "p_value"])


def measure_drift(
    codes: np.ndarray,  # (n_sequences, code_size)
    training_codes: np.ndarray,  # (n_training_sequences, code_size)
    errors: np.ndarray | None = None,  # (n_sequences,), reconstruction errors
    held_out_errors: np.ndarray | None = None,  # float32 (n_held_out,), of held-out sequences
) -> Drift:
    """Compare codes with those of training, and errors with those of held-out sequences."""
    dimensions = zip(codes.T, training_codes.T, strict=True)
    statistics = np.array([np.abs(_cdf_differences(*pair)).max(initial=0.0) for pair in dimensions])
    # twice the one-sided p-value, because a dimension may become larger or smaller
    p_values = 2.0 * _one_sided_ks_p_value(statistics, len(codes), len(training_codes))
    p_values = np.minimum(1.0, p_values)
    if errors is None or held_out_errors is None:
        return Drift(len(codes), statistics, p_values)
    # in the precision of the held-out errors, so that rounding does not make equal errors differ
    differences = _cdf_differences(errors.astype(np.float32), held_out_errors)
    statistic = float(differences.max(initial=0.0))  # 0 if new errors do not tend to be larger
    p_value = float(_one_sided_ks_p_value(statistic, len(errors), len(held_out_errors)))
    return Drift(len(codes), statistics, p_values, statistic, p_value)


def _cdf_differences(new_values: np.ndarray, old_values: np.ndarray) -> np.ndarray:
    """Return the old minus the new cumulative distribution function (CDF), at each value."""
    # one entry for each value of both arrays; positive if new values tend to be larger
    all_values = np.concatenate([new_values, old_values])
    old_cdf, new_cdf = (
        np.searchsorted(np.sort(values), all_values, side="right") / len(values)
        for values in (old_values, new_values)
    )
    return old_cdf - new_cdf


def _one_sided_ks_p_value(statistic: np.ndarray | float, num_new: int, num_old: int) -> np.ndarray:
    """Return the asymptotic p-value of one or several one-sided Kolmogorov-Smirnov statistics."""
    # Twice this p-value is the first term of Kolmogorov's series, and so an upper bound of the
    # asymptotic p-value of the two-sided test.
    return np.exp(-2.0 * np.square(statistic) * (num_new * num_old / (num_new + num_old)))


class Reason(NamedTuple):
    """Position of a badly reconstructed value, and its share of the sequence's error."""

    step: int
    column: str
    share: float


@dataclass(frozen=True)
class Detection:
    """Anomaly scores and p-values of sequences.

    Attributes
    ----------
    alpha : float
        False alarm rate: at most this share of normal sequences is marked as anomalous, on average
        over the draw of the calibration sequences.
    ids : array of shape (n_sequences,)
        Id of each sequence.
    score_components : array of shape (n_sequences, 2)
        Reconstruction error of a sequence and its distance to the training data, each divided by
        its mean over training sequences.
    p_values : array of shape (n_sequences,)
        Share of normal sequences with an anomaly score at least as high.
    step_scores : list of arrays of shape (length,)
        Mean squared error of each step, in standardized units; NaN if all values are missing.
    step_p_values : list of arrays of shape (length,)
        Share of the steps of normal sequences whose error is at least as large.
    errors : list of arrays of shape (length, n_columns)
        Squared error of each value, in standardized units. Values are clipped to 1e12 standard
        deviations from the training mean.
    columns : tuple of str
        Names of the columns.
    drift : Drift, optional
        Tests whether the sequences differ from the training data as a whole, as `drift` does. None
        if there is no sequence or the model file lacks the errors of held-out sequences.
    windows : Windows, optional
        Positions of the windows in their series, if the model cuts series into windows. Then
        ``step_*`` and ``errors`` describe each window, and ``series_*`` and `to_step_table`
        describe each series.
    times, time_name : pyarrow.Array or None, str
        Times of all steps of the sequences, or series, and their name; None if the data had none.
    row_steps : array of int of shape (num_rows,) or None
        Step of each row of the long table that the data came from, as in `Sequences`.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> ae = ae.fit(sines[:40]).calibrate(sines[40:])
    >>> detection = ae.detect([[4.0] * 20], alpha=0.05)
    >>> detection.anomalous.tolist(), detection.explain(0, most=1)[0].column
    ([True], 'x0')
    """

    alpha: float
    ids: np.ndarray
    score_components: np.ndarray
    p_values: np.ndarray
    step_scores: list[np.ndarray]
    step_p_values: list[np.ndarray]
    errors: list[np.ndarray]
    columns: tuple[str, ...]
    drift: Drift | None = None
    windows: Windows | None = None
    times: pa.Array | None = None
    time_name: str = "time"
    row_steps: np.ndarray | None = None

    @property
    def series_step_scores(self) -> list[np.ndarray]:
        """Step scores of each series, arrays (length,), averaged where windows overlap."""
        return self.step_scores if self.windows is None else self.windows.merge(self.step_scores)

    @property
    def series_step_p_values(self) -> list[np.ndarray]:
        """Step p-values of each series, arrays (length,): twice the mean of its windows' p-values.

        Twice the mean of p-values is a p-value, whatever their dependence [1]_.

        References
        ----------
        .. [1] V. Vovk and R. Wang, "Combining p-values via averaging", Biometrika 107, 2020.
        """
        if self.windows is None:
            return self.step_p_values
        return [np.minimum(1.0, 2.0 * mean) for mean in self.windows.merge(self.step_p_values)]

    def __repr__(self) -> str:
        count = int(self.anomalous.sum())
        sequences = pluralize(len(self.ids), "sequence")
        return f"Detection({sequences}, {count} anomalous at alpha {self.alpha:g})"

    @property
    def scores(self) -> np.ndarray:
        """Anomaly scores, array (n,): sums of both components, 2 on average in training."""
        return self.score_components.sum(axis=1)

    @property
    def anomalous(self) -> np.ndarray:
        """Whether each sequence has a p-value of at most ``alpha``, bool (n,)."""
        return self.p_values <= self.alpha

    @property
    def adjusted_p_values(self) -> np.ndarray:
        """p-values for multiple tests, array (n,); see `refold.evaluation.adjusted_p_values`."""
        return adjusted_p_values(self.p_values)

    @property
    def discoveries(self) -> np.ndarray:
        """Whether each sequence has an adjusted p-value of at most ``alpha``, bool (n,)."""
        return self.adjusted_p_values <= self.alpha

    def explain(self, index: int, most: int = 3) -> list[Reason]:
        """List the values with the largest errors in the sequence at an index, at most ``most``.

        The largest error comes first. The list is empty if the sequence was reconstructed without
        an error. If the distance in ``score_components`` is larger than the error, the
        combination of the values is more anomalous than each single value.
        """
        errors = np.nan_to_num(self.errors[index])
        total_error = errors.sum()
        largest = np.argsort(-errors, axis=None, kind="stable")[:most]
        indices = zip(*np.unravel_index(largest, errors.shape), strict=True)
        return [
            Reason(int(step), self.columns[column], float(errors[step, column] / total_error))
            for step, column in indices
            if errors[step, column] > 0
        ]

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per sequence: id, scores, p-values, verdict and worst value.

        The columns are ``id``, under the name that you give, ``score``, its components ``error``
        and ``distance``, ``p_value``, ``adjusted_p_value``, ``anomalous``, ``step`` and ``column``;
        the last two are null if the distance is the larger component. For windows, ``id`` is that
        of the series, the columns of `Windows.to_table` follow, and ``step`` counts in the series.
        """
        # a single value can explain a large error, but not a large distance
        is_error_larger = self.score_components[:, 0] >= self.score_components[:, 1]
        measures = {
            "score": self.scores,
            "error": self.score_components[:, 0],
            "distance": self.score_components[:, 1],
            "p_value": self.p_values,
            "adjusted_p_value": self.adjusted_p_values,
        }
        id_columns = {id: pa.array(self.ids.tolist())}
        starts = np.zeros(len(self.ids), np.int64)
        if self.windows is not None:
            table, starts = self.windows.to_table(id), self.windows.starts
            id_columns = {name: table[name] for name in table.column_names}
        # step and column of the worst value of each sequence; None if no value explains the score
        steps, columns = [], []
        for i, start in enumerate(starts.tolist()):
            reasons = self.explain(i, most=1) if is_error_larger[i] else []
            steps.append(start + reasons[0].step if reasons else None)
            columns.append(reasons[0].column if reasons else None)
        return pa.table(
            {
                **id_columns,
                **{name: pa.array(values, pa.float64()) for name, values in measures.items()},
                "anomalous": pa.array(self.anomalous, pa.bool_()),
                "step": pa.array(steps, pa.int64()),
                "column": pa.array(columns, pa.string()),
            }
        )

    def to_step_table(self, id: str = "id", time: str | None = None) -> pa.Table:  # noqa: A002
        """Return one row per step of each sequence or series: id, number from 0, score, p-value.

        If the data came from a table with one row per step, the rows are in its order. The columns
        are ``id``, ``step``, ``score`` and ``p_value``. The last two are null if all values of the
        step are missing. If the data had times, they come before the score, under the name that you
        give, or that of the data. Windows that overlap are merged, as in ``series_step_scores``.
        """
        ids = self.ids if self.windows is None else self.windows.ids
        lengths = [len(scores) for scores in self.series_step_scores]
        # The empty array is for a result without sequences: NumPy refuses to concatenate no arrays.
        # ``from_pandas`` turns NaN into null.
        scores, p_values = (
            pa.array(np.concatenate([*series_arrays, []]), pa.float64(), from_pandas=True)
            for series_arrays in (self.series_step_scores, self.series_step_p_values)
        )
        steps = np.concatenate([*map(np.arange, lengths), np.arange(0)])
        columns = {id: pa.array(np.repeat(ids, lengths).tolist()), "step": steps}
        if self.times is not None:
            columns[time or self.time_name] = self.times
        table = pa.table({**columns, "score": scores, "p_value": p_values})
        # a row of a negative step stands for an empty sequence
        return table if self.row_steps is None else table.take(self.row_steps[self.row_steps >= 0])
