"""The default encoder on packed rows: LSTMs, the linear path, patches and ROCKET features."""

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from refold._support.arrays import lengths_from_offsets, offsets_from_lengths, positions_of
from refold.kernels import DILATIONS, STEEPNESS, RandomConvolutions, packed, random_convolutions
from refold.network.packed.heads import encode_lengths
from refold.network.packed.rows import encoded_blocks, one_hot
from refold.network.specification import Specification, linear_map
from refold.sequences import Sequences


class PackedEncoder:
    """Bidirectional LSTMs whose states are pooled, a linear path, and ROCKET features."""

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self.specification = specification
        self._layers = [
            [lstm_weights(weights, f"encoder_{i}/{w}_lstm_{i}") for w in ("forward", "backward")]
            for i in range(1, specification.depth + 1)
        ]
        self._code = weights["code/kernel"], weights["code/bias"]
        self._linear = None
        if specification.linear_steps is not None:
            self._linear = linear_map(weights, "linear_code"), weights["linear_code/bias"]
            self._scale = weights["linear_code/scale"]
        self._maps = None
        if specification.by_length:
            self._maps = weights["linear_code/maps"], weights["linear_code/offsets"]
        self.rocket_features = RocketFeatures(specification, weights)
        self._rocket = None
        if specification.rocket_dim:
            self._rocket = weights["rocket_dim/center"], weights["rocket_dim/kernel"]

    def __call__(self, x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Encode rows of shape (n_rows, channels) to codes of shape (n_sequences, latent_dim)."""
        values = one_hot(x, self.specification.num_categories)
        code = packed.product(self._pooled(values, offsets), *self._code)
        if self._linear is not None:
            linear = packed.ragged_product(values, offsets, *self._linear)
            if self._maps is not None:
                linear = _mapped(linear, lengths_from_offsets(offsets), *self._maps)
            code = linear + self._scale * code
        if self.specification.length_dim:
            lengths = encode_lengths(lengths_from_offsets(offsets), self.specification)
            code = np.concatenate([code, lengths[:, None]], axis=1)
        if self._rocket is None:
            return code
        center, kernel = self._rocket
        features = packed.product(self.rocket_features(values, offsets) - center, kernel)
        return np.concatenate([code, features], axis=1)

    def _pooled(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Run the LSTMs, and pool their states to (n_sequences, 6 * units + 3)."""
        lengths, patch = lengths_from_offsets(offsets), self.specification.patch
        hidden = values
        if patch > 1:
            hidden, offsets = fold(values, offsets, patch)
        states = []
        for layer in self._layers:
            units = layer[0].units
            zeros = np.zeros((len(lengths), units), np.float32)
            outputs = np.empty((len(hidden), 2 * units), np.float32)
            states = []
            for i, half in enumerate(layer):
                columns = outputs[:, i * units : (i + 1) * units]
                options = {"go_backwards": i == 1, "outputs": columns}
                _, last, _, _ = packed.lstm(hidden, offsets, half, zeros, zeros, **options)
                states.append(last)
            hidden = outputs
        count = np.maximum(lengths_from_offsets(offsets), 1).astype(np.float32)[:, None]
        mean = packed.segment_sum(hidden, offsets) / count
        maximum = packed.segment_max(hidden, offsets)
        steps = lengths.astype(np.float32)[:, None]
        most = self.specification.max_steps
        logarithm = np.log1p(steps) / np.float32(math.log1p(most))
        lengths_read = [steps == 0, steps / np.float32(most), logarithm]
        return np.concatenate([*states, mean, maximum, *lengths_read], axis=1, dtype=np.float32)


def _mapped(
    linear: np.ndarray, lengths: np.ndarray, maps: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Apply the map of its length to each row, as `LinearEncoding` does."""
    if len(lengths) == 1:  # faster
        length = min(int(lengths[0]), len(maps) - 1)
        return packed.product(linear - offsets[length], maps[length])
    within = np.minimum(lengths, len(maps) - 1)
    linear = linear - offsets[within]
    mapped = np.empty_like(linear)
    for length in np.unique(within):
        rows = within == length
        mapped[rows] = packed.product(linear[rows], maps[length])
    return mapped


def patch_offsets(offsets: np.ndarray, patch: int) -> np.ndarray:
    """Return the offsets of patches of steps; the last patch may be incomplete."""
    return offsets_from_lengths(-(-lengths_from_offsets(offsets) // patch))


def fold(x: np.ndarray, offsets: np.ndarray, patch: int) -> tuple[np.ndarray, np.ndarray]:
    """Fold x to patches (n_patches, patch * channels + 1), and append the share of real steps."""
    folded = patch_offsets(offsets, patch)
    padded = np.zeros((folded[-1] * patch, x.shape[1] + 1), np.float32)
    rows = rows_in_patches(offsets, folded, patch)
    padded[rows, :-1] = x
    padded[rows, -1] = 1.0
    padded = padded.reshape(folded[-1], patch, x.shape[1] + 1)
    share = padded[:, :, -1].sum(axis=1, keepdims=True) / np.float32(patch)
    steps = padded[:, :, :-1].reshape(folded[-1], patch * x.shape[1])
    return np.concatenate([steps, share], axis=1), folded


def rows_in_patches(offsets: np.ndarray, folded: np.ndarray, patch: int) -> np.ndarray:
    """Return the row of each step among the steps of all patches, complete or not."""
    return positions_of(folded[:-1] * patch, lengths_from_offsets(offsets))


class RocketFeatures:
    """Random convolutions pooled over time, as `PooledConvolutions` computes them."""

    def __init__(
        self, specification: Specification, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        # the weights hold the convolutions if the code has ROCKET features
        self._specification, self._weights = specification, weights or {}

    @functools.cached_property
    def _convolutions(self) -> RandomConvolutions:
        if "convolutions/taps" not in self._weights:
            return random_convolutions(self._specification.input_width)
        parts = (self._weights[f"convolutions/{part}"] for part in ("channels", "taps", "bias"))
        return RandomConvolutions(*parts)

    def __call__(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Compute features (n_sequences, n_features) of encoded columns (n_rows, width)."""
        stride = self._specification.convolution_stride
        return pooled(values, offsets, self._convolutions, stride=stride)

    def of(self, scaled: Sequences) -> np.ndarray:
        """Compute the features (n_sequences, n_features) of scaled sequences."""
        num_features = 2 * len(self._convolutions.bias)
        features = np.empty((len(scaled), num_features), np.float32)
        for block, values in encoded_blocks(self._specification, scaled):
            features[block.indices] = self(values, block.offsets)
        return features


def pooled(
    values: np.ndarray,
    offsets: np.ndarray,
    convolutions: RandomConvolutions,
    *,
    dilations: Sequence[int] = DILATIONS,
    stride: int = 1,
) -> np.ndarray:
    """Convolve rows (n_rows, width) and pool them to features (n_sequences, 2 * kernels)."""
    channels, taps, bias = convolutions
    mixed = packed.product(values, channels)
    # each dilation has about the same number of kernels
    ends = np.linspace(0, len(bias), len(dilations) + 1).round().astype(int)
    parts = [
        packed.pooled_convolutions(
            np.ascontiguousarray(mixed[:, first:end]),
            offsets,
            np.ascontiguousarray(taps[:, first:end]),
            bias[first:end],
            dilation=dilation,
            stride=stride,
            steepness=STEEPNESS,
        )
        for dilation, (first, end) in zip(dilations, pairwise(ends), strict=True)
    ]
    positive, highest = zip(*parts, strict=True)
    return np.concatenate([*positive, *highest], axis=1)


def lstm_weights(weights: Mapping[str, np.ndarray], layer: str) -> packed.LstmWeights:
    """Return the weights of an LSTM layer."""
    kernel, recurrent_kernel, bias = (
        weights[f"{layer}/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
    )
    return packed.LstmWeights(kernel, recurrent_kernel, bias)
