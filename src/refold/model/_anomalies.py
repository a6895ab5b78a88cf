"""Anomaly scores and their p-values.

The anomaly score of a sequence is the sum of two components: its reconstruction error, and the
distance of its code and ROCKET features to those of training sequences. Each component is divided
by its mean over training sequences.

`measure_sequences` returns errors and distances of sequences. `with_reference_statistics` adds
the statistics of training sequences to a model, and `build_calibration` returns the scores of
normal sequences. `Detection` is the result of `Model.detect`.

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
from refold.errors import ParameterError, spelled
from refold.evaluation import adjusted_p_values, conformal_p_values
from refold.model._drift import Drift
from refold.model._inputs import check_lengths
from refold.model._training_statistics import Calibration, ReferenceStatistics, fit_mixture
from refold.network.packed.resampling import interpolate_missing_values
from refold.sequences import Scaler, Sequences, Windows, positions, sum_by_sequence

# Values are clipped to this number of standard deviations from the mean, because a network turns
# larger values into NaN in single precision.
_MAX_STD_FROM_MEAN = 1e12
# Maximum number of reconstruction errors that a model stores. It limits the size of the file.
MAX_STORED_ERRORS = 1024
# Maximum number of step scores that a calibration stores. It limits the size of the file. P-values
# of steps can still be as small as 1 / 100,001.
_MAX_STORED_STEP_SCORES = 100_000
# Scores that differ by less than this share count as equal, because rounding can make them differ.
_ROUNDING_TOLERANCE = 1e-4
# A feature with a smaller standard deviation over the training sequences varies by rounding alone.
_MIN_FEATURE_STD = 1e-3
# Maximum number of training sequences that are decoded for the mean error and the mean distance. It
# limits the time of a fit.
_MAX_DECODED_SEQUENCES = 256


class Measurement(NamedTuple):
    """Errors and distances of sequences, before they are divided by their means and added."""

    # (n_steps, n_columns): squared error of each numeric value in standardized units; in other
    # columns, 1 if the value is wrong and 0 if it is right; NaN for missing values
    value_errors: np.ndarray
    sequence_errors: np.ndarray  # (n_sequences,), mean value error, 0 if all values are missing
    # (n_sequences,), squared Mahalanobis distances of codes and ROCKET features from the mean of
    # the training sequences
    distances: np.ndarray
    codes: np.ndarray  # (n_sequences, code_size), of the encoder


def measure_sequences(model: "refold.Model", sequences: Sequences) -> Measurement:
    """Measure errors and distances of aligned sequences."""
    sequences = _clip_extreme_values(sequences, model.error_scaler)
    codes, features = _codes_and_features(model, sequences)
    value_errors = _value_errors_of_codes(model, sequences, codes)
    sequence_errors = mean_errors_by_sequence(value_errors, sequences)
    distances = _mahalanobis_distances(features, model.require_reference())
    return Measurement(value_errors, sequence_errors, distances, codes)


def score_components(measurement: Measurement, reference: ReferenceStatistics) -> np.ndarray:
    """Return (n_sequences, 2): error and distance, divided by their means in training."""
    # the anomaly score is the sum of both
    components = np.stack([measurement.sequence_errors, measurement.distances], axis=1)
    return components / reference.component_means


def reconstruction_errors(model: "refold.Model", sequences: Sequences) -> np.ndarray:
    """Return the reconstruction errors (n_sequences,) of aligned sequences."""
    sequences = _clip_extreme_values(sequences, model.error_scaler)
    codes, _ = _codes_and_features(model, sequences)
    return mean_errors_by_sequence(_value_errors_of_codes(model, sequences, codes), sequences)


def _clip_extreme_values(sequences: Sequences, error_scaler: Scaler) -> Sequences:
    """Clip values to the range that the network can compute with."""
    width = _MAX_STD_FROM_MEAN * error_scaler.scale_
    values = np.clip(sequences.values, error_scaler.mean_ - width, error_scaler.mean_ + width)
    return sequences.with_values(values.astype(sequences.values.dtype))


def _codes_and_features(
    model: "refold.Model", sequences: Sequences
) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder's codes (n_sequences, code_size), and features that begin with them."""
    sequences = _interpolate_empty_steps(sequences)
    # a pretrained model reads no missing values, not even those in steps with other values
    sequences = interpolate_missing_values(sequences) if model.specification.grid else sequences
    scaled = model.scaler.transform(sequences)
    codes = model.network.encode(scaled)
    codes = np.concatenate([codes, model.scaler.statistics(sequences)], axis=1).astype(np.float32)
    features = np.concatenate([codes, model.network.rocket_features(scaled)], axis=1)
    return codes, features.astype(float)


def _mahalanobis_distances(features: np.ndarray, reference: ReferenceStatistics) -> np.ndarray:
    """Return the squared distances (n_sequences,) of features from their mean in training."""
    if reference.precision is None:
        raise ParameterError(
            "This model does not know what is normal in your data. Calibrate it first: "
            f"{spelled('model.calibrate(normal)', '--normal DATA, also of refold adapt')}."
        )
    standardized = (features - reference.mean) / reference.std
    precision = reference.precision.astype(float)
    # row by row, because the bits of a product of matrices may depend on the number of rows; not
    # below 0, because rounding can make a tiny distance negative
    return np.maximum([row @ precision @ row for row in standardized], 0.0)


def _value_errors_of_codes(
    model: "refold.Model", sequences: Sequences, codes: np.ndarray
) -> np.ndarray:
    """Decode the codes of sequences, and return the error (n_steps, n_columns) of each value."""
    check_lengths(sequences.lengths, len(sequences), model.network)
    # empty steps at the end of a sequence are not decoded, and missing values have no error
    lengths = _interpolate_empty_steps(sequences).lengths
    decoded = model.decode_to_sequences(codes, lengths).values
    row, step = positions(sequences)  # indices of the sequence, and of the step in it
    values = np.zeros(sequences.values.shape, decoded.dtype)
    values[step < lengths[row]] = decoded
    return compute_value_errors(sequences, sequences.with_values(values), model.error_scaler)


def compute_value_errors(
    sequences: Sequences, decoded: Sequences, error_scaler: Scaler
) -> np.ndarray:
    """Return the error (n_steps, n_columns) of each decoded value; NaN for missing true values."""
    true_values = error_scaler.transform(sequences).values.astype(float)
    decoded_values = error_scaler.transform(decoded).values.astype(float)
    columns = zip(sequences.schema.columns, true_values.T, decoded_values.T, strict=True)
    errors = np.stack([column.column_type.error(x, y, np) for column, x, y in columns], axis=1)
    return np.where(np.isnan(true_values), np.nan, errors)


def mean_errors_by_sequence(value_errors: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the mean error (n_sequences,) of the observed values of each sequence."""
    # summed sequence by sequence, so that no other sequence affects the rounding
    observed = ~np.isnan(value_errors)
    sums = sum_by_sequence(np.where(observed, value_errors, 0.0), sequences).sum(axis=1)
    counts = sum_by_sequence(observed.astype(float), sequences).sum(axis=1)
    return sums / np.maximum(counts, 1)


def _interpolate_empty_steps(sequences: Sequences) -> Sequences:
    """Interpolate steps without any value, and drop such steps at the end of a sequence."""
    # Empty steps at the start get the first values after them. In a column that is not numeric, an
    # empty step gets the value before it. A sequence without any value stays as it is.
    values, schema = sequences.values, sequences.schema
    # the last column may be the time since the step before, which an empty step has, too
    without_times = values[:, :-1] if schema.time_gaps else values
    is_empty = np.isnan(without_times).all(axis=1)
    if not is_empty.any():
        return sequences
    row, index = positions(sequences)[0], np.arange(len(values))
    # indices of the nearest steps with values, which may be in another sequence
    before = np.maximum.accumulate(np.where(is_empty, -1, index))
    after = np.minimum.accumulate(np.where(is_empty, len(values), index)[::-1])[::-1]
    has_before = before >= sequences.offsets[row]
    has_after = after < sequences.offsets[row + 1]
    filled = is_empty & has_after
    after = after[filled]
    before = np.where(has_before[filled], before[filled], after)
    # how far an empty step is from the step before to the step after, from 0 to 1
    share = (index[filled] - before) / np.maximum(after - before, 1)
    change = np.where(schema.numeric, values[after] - values[before], 0.0)
    interpolated = values[before] + share[:, None] * change
    result = values.copy()
    result[filled] = np.where(np.isnan(values[filled]), interpolated, values[filled])
    stays = ~is_empty | has_after | ~has_before  # all but empty steps at the end
    lengths = np.bincount(row[stays], minlength=len(sequences))
    return Sequences(result[stays], offsets_from_lengths(lengths), sequences.ids, schema)


def with_reference_statistics(
    model: "refold.Model", sequences: Sequences, *, seed: int
) -> "refold.Model":
    """Return a model that knows the statistics of a sample of its training sequences."""
    # These are the mean and the covariance of codes and ROCKET features. Codes hold what the
    # decoder can reconstruct. ROCKET features also describe patterns that the decoder may not know.
    check_training_packages("Learning what is normal")
    codes, features = _codes_and_features(model, sequences)
    mean, std = features.mean(axis=0), features.std(axis=0)
    std = np.where(std > _MIN_FEATURE_STD, std, 1.0)
    standardized = (features - mean) / std
    precision: Any = np.eye(len(mean))
    if standardized.any():
        # not at the top, because only a fit and a calibration need it
        from sklearn.covariance import LedoitWolf

        # shrunk, because there may be more features than sequences: O. Ledoit and M. Wolf, "A
        # well-conditioned estimator for large-dimensional covariance matrices", Journal of
        # Multivariate Analysis 88, 2004
        precision = LedoitWolf(assume_centered=True).fit(standardized).get_precision()
    mean, std, precision = (array.astype(np.float32) for array in (mean, std, precision))
    mixture = fit_mixture(codes, seed=seed)
    reference = ReferenceStatistics(codes, mean, std, precision, np.ones(2), mixture)
    # the means of both score components, over a part of the sequences
    rows = linspace_indices(len(sequences), _MAX_DECODED_SEQUENCES)
    sample = sequences[rows]
    errors = mean_errors_by_sequence(_value_errors_of_codes(model, sample, codes[rows]), sample)
    distances = _mahalanobis_distances(features[rows], reference)
    component_means = np.array([errors.mean(), distances.mean()])
    # scores are divided by these means, so a mean of 0 becomes 1
    component_means = np.where(component_means > 0, component_means, 1.0)
    return replace(model, reference=replace(reference, component_means=component_means))


def build_calibration(
    normal_measurement: Measurement, reference: ReferenceStatistics, residuals: np.ndarray | None
) -> Calibration:
    """Return the scores of normal sequences and of their steps, sorted, with the residuals."""
    steps = step_scores(normal_measurement.value_errors)
    steps = np.sort(steps[~np.isnan(steps)])
    steps = steps[linspace_indices(len(steps), _MAX_STORED_STEP_SCORES)]
    scores = np.sort(score_components(normal_measurement, reference).sum(axis=1))
    return Calibration(scores, steps, residuals)


def anomaly_p_values(scores: np.ndarray, normal_scores: np.ndarray) -> np.ndarray:
    """Return the p-value (n,) of each score: the share of normal scores that are as high."""
    # scores are lowered a little, because rounding can make scores of equal sequences differ
    return conformal_p_values(scores * (1.0 - _ROUNDING_TOLERANCE), normal_scores)


def step_scores(value_errors: np.ndarray) -> np.ndarray:
    """Return the mean error (n_steps,) of each step's observed values, NaN if there is none."""
    counts = (~np.isnan(value_errors)).sum(axis=1)
    return np.where(counts > 0, np.nansum(value_errors, axis=1) / np.maximum(counts, 1), np.nan)


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
        ``step_*`` and ``errors`` are those of each window, and ``series_*`` and ``steps`` those of
        each series.
    times, time_name : pyarrow.Array or None, str
        Times of the steps of all sequences, or of all series, if the data had any, and their name.

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

    @property
    def series_scores(self) -> list[np.ndarray]:
        """Step scores of each series, arrays (length,), averaged where windows overlap."""
        return self.step_scores if self.windows is None else self.windows.merge(self.step_scores)

    @property
    def series_p_values(self) -> list[np.ndarray]:
        """Step p-values of each series, arrays (length,): twice the mean of those of its windows.

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
        """p-values for multiple tests, array (n,); see `refold.evaluation.adjusted_p_values`.

        Among the sequences with a value of at most ``alpha``, the expected share of normal ones is
        at most ``alpha``.
        """
        return adjusted_p_values(self.p_values)

    @property
    def discoveries(self) -> np.ndarray:
        """Whether each sequence has an adjusted p-value of at most ``alpha``, bool (n,)."""
        return self.adjusted_p_values <= self.alpha

    def explain(self, index: int, most: int = 3) -> list[Reason]:
        """List the values with the largest errors in the sequence at an index, at most ``most``.

        The largest error comes first. The list is empty if the sequence was reconstructed without
        an error. If ``score_components`` has a larger distance than error, the combination of
        values is more anomalous than the values.
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
        # a single value causes a large error, but not a large distance
        by_error = self.score_components[:, 0] >= self.score_components[:, 1]
        worst = [self.explain(i, most=1) if by_error[i] else [] for i in range(len(self.ids))]
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
        pairs = zip(starts.tolist(), worst, strict=True)  # start of a window, and its worst value
        steps = [start + reasons[0].step if reasons else None for start, reasons in pairs]
        columns = [reasons[0].column if reasons else None for reasons in worst]
        return pa.table(
            {
                **id_columns,
                **{name: pa.array(values, pa.float64()) for name, values in measures.items()},
                "anomalous": pa.array(self.anomalous, pa.bool_()),
                "step": pa.array(steps, pa.int64()),
                "column": pa.array(columns, pa.string()),
            }
        )

    def steps(self, id: str = "id", time: str | None = None) -> pa.Table:  # noqa: A002
        """Return one row per step of each sequence or series: id, number from 0, score, p-value.

        The columns are ``id``, ``step``, ``score`` and ``p_value``. The last two are null if all
        values of the step are missing. If the data had times, they come before the score, under the
        name that you give, or that of the data. Windows that overlap are merged, as in
        ``series_scores``.
        """
        by_series = self.series_scores, self.series_p_values
        ids = self.ids if self.windows is None else self.windows.ids
        lengths = [len(scores) for scores in by_series[0]]
        # with an empty array, because NumPy concatenates one array at least
        scores, p_values = (
            pa.array(np.concatenate([*arrays, []]), pa.float64(), from_pandas=True)
            for arrays in by_series
        )
        steps = np.concatenate([*map(np.arange, lengths), np.arange(0)])
        columns = {id: pa.array(np.repeat(ids, lengths).tolist()), "step": steps}
        if self.times is not None:
            columns[time or self.time_name] = self.times
        return pa.table({**columns, "score": scores, "p_value": p_values})
