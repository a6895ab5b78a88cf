"""Symbols drawn by their probabilities, rather than the likeliest ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

__all__ = ["gumbel_max", "gumbel_noise"]

# Probabilities are taken to be at least this.
_LEAST = 1e-7


def gumbel_noise(
    shape: tuple[int, ...], column_types: Sequence[str], num_categories: Sequence[int], *, seed: Any
) -> np.ndarray:
    """Draw what `perturb` adds: Gumbel noise to labels, logistic noise to binary columns.

    Parameters
    ----------
    shape : tuple of int
        Batch and steps.
    column_types, num_categories : sequence
        Kind of each column, and its number of labels (0 where not categorical).
    seed : int or sequence of int

    Returns
    -------
    array of float32 of shape (batch, steps, outputs)
        Zero for numeric columns.

    Examples
    --------
    >>> gumbel_noise((2, 5), ["numeric", "categorical"], [0, 3], seed=0).shape
    (2, 5, 4)
    """
    rng = np.random.default_rng(seed)
    blocks = []
    for kind, n in zip(column_types, num_categories, strict=True):
        size = (*shape, n or 1)
        if kind == "categorical":
            blocks.append(rng.gumbel(size=size))
        elif kind == "binary":
            blocks.append(rng.logistic(size=size))
        else:
            blocks.append(np.zeros(size))
    return np.concatenate(blocks, axis=-1).astype(np.float32)


def gumbel_max(
    outputs: Any,
    noise: Any,
    temperature: Any,
    column_types: Sequence[str],
    num_categories: Sequence[int],
) -> Any:
    """Turn probabilities into scores of which the greatest is a draw by the probabilities.

    The probability of a label is in proportion to its own to the power of ``1 / temperature``:
    the lower the temperature, the likelier the likeliest.  By the Gumbel trick [1]_ the label of
    the greatest score is distributed so; a binary column's score is above 0.5 where 1 is drawn.

    Parameters
    ----------
    outputs : tensor of shape (batch, steps, outputs)
        Means, probabilities and softmax blocks, as a decoder writes them.
    noise : tensor of shape (batch, steps, outputs)
        As `gumbel_noise` gives it.
    temperature : float
        Above 0.
    column_types, num_categories : sequence

    Returns
    -------
    tensor of shape (batch, steps, outputs)
        Means as they were.

    References
    ----------
    .. [1] C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", NeurIPS 2014, section 2.

    Examples
    --------
    >>> outputs = np.tile(np.array([0.2, 0.8], "float32"), (1, 1000, 1))
    >>> noise = gumbel_noise((1, 1000), ["categorical"], [2], seed=0)
    >>> drawn = np.asarray(gumbel_max(outputs, noise, 1.0, ["categorical"], [2])).argmax(axis=-1)
    >>> bool(abs(drawn.mean() - 0.8) < 0.05)
    True
    """
    blocks, start = [], 0
    for kind, n in zip(column_types, num_categories, strict=True):
        width = n or 1
        block, beside = (one[..., start : start + width] for one in (outputs, noise))
        if kind == "categorical":
            block = ops.log(ops.maximum(block, _LEAST)) / temperature + beside
        elif kind == "binary":
            share: Any = ops.clip(block, _LEAST, 1.0 - _LEAST)
            logit = ops.log(share) - ops.log(1.0 - share)
            block = ops.sigmoid(logit / temperature + beside)
        blocks.append(block)
        start += width
    return ops.concatenate(blocks, axis=-1)
