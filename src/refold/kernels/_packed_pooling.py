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
    """Convolve each channel of sequences with its own taps, and pool over time.

    Parameters
    ----------
    mixed : array of float32 of shape (n_rows, kernels)
        One channel for each kernel.
    offsets : array of int64 of shape (n_sequences + 1,)
    taps : array of float32 of shape (9, kernels)
        The middle one is for the step itself. Steps outside of the sequence count as zero.
    bias : array of float32 of shape (kernels,)
    dilation : int
        Steps between two taps.
    stride : int
        Steps between two values of the convolution; the first step has one.
    steepness : float
        Factor of a convolution in the sigmoid.
    threads : int, optional

    Returns
    -------
    positive : array of float32 of shape (n_sequences, kernels)
        Mean of the sigmoid of the convolutions.
    highest : array of float32 of shape (n_sequences, kernels)
        Their maximum.  Both are 0 for empty sequences.

    Examples
    --------
    >>> mixed, offsets = np.zeros((5, 2), np.float32), np.array([0, 2, 5])
    >>> taps, bias = np.zeros((9, 2), np.float32), np.ones(2, np.float32)
    >>> options = {"dilation": 1, "stride": 1, "steepness": 4.0}
    >>> positive, highest = pooled_convolutions(mixed, offsets, taps, bias, **options)
    >>> positive.shape, highest.tolist()
    ((2, 2), [[1.0, 1.0], [1.0, 1.0]])
    """
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
    """Convolve each channel of sequences as `pooled_convolutions` does, and pool positive steps.

    Parameters
    ----------
    mixed, offsets, taps, bias, dilation, threads
        As for `pooled_convolutions`.
    margin : float
        Convolutions above it are positive. It is larger than rounding errors, so that these do not
        decide where a convolution is constant.

    Returns
    -------
    share : array of float32 of shape (n_sequences, kernels)
        Share of the steps at which the convolution is positive. Steps at which it is from -margin
        to margin count half.
    place : array of float32 of shape (n_sequences, kernels)
        Mean index of these steps, relative to the length; 0 if there is none.
    longest : array of float32 of shape (n_sequences, kernels)
        Length of the longest run of these steps, relative to the length of the sequence.

    Examples
    --------
    >>> mixed = np.array([[-1], [1], [1], [-1], [1]], np.float32)
    >>> taps, bias = np.zeros((9, 1), np.float32), np.zeros(1, np.float32)
    >>> taps[4] = 1
    >>> found = pooled_runs(mixed, np.array([0, 5]), taps, bias, dilation=1, margin=0)
    >>> [round(one.item(), 3) for one in found]
    [0.6, 0.467, 0.4]
    """
    return operations().pooled_runs(
        mixed, offsets, taps, bias, dilation, margin, threads or num_threads()
    )
