"""Vectors that describe sequences for searches: pooled convolutions, and averages over time."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from refold._support.offsets import lengths_from_offsets, offsets_from_lengths, positions_of
from refold._support.sampling import evenly_spaced
from refold.inference import pooled
from refold.kernels import STEEPNESS, RandomConvolutions, packed

# Convolutions, in as many groups as there are dilations, at most. The largest kernel covers the
# longest sequence.
_KERNELS, _DILATIONS = 504, 6
# MiniRocket's kernels: three of nine taps are 2, and the others are -1.
_TAPS = np.array(
    [[2 if i in twos else -1 for twos in combinations(range(9), 3)] for i in range(9)], np.float32
)
_MOST_COLUMNS = 9
# Steepness of the test whether a convolution is positive, in standard deviations.
_STEEPNESS = 1e6
# Sequences from whose convolutions biases are drawn, and steps of each at most.
_SEQUENCES, _STEPS = 64, 512
# Stretches of time whose averages are features, and such features, at most.
_STRETCHES, _AVERAGES = 32, 4096
# Standard deviation of the averages relative to that of the convolutions. A principal component is
# divided by its standard deviation to the power of the second number. Both were chosen on the data
# sets for choosing in benchmarks/search.py.
_WEIGHT, _WHITENING = 0.6, 0.25
# Smaller standard deviations are rounding errors, and larger features are outliers.
_LEAST, _MOST = 1e-4, 4.0


class Described(NamedTuple):
    """Scaled sequences, as the columns that a model reads.

    Attributes
    ----------
    values : array of float32 of shape (n_steps, channels)
        All steps; a category has a channel of its own.
    offsets : array of int of shape (n_sequences + 1,)
    statistics : array of float32 of shape (n_sequences, n_statistics)
        What the scale of each sequence leaves out.
    """

    values: np.ndarray
    offsets: np.ndarray
    statistics: np.ndarray


class SequenceFeatures:
    """Vectors of sequences, which are near each other if the sequences look alike.

    A vector consists of principal components of two groups of features. Pooled convolutions, as in
    MiniRocket [1]_, say what a sequence does, whenever it does it: the share of the steps at which
    the convolution with a kernel is above a threshold. Averages over stretches of time say where
    the sequence is, and when. Everything is fitted to a sample of sequences.

    Parameters
    ----------
    arrays : mapping of str to array
        What `fit` found; the attribute of the same name.

    References
    ----------
    .. [1] A. Dempster, D. F. Schmidt and G. I. Webb, "MiniRocket: a very fast (almost)
       deterministic transform for time series classification", KDD 2021.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(90, 1)).astype(np.float32)
    >>> sample = Described(values, np.arange(0, 91, 9), np.zeros((10, 0), np.float32))
    >>> SequenceFeatures.fit(sample, [1], width=4, num_steps=9)(sample).shape
    (10, 4)
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)
        parts = (self.arrays[name] for name in RandomConvolutions._fields)
        self._convolutions = RandomConvolutions(*parts)
        self._dilations = tuple(self.arrays["dilations"].astype(int).tolist())
        # first step of each stretch, and the end of the last one
        self._stretches = self.arrays["stretches"].astype(np.int64)

    @classmethod
    def fit(
        cls, sample: Described, columns: Sequence[int], width: int, num_steps: int
    ) -> "SequenceFeatures":
        """Fit vectors of ``width`` dimensions to a sample.

        Parameters
        ----------
        sample : Described
            At least one sequence.
        columns : sequence of int
            Number of channels of each column.
        width : int
        num_steps : int
            Later steps have no average.

        Returns
        -------
        SequenceFeatures
        """
        largest = max(1, (num_steps - 1) // (len(_TAPS) - 1))
        number = min(_DILATIONS, 1 + int(np.log2(largest)))
        dilations = np.unique(np.geomspace(1, largest, number).round())
        stretches = min(num_steps, _STRETCHES, _AVERAGES // max(1, sum(columns)))
        arrays = {
            **_draw(sample, columns, dilations.astype(int).tolist())._asdict(),
            "dilations": dilations,
            "stretches": np.linspace(0, num_steps, stretches + 1).round(),
        }
        features, averages = cls(arrays)._groups(sample)
        raw = np.concatenate([features, averages], axis=1).astype(float)
        center, deviation = raw.mean(axis=0), raw.std(axis=0)
        size = np.sqrt((deviation[features.shape[1] :] ** 2).mean()) if averages.size else 0.0
        deviation[features.shape[1] :] = size  # averages keep their proportions
        factor = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > _LEAST)
        weights = np.repeat(
            [1 / np.sqrt(features.shape[1]), _WEIGHT / np.sqrt(max(1, averages.shape[1]))],
            [features.shape[1], averages.shape[1]],
        )
        standard = np.clip((raw - center) * factor, -_MOST, _MOST)
        axes = weights[:, None] * _principal_axes(standard * weights, width)
        fitted = {"center": center, "factor": factor, "axes": axes}
        return cls(arrays | {name: one.astype(np.float32) for name, one in fitted.items()})

    @property
    def width(self) -> int:
        """Number of dimensions."""
        return self.arrays["axes"].shape[1]

    def __call__(self, given: Described) -> np.ndarray:
        """Return the vectors (n_sequences, width)."""
        raw = np.concatenate(self._groups(given), axis=1)
        standard = (raw - self.arrays["center"]) * self.arrays["factor"]
        # other sequences do not change a bit of the result
        return packed.product(np.clip(standard, -_MOST, _MOST), self.arrays["axes"])

    def _groups(self, given: Described) -> tuple[np.ndarray, np.ndarray]:
        """Return shares of steps together with the statistics, and averages."""
        values, offsets, statistics = given
        shares = pooled(values, offsets, self._convolutions, dilations=self._dilations)
        shares = shares[:, : shares.shape[1] // 2]  # the maxima follow
        return np.concatenate([shares, statistics], axis=1), self._averages(values, offsets)

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


def _draw(
    sample: Described, columns: Sequence[int], dilations: Sequence[int]
) -> RandomConvolutions:
    """Draw kernels, and thresholds from what their convolutions are on a sample."""
    rng = np.random.RandomState(0)
    ends = np.linspace(0, _KERNELS, len(dilations) + 1).round().astype(int)
    of_column = np.repeat(np.arange(len(columns)), columns)
    # a category counts as a number of its own for each kernel
    categorical = np.repeat(np.array(columns) > 1, columns)
    channels = np.ones((len(of_column), _KERNELS), np.float32)
    channels[categorical] = rng.standard_normal((int(categorical.sum()), _KERNELS))
    taps, bias = np.empty((len(_TAPS), _KERNELS), np.float32), np.empty(_KERNELS, np.float32)
    values, offsets = _beginnings(sample)
    for dilation, first, end in zip(dilations, ends[:-1], ends[1:], strict=True):
        chosen = np.resize(rng.permutation(_TAPS.shape[1]), end - first)
        for kernel in range(first, end):
            most = min(len(columns), _MOST_COLUMNS)
            read = rng.choice(len(columns), int((most + 1) ** rng.uniform()), replace=False)
            channels[~np.isin(of_column, read), kernel] = 0
        convolved = _convolve(
            values @ channels[:, first:end], offsets, _TAPS[:, chosen], int(dilation)
        )
        deviation = convolved.std(axis=0) if len(convolved) else np.zeros(end - first)
        scale = np.where(
            deviation > _LEAST, _STEEPNESS / STEEPNESS / np.maximum(deviation, _LEAST), 0
        )
        for k, scaled in enumerate(scale):
            one = rng.randint(len(offsets) - 1)
            found = convolved[offsets[one] : offsets[one + 1], k]
            # the multiples of the golden ratio fill the range from 0 to 1 evenly
            share = (k * (np.sqrt(5) - 1) / 2) % 1
            bias[first + k] = -scaled * (np.quantile(found, share) if len(found) else 0)
        taps[:, first:end] = scale * _TAPS[:, chosen]
    return RandomConvolutions(channels, taps, bias)


def _beginnings(sample: Described) -> tuple[np.ndarray, np.ndarray]:
    """Return the first steps of some sequences."""
    some = evenly_spaced(len(sample.offsets) - 1, _SEQUENCES)
    lengths = np.minimum(lengths_from_offsets(sample.offsets)[some], _STEPS)
    return sample.values[positions_of(sample.offsets[some], lengths)], offsets_from_lengths(lengths)


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


def _principal_axes(x: np.ndarray, width: int) -> np.ndarray:
    """Return the principal axes of centered rows, a column each, scaled; zeros if there are fewer.

    A component counts less than its standard deviation, because what many features share is not
    that much more important.
    """
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
    deviations = np.sqrt(values[kept] / rows)
    axes[:, : kept.sum()] = vectors * np.sign(largest) / deviations**_WHITENING
    return axes
