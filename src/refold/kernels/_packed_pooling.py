"""Convolutions of the steps of sequences on packed rows, pooled over time."""

import numpy as np

from refold.kernels._packed_operations import operations
from refold.kernels._threads import num_threads


def pooled_convolutions(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    stride: int,
    steepness: float,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve each channel of mixed (n_rows, kernels) with its taps (9, kernels), and pool."""
    # The middle tap is for the step itself, and steps outside of the sequence count as zero. The
    # first value is that of the first step, and the next ones follow in strides. Returns the mean
    # of sigmoid(steepness * convolution) and the maximum, (n_sequences, kernels), both 0 for an
    # empty sequence.
    return operations().pooled_convolutions(
        mixed, offsets, taps, bias, dilation, stride, steepness, threads or num_threads()
    )


def pooled_runs(
    mixed: np.ndarray,
    offsets: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    *,
    dilation: int,
    margin: float,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve as `pooled_convolutions` does, and pool the steps with a positive convolution."""
    # A convolution above the margin is positive. The margin is larger than rounding errors, so that
    # they do not decide where a convolution is constant. Returns, all (n_sequences, kernels) and
    # relative to the length: the share of positive steps, where steps from -margin to margin count
    # half; their mean index, 0 if there is none; and the longest run of them.
    return operations().pooled_runs(
        mixed, offsets, taps, bias, dilation, margin, threads or num_threads()
    )
