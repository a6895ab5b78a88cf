"""ROCKET features of sequences on packed rows."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from refold.kernels import DILATIONS, STEEPNESS, RandomConvolutions, packed, random_convolutions
from refold.network.packed.rows import encoded_blocks
from refold.network.specification import Specification
from refold.network.weights import MOST_STRIDE, input_width
from refold.sequences import Sequences


class RocketFeatures:
    """Random convolutions pooled over time, as `refold.layers.PooledConvolutions` computes them."""

    def __init__(
        self, specification: Specification, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        # the weights hold the convolutions if the code has ROCKET features
        self._specification, self._weights = specification, weights or {}
        self._stride = min(specification.patch, MOST_STRIDE)

    @functools.cached_property
    def _convolutions(self) -> RandomConvolutions:
        if "convolutions/taps" not in self._weights:
            return random_convolutions(input_width(self._specification))
        parts = (self._weights[f"convolutions/{part}"] for part in ("channels", "taps", "bias"))
        return RandomConvolutions(*parts)

    @property
    def num_features(self) -> int:
        """Number of features."""
        return 2 * len(self._convolutions.bias)

    def __call__(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Compute features (n_sequences, n_features) of encoded columns (n_rows, width)."""
        return pooled(values, offsets, self._convolutions, stride=self._stride)

    def of(self, scaled: Sequences) -> np.ndarray:
        """Compute the features (n_sequences, n_features) of scaled sequences."""
        features = np.empty((len(scaled), self.num_features), np.float32)
        for block, values in encoded_blocks(self._specification, scaled):
            features[block.chosen] = self(values, block.offsets)
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
