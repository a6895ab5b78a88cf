"""A network that reads each column of a sequence by itself, as a curve of a fixed number of points.

A column of n steps is resampled by its cosine transform [1]_: n cosines represent it exactly, and a
curve has as many as it has points. So a column that has no more steps loses nothing, and a longer
one loses what varies fastest. The same cosines return the values at the steps. Missing values are
bridged by straight lines first.

.. [1] N. Ahmed, T. Natarajan and K. R. Rao, "Discrete Cosine Transform", IEEE Transactions on
   Computers C-23, 1974.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refold.network.packed.heads import Draw, encode_lengths
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification
from refold.sequences import Sequences, as_sequences

# Weights that are zero before training.
_TRAINED = (
    *("code/kernel", "code/bias", "head/dense/kernel", "head/dense/bias"),
    *("linear_code/change", "linear_code/bias", "linear_steps/change", "linear_steps/bias"),
)
# Cap on the values that are transformed at once.
_MAX_VALUES = 1 << 20


class CurveNetwork(PackedNetwork):
    """A network of any number of numeric columns, whose curves one `PackedNetwork` reads.

    The code of a sequence has, for each column, the code of its curve and the number of steps.
    """

    # With at most half as many steps as a curve has points, the first linear path is exact. What
    # training added is left out then: it would make such codes inexact.

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(specification, weights)
        self.of_curves = PackedNetwork(specification.inner, weights)
        first = {name: np.zeros_like(weights[name]) for name in _TRAINED}
        self._untrained = PackedNetwork(specification.inner, {**weights, **first})

    def encode(self, scaled: Sequences, *, latent_steps: int = 0, verbose: int = 0) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim)."""
        curves = curves_of(scaled, self.specification.grid)
        options: Any = {"latent_steps": latent_steps, "verbose": verbose}
        width = self.specification.curve_dim
        codes = np.empty((*curves.shape[:2], width), np.float32)
        for network, rows in self._networks(scaled.lengths):
            one_column = as_sequences(curves[rows].reshape(-1, curves.shape[2], 1))
            encoded = network.encode(one_column, **options)
            codes[rows] = encoded.reshape(-1, *codes.shape[1:])
        lengths = encode_lengths(scaled.lengths, self.specification)
        lengths = np.broadcast_to(lengths[:, None, None], (*codes.shape[:2], 1))
        codes = np.concatenate([codes, lengths], axis=2)
        return codes.reshape(len(scaled), self.specification.latent_dim)

    def decode(
        self, codes: np.ndarray, offsets: np.ndarray, *, draw: Draw | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, columns) of sequences with these offsets."""
        del draw  # numbers are means
        grid, columns = self.specification.grid, self.specification.num_outputs
        lengths = self.predict_lengths(codes)  # how they were encoded, whatever is asked for
        width = self.specification.curve_dim
        codes = codes.reshape(len(codes), columns, width + 1)[..., :width]
        curves = np.empty((*codes.shape[:2], grid), np.float32)
        for network, rows in self._networks(lengths):
            some = codes[rows].reshape(-1, codes.shape[2])
            points = np.arange(len(some) + 1) * grid
            decoded = network.decode(some, points, verbose=verbose)
            curves[rows] = decoded.reshape(-1, columns, grid)
        outputs = np.empty((offsets[-1], columns), np.float32)
        for rows, places in _of_one_length(offsets, columns):
            outputs[places] = resampled(curves[rows], places.shape[1]).transpose(0, 2, 1)
        return outputs

    def _networks(self, lengths: np.ndarray) -> Iterator[tuple[PackedNetwork, np.ndarray]]:
        """Yield the networks of short and of long sequences, with their rows."""
        is_short = lengths <= self.specification.grid // 2
        for network, chosen in ((self._untrained, is_short), (self.of_curves, ~is_short)):
            if chosen.any():
                yield network, np.flatnonzero(chosen)


def curves_of(scaled: Sequences, grid: int) -> np.ndarray:
    """Resample the columns of sequences to curves (n_sequences, columns, grid)."""
    curves = np.zeros((len(scaled), scaled.values.shape[1], grid), np.float32)
    for rows, values in _by_length(scaled):
        curves[rows] = resampled(values, grid)
    return curves


def without_gaps(sequences: Sequences) -> Sequences:
    """Bridge the gaps of sequences by straight lines, so that the mean is that of the curve."""
    if not np.isnan(sequences.values).any():
        return sequences
    values = sequences.values.copy()
    for _, places in _of_one_length(sequences.offsets, values.shape[1]):
        values[places] = _bridge(values[places].transpose(0, 2, 1)).transpose(0, 2, 1)
    return sequences.with_values(values)


def shares_held(sequences: Sequences, dims: int) -> np.ndarray:
    """Return the share of the variance of each sequence in its first cosines, (n_sequences,)."""
    # what codes of as many dimensions hold at least; the mean over the columns
    held = np.ones(len(sequences))
    for rows, values in _by_length(sequences):
        if values.shape[2] > dims:
            power = _cosines(values)[..., 1:] ** 2  # the first cosine is the mean
            whole = power.sum(axis=2)
            first = np.where(whole > 0, power[..., : dims - 1].sum(axis=2), 1.0)
            held[rows] = (first / np.where(whole > 0, whole, 1.0)).mean(axis=1)
    return held


def resampled(values: np.ndarray, steps: int) -> np.ndarray:
    """Resample the last axis to a number of steps; back and forth, the smaller number is exact."""
    given = values.shape[-1]
    if given == steps:
        return values.astype(np.float32)
    both = min(given, steps)
    cosines = np.zeros((*values.shape[:-1], steps))
    cosines[..., :both] = _cosines(values)[..., :both] * np.sqrt(steps / given)
    return _from_cosines(cosines).astype(np.float32)


# The orthonormal transform by way of the Fourier transform: J. Makhoul, "A Fast Cosine Transform in
# One and Two Dimensions", IEEE Transactions on Acoustics, Speech, and Signal Processing 28, 1980.
# NumPy transforms one row after another, so its bits do not depend on other rows. SciPy's does not.


def _cosines(values: np.ndarray) -> np.ndarray:
    """Return the cosine transform of the last axis, of float64."""
    steps = values.shape[-1]
    folded = np.concatenate([values[..., ::2], values[..., 1::2][..., ::-1]], axis=-1)
    turned = np.fft.fft(folded.astype(float)) * _turns(steps)
    return turned.real * _norms(steps)


def _from_cosines(cosines: np.ndarray) -> np.ndarray:
    """Return the values (..., steps) that have a cosine transform."""
    steps = cosines.shape[-1]
    scaled = cosines / _norms(steps)
    mirrored = np.zeros_like(scaled)
    mirrored[..., 1:] = scaled[..., :0:-1]
    folded = np.fft.ifft((scaled - 1j * mirrored) / _turns(steps)).real
    values, half = np.empty(cosines.shape), (steps + 1) // 2
    values[..., ::2], values[..., 1::2] = folded[..., :half], folded[..., half:][..., ::-1]
    return values


def _turns(steps: int) -> np.ndarray:
    return np.exp(-0.5j * np.pi * np.arange(steps) / steps)


def _norms(steps: int) -> np.ndarray:
    return np.sqrt(np.where(np.arange(steps) == 0, 1.0, 2.0) / steps)


# Sequences of one length at a time


def _by_length(sequences: Sequences) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of sequences of one length, and their bridged values (n, columns, steps)."""
    values = without_gaps(sequences).values
    for rows, places in _of_one_length(sequences.offsets, values.shape[1]):
        yield rows, values[places].transpose(0, 2, 1)


def _of_one_length(offsets: np.ndarray, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of sequences of one length, and the places of their steps (n, steps)."""
    lengths = np.diff(offsets)
    for steps in np.unique(lengths[lengths > 0]).tolist():
        rows = np.flatnonzero(lengths == steps)
        at_once = max(1, _MAX_VALUES // (steps * columns))
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            yield some, offsets[some][:, None] + np.arange(steps)


def _bridge(values: np.ndarray) -> np.ndarray:
    """Bridge missing values along the last axis; without any value, it is 0."""
    filled, steps = np.array(values, float, order="C"), np.arange(values.shape[-1])
    for row in filled.reshape(-1, len(steps)):
        observed = ~np.isnan(row)
        if not observed.all():
            known = steps[observed], row[observed]
            row[:] = np.interp(steps, *known) if observed.any() else 0.0
    return filled
