"""Invertible scaling of numeric columns, and the means and standard deviations that it needs.

`Scaler` standardizes columns. `RunningMoments` and `sequence_mean_std` compute moments, which are
means and standard deviations, of all data and of each sequence. They ignore missing entries.

In the shapes, F is the number of columns, K the number of numeric columns, which include counts,
and n the number of sequences.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from refold._support.messages import warn
from refold._support.rules import BOOLEAN_RULE, Rule, check, check_not_empty, one_of
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences._encoding import (
    MAX_FLOAT32,
    StepLocator,
    check_codes_finite,
    check_decoded_finite,
    check_finite_and_categories,
)
from refold.sequences._schema import Schema, join_names
from refold.sequences._sequences import Sequences

# Which mean and standard deviation scale the values of a column: those of the training data
# ("features") or those of the same sequence ("sequence"). In the second case, the code of a
# sequence has these statistics, too.
ScalingMode = Literal["features", "sequence"]

# What the argument of `Scaler.clip` can be.
CLIP_RULE = Rule(
    "True, False or 'positive'",
    lambda value: value == "positive" if isinstance(value, str) else BOOLEAN_RULE.allows(value),
)

# Keys of the arrays of a scaler in a model file. "least" and "greatest" are the range of each
# column, and "floor" is the minimum standard deviation of a sequence.
_SCALER_ARRAY_KEYS = ("numeric", "mean", "scale", "least", "greatest")
_SCALER_ARRAY_KEYS += ("statistics_mean", "statistics_scale", "floor")

# Minimum standard deviation of a sequence, as a share of the median over sequences. Otherwise an
# almost constant sequence would be scaled by an enormous factor.
_MIN_SEQUENCE_STD_TO_MEDIAN = 1e-4
# The mean of a sequence has a distance from the usual mean in training. The minimum standard
# deviation of the sequence is this share of the distance: the rounding error of the mean in float32
# must not look like a signal.
MIN_STD_PER_TRAINING_DISTANCE = 8 * np.finfo(np.float32).eps
# A standard deviation below this share of the mean is a rounding error of a constant column.
_MAX_CONSTANT_STD_TO_MEAN = 10 * np.finfo(np.float64).eps


class Scaler:
    """Standardizes numeric columns, and inverts the scaling.

    Create it with `fit`.

    Attributes
    ----------
    mode : {"features", "sequence"} or None
        Scale by the training data, by each sequence, or not at all.
    mean_, scale_ : array of shape (F,)
        Mean and standard deviation of each column over the training data; 0 and 1 if the column
        is not numeric or ``mode`` is None. The scale of a constant column is 1.
    data_min_, data_max_ : array of shape (F,)
        Range of each column over the training data. Infinite if the column is not numeric.

    Examples
    --------
    >>> sequences = Sequences.from_list([[1.0, 2.0], [3.0]])
    >>> scaler = Scaler.fit(sequences)
    >>> scaler.transform(sequences).values.mean().item()
    0.0
    >>> scaler.inverse_transform(scaler.transform(sequences))[1]
    array([3.])
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.mode: ScalingMode | None = state["mode"]
        self.dtype_ = np.dtype(str(state["dtype"]))
        arrays = {key: np.asarray(state[key], np.float64) for key in _SCALER_ARRAY_KEYS}
        self.is_numeric_ = arrays["numeric"] = arrays["numeric"].astype(bool)  # (F,)
        self.mean_, self.scale_ = arrays["mean"], arrays["scale"]
        self.data_min_, self.data_max_ = arrays["least"], arrays["greatest"]
        # Mean and scale, both (2 K,), of the statistics of sequences, and the minimum standard
        # deviation (K,) of a sequence. Empty unless the mode is "sequence".
        self.statistics_mean_ = arrays["statistics_mean"]
        self.statistics_scale_ = arrays["statistics_scale"]
        self.min_std_ = arrays["floor"]
        self._arrays = arrays

    @classmethod
    def fit(cls, sequences: Sequences, mode: ScalingMode | None = "features") -> "Scaler":
        """Fit a scaler on training data.

        Parameters
        ----------
        sequences : Sequences
            Training data.
        mode : {"features", "sequence"} or None, default="features"
            Statistics to scale by; see the attribute. A constant column is scaled by 1, and a
            warning names it.
        """
        check("scale", mode, one_of("features", "sequence", None))
        numeric, num_steps = sequences.schema.numeric, len(sequences.values)
        purpose = f"to learn from: all {len(sequences)} sequences are empty"
        check_not_empty(num_steps, "step", purpose)
        # is_missing: mask (F,) of the columns without an observed value
        moments, is_missing = RunningMoments(int(numeric.sum())), np.ones(len(numeric), bool)
        for block in sequences.blocks():
            is_missing &= np.isnan(block.values).all(axis=0)
            with np.errstate(over="ignore", invalid="ignore"):  # values too large are refused below
                moments.add(block.values[:, numeric])
        if np.maximum(-moments.minimum, moments.maximum).max(initial=0) > MAX_FLOAT32:
            check_float32_range(sequences)  # raises an error that names the value
        if is_missing.any():
            raise DataError(
                f"Column {sequences.schema.names[np.argmax(is_missing)]!r} is missing in all "
                f"{num_steps} steps of the {len(sequences)} sequences. Leave the column out or "
                "fill it in."
            )
        mean, scale = np.zeros(len(numeric)), np.ones(len(numeric))
        data_min, data_max = np.full(len(numeric), -np.inf), np.full(len(numeric), np.inf)
        data_min[numeric], data_max[numeric] = moments.minimum, moments.maximum
        if mode is not None:
            is_constant = moments.scale == 0
            if is_constant.any():
                names = np.array(sequences.schema.names)[numeric][is_constant].tolist()
                warn(f"Constant in the training data, and scaled by 1: column {join_names(names)}.")
            mean[numeric] = moments.mean
            scale[numeric] = np.where(is_constant, 1.0, moments.scale)
        is_by_sequence = mode == "sequence"
        # mean and scale of the statistics of sequences, and the minimum standard deviations
        statistics = _fit_sequence_statistics(sequences) if is_by_sequence else [np.zeros(0)] * 3
        arrays = numeric, mean, scale, data_min, data_max, *statistics  # in the order of the keys
        state = dict(zip(_SCALER_ARRAY_KEYS, arrays, strict=True))
        return cls({"mode": mode, "dtype": sequences.dtype.name, **state})

    @property
    def num_statistics(self) -> int:
        """Number of `statistics` per sequence: 2 per numeric column, or 0 if not by sequence."""
        return len(self.statistics_mean_)

    def check_scaled_range(self, sequences: Sequences) -> None:
        """Raise ``DataError`` if float32 cannot hold the scaled values of sequences."""
        self._check_columns(sequences)
        # A scaled value is the distance of the value from the mean, divided by the scale.
        # Float32 has to hold the scaled value, the distance, and the value as it is.
        max_distance = MAX_FLOAT32 * np.minimum(self.scale_, 1.0)
        minimum = np.maximum(self.mean_ - max_distance, -MAX_FLOAT32)
        _check_value_range(sequences, minimum, np.minimum(self.mean_ + max_distance, MAX_FLOAT32))

    def transform(self, sequences: Sequences) -> Sequences:
        """Scale sequences."""
        self._check_columns(sequences)
        scaled, start = np.empty(sequences.values.shape, sequences.dtype), 0
        for block in sequences.blocks():  # in blocks, because float64 takes twice the memory
            # None: the function computes the statistics of the block
            shift, scale = self._compute_shift_and_scale(block, sequence_statistics=None)
            shifted = np.subtract(block.values, shift, dtype=np.float64)
            scaled_block = scaled[start : start + len(shifted)]
            np.divide(shifted, scale, out=scaled_block, casting="same_kind")
            start += len(shifted)
        offsets, ids, schema = sequences.offsets, sequences.ids, sequences.schema
        check_finite_and_categories(scaled, schema, StepLocator(offsets, ids))
        # without times, because networks do not read them and batches would copy them
        return Sequences.from_checked(scaled, offsets, ids, schema)

    def inverse_transform(self, sequences: Sequences, statistics: Any = None) -> Sequences:
        """Return sequences in the scale and the dtype of the training data.

        Parameters
        ----------
        sequences : Sequences
            Scaled sequences.
        statistics : array of shape (n, 2 K), optional
            What `statistics` returned for the sequences; required if the mode is "sequence".
        """
        self._check_columns(sequences)
        if self.mode == "sequence":
            expected = (len(sequences), self.num_statistics)
            shape = None if statistics is None else np.shape(statistics)
            if shape != expected:
                raise ParameterError(
                    f"Inverting the scaling by sequence needs statistics of shape {expected}, from "
                    f"Scaler.statistics. Got {shape}."
                )
        with np.errstate(over="ignore", invalid="ignore"):
            shift, scale = self._compute_shift_and_scale(sequences, statistics)
            values = sequences.values.astype(np.float64) * scale + shift
        for i, column in enumerate(sequences.schema.columns):
            if column.column_type.is_whole:  # a decoder writes expected counts, with fractions
                values[:, i] = column.column_type.to_nearest_valid(values[:, i])
        # a comparison that is True for NaN, which marks missing entries
        check_decoded_finite(~(np.abs(values) > MAX_FLOAT32), sequences.offsets)
        return sequences.with_values(values.astype(self.dtype_))

    def clip(self, sequences: Sequences, *, clip: bool | str = True) -> Sequences:
        """Clip numeric columns.

        Parameters
        ----------
        sequences : Sequences
            Sequences in the scale of the training data.
        clip : {True, False, "positive"}, default=True
            True clips each column to its range in the training data, and "positive" clips columns
            that were never negative in the training data at 0.
        """
        self._check_columns(sequences)
        check("clip", clip, CLIP_RULE)
        if not clip:
            return sequences
        minimum, maximum = self.data_min_, self.data_max_
        if clip == "positive":
            minimum, maximum = np.where(minimum >= 0, 0.0, -np.inf), np.full_like(maximum, np.inf)
        values = np.clip(sequences.values, minimum, maximum)
        return sequences.with_values(values.astype(sequences.values.dtype))

    def statistics(self, sequences: Sequences) -> np.ndarray:
        """Return the standardized mean and log standard deviation of each sequence.

        Returns
        -------
        array of float32 of shape (n, 2 K)
            Means of the K numeric columns, then log standard deviations. Always finite, of order
            1, and 0 where nothing was observed. Width 0 unless the mode is "sequence".
        """
        self._check_columns(sequences)
        if self.mode != "sequence":
            return np.zeros((len(sequences), 0), dtype=np.float32)
        mean, std = sequence_mean_std(sequences.values[:, self.is_numeric_], sequences)  # (n, K)
        # The first K statistics of a sequence are its means. So the first K entries of
        # `statistics_mean_` are the usual means in training.
        distance = np.abs(mean - self.statistics_mean_[: mean.shape[1]])
        min_std = np.maximum(self.min_std_, MIN_STD_PER_TRAINING_DISTANCE * distance)
        moments = np.concatenate([mean, np.log(np.maximum(std, min_std))], axis=1)
        standardized = (moments - self.statistics_mean_) / self.statistics_scale_
        standardized = np.nan_to_num(standardized, nan=0.0)  # NaN if nothing was observed
        check_codes_finite(np.abs(standardized) <= MAX_FLOAT32, sequences.ids)
        return standardized.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values and arrays."""
        return {"mode": self.mode, "dtype": self.dtype_.name} | self._arrays

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Scaler":
        """Return the scaler from the output of `to_dict`."""
        try:
            return cls(state)
        except KeyError as error:
            raise DataError(f"The state of a scaler lacks the entry {error}.") from error

    def shift(self, schema: Schema) -> np.ndarray:
        """Return what scaling subtracts from each column (F,): the mean, or 0 for counts."""
        return np.where(schema.centered_mask, self.mean_, 0.0)

    def _compute_shift_and_scale(
        self, sequences: Sequences, sequence_statistics: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what to subtract and to divide by, each (F,) for all steps or (num_steps, F)."""
        if self.mode != "sequence":
            return self.shift(sequences.schema), self.scale_
        if sequence_statistics is None:
            # `inverse_transform` gets these statistics, rounded to float32 as here. So it
            # multiplies by exactly what `transform` divides by.
            sequence_statistics = self.statistics(sequences)
        # means and log standard deviations of the sequence of each step, (num_steps, 2 K)
        moments = np.asarray(sequence_statistics, dtype=np.float64) * self.statistics_scale_
        moments = np.repeat(moments + self.statistics_mean_, sequences.lengths, axis=0)
        means, log_stds = np.split(moments, 2, axis=1)
        shift, scale = np.zeros(sequences.values.shape), np.ones(sequences.values.shape)
        shift[:, self.is_numeric_], scale[:, self.is_numeric_] = means, np.exp(log_stds)
        shift[:, ~sequences.schema.centered_mask] = 0.0
        return shift, scale

    def _check_columns(self, sequences: Sequences) -> None:
        """Raise ``SchemaError`` if the numeric columns are not those of the training data."""
        numeric = sequences.schema.numeric
        if not np.array_equal(numeric, self.is_numeric_):
            raise SchemaError(
                f"The scaler was fitted on {len(self.is_numeric_)} columns, "
                f"{self.is_numeric_.sum()} of them numeric. Got {len(numeric)}, {numeric.sum()} "
                "numeric; use Sequences.convert_to_schema."
            )


def _fit_sequence_statistics(sequences: Sequences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and scale (2 K,) of the statistics of sequences, and the minimum std (K,)."""
    numeric = sequences.schema.numeric
    moments = [sequence_mean_std(block.values[:, numeric], block) for block in sequences.blocks()]
    mean, std = (np.concatenate(arrays) for arrays in zip(*moments, strict=True))  # (n, K)
    min_std = np.ones(mean.shape[1])
    for i, column_stds in enumerate(std.T):
        positive = column_stds[column_stds > 0]  # without constant sequences
        if len(positive):
            min_std[i] = max(positive.min(), _MIN_SEQUENCE_STD_TO_MEDIAN * np.median(positive))
    statistics = RunningMoments(2 * mean.shape[1])
    statistics.add(np.concatenate([mean, np.log(np.maximum(std, min_std))], axis=1))
    return statistics.mean, np.where(statistics.scale == 0, 1.0, statistics.scale), min_std


def check_float32_range(sequences: Sequences) -> None:
    """Raise ``DataError`` if data have a value that float32 cannot hold; networks need float32."""
    if sequences.dtype == np.float32:
        return
    for block in sequences.blocks():
        _check_value_range(block, -MAX_FLOAT32, MAX_FLOAT32)


def _check_value_range(sequences: Sequences, minimum: Any, maximum: Any) -> None:
    """Raise ``DataError`` if a value is outside the range of its column."""
    # the minimum and the maximum are (F,), or one number for all columns
    values = sequences.values
    # A fast check, which most data pass. Data with NaN never pass it; they pass the check by column
    # below, which ignores NaN.
    if not values.size or (values.min() >= np.max(minimum) and values.max() <= np.min(maximum)):
        return
    outside = np.argwhere((values < minimum) | (values > maximum))
    if not len(outside):
        return
    row, column = outside[0]
    minimum, maximum, _ = np.broadcast_arrays(minimum, maximum, values[row])
    locate = StepLocator(sequences.offsets, sequences.ids)
    location = locate(int(row), sequences.schema.names[column])
    raise DataError(
        f"Got {values[row, column]:g} at {location}. Expected finite numbers from "
        f"{minimum[column]:.3g} to {maximum[column]:.3g}, which float32 can hold when they are "
        "scaled; use NaN for a missing entry."
    )


# Moments, exact for means far from 0 and for constant columns


class RunningMoments:
    """Mean, standard deviation and range of each column of data that come block by block."""

    def __init__(self, num_columns: int) -> None:
        self._count = np.zeros(num_columns)  # of observed values
        # _origin: mean of the first block with observed values. _mean_offset: mean of all values
        # minus the origin, because differences from the origin have small rounding errors.
        # _squares_sum: sum of the squared differences of all values from their mean.
        self._origin, self._mean_offset, self._squares_sum = np.zeros((3, num_columns))
        # range of the observed values (K,); infinite if there are none
        self.minimum, self.maximum = np.full((2, num_columns), [[np.inf], [-np.inf]])

    def add(self, values: np.ndarray) -> None:
        """Add values, an array of finite numbers and NaN of shape (num_steps, K)."""
        # NumPy reduces the rows of a narrow array ten times as slowly as those of its transpose
        by_column = np.ascontiguousarray(values.T)
        block_minimum = np.fmin.reduce(by_column, axis=1, initial=np.inf)
        block_maximum = np.fmax.reduce(by_column, axis=1, initial=-np.inf)
        self.minimum = np.minimum(self.minimum, block_minimum)
        self.maximum = np.maximum(self.maximum, block_maximum)
        # differences: the values, then minus the origin, then minus their own mean; 0 if missing
        differences, is_observed = _fill_missing_with_0(values)
        num_observed = np.array([np.count_nonzero(column) for column in is_observed.T], np.int64)
        divisor, is_first = np.maximum(num_observed, 1), self._count == 0
        self._origin[is_first] = (differences.sum(axis=0) / divisor)[is_first]
        differences -= self._origin
        differences[~is_observed] = 0.0
        # in the first block, the origin is the mean
        mean_offset = np.where(is_first, 0.0, differences.sum(axis=0) / divisor)
        if mean_offset.any():
            differences -= mean_offset
            differences[~is_observed] = 0.0
        squares_sum = np.einsum("ij,ij->j", differences, differences)
        # correct the rounding error of the mean, which leaves a sum of differences that is not 0
        squares_sum -= np.where(is_first, 0.0, differences.sum(axis=0) ** 2 / divisor)
        # Blocks are merged by means and sums of squared differences from the mean (Chan, Golub and
        # LeVeque, 1979), because sums of squares suffer from cancellation.
        total = np.maximum(self._count + num_observed, 1)
        mean_change = mean_offset - self._mean_offset
        self._squares_sum += squares_sum + mean_change**2 * (self._count / total * num_observed)
        self._mean_offset += mean_change * (num_observed / total)
        self._count += num_observed

    @property
    def mean(self) -> np.ndarray:
        """Means of the observed values, 0 if there are none, array of float64 of shape (K,)."""
        return self._origin + self._mean_offset

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations, array of float64 of shape (K,); exactly 0 for a constant column."""
        scale = np.sqrt(np.maximum(self._squares_sum, 0.0) / np.maximum(self._count, 1))
        return np.where(scale <= _MAX_CONSTANT_STD_TO_MEAN * np.abs(self.mean), 0.0, scale)


def sequence_mean_std(values: np.ndarray, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return means (n, K) and standard deviations (n, K) of values (num_steps, K) by sequence."""
    differences, is_observed = _fill_missing_with_0(values)
    count = sum_by_sequence(is_observed.astype(np.float64), sequences)
    count[count == 0] = np.nan  # so that moments are NaN where a sequence has no observed entry
    mean = sum_by_sequence(differences, sequences) / count
    differences -= np.repeat(mean, sequences.lengths, axis=0)
    differences[~is_observed] = 0.0
    std = np.sqrt(sum_by_sequence(np.square(differences), sequences) / count)
    # exactly 0 where a sequence is constant, not a rounding error
    return mean, np.where(std <= _MAX_CONSTANT_STD_TO_MEAN * np.abs(mean), 0.0, std)


def sum_by_sequence(values: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the sums (n, K) of values (num_steps, K) over each sequence; 0 if it is empty."""
    sums = np.zeros((len(sequences), values.shape[1]))
    is_filled = sequences.lengths > 0  # reduceat has no empty sums
    if is_filled.any():
        sums[is_filled] = np.add.reduceat(values, sequences.offsets[:-1][is_filled], axis=0)
    return sums


def _fill_missing_with_0(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (num_steps, K) as float64 with 0 where missing, and the observed mask."""
    is_observed = ~np.isnan(values)
    return np.where(is_observed, values, 0.0).astype(np.float64, copy=False), is_observed
