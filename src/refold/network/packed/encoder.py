"""`PackedEncoder` is the encoder of the default model, on packed rows."""

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from refold._support.arrays import concatenated_ranges, lengths_from_offsets, offsets_from_lengths
from refold.kernels import (
    DILATIONS,
    POSITIVITY_STEEPNESS,
    RandomConvolutions,
    draw_convolutions,
    packed,
)
from refold.network.packed.batches import iterate_encoded_batches, one_hot_encode_columns
from refold.network.packed.heads import encode_lengths
from refold.network.specification import Specification, get_linear_path_map
from refold.sequences import Sequences


class PackedEncoder:
    """Encoder of the default model: bidirectional LSTMs, a linear path, and ROCKET features."""

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self.specification = specification
        directions = ("forward", "backward")
        self._layers = [
            [get_lstm_weights(weights, f"encoder_{i}/{name}_lstm_{i}") for name in directions]
            for i in range(1, specification.depth + 1)
        ]
        self._code_weights = weights["code/kernel"], weights["code/bias"]
        self._linear_weights = None
        if specification.num_linear_path_steps is not None:
            linear_map = get_linear_path_map(weights, "linear_code")
            self._linear_weights = linear_map, weights["linear_code/bias"]
            self._lstm_path_scale = weights["linear_code/scale"]
        # for each length, a matrix and an offset of the linear path: arrays (lengths, dims, dims)
        # and (lengths, dims)
        self._length_maps = None
        if specification.by_length:
            self._length_maps = weights["linear_code/maps"], weights["linear_code/offsets"]
        self.rocket_features = RocketFeatures(specification, weights)
        self._rocket_map = None
        if specification.rocket_dim:
            self._rocket_map = weights["rocket_dim/center"], weights["rocket_dim/kernel"]

    def __call__(self, input_rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Encode rows of shape (n_rows, channels) to codes of shape (n_sequences, latent_dim)."""
        # A code is the sum of two paths. One path has LSTMs in both directions, and pools their
        # states. The other path is a linear map of all values. Further latent dimensions may hold
        # the length and ROCKET features: random convolutions, pooled over the steps.
        values = one_hot_encode_columns(input_rows, self.specification.num_categories)
        code = packed.product(self._run_lstms_and_pool(values, offsets), *self._code_weights)
        if self._linear_weights is not None:
            linear = packed.linear_encode(values, offsets, *self._linear_weights)
            if self._length_maps is not None:
                # as in the layer `LinearEncoding`, longer sequences use the last map
                maps, map_offsets = self._length_maps
                lengths = np.minimum(lengths_from_offsets(offsets), len(maps) - 1)
                centered = linear - map_offsets[lengths]
                if len(lengths) == 1:  # without the loop, a single sequence is faster
                    linear = packed.product(centered, maps[lengths[0]])
                else:
                    for length in np.unique(lengths):
                        has_length = lengths == length
                        linear[has_length] = packed.product(centered[has_length], maps[length])
            code = linear + self._lstm_path_scale * code
        if self.specification.length_dim:
            length_code = encode_lengths(lengths_from_offsets(offsets), self.specification)
            code = np.concatenate([code, length_code[:, None]], axis=1)
        if self._rocket_map is None:
            return code
        # Without centering, a large mean times a large weight would leave few digits for the
        # differences between sequences.
        center, kernel = self._rocket_map
        features = packed.product(self.rocket_features(values, offsets) - center, kernel)
        return np.concatenate([code, features], axis=1)

    def _run_lstms_and_pool(self, encoded_steps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Run the LSTMs, and pool their states to (n_sequences, 6 * units + 3)."""
        lengths, patch = lengths_from_offsets(offsets), self.specification.patch
        hidden = encoded_steps
        if patch > 1:
            hidden, offsets = _fold_steps_into_patches(encoded_steps, offsets, patch)
        last_states = []  # only those of the last layer are pooled
        for layer in self._layers:
            units = layer[0].units
            zeros = np.zeros((len(lengths), units), np.float32)  # the two initial states
            outputs = np.empty((len(hidden), 2 * units), np.float32)
            last_states = []  # of the forward and the backward direction
            for i, direction in enumerate(layer):
                # each direction writes its half of the outputs
                half = outputs[:, i * units : (i + 1) * units]
                options = {"go_backwards": i == 1, "out": half}
                _, last, _, _ = packed.lstm(hidden, offsets, direction, zeros, zeros, **options)
                last_states.append(last)
            hidden = outputs
        # an empty sequence has the sum 0, which is divided by 1
        num_patches = np.maximum(lengths_from_offsets(offsets), 1).astype(np.float32)[:, None]
        mean = packed.segment_sum(hidden, offsets) / num_patches
        pooled = [*last_states, mean, packed.segment_max(hidden, offsets)]
        num_steps = lengths.astype(np.float32)[:, None]
        max_steps = self.specification.max_steps
        logarithm = np.log1p(num_steps) / np.float32(math.log1p(max_steps))
        length_features = [num_steps == 0, num_steps / np.float32(max_steps), logarithm]
        return np.concatenate(pooled + length_features, axis=1, dtype=np.float32)


def compute_patch_offsets(offsets: np.ndarray, patch_size: int) -> np.ndarray:
    """Return the offsets (n_sequences + 1,) of patches of at most ``patch_size`` steps."""
    return offsets_from_lengths(-(-lengths_from_offsets(offsets) // patch_size))


def _fold_steps_into_patches(
    x: np.ndarray, offsets: np.ndarray, patch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return patches (n_patches, patch * channels + 1) of steps x, and offsets of the patches."""
    # As in the layer `FoldSteps`, the last column of a patch is the share of its steps that are not
    # padding.
    patch_offsets = compute_patch_offsets(offsets, patch_size)
    num_patches, num_channels = patch_offsets[-1], x.shape[1]
    padded = np.zeros((num_patches * patch_size, num_channels + 1), np.float32)
    rows = concatenated_ranges(patch_offsets[:-1] * patch_size, lengths_from_offsets(offsets))
    padded[rows, :-1] = x
    padded[rows, -1] = 1.0  # 0 at steps that complete the last patch
    padded = padded.reshape(num_patches, patch_size, num_channels + 1)
    real_shares = padded[:, :, -1].sum(axis=1, keepdims=True) / np.float32(patch_size)
    steps = padded[:, :, :-1].reshape(num_patches, patch_size * num_channels)
    return np.concatenate([steps, real_shares], axis=1), patch_offsets


class RocketFeatures:
    """Compute ROCKET features: random convolutions, pooled over the steps."""

    def __init__(
        self, specification: Specification, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        # Only a model with ROCKET features in its codes stores the convolutions. Other models draw
        # them with a fixed seed.
        self._specification, self._weights = specification, weights or {}

    @functools.cached_property
    def _convolutions(self) -> RandomConvolutions:
        """Return the convolutions that the model stores, or else those of the fixed seed."""
        if "convolutions/taps" not in self._weights:
            return draw_convolutions(self._specification.input_width)
        names = RandomConvolutions._fields
        return RandomConvolutions(*(self._weights[f"convolutions/{name}"] for name in names))

    def __call__(self, encoded_rows: np.ndarray, sequence_offsets: np.ndarray) -> np.ndarray:
        """Compute features (n_sequences, n_features) of one-hot encoded steps (n_rows, width)."""
        convolutions, stride = self._convolutions, self._specification.rocket_stride
        return pool_random_convolutions(encoded_rows, sequence_offsets, convolutions, stride=stride)

    def compute_in_batches(self, scaled_sequences: Sequences) -> np.ndarray:
        """Compute the features (n_sequences, n_features) of scaled sequences."""
        num_features = 2 * len(self._convolutions.bias)
        features = np.empty((len(scaled_sequences), num_features), np.float32)
        for batch, values in iterate_encoded_batches(self._specification, scaled_sequences):
            features[batch.indices] = self(values, batch.offsets)
        return features


def pool_random_convolutions(
    encoded_steps: np.ndarray,
    offsets: np.ndarray,
    convolutions: RandomConvolutions,
    *,
    dilations: Sequence[int] = DILATIONS,
    stride: int = 1,
) -> np.ndarray:
    """Convolve rows (n_rows, width) and pool them to features (n_sequences, 2 * kernels)."""
    channels, taps, bias = convolutions
    # each kernel convolves one weighted sum of the channels
    mixed = packed.product(encoded_steps, channels)
    # each dilation has about the same number of kernels
    ends = np.linspace(0, len(bias), len(dilations) + 1).round().astype(int)
    options: Any = {"stride": stride, "steepness": POSITIVITY_STEEPNESS}
    positive_shares, maxima = [], []
    for dilation, (begin, end) in zip(dilations, pairwise(ends), strict=True):
        columns = np.ascontiguousarray(mixed[:, begin:end])
        weights = np.ascontiguousarray(taps[:, begin:end]), bias[begin:end]
        shares, maximum = packed.pooled_convolutions(
            columns, offsets, *weights, dilation=dilation, **options
        )
        positive_shares.append(shares)
        maxima.append(maximum)
    return np.concatenate([*positive_shares, *maxima], axis=1)


def get_lstm_weights(weights: Mapping[str, np.ndarray], layer_name: str) -> packed.LstmWeights:
    """Return the weights of an LSTM layer."""
    names = (f"{layer_name}/lstm_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias"))
    return packed.LstmWeights(*(weights[name] for name in names))
