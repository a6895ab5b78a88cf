"""A network that reads each column of a sequence by itself, as a curve of a fixed number of points.

A column of n steps is a weighted sum of n cosines. Its cosine transform [1]_ returns the weights,
here called coefficients. A curve of m points keeps the first m coefficients. So a column of at most
m steps loses nothing, and a longer column loses what varies fastest. The inverse transform returns
the values at the steps. Missing values are first replaced by straight lines.

.. [1] N. Ahmed, T. Natarajan and K. R. Rao, "Discrete Cosine Transform", IEEE Transactions on
   Computers C-23, 1974.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refold.network.packed.heads import Sampling, encode_lengths
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification
from refold.sequences import Sequences, as_sequences

# Weights that are zero in the initial network, before training.
_LEARNED_WEIGHTS = (
    *("code/kernel", "code/bias", "head/dense/kernel", "head/dense/bias"),
    *("linear_code/change", "linear_code/bias", "linear_steps/change", "linear_steps/bias"),
)
# Maximum number of values that are transformed at once, to limit the memory.
_MAX_VALUES_AT_ONCE = 1 << 20


class CurveNetwork(PackedNetwork):
    """A network of any number of numeric columns, whose curves one `PackedNetwork` reads.

    The code of a sequence has, for each column, the code of its curve and the length.
    """

    # A sequence is short if it has at most half as many steps as a curve has points. The initial
    # network, before training, reconstructs short sequences exactly by its linear path, and the
    # trained network does not. So short sequences use the initial network.

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(specification, weights)
        self.curve_network = PackedNetwork(specification.inner, weights)
        zeros = {name: np.zeros_like(weights[name]) for name in _LEARNED_WEIGHTS}
        self._initial_network = PackedNetwork(specification.inner, {**weights, **zeros})

    def encode(
        self, scaled_sequences: Sequences, *, latent_steps: int = 0, verbose: int = 0
    ) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim)."""
        curves = resample_columns(scaled_sequences, self.specification.grid)
        options: Any = {"latent_steps": latent_steps, "verbose": verbose}
        width = self.specification.curve_dim
        codes = np.empty((*curves.shape[:2], width), np.float32)
        for network, indices in self._split_by_network(scaled_sequences.lengths):
            one_column = as_sequences(curves[indices].reshape(-1, curves.shape[2], 1))
            encoded = network.encode(one_column, **options)
            codes[indices] = encoded.reshape(-1, *codes.shape[1:])
        lengths = encode_lengths(scaled_sequences.lengths, self.specification)
        lengths = np.broadcast_to(lengths[:, None, None], (*codes.shape[:2], 1))
        codes = np.concatenate([codes, lengths], axis=2)
        return codes.reshape(len(scaled_sequences), self.specification.latent_dim)

    def decode(
        self,
        codes: np.ndarray,
        offsets: np.ndarray,
        *,
        sampling: Sampling | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, columns) of sequences with these offsets."""
        del sampling  # numeric columns are not sampled
        num_points, num_columns = self.specification.grid, self.specification.num_outputs
        # the lengths in the codes, which may differ from those of ``offsets``, choose the network
        lengths = self.predict_lengths(codes)
        curve_dim = self.specification.curve_dim
        codes = codes.reshape(len(codes), num_columns, curve_dim + 1)[..., :curve_dim]
        curves = np.empty((*codes.shape[:2], num_points), np.float32)
        for network, indices in self._split_by_network(lengths):
            curve_codes = codes[indices].reshape(-1, codes.shape[2])
            curve_offsets = np.arange(len(curve_codes) + 1) * num_points
            decoded = network.decode(curve_codes, curve_offsets, verbose=verbose)
            curves[indices] = decoded.reshape(-1, num_columns, num_points)
        outputs = np.empty((offsets[-1], num_columns), np.float32)
        for indices, step_rows in _group_by_length(offsets, num_columns):
            outputs[step_rows] = resample(curves[indices], step_rows.shape[1]).transpose(0, 2, 1)
        return outputs

    def _split_by_network(self, lengths: np.ndarray) -> Iterator[tuple[PackedNetwork, np.ndarray]]:
        """Yield the networks for short and for long sequences, with the rows of these sequences."""
        is_short = lengths <= self.specification.grid // 2
        for network, mask in ((self._initial_network, is_short), (self.curve_network, ~is_short)):
            if mask.any():
                yield network, np.flatnonzero(mask)


def resample_columns(sequences: Sequences, num_points: int) -> np.ndarray:
    """Resample the columns of sequences to curves (n_sequences, columns, grid)."""
    curves = np.zeros((len(sequences), sequences.values.shape[1], num_points), np.float32)
    for indices, values in _group_values_by_length(sequences):
        curves[indices] = resample(values, num_points)
    return curves


def interpolate_missing_values(sequences: Sequences) -> Sequences:
    """Replace missing values of sequences by straight lines between their neighbors."""
    # Callers interpolate before they scale by sequence, so that the mean is that of the curve.
    if not np.isnan(sequences.values).any():
        return sequences
    values = sequences.values.copy()
    for _, step_rows in _group_by_length(sequences.offsets, values.shape[1]):
        filled = _interpolate_gaps(values[step_rows].transpose(0, 2, 1))
        values[step_rows] = filled.transpose(0, 2, 1)
    return sequences.with_values(values)


def explained_variance_shares(sequences: Sequences, num_dims: int) -> np.ndarray:
    """Return the share of the variance of each sequence in its first ``num_dims`` cosines."""
    # The shares (n_sequences,) are means over the columns. A code of ``num_dims`` dimensions
    # explains at least this share of the variance.
    shares = np.ones(len(sequences))
    for indices, values in _group_values_by_length(sequences):
        if values.shape[2] > num_dims:
            power = _cosine_transform(values)[..., 1:] ** 2  # the first coefficient is the mean
            total = power.sum(axis=2)
            # a constant column loses nothing
            first = np.where(total > 0, power[..., : num_dims - 1].sum(axis=2), 1.0)
            shares[indices] = (first / np.where(total > 0, total, 1.0)).mean(axis=1)
    return shares


def resample(values: np.ndarray, new_num_steps: int) -> np.ndarray:
    """Resample the last axis to a number of steps."""
    # Resampling to more steps and back returns the original values.
    old_num_steps = values.shape[-1]
    if old_num_steps == new_num_steps:
        return values.astype(np.float32)
    num_kept = min(old_num_steps, new_num_steps)
    coefficients = np.zeros((*values.shape[:-1], new_num_steps))
    # coefficients of the same function grow with the square root of the number of its steps
    factor = np.sqrt(new_num_steps / old_num_steps)
    coefficients[..., :num_kept] = _cosine_transform(values)[..., :num_kept] * factor
    return _inverse_cosine_transform(coefficients).astype(np.float32)


# The orthonormal cosine transform, computed by a Fourier transform: J. Makhoul, "A Fast Cosine
# Transform in One and Two Dimensions", IEEE Transactions on Acoustics, Speech, and Signal
# Processing 28, 1980. NumPy transforms one row after another, so its bits do not depend on other
# rows. SciPy's does not.


def _cosine_transform(values: np.ndarray) -> np.ndarray:
    """Return the cosine transform of the last axis, in float64."""
    num_steps = values.shape[-1]
    folded = np.concatenate([values[..., ::2], values[..., 1::2][..., ::-1]], axis=-1)
    spectrum = np.fft.fft(folded.astype(float)) * _phase_factors(num_steps)
    return spectrum.real * _norms(num_steps)


def _inverse_cosine_transform(coefficients: np.ndarray) -> np.ndarray:
    """Return the values (..., steps) whose cosine transform is ``coefficients``."""
    num_steps = coefficients.shape[-1]
    scaled = coefficients / _norms(num_steps)
    mirrored = np.zeros_like(scaled)
    mirrored[..., 1:] = scaled[..., :0:-1]
    folded = np.fft.ifft((scaled - 1j * mirrored) / _phase_factors(num_steps)).real
    values, half = np.empty(coefficients.shape), (num_steps + 1) // 2
    values[..., ::2], values[..., 1::2] = folded[..., :half], folded[..., half:][..., ::-1]
    return values


def _phase_factors(num_steps: int) -> np.ndarray:
    """Return the rotations (steps,) that turn a Fourier transform into a cosine transform."""
    return np.exp(-0.5j * np.pi * np.arange(num_steps) / num_steps)


def _norms(num_steps: int) -> np.ndarray:
    """Return the factors (steps,) that make the cosines orthonormal."""
    return np.sqrt(np.where(np.arange(num_steps) == 0, 1.0, 2.0) / num_steps)


# Sequences of the same length, which are transformed together


def _group_values_by_length(sequences: Sequences) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of sequences of the same length, and their values (n, columns, steps)."""
    # missing values are interpolated
    values = interpolate_missing_values(sequences).values
    for indices, step_rows in _group_by_length(sequences.offsets, values.shape[1]):
        yield indices, values[step_rows].transpose(0, 2, 1)


def _group_by_length(offsets: np.ndarray, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of sequences of the same length, and the rows of their steps (n, steps)."""
    lengths = np.diff(offsets)
    for length in np.unique(lengths[lengths > 0]).tolist():
        indices = np.flatnonzero(lengths == length)
        group_size = max(1, _MAX_VALUES_AT_ONCE // (length * width))
        for start in range(0, len(indices), group_size):
            group = indices[start : start + group_size]
            yield group, offsets[group][:, None] + np.arange(length)


def _interpolate_gaps(values: np.ndarray) -> np.ndarray:
    """Interpolate missing values along the last axis; 0 if all values are missing."""
    filled, steps = np.array(values, float, order="C"), np.arange(values.shape[-1])
    for row in filled.reshape(-1, len(steps)):
        observed = ~np.isnan(row)
        if not observed.all():
            points = steps[observed], row[observed]
            row[:] = np.interp(steps, *points) if observed.any() else 0.0
    return filled
