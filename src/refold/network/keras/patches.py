"""Patches: groups of consecutive steps that a recurrent layer reads or writes as one step."""

from typing import Any

import keras
from keras import ops

from refold.network.keras.tensors import Shape, Tensor


def num_patches(num_steps: Any, patch: int) -> Any:
    """Return the number of patches of a number of steps; the last patch may be incomplete."""
    return None if num_steps is None else (num_steps + patch - 1) // patch


@keras.saving.register_keras_serializable(package="refold")
class FoldSteps(keras.layers.Layer):
    """Concatenate the steps of each patch, and append the fraction of them that is real.

    Masked steps and the missing steps of the last patch become zeros, so that a code does not
    depend on the amount of padding.  A patch is masked if its first step is masked.

    Parameters
    ----------
    patch : int
        Number of steps in a patch.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0], [2.0], [3.0]]], "float32")
    >>> np.asarray(FoldSteps(2)(x))[0].tolist()
    [[1.0, 2.0, 1.0], [3.0, 0.0, 0.5]]
    """

    def __init__(self, patch: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch = patch
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor = None) -> Any:
        """Fold inputs (batch, steps, channels) to (batch, patches, patch * channels + 1)."""
        real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            real = real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * real
        shares = ops.mean(self._fold(real), axis=-1, keepdims=True)
        return ops.concatenate([self._fold(inputs), shares], axis=-1)

    def _fold(self, inputs: Tensor) -> Any:
        batch, steps = ops.shape(inputs)[:2]
        patches, channels = num_patches(steps, self.patch), inputs.shape[-1]
        filling = ops.zeros((batch, self.patch - 1, channels), inputs.dtype)
        filled = ops.concatenate([inputs, filling], axis=1)[:, : patches * self.patch]
        return ops.reshape(filled, (batch, patches, self.patch * channels))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Compute the mask (batch, patches) of patches that begin with a real step."""
        del inputs
        return None if previous_mask is None else previous_mask[:, :: self.patch]

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, patches, patch * channels + 1)."""
        batch, steps, channels = input_shape
        return (batch, num_patches(steps, self.patch), self.patch * channels + 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "patch": self.patch}


def unfold(patches: Any, patch: int, num_steps: Any) -> Any:
    """Split patches (batch, patches, patch * outputs) into (batch, num_steps, outputs)."""
    batch, count = ops.shape(patches)[:2]
    steps = ops.reshape(patches, (batch, count * patch, patches.shape[-1] // patch))
    return steps[:, :num_steps]
