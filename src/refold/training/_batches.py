"""Which sequences a step sees: padded data, the order of an epoch, batches of one size."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Padded", "epoch_order", "num_batches", "pick_batch_size"]


class Padded(NamedTuple):
    """Sequences as models see them, all of one padded length.

    Attributes
    ----------
    x : array of shape (n_sequences, n_steps, n_channels)
        Inputs; padded steps are NaN in all channels.
    y : array of shape (n_sequences, n_steps, n_features)
        Targets; NaN where nothing was observed.
    lengths : array of shape (n_sequences,)
        Lengths in steps, as float32.
    """

    x: Any
    y: Any
    lengths: Any

    @property
    def num_observed(self) -> int:
        """Number of observed targets."""
        return int(np.sum(~np.isnan(np.asarray(self.y))))


def pick_batch_size(num_sequences: int) -> int:
    """Pick the batch size by the number of training sequences: 32, and 64 from 2000 on.

    Parameters
    ----------
    num_sequences : int

    Returns
    -------
    int
        Never more than there are sequences.

    Examples
    --------
    >>> pick_batch_size(20), pick_batch_size(1000), pick_batch_size(100_000)
    (20, 32, 64)
    """
    return max(1, min(num_sequences, 64 if num_sequences >= 2000 else 32))


def num_batches(num_sequences: int, batch_size: int) -> int:
    """Count batches, the last and partial one included.

    Examples
    --------
    >>> num_batches(100, 32)
    4
    """
    return -(-num_sequences // batch_size)


def epoch_order(
    num_sequences: int, batch_size: int, *, seed: int | None = None, epoch: int = 0
) -> np.ndarray:
    """Order of the sequences in an epoch, shuffled by seed and epoch.

    Parameters
    ----------
    num_sequences, batch_size : int
    seed : int, optional
        Without a seed the order is that of the data.
    epoch : int

    Returns
    -------
    array of int32 of shape (n_batches, batch_size)
        Every sequence once; -1 fills up the last batch.

    Examples
    --------
    >>> epoch_order(5, 2)
    array([[ 0,  1],
           [ 2,  3],
           [ 4, -1]], dtype=int32)
    """
    order = np.full(num_batches(num_sequences, batch_size) * batch_size, -1, np.int32)
    if seed is None:
        order[:num_sequences] = np.arange(num_sequences)
    else:
        order[:num_sequences] = np.random.default_rng([seed, epoch]).permutation(num_sequences)
    return order.reshape(-1, batch_size)
