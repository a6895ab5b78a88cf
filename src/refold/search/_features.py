"""`SearchFeatures` computes vectors, which are near each other for sequences that look alike.

`SearchFeatures.fit` draws random convolutions and fits principal components to a sample. A call of
the fitted object returns the vectors of other sequences.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from refold._support.arrays import (
    concatenated_ranges,
    lengths_from_offsets,
    linspace_indices,
    offsets_from_lengths,
)
from refold.kernels import RandomConvolutions, packed

# Number of random convolutions: 84 patterns of taps, with six dilations.
_NUM_KERNELS = 504
# Largest number of dilations. A dilation is the distance between neighboring taps of a kernel, in
# steps. The kernels are divided evenly among the dilations. With the largest dilation, a kernel is
# as long as the longest sequence.
_MAX_DILATIONS = 6
# Kernels of MiniRocket (9, 84), one in each column: three of the nine taps are 2, the rest are -1.
_MINIROCKET_WEIGHTS = np.array(
    [[2 if i in taps_of_2 else -1 for taps_of_2 in combinations(range(9), 3)] for i in range(9)],
    np.float32,
)
# Largest number of columns that a kernel reads, as in MiniRocket.
_MAX_COLUMNS_PER_KERNEL = 9
# A value of a convolution this close to the threshold of its kernel counts as neither above nor
# below it, so that rounding errors do not matter. The unit is a standard deviation of the values.
_THRESHOLD_TOLERANCE = 1e-5
# Thresholds are quantiles of the convolutions of this many sequences.
_MAX_SEQUENCES_FOR_THRESHOLDS = 64
# The convolutions read at most this many first steps of each of these sequences, which bounds the
# time of a fit.
_MAX_STEPS_FOR_THRESHOLDS = 512
# Largest number of segments of time whose averages are features.
_MAX_TIME_SEGMENTS = 32
# Largest number of frequency bands whose amplitudes are features.
_MAX_FREQUENCY_BANDS = 32
# Largest number of averages of a sequence, for all channels together. The amplitudes have the same
# limit. It bounds the memory of a fit.
_MAX_GROUP_FEATURES = 4096
# Largest number of padded values whose Fourier transform is computed at once, which bounds the
# memory.
_MAX_FOURIER_BLOCK_VALUES = 1 << 20
# A principal component is divided by its standard deviation to the power of this number. With 0, it
# stays as it is, and 1 is whitening. It was chosen on data sets in benchmarks/search.py.
_FEATURE_WHITENING_EXPONENT = 0.4
# A feature with a smaller standard deviation is constant except for rounding errors.
_MIN_FEATURE_STD = 1e-4
# Standardized features are clipped to this magnitude, so that outliers do not decide distances.
_MAX_ABS_FEATURE = 4.0
# Missing features are imputed from donors: this many sequences of the sample.
_MAX_STORED_DONORS = 512
# Number of most similar donors that a missing feature is imputed from. With more donors, imputed
# features resemble those of real sequences less.
_NUM_NEAREST_DONORS = 4
# The draw for an imputed value is the cosine of an angle. The angle is a random weighted sum of the
# features that are present. If these change by their standard deviation, the angle changes by this
# number. That is enough for independent draws of neighbors, and so little that rounding errors do
# not matter.
_IMPUTATION_RADIANS_PER_STD = 30


class ScaledBatch(NamedTuple):
    """A batch of scaled sequences, as the channels that a network reads."""

    step_values: np.ndarray  # (n_steps, n_channels); each category has its own channel
    offsets: np.ndarray  # (n_sequences + 1,), first step of each sequence, and the end of the last
    # (n_sequences, n_statistics): means and standard deviations, if scaling removes these from each
    # sequence; NaN where missing
    scaling_statistics: np.ndarray
    # (n_sequences, n_columns): whether a column has so few values that a constant replaces it
    is_missing_column: np.ndarray


class SearchFeatures:
    """Principal components of convolutions, amplitudes and averages, fitted to a sample."""

    # A vector has the principal components of five groups of features. The groups have the same
    # weight. Three groups are pooled convolutions, which describe shapes in a sequence: the share
    # of steps at which the convolution with a kernel is above a threshold, the mean position of
    # these steps, and the length of their longest run (MultiRocket: C. W. Tan, A. Dempster, C.
    # Bergmeir and G. I. Webb, Data Mining and Knowledge Discovery 36, 2022). The fourth group,
    # amplitudes in frequency bands, describes how fast a sequence changes. The fifth group,
    # averages over segments of time, describes its level at each time. A small code leaves out much
    # of what distinguishes classes, so the features are computed from the sequence and not from its
    # code (benchmarks/results/search.md).

    # The names of the arrays are keys in the file of an index, so they stay as they are:
    # "stretches" are segments of time, and "of_column" has the columns of the channels.
    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)
        self._convolutions = RandomConvolutions(
            self.arrays["channels"], self.arrays["taps"], self.arrays["bias"]
        )
        self._dilations = tuple(self.arrays["dilations"].astype(int).tolist())
        # (n_segments + 1,), first step of each segment of time, and the end of the last segment
        self._segment_edges = self.arrays["stretches"].astype(np.int64)
        # (n_bands + 1,), first frequency of each band, and the end of the last band. A frequency is
        # an index of the Fourier transform.
        self._band_edges = self.arrays["bands"].astype(np.int64)
        # (n_channels,), index of the column of each channel
        self._column_of_channel = self.arrays["of_column"].astype(np.int64)

    @classmethod
    def fit(
        cls, sample: ScaledBatch, channel_counts: Sequence[int], vector_size: int, max_steps: int
    ) -> "SearchFeatures":
        """Fit principal components to sequences of up to ``max_steps`` steps.

        ``channel_counts`` has the number of channels of each column.
        """
        # a kernel is 8 dilations long, and with the largest dilation, this is the longest sequence
        max_dilation = max(1, (max_steps - 1) // (len(_MINIROCKET_WEIGHTS) - 1))
        num_dilations = min(_MAX_DILATIONS, 1 + int(np.log2(max_dilation)))
        dilations = np.unique(np.geomspace(1, max_dilation, num_dilations).round())
        max_per_channel = _MAX_GROUP_FEATURES // max(1, sum(channel_counts))
        num_segments = min(max_steps, _MAX_TIME_SEGMENTS, max_per_channel)
        num_bands = min(_MAX_FREQUENCY_BANDS, max_per_channel)
        kernels = _draw_convolutions(sample, channel_counts, dilations.astype(int).tolist())
        arrays = {
            "of_column": np.repeat(np.arange(len(channel_counts)), channel_counts),
            **kernels.arrays(),  # "channels", "taps" and "bias"
            "dilations": dilations,
            "stretches": np.linspace(0, max_steps, num_segments + 1).round(),
            # a Fourier transform of n steps has n // 2 + 1 frequencies
            "bands": np.unique(np.geomspace(1, max_steps // 2 + 1, num_bands + 1).round()),
        }
        # computed before there are axes, because the axes are fitted to these features
        feature_groups = cls(arrays).compute_feature_groups(sample)
        group_sizes = np.array([group.shape[1] for group in feature_groups])
        raw = np.concatenate(feature_groups, axis=1).astype(float)  # (n_sequences, n_features)
        is_present = ~np.isnan(raw)
        counts = np.maximum(1, is_present.sum(axis=0))
        center = np.where(is_present, raw, 0).sum(axis=0) / counts
        std = np.sqrt((np.where(is_present, raw - center, 0) ** 2).sum(axis=0) / counts)
        # All averages, the last group, are divided by the same number. Otherwise a time at which
        # all sequences are alike would count as much as any other time.
        if num_averages := group_sizes[-1]:  # 0 if there are too many channels
            std[-num_averages:] = np.sqrt((std[-num_averages:] ** 2).mean())
        # features that do not vary become 0
        factor = np.divide(1, std, out=np.zeros_like(std), where=std > _MIN_FEATURE_STD)
        # each group has the same sum of squares, however many features it has
        weights = np.repeat(1 / np.sqrt(np.maximum(1, group_sizes)), group_sizes)
        standardized = np.clip((raw - center) * factor, -_MAX_ABS_FEATURE, _MAX_ABS_FEATURE)
        standardized *= weights
        donor_rows = linspace_indices(len(standardized), _MAX_STORED_DONORS)
        standardized = _draw_missing_features(standardized, standardized[donor_rows])
        # the axes include the weights, because a call multiplies them by features without weights
        axes = weights[:, None] * _fit_principal_feature_axes(standardized, vector_size)
        fitted = {"center": center, "factor": factor, "axes": axes}
        fitted |= {"weights": weights, "donors": standardized[donor_rows]}
        return cls(arrays | {name: array.astype(np.float32) for name, array in fitted.items()})

    @property
    def vector_size(self) -> int:
        """Number of dimensions of the vectors."""
        return self.arrays["axes"].shape[1]

    def __call__(self, scaled_batch: ScaledBatch) -> np.ndarray:
        """Return the vectors (n_sequences, n_dimensions)."""
        raw = np.concatenate(self.compute_feature_groups(scaled_batch), axis=1)
        standardized = (raw - self.arrays["center"]) * self.arrays["factor"]
        standardized = np.clip(standardized, -_MAX_ABS_FEATURE, _MAX_ABS_FEATURE)
        incomplete_rows = np.flatnonzero(scaled_batch.is_missing_column.any(axis=1))
        if len(incomplete_rows):
            # the donors have weighted features
            weights, donors = self.arrays["weights"], self.arrays["donors"]
            imputed = _draw_missing_features(standardized[incomplete_rows] * weights, donors)
            standardized[incomplete_rows] = imputed / weights
        # unlike `@`, this product of a row does not depend on the other rows, to the last bit
        return packed.product(standardized, self.arrays["axes"])

    def compute_feature_groups(self, scaled_batch: ScaledBatch) -> list[np.ndarray]:
        """Return five arrays of features, each of the shape (n_sequences, n_features).

        The groups are shares of steps (and the statistics of scaling), positions, runs, amplitudes,
        and averages.
        """
        step_values, offsets, scaling_statistics, is_missing_column = scaled_batch
        # (n_channels, n_kernels), (9, n_kernels) and (n_kernels,)
        channels, taps, bias = self._convolutions
        inputs = packed.product(step_values, channels)  # of each kernel, (n_steps, n_kernels)
        pooled = [  # for each dilation, three arrays (n_sequences, n_kernels)
            packed.pool_positive_steps(
                inputs[:, kernels],
                offsets,
                taps[:, kernels],
                bias[kernels],
                dilation=dilation,
                rounding_margin=_THRESHOLD_TOLERANCE,
            )
            for dilation, kernels in _assign_kernels_to_dilations(self._dilations)
        ]
        groups = [np.concatenate(arrays, axis=1) for arrays in zip(*pooled, strict=True)]
        shares, positions, runs = groups
        amplitudes = self._compute_band_amplitudes(step_values, offsets)
        averages = self._compute_segment_averages(step_values, offsets)
        if is_missing_column.any():  # features that read a missing column are NaN
            is_missing_channel = is_missing_column[:, self._column_of_channel]
            # (n_sequences, n_kernels)
            reads_missing = is_missing_channel.astype(np.float32) @ (channels != 0) > 0
            for features in (shares, positions, runs):
                features[reads_missing] = np.nan
            # each row has all channels of the first band or segment, then of the second, and so on
            for features in (amplitudes, averages):
                num_per_channel = features.shape[1] // is_missing_channel.shape[1]
                features[np.tile(is_missing_channel, num_per_channel)] = np.nan
        shares = np.concatenate([shares, scaling_statistics], axis=1)
        return [shares, positions, runs, amplitudes, averages]

    def _compute_band_amplitudes(self, step_values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return amplitudes (n_sequences, n_bands * n_channels)."""
        # Sequences are padded with zeros. Steps after the last segment of time are left out.
        num_steps, num_channels = int(self._segment_edges[-1]), step_values.shape[1]
        lengths = np.minimum(lengths_from_offsets(offsets), num_steps)
        amplitudes = np.zeros((len(lengths), len(self._band_edges) - 1, num_channels), np.float32)
        if not amplitudes.size:  # so many channels that no band is left
            return amplitudes.reshape(len(lengths), -1)
        block_rows = max(1, _MAX_FOURIER_BLOCK_VALUES // (num_steps * num_channels))
        for first in range(0, len(lengths), block_rows):
            block = slice(first, first + block_rows)
            padded = np.zeros((len(lengths[block]), num_steps, num_channels))
            is_step = np.arange(num_steps) < lengths[block, None]
            padded[is_step] = step_values[concatenated_ranges(offsets[:-1][block], lengths[block])]
            spectrum = np.abs(np.fft.rfft(padded, axis=1)) ** 2  # (n, n_frequencies, n_channels)
            sums = np.add.reduceat(spectrum, self._band_edges[:-1], axis=1)
            amplitudes[block] = np.sqrt(sums / np.diff(self._band_edges)[:, None])
        return amplitudes.reshape(len(lengths), -1)

    def _compute_segment_averages(self, step_values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return averages (n_sequences, n_segments * n_channels)."""
        # Sequences are padded with zeros. Steps after the last segment of time are left out.
        starts, lengths = offsets[:-1], lengths_from_offsets(offsets)
        # (n_sequences, n_segments + 1); a segment after the end of a sequence has no steps
        ends = starts[:, None] + np.minimum(lengths[:, None], self._segment_edges)
        counts = np.diff(ends, axis=1)  # (n_sequences, n_segments), of steps
        steps = concatenated_ranges(starts, counts.sum(axis=1))
        sums = packed.segment_sum(step_values[steps], offsets_from_lengths(counts.ravel()))
        sums = sums.reshape(*counts.shape, step_values.shape[1])
        # divided by the length of the segment, not by the counts, because padding counts as zeros
        averages = sums / np.diff(self._segment_edges)[:, None]
        return averages.reshape(len(lengths), -1).astype(np.float32)


def _assign_kernels_to_dilations(dilations: Sequence[int]) -> list[tuple[int, slice]]:
    """Return each dilation and its range of kernels; all ranges are of similar length."""
    ends = np.linspace(0, _NUM_KERNELS, len(dilations) + 1).round().astype(int)
    return [(dilations[i], slice(*pair)) for i, pair in enumerate(pairwise(ends.tolist()))]


def _draw_convolutions(
    sample: ScaledBatch, channel_counts: Sequence[int], dilations: Sequence[int]
) -> RandomConvolutions:
    """Draw kernels, and draw their thresholds from their convolutions with a sample."""
    rng = np.random.RandomState(0)
    num_columns = len(channel_counts)
    column_of_channel = np.repeat(np.arange(num_columns), channel_counts)
    # Weights (n_channels, n_kernels) of the channels that a kernel reads: a random number for each
    # category, and 1 for a numeric column.
    is_categorical = np.repeat(np.array(channel_counts) > 1, channel_counts)
    channels = np.ones((len(column_of_channel), _NUM_KERNELS), np.float32)
    channels[is_categorical] = rng.standard_normal((int(is_categorical.sum()), _NUM_KERNELS))
    taps = np.empty((len(_MINIROCKET_WEIGHTS), _NUM_KERNELS), np.float32)
    bias = np.empty(_NUM_KERNELS, np.float32)
    # the first steps of some sequences
    sampled = linspace_indices(len(sample.offsets) - 1, _MAX_SEQUENCES_FOR_THRESHOLDS)
    lengths = np.minimum(lengths_from_offsets(sample.offsets)[sampled], _MAX_STEPS_FOR_THRESHOLDS)
    step_values = sample.step_values[concatenated_ranges(sample.offsets[sampled], lengths)]
    offsets = offsets_from_lengths(lengths)
    # for each step, its position in its sequence and the length of this sequence, (n_steps,)
    position = concatenated_ranges(np.zeros(len(lengths), int), lengths)
    sequence_length = np.repeat(lengths, lengths)
    max_columns = min(num_columns, _MAX_COLUMNS_PER_KERNEL)
    for dilation, kernels in _assign_kernels_to_dilations(dilations):
        kernel_indices = range(kernels.start, kernels.stop)
        # all patterns in random order, repeated or cut to the number of kernels
        patterns = np.resize(rng.permutation(_MINIROCKET_WEIGHTS.shape[1]), len(kernel_indices))
        kernel_taps = _MINIROCKET_WEIGHTS[:, patterns]  # (9, n_kernels)
        for kernel in kernel_indices:
            # the logarithm of the number is uniform, so most kernels read few columns
            num_read_columns = int((max_columns + 1) ** rng.uniform())
            read_columns = rng.choice(num_columns, num_read_columns, replace=False)
            channels[~np.isin(column_of_channel, read_columns), kernel] = 0
        # convolve the input of each kernel, padded with zeros, (n_steps, n_kernels)
        inputs = step_values @ channels[:, kernels]
        convolved = np.zeros_like(inputs)
        for tap, weights in enumerate(kernel_taps):
            shift = (tap - len(kernel_taps) // 2) * int(dilation)
            is_inside = (position + shift >= 0) & (position + shift < sequence_length)
            steps = np.flatnonzero(is_inside)
            convolved[steps] += inputs[steps + shift] * weights
        std = convolved.std(axis=0) if len(convolved) else np.zeros(len(kernel_indices))
        # scaled kernels have convolutions with a standard deviation of 1
        scale = np.where(std > _MIN_FEATURE_STD, 1 / np.maximum(std, _MIN_FEATURE_STD), 0)
        taps[:, kernels] = scale * kernel_taps
        for k, kernel in enumerate(kernel_indices):
            # the threshold is a quantile of the convolution with one sequence, which is one of
            # those with the fewest missing columns
            kernel_columns = column_of_channel[channels[:, kernel] != 0]
            num_missing = sample.is_missing_column[np.ix_(sampled, kernel_columns)].sum(axis=1)
            candidates = np.flatnonzero(num_missing == num_missing.min())
            # the range of the draw is always the same, so it does not change the draws after it
            sequence = candidates[rng.randint(len(offsets) - 1) % len(candidates)]
            sequence_values = convolved[offsets[sequence] : offsets[sequence + 1], k]
            # the multiples of the golden ratio, modulo 1, fill the range from 0 to 1 evenly
            quantile = (k * (np.sqrt(5) - 1) / 2) % 1
            threshold = np.quantile(sequence_values, quantile) if len(sequence_values) else 0
            bias[kernel] = -scale[k] * threshold
    return RandomConvolutions(channels, taps, bias)


def _draw_missing_features(features: np.ndarray, donor_features: np.ndarray) -> np.ndarray:
    """Return features (n, n_features), with NaN replaced by random draws from donors."""
    # For each row, the donors are ranked by their distance in the features that both have. A
    # missing feature is drawn around the mean of the most similar donors, with their covariance.
    # It is 0 if no donor has it. Means without a random part would be alike in rows that lack the
    # same columns, so a search would find these rows instead of similar sequences.
    is_missing, donor_has = np.isnan(features), ~np.isnan(donor_features)
    if not is_missing.any():
        return features
    row_has, filled = ~is_missing, np.nan_to_num(features)
    donor_values = np.nan_to_num(donor_features).astype(np.float32)
    # mean of x² + y² - 2xy over the shared features of a row x and a donor y, (n_rows, n_donors)
    num_shared = packed.product(row_has, donor_has.T)
    squares = packed.product(row_has, (donor_values**2).T)
    squares = squares + packed.product(filled**2, donor_has.T)
    distances = (squares - 2 * packed.product(filled, donor_values.T)) / np.maximum(1, num_shared)
    # A draw (n_rows, n_nearest_donors) is a pseudorandom function of its row, so it does not depend
    # on other rows. The cosine of a random angle has variance 1/2, hence the square root of 2.
    directions = np.random.RandomState(0).standard_normal((features.shape[1], _NUM_NEAREST_DONORS))
    draws = np.sqrt(2) * np.cos(_IMPUTATION_RADIANS_PER_STD * packed.product(filled, directions))
    for rows in _find_groups_of_equal_rows(is_missing):  # rows that lack the same features
        missing_features = np.flatnonzero(is_missing[rows[0]])
        # features that the same donors have
        for group in _find_groups_of_equal_rows(donor_has[:, missing_features].T):
            imputed_features = missing_features[group]
            # the first feature and the first row stand for all of their groups
            is_donor = donor_has[:, imputed_features[0]] & (num_shared[rows[0]] > 0)
            donor_rows = np.flatnonzero(is_donor)
            order = np.argsort(distances[np.ix_(rows, donor_rows)], axis=1, kind="stable")
            nearest = order[:, :_NUM_NEAREST_DONORS]  # indices of `donor_rows`
            num_nearest = max(1, nearest.shape[1])
            # An imputed value is a weighted sum of donors. The weights are 1 / num_nearest, for the
            # mean of the donors, plus draws of mean 0, which add a random sum of the deviations of
            # the donors from this mean. Divided by the square root below, the sum has the sample
            # covariance of the donors.
            noise = draws[rows, : nearest.shape[1]]
            noise -= noise.sum(axis=1, keepdims=True) / num_nearest
            nearest_weights = 1 / num_nearest + noise / np.sqrt(max(1, num_nearest - 1))
            weights = np.zeros((len(rows), len(donor_rows)))
            np.put_along_axis(weights, nearest, nearest_weights, axis=1)
            values = packed.product(weights, donor_values[np.ix_(donor_rows, imputed_features)])
            filled[np.ix_(rows, imputed_features)] = values
    return filled


def _find_groups_of_equal_rows(boolean_rows: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group of equal boolean rows; rows without a True are left out."""
    groups: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(boolean_rows.any(axis=1)).tolist():
        groups.setdefault(np.packbits(boolean_rows[i]).tobytes(), []).append(i)
    return [np.array(group) for group in groups.values()]


def _fit_principal_feature_axes(features: np.ndarray, num_axes: int) -> np.ndarray:
    """Return scaled principal axes (n_features, num_axes) of centered features (n, n_features)."""
    num_rows, num_features = features.shape
    # both products have the same nonzero eigenvalues, and the smaller one takes less time
    is_wide = num_rows < num_features
    product = features @ features.T if is_wide else features.T @ features
    eigenvalues, vectors = np.linalg.eigh(product)
    # the largest first
    eigenvalues, vectors = eigenvalues[::-1][:num_axes], vectors[:, ::-1][:, :num_axes]
    is_nonzero = eigenvalues > 1e-9 * max(eigenvalues[0], 1e-12)  # smaller ones are rounding errors
    eigenvalues, vectors = eigenvalues[is_nonzero], vectors[:, is_nonzero]
    if is_wide:  # these are eigenvectors of rows, and they become eigenvectors of features
        vectors = features.T @ vectors / np.sqrt(eigenvalues)
    # the largest entry of each axis is positive, because the sign of an eigenvector is arbitrary
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    axes = np.zeros((num_features, num_axes))  # zeros after the last nonzero axis
    # Many features that vary together make a component large. The component is scaled down, because
    # its importance does not grow with the number of these features.
    stds = np.sqrt(eigenvalues / num_rows)
    axes[:, : len(eigenvalues)] = vectors * np.sign(largest) / stds**_FEATURE_WHITENING_EXPONENT
    return axes
