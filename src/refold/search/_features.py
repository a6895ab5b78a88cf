"""Vectors that describe sequences for searches: convolutions, frequencies, averages over time."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from refold._support.arrays import (
    evenly_spaced,
    lengths_from_offsets,
    offsets_from_lengths,
    positions_of,
)
from refold.kernels import RandomConvolutions, packed

# Convolutions, in as many groups as there are dilations, at most. The largest kernel covers the
# longest sequence.
_KERNELS, _DILATIONS = 504, 6
# MiniRocket's kernels: three of nine taps are 2, and the others are -1.
_TAPS = np.array(
    [[2 if i in twos else -1 for twos in combinations(range(9), 3)] for i in range(9)], np.float32
)
_MAX_COLUMNS = 9
# Standard deviations within which a convolution is at a threshold, neither above nor below.
_MARGIN = 1e-5
# Sequences from whose convolutions biases are drawn, and steps of each at most.
_SEQUENCES, _STEPS = 64, 512
# Stretches of time whose averages are features, bands of frequencies, and features of each, at
# most.
_STRETCHES, _BANDS, _EACH = 32, 32, 4096
# Padded values that are transformed to frequencies at once.
_BLOCK = 1 << 20
# A principal component is divided by its standard deviation to the power of this number, which was
# chosen on the data sets for choosing in benchmarks/search.py.
_WHITENING = 0.4
# Smaller standard deviations are rounding errors, and larger features are outliers.
_MIN_DEVIATION, _MAX_FEATURE = 1e-4, 4.0
# Sequences of the sample from which features are drawn that others lack, and how many of them, the
# most similar ones, are used for a draw. With more, draws are less like features of real sequences.
_DONORS = 512
_SIMILAR = 4
# Radians by which a draw changes if features change by their standard deviation: so many that
# neighbors have independent draws, and so few that rounding errors do not matter.
_RADIANS = 30


class Described(NamedTuple):
    """Scaled sequences, as the columns that a model reads."""

    values: np.ndarray  # (n_steps, channels); a category has a channel of its own
    offsets: np.ndarray  # (n_sequences + 1,)
    # what the scale of each sequence leaves out, (n_sequences, n_statistics); NaN where missing
    statistics: np.ndarray
    # (n_sequences, n_columns): columns with too few values, so that those here stand for nothing
    missing: np.ndarray


class SearchFeatures:
    """Vectors of sequences, which are near each other if the sequences look alike."""

    # A vector has principal components of five groups of features with the same weight, all fitted
    # to a sample. Three are pooled convolutions, which say what a sequence does: the share of steps
    # at which the convolution with a kernel is above a threshold, the mean place of these steps,
    # and the length of their longest run (MultiRocket: C. W. Tan, A. Dempster, C. Bergmeir and G.
    # I. Webb, Data Mining and Knowledge Discovery 36, 2022). Amplitudes in bands of frequencies say
    # how fast a sequence changes, and averages over stretches of time where it is, and when. A
    # small code leaves out much of what tells classes apart, so the features are computed from the
    # sequence and not from its code (benchmarks/results/search.md).

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)
        self._convolutions = RandomConvolutions(
            self.arrays["channels"], self.arrays["taps"], self.arrays["bias"]
        )
        self._dilations = tuple(self.arrays["dilations"].astype(int).tolist())
        # first step of each stretch, and the end of the last one
        self._stretches = self.arrays["stretches"].astype(np.int64)
        # first frequency of each band, and the end of the last one
        self._bands = self.arrays["bands"].astype(np.int64)
        # column of each channel
        self._of_column = self.arrays["of_column"].astype(np.int64)

    @classmethod
    def fit(
        cls, sample: Described, columns: Sequence[int], width: int, num_steps: int
    ) -> "SearchFeatures":
        """Fit vectors of ``width`` dimensions; ``columns`` has the channels of each column."""
        largest = max(1, (num_steps - 1) // (len(_TAPS) - 1))
        num_dilations = min(_DILATIONS, 1 + int(np.log2(largest)))
        dilations = np.unique(np.geomspace(1, largest, num_dilations).round())
        per_channel = _EACH // max(1, sum(columns))
        stretches, bands = min(num_steps, _STRETCHES, per_channel), min(_BANDS, per_channel)
        channels, taps, bias = _draw(sample, columns, dilations.astype(int).tolist())
        arrays = {
            "of_column": np.repeat(np.arange(len(columns)), columns),
            "channels": channels,
            "taps": taps,
            "bias": bias,
            "dilations": dilations,
            # later steps have no average
            "stretches": np.linspace(0, num_steps, stretches + 1).round(),
            "bands": np.unique(np.geomspace(1, num_steps // 2 + 1, bands + 1).round()),
        }
        groups = cls(arrays).groups(sample)
        raw = np.concatenate(groups, axis=1).astype(float)
        sizes = np.array([group.shape[1] for group in groups])
        is_present = ~np.isnan(raw)
        counts = np.maximum(1, is_present.sum(axis=0))
        center = np.where(is_present, raw, 0).sum(axis=0) / counts
        deviation = np.sqrt((np.where(is_present, raw - center, 0) ** 2).sum(axis=0) / counts)
        # averages keep their proportions, so all are divided by the same number
        averages = slice(len(deviation) - sizes[-1], None)
        if sizes[-1]:
            deviation[averages] = np.sqrt((deviation[averages] ** 2).mean())
        is_varied = deviation > _MIN_DEVIATION
        factor = np.divide(1, deviation, out=np.zeros_like(deviation), where=is_varied)
        # each group has the same weight
        weights = np.repeat(1 / np.sqrt(np.maximum(1, sizes)), sizes)
        standard = np.clip((raw - center) * factor, -_MAX_FEATURE, _MAX_FEATURE) * weights
        donors = evenly_spaced(len(standard), _DONORS)
        standard = _imputed(standard, standard[donors])
        axes = weights[:, None] * _principal_axes(standard, width)
        fitted = {"center": center, "factor": factor, "axes": axes}
        fitted |= {"weights": weights, "donors": standard[donors]}
        return cls(arrays | {name: array.astype(np.float32) for name, array in fitted.items()})

    @property
    def width(self) -> int:
        """Number of dimensions."""
        return self.arrays["axes"].shape[1]

    def __call__(self, sequences: Described) -> np.ndarray:
        """Return the vectors (n_sequences, width)."""
        raw = np.concatenate(self.groups(sequences), axis=1)
        standard = (raw - self.arrays["center"]) * self.arrays["factor"]
        standard = np.clip(standard, -_MAX_FEATURE, _MAX_FEATURE)
        lacking = np.flatnonzero(sequences.missing.any(axis=1))
        if len(lacking):
            # a constant would put sequences together that lack the same column
            weights = self.arrays["weights"]
            standard[lacking] = (
                _imputed(standard[lacking] * weights, self.arrays["donors"]) / weights
            )
        # other sequences do not change a bit of the result
        return packed.product(standard, self.arrays["axes"])

    def groups(self, sequences: Described) -> list[np.ndarray]:
        """Return shares of steps with the statistics, places, runs, amplitudes and averages."""
        values, offsets, statistics, missing = sequences
        channels, taps, bias = self._convolutions
        mixed = packed.product(values, channels)
        runs = [
            packed.pooled_runs(
                mixed[:, kernels],
                offsets,
                taps[:, kernels],
                bias[kernels],
                dilation=dilation,
                margin=_MARGIN,
            )
            for dilation, kernels in zip(
                self._dilations, _by_dilation(self._dilations), strict=True
            )
        ]
        shares, *others = (np.concatenate(parts, axis=1) for parts in zip(*runs, strict=True))
        others += [self._amplitudes(values, offsets), self._averages(values, offsets)]
        if missing.any():  # features that read a missing column are NaN
            of_channel = missing[:, self._of_column]
            of_kernel = of_channel.astype(np.float32) @ (channels != 0) > 0
            for features in (shares, *others[:2]):
                features[of_kernel] = np.nan
            for features in others[2:]:
                number = features.shape[1] // of_channel.shape[1]
                features[np.tile(of_channel, number)] = np.nan
        return [np.concatenate([shares, statistics], axis=1), *others]

    def _amplitudes(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return mean amplitudes in bands of frequencies; there are zeros after the end."""
        steps, channels = int(self._stretches[-1]), values.shape[1]
        lengths = np.minimum(lengths_from_offsets(offsets), steps)
        amplitudes = np.zeros((len(lengths), len(self._bands) - 1, channels), np.float32)
        if not amplitudes.size:
            return amplitudes.reshape(len(lengths), -1)
        size = max(1, _BLOCK // (steps * channels))
        for first in range(0, len(lengths), size):
            block = slice(first, first + size)
            padded = np.zeros((len(lengths[block]), steps, channels))
            is_step = np.arange(steps) < lengths[block, None]
            padded[is_step] = values[positions_of(offsets[:-1][block], lengths[block])]
            power = np.abs(np.fft.rfft(padded, axis=1)) ** 2
            sums = np.add.reduceat(power, self._bands[:-1], axis=1)
            amplitudes[block] = np.sqrt(sums / np.diff(self._bands)[:, None])
        return amplitudes.reshape(len(lengths), -1)

    def _averages(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Average steps over stretches of time; there are zeros after the end of a sequence."""
        starts, lengths = offsets[:-1], lengths_from_offsets(offsets)
        # the end of the last stretch also ends it in longer sequences
        ends = starts[:, None] + np.minimum(lengths[:, None], self._stretches)
        counts = np.diff(ends, axis=1)
        rows = positions_of(starts, counts.sum(axis=1))
        sums = packed.segment_sum(values[rows], offsets_from_lengths(counts.ravel()))
        sums = sums.reshape(*counts.shape, values.shape[1]) / np.diff(self._stretches)[:, None]
        return sums.reshape(len(lengths), -1).astype(np.float32)


def _by_dilation(dilations: Sequence[int]) -> list[slice]:
    """Return the kernels of each dilation."""
    ends = np.linspace(0, _KERNELS, len(dilations) + 1).round().astype(int)
    return [slice(*pair) for pair in pairwise(ends.tolist())]


def _draw(
    sample: Described, columns: Sequence[int], dilations: Sequence[int]
) -> RandomConvolutions:
    """Draw kernels, and thresholds from what their convolutions are on a sample."""
    rng = np.random.RandomState(0)
    of_column = np.repeat(np.arange(len(columns)), columns)
    # a category counts as a number of its own for each kernel
    categorical = np.repeat(np.array(columns) > 1, columns)
    channels = np.ones((len(of_column), _KERNELS), np.float32)
    channels[categorical] = rng.standard_normal((int(categorical.sum()), _KERNELS))
    taps, bias = np.empty((len(_TAPS), _KERNELS), np.float32), np.empty(_KERNELS, np.float32)
    values, offsets, missing = _beginnings(sample)
    max_columns = min(len(columns), _MAX_COLUMNS)
    for dilation, kernels in zip(dilations, _by_dilation(dilations), strict=True):
        numbers = range(kernels.start, kernels.stop)
        shapes = np.resize(rng.permutation(_TAPS.shape[1]), len(numbers))
        for kernel in numbers:
            # the logarithm of the number is drawn, so most kernels read few columns
            size = int((max_columns + 1) ** rng.uniform())
            read = rng.choice(len(columns), size, replace=False)
            channels[~np.isin(of_column, read), kernel] = 0
        mixed = values @ channels[:, kernels]
        convolved = _convolve(mixed, offsets, _TAPS[:, shapes], int(dilation))
        deviation = convolved.std(axis=0) if len(convolved) else np.zeros(len(numbers))
        scale = np.where(deviation > _MIN_DEVIATION, 1 / np.maximum(deviation, _MIN_DEVIATION), 0)
        taps[:, kernels] = scale * _TAPS[:, shapes]
        for k, kernel in enumerate(numbers):
            # the threshold is a quantile of a sequence that has most of the columns that are read
            num_missing = missing[:, of_column[channels[:, kernel] != 0]].sum(axis=1)
            complete = np.flatnonzero(num_missing == num_missing.min())
            row = complete[rng.randint(len(offsets) - 1) % len(complete)]
            sampled = convolved[offsets[row] : offsets[row + 1], k]
            # the multiples of the golden ratio fill the range from 0 to 1 evenly
            share = (k * (np.sqrt(5) - 1) / 2) % 1
            bias[kernel] = -scale[k] * (np.quantile(sampled, share) if len(sampled) else 0)
    return RandomConvolutions(channels, taps, bias)


def _beginnings(sample: Described) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first steps of some sequences, and their missing columns."""
    rows = evenly_spaced(len(sample.offsets) - 1, _SEQUENCES)
    lengths = np.minimum(lengths_from_offsets(sample.offsets)[rows], _STEPS)
    values = sample.values[positions_of(sample.offsets[rows], lengths)]
    return values, offsets_from_lengths(lengths), sample.missing[rows]


def _convolve(x: np.ndarray, offsets: np.ndarray, taps: np.ndarray, dilation: int) -> np.ndarray:
    """Convolve each channel with its own taps; steps outside of a sequence are 0."""
    lengths = lengths_from_offsets(offsets)
    steps, ends = positions_of(np.zeros(len(lengths), int), lengths), np.repeat(lengths, lengths)
    convolved = np.zeros_like(x)
    for tap, weights in enumerate(taps):
        shift = (tap - len(taps) // 2) * dilation
        there = np.flatnonzero((steps + shift >= 0) & (steps + shift < ends))
        convolved[there] += x[there + shift] * weights
    return convolved


def _imputed(x: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Replace NaN in rows of features by values that vary like those of similar donors."""
    # Similarity is that of the features that both have. The values are draws around the mean of the
    # most similar donors, with their covariance. Features that no similar donor has are 0. Without
    # draws, a search would find what is missing: rows that lack the same columns.
    is_missing, is_known = np.isnan(x), ~np.isnan(donors)
    if not is_missing.any():
        return x
    is_present, filled = ~is_missing, np.nan_to_num(x)
    donated = np.nan_to_num(donors).astype(np.float32)
    # mean squared difference of the shared features, (n_rows, n_donors)
    num_shared = packed.product(is_present, is_known.T)
    squares = packed.product(is_present, (donated**2).T) + packed.product(filled**2, is_known.T)
    distances = (squares - 2 * packed.product(filled, donated.T)) / np.maximum(1, num_shared)
    # a draw is a function of the row, so other rows do not change it
    directions = np.random.RandomState(0).standard_normal((x.shape[1], _SIMILAR))
    draws = np.sqrt(2) * np.cos(_RADIANS * packed.product(filled, directions))
    for rows in _alike(is_missing):  # rows that lack the same features
        features = np.flatnonzero(is_missing[rows[0]])
        for same in _alike(is_known[:, features].T):  # features that the same donors have
            imputed = features[same]
            able = np.flatnonzero(is_known[:, imputed[0]] & (num_shared[rows[0]] > 0))
            near = np.argsort(distances[np.ix_(rows, able)], axis=1, kind="stable")[:, :_SIMILAR]
            count = max(1, near.shape[1])
            # draws of mean 0 move a row from the mean of its donors along their deviations from it
            moves = draws[rows, : near.shape[1]]
            moves -= moves.sum(axis=1, keepdims=True) / count
            shares = np.zeros((len(rows), len(able)))
            np.put_along_axis(shares, near, 1 / count + moves / np.sqrt(max(1, count - 1)), axis=1)
            filled[np.ix_(rows, imputed)] = packed.product(shares, donated[np.ix_(able, imputed)])
    return filled


def _alike(rows: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of equal rows of booleans, for each distinct row with a True."""
    numbers: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(rows.any(axis=1)).tolist():
        numbers.setdefault(np.packbits(rows[i]).tobytes(), []).append(i)
    return [np.array(equal) for equal in numbers.values()]


def _principal_axes(x: np.ndarray, width: int) -> np.ndarray:
    """Return the principal axes of centered rows, a column each, scaled; the rest is zeros."""
    rows = len(x)
    values, vectors = np.linalg.eigh(x @ x.T if rows < x.shape[1] else x.T @ x)
    values, vectors = values[::-1][:width], vectors[:, ::-1][:, :width]
    kept = values > 1e-9 * max(values[0], 1e-12)
    if rows < x.shape[1]:
        vectors = x.T @ vectors[:, kept] / np.sqrt(values[kept])
    else:
        vectors = vectors[:, kept]
    # the sign of the largest weight is fixed
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    axes = np.zeros((x.shape[1], width))
    # A component counts less than its standard deviation, because what many features share is not
    # that much more important.
    deviations = np.sqrt(values[kept] / rows)
    axes[:, : kept.sum()] = vectors * np.sign(largest) / deviations**_WHITENING
    return axes
