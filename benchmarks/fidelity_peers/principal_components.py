"""PCA of the zero-padded training split, which is told the lengths.

The number of components is at most that of the training sequences, and of the padded values.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.fidelity_peers.channels import Channels

__all__ = ["fit"]


def fit(train: Any, *, size: int, seconds: float, seed: int) -> Callable[[Any], Any]:
    """Fit PCA, and return a function that reconstructs sequences."""
    from refold.evaluation import PCABaseline

    del seconds, seed
    channels = Channels(train)
    most = min(len(train), channels.longest * channels.width)
    return PCABaseline(min(size, most)).fit(train).reconstruct
