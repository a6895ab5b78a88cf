"""Initialization of the ROCKET features of a code, which training does not change."""

from typing import Any

import numpy as np

from refold._support.blas_threads import one_blas_thread
from refold._support.sampling import evenly_spaced
from refold.inference import RocketFeatures
from refold.models import Network
from refold.sequences import Sequences
from refold.training._progress import doing

# Cap on sequences for the principal components.
_MOST_SEQUENCES = 4096
# Standard deviations below these shares count as rounding errors: of a feature relative to its
# mean, and of a component relative to the first. Scaled up, rounding would encode the padding.
_LEAST_FEATURE, _LEAST_COMPONENT = 1e-4, 1e-2


def set_rocket_initialization(network: Network, scaled: Sequences) -> None:
    """Set the ROCKET features of the code to principal components of the pooled convolutions.

    The components are those of standardized convolution features, scaled to mean 0 and standard
    deviation 1. Training does not change them, because a code trained to reconstruct loses what
    reconstruction does not need.

    Parameters
    ----------
    network : Network
        Network with a positive ``rocket_dim``.
    scaled : Sequences
        Sample of the training sequences, at least one.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> from refold.sequences import as_sequences
    >>> sizes = {"latent_dim": 6, "max_steps": 30, "units": 8, "depth": 1, "dropout": 0.0}
    >>> lengths = {"length_mean": 30.0, "length_deviation": 0.0, "rocket_dim": 2}
    >>> network = build(Specification("default", ["numeric"], [0], False, **sizes, **lengths))
    >>> waves = [np.sin(np.linspace(0, 6 + i, 30))[:, None] for i in range(20)]
    >>> set_rocket_initialization(network, as_sequences(waves))
    >>> codes = network.models.encoder.predict(np.array(waves, "float32"), verbose=0)
    >>> bool(np.allclose(codes[:, -2:].std(axis=0), 1.0, atol=1e-3))
    True
    """
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
