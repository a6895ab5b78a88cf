"""Pooling of the states of a bidirectional layer into one vector."""

import math
from typing import Any

import keras
from keras import ops

from refold.network.keras.tensors import Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class StatePooling(keras.layers.Layer):
    """Summary of a bidirectional layer's states over real steps.

    It concatenates the final states of both directions (the last real step of the forward half, the
    first of the backward half), the mean and the maximum over real steps, and three features of the
    length: whether the sequence is empty, the length divided by ``max_steps``, and its logarithm.
    The first one gives empty sequences their own learned code.  With patches, the length is still
    in steps.

    Parameters
    ----------
    max_steps : int
        The longest training length.
    patch : int
        Number of steps in a patch; above 1, ``call`` needs ``real_steps``.

    Examples
    --------
    >>> import numpy as np
    >>> states = np.ones((2, 5, 8), "float32")
    >>> StatePooling(max_steps=5)(states).shape
    (2, 27)
    """

    def __init__(self, max_steps: int, patch: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_steps = max_steps
        self.patch = patch

    def call(self, inputs: Tensor, mask: Tensor = None, real_steps: Tensor = None) -> Any:
        """Pool states of shape (batch, patches, 2 * units) to (batch, 6 * units + 3).

        With patches, the mask is computed from ``real_steps``, of shape (batch, steps).
        """
        if real_steps is not None:
            mask = real_steps[:, :: self.patch]
        if mask is None:
            mask = ops.ones_like(inputs[..., 0], dtype="bool")
        real = ops.cast(mask, inputs.dtype)
        lengths = ops.sum(real, axis=1, keepdims=True)
        steps = ops.cumsum(real, axis=1)
        last = real * ops.cast(steps == lengths, inputs.dtype)
        first = real * ops.cast(steps == 1, inputs.dtype)
        halves: Any = ops.split(inputs, 2, axis=-1)
        forward, backward = halves
        at_last = ops.sum(forward * last[..., None], axis=1)
        at_first = ops.sum(backward * first[..., None], axis=1)
        mean = ops.sum(inputs * real[..., None], axis=1) / ops.maximum(lengths, 1.0)
        masked = ops.where(mask[..., None], inputs, ops.full_like(inputs, -1e9))
        maximum = ops.where(lengths > 0, ops.max(masked, axis=1), ops.zeros_like(mean))
        empty = ops.cast(lengths == 0, inputs.dtype)
        if real_steps is not None:
            lengths = ops.sum(ops.cast(real_steps, inputs.dtype), axis=1, keepdims=True)
        relative = lengths / self.max_steps
        logarithm = ops.log1p(lengths) / math.log1p(self.max_steps)
        return ops.concatenate(
            [at_last, at_first, mean, maximum, empty, relative, logarithm], axis=-1
        )

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because the output has no steps."""

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 6 * units + 3)."""
        return (input_shape[0], 3 * input_shape[-1] + 3)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "max_steps": self.max_steps, "patch": self.patch}
