"""Sampling of categories and binary values by the Gumbel-max trick."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

# Lower bound of probabilities.
_LEAST = 1e-7


def gumbel_noise(
    shape: tuple[int, ...], column_types: Sequence[str], num_categories: Sequence[int], *, seed: Any
) -> np.ndarray:
    """Draw the noise of `gumbel_max`: Gumbel for categorical and logistic for binary columns.

    Parameters
    ----------
    shape : tuple of int
        Batch and steps.
    column_types, num_categories : sequence
        Type of each column, and its number of categories (0 if it is not categorical).
    seed : int or sequence of int
        Seed of the noise.

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
    for column_type, n in zip(column_types, num_categories, strict=True):
        size = (*shape, n or 1)
        if column_type == "categorical":
            blocks.append(rng.gumbel(size=size))
        elif column_type == "binary":
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
    """Turn probabilities into scores whose argmax is a sample, by the Gumbel-max trick [1]_.

    The sampled category has a probability proportional to ``p ** (1 / temperature)``, so that a low
    temperature favors the likeliest category.  The score of a binary column is above 0.5 if the
    sample is 1.

    Parameters
    ----------
    outputs : tensor of shape (batch, steps, outputs)
        Means, probabilities and softmax blocks, as a decoder writes them.
    noise : tensor of shape (batch, steps, outputs)
        Output of `gumbel_noise`.
    temperature : float
        Above 0.
    column_types, num_categories : sequence
        As in `gumbel_noise`.

    Returns
    -------
    tensor of shape (batch, steps, outputs)
        Scores; the means of numeric columns are unchanged.

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
    for column_type, n in zip(column_types, num_categories, strict=True):
        width = n or 1
        block, added = (one[..., start : start + width] for one in (outputs, noise))
        if column_type == "categorical":
            block = ops.log(ops.maximum(block, _LEAST)) / temperature + added
        elif column_type == "binary":
            probability: Any = ops.clip(block, _LEAST, 1.0 - _LEAST)
            logit = ops.log(probability) - ops.log(1.0 - probability)
            block = ops.sigmoid(logit / temperature + added)
        blocks.append(block)
        start += width
    return ops.concatenate(blocks, axis=-1)
