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
    """Weights of random convolutions; the kernels of one dilation follow those of another.

    Attributes
    ----------
    channels : array of float32 of shape (channels, kernels)
        Weights that mix the channels of a step.
    taps : array of float32 of shape (9, kernels)
        Weights of the steps.
    bias : array of float32 of shape (kernels,)
        Bias of each kernel.
    """

    channels: np.ndarray
    taps: np.ndarray
    bias: np.ndarray


@functools.lru_cache(maxsize=64)
def random_convolutions(
    num_channels: int, num_kernels: int = 16, seed: int = 0
) -> RandomConvolutions:
    """Draw kernels that each read up to three channels, with nine taps.

    The arrays are shared between calls and cannot be written.

    Parameters
    ----------
    num_channels : int
        Number of channels of a step.
    num_kernels : int
        Number of kernels for each dilation.
    seed : int
        Seed of the kernels.

    Returns
    -------
    RandomConvolutions

    Examples
    --------
    >>> [part.shape for part in random_convolutions(5)]
    [(5, 64), (9, 64), (64,)]
    """
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
    for part in parts:
        part.flags.writeable = False
    return RandomConvolutions(*parts)
