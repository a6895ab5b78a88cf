"""Layers that turn padding into a mask, first in every model that reads ragged data."""

from typing import Any

import keras
from keras import ops

from refold.network.keras.patches import num_patches
from refold.network.keras.tensors import Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class RealSteps(keras.layers.Layer):
    """Mask of real steps: those up to the last step that is not NaN in all features.

    Parameters
    ----------
    patch : int
        Number of steps in a patch.  The mask has one entry per patch, true if its first step is
        real.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[np.nan], [1.0], [np.nan]]], "float32")
    >>> np.asarray(RealSteps()(x)).tolist(), np.asarray(RealSteps(patch=2)(x)).tolist()
    ([[True, True, False]], [[True, False]])
    """

    def __init__(self, patch: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch = patch

    def call(self, inputs: Tensor) -> Any:
        """Compute the mask (batch, patches) of inputs (batch, steps, features)."""
        present = ops.any(ops.logical_not(ops.isnan(inputs)), axis=-1)
        following = ops.cumsum(ops.flip(ops.cast(present, "int32"), axis=1), axis=1)
        real = ops.flip(following, axis=1) > 0
        return real if self.patch == 1 else real[:, :: self.patch]

    def compute_output_spec(self, inputs: Tensor) -> Any:
        """Shape (batch, patches), bool."""
        batch, steps = inputs.shape[:2]
        return keras.KerasTensor((batch, num_patches(steps, self.patch)), dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "patch": self.patch}


@keras.saving.register_keras_serializable(package="refold")
class PaddingMask(keras.layers.Layer):
    """Turn trailing NaN steps into a Keras mask, and every NaN into zero.

    A padded step is NaN in all features, and so are all steps after it.  A NaN step before a real
    step is real, and so is a step of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[0.0], [1.0], [np.nan]]], "float32")
    >>> layer = PaddingMask()
    >>> np.asarray(layer.compute_mask(x)).tolist()
    [[True, True, False]]
    >>> np.asarray(layer(x)).ravel().tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.real_steps = RealSteps(name="real_steps")

    def build(self, input_shape: Shape) -> None:
        """Create no weights."""
        self.real_steps.build(input_shape)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Compute the mask of real steps, of shape (batch, steps)."""
        real = self.real_steps(inputs)
        return real if previous_mask is None else ops.logical_and(real, previous_mask)

    def call(self, inputs: Tensor) -> Any:
        """Replace every NaN of inputs of shape (batch, steps, features) with zero."""
        return ops.where(ops.isnan(inputs), ops.zeros_like(inputs), inputs)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the output, the same as that of the input."""
        return input_shape
