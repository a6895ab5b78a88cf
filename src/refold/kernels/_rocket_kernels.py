"""Random convolution kernels of ROCKET features."""

import functools
from typing import NamedTuple

import numpy as np

DILATIONS = (1, 2, 4, 8)
"""Dilations of the kernels, in steps."""
STEEPNESS = 4.0
"""Steepness of the sigmoid that softens the test whether a convolution is positive."""

# Number of taps of a kernel.
_TAPS = 9
# Maximum number of channels that a kernel reads.
_MOST_CHANNELS = 3


class RandomConvolutions(NamedTuple):
    """Weights of random convolutions; the kernels of one dilation follow those of another."""

    channels: np.ndarray  # (channels, kernels) float32: mix the channels of a step
    taps: np.ndarray  # (9, kernels) float32: weights of the steps
    bias: np.ndarray  # (kernels,) float32

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return self._asdict()


@functools.lru_cache(maxsize=64)
def random_convolutions(
    num_channels: int, num_kernels: int = 16, seed: int = 0
) -> RandomConvolutions:
    """Draw kernels for each dilation that each read up to three channels, with nine taps."""
    # RandomState draws the same numbers in all versions; files do not always hold the kernels
    rng = np.random.RandomState(seed)
    num = len(DILATIONS) * num_kernels
    weights = rng.standard_normal((num_channels, num))
    # the weights of channels that a kernel does not read are zero
    read = rng.randint(1, _MOST_CHANNELS + 1, num)
    weights *= rng.random_sample((num_channels, num)).argsort(axis=0) < read
    taps = rng.standard_normal((_TAPS, num))
    drawn = (
        weights / np.sqrt((weights**2).sum(axis=0)),
        taps - taps.mean(axis=0),
        rng.uniform(-1, 1, num),
    )
    parts = [part.astype(np.float32) for part in drawn]
    # calls share the arrays
    for part in parts:
        part.flags.writeable = False
    return RandomConvolutions(*parts)
