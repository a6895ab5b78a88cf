"""PCA of the zero-padded training split, told the lengths; at most as many as there are."""

from collections.abc import Callable
from typing import Any

from benchmarks.fidelity_peers.channels import Channels

__all__ = ["fit"]


def fit(train: Any, *, size: int, seconds: float, seed: int) -> Callable[[Any], Any]:
    """Find the components, and return what reconstructs sequences."""
    from refold.evaluation import PCABaseline

    del seconds, seed
    channels = Channels(train)
    most = min(len(train), channels.longest * channels.width)
    return PCABaseline(min(size, most)).fit(train).reconstruct
