"""Initialization of the ROCKET features of a code, which training does not change."""

from typing import Any

import numpy as np

from refold._support.arrays import evenly_spaced
from refold._support.native_libraries import one_blas_thread
from refold.network.keras.build import Network
from refold.network.packed.encoder import RocketFeatures
from refold.sequences import Sequences
from refold.training._progress import doing

# Cap on sequences for the principal components.
_MOST_SEQUENCES = 4096
# Standard deviations below these shares count as rounding errors: of a feature relative to its
# mean, and of a component relative to the first. Scaled up, rounding would encode the padding.
_LEAST_FEATURE, _LEAST_COMPONENT = 1e-4, 1e-2


def set_rocket_initialization(network: Network, scaled: Sequences) -> None:
    """Set the ROCKET features of the code to principal components of the pooled convolutions."""
    # Training does not change them, because a code trained to reconstruct loses what reconstruction
    # does not need.
    doing("finding components of convolutions")
    features = _features(network, scaled)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    varies = deviation > _LEAST_FEATURE * np.maximum(1.0, np.abs(mean))
    inverse = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
    with one_blas_thread(*features.shape):
        _, values, directions = np.linalg.svd((features - mean) * inverse, full_matrices=False)
    # the largest weight of a direction is positive, so that signs are deterministic
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    spread = values / np.sqrt(len(features))
    weights = np.zeros((network.specification.rocket_dim, features.shape[1]))
    rank = min(len(weights), int((spread > _LEAST_COMPONENT * max(spread[0], 1.0)).sum()))
    weights[:rank] = directions[:rank] / spread[:rank, None] * inverse
    layer: Any = network.models.encoder.get_layer("rocket_dim")
    layer.center.assign(np.asarray(mean, np.float32))
    layer.kernel.assign(weights.T.astype(np.float32))


def _features(network: Network, scaled: Sequences) -> np.ndarray:
    sample = evenly_spaced(len(scaled), _MOST_SEQUENCES)
    return RocketFeatures(network.specification).of(scaled[sample]).astype(float)
