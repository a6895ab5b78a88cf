"""The default encoder on packed rows."""

import math
from collections.abc import Mapping

import numpy as np

from refold._support.arrays import lengths_from_offsets, offsets_from_lengths, positions_of
from refold.kernels import packed
from refold.network.packed.features import RocketFeatures
from refold.network.packed.lengths import encode_lengths
from refold.network.packed.rows import one_hot
from refold.network.specification import Specification
from refold.network.weights import has_linear_path, linear_map, lstm_weights


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
        if has_linear_path(specification):
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
                _, last, _, _ = packed.lstm(
                    hidden,
                    offsets,
                    half,
                    zeros,
                    zeros,
                    go_backwards=i == 1,
                    outputs=outputs[:, i * units : (i + 1) * units],
                )
                states.append(last)
            hidden = outputs
        count = np.maximum(lengths_from_offsets(offsets), 1).astype(np.float32)[:, None]
        mean = packed.segment_sum(hidden, offsets) / count
        maximum = packed.segment_max(hidden, offsets)
        steps = lengths.astype(np.float32)[:, None]
        most = self.specification.max_steps
        about = [
            steps == 0,
            steps / np.float32(most),
            np.log1p(steps) / np.float32(math.log1p(most)),
        ]
        return np.concatenate([*states, mean, maximum, *about], axis=1, dtype=np.float32)


def _mapped(
    linear: np.ndarray, lengths: np.ndarray, maps: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Apply the map of its length to each row, as `refold.layers.LinearEncoding` does."""
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
