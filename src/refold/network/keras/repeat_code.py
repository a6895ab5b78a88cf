"""Layers that turn a code into steps: repetition with positions, and fitting of lengths."""

import math
from typing import Any

import keras
from keras import ops

from refold.network.keras.tensors import Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class RepeatCode(keras.layers.Layer):
    """Repeat a code at every step, and append features of the step's absolute position.

    The number of steps is that of ``like``, whose values are not read, or ``max_steps``.  The
    position features do not depend on the number of steps.  They are the step divided by
    ``max_steps``, a decaying mark of the first steps, and sines and cosines whose periods double
    from 2 steps to beyond ``max_steps`` [1]_.

    Parameters
    ----------
    max_steps : int
        Number of steps if ``like`` is not given.

    References
    ----------
    .. [1] A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> layer = RepeatCode(max_steps=6)
    >>> layer(np.zeros((2, 3), "float32")).shape
    (2, 6, 13)
    >>> layer(np.zeros((2, 3), "float32"), like=np.zeros((2, 4, 1), "float32")).shape
    (2, 4, 13)
    """

    def __init__(self, max_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_steps = max_steps

    @property
    def num_periods(self) -> int:
        """Number of periods, each with a sine and a cosine."""
        return 1 + max(1, math.ceil(math.log2(self.max_steps + 1)))

    def call(self, code: Tensor, like: Tensor = None) -> Any:
        """Repeat codes of shape (batch, latent_dim) to (batch, steps, latent_dim + features)."""
        num_steps = self.max_steps if like is None else ops.shape(like)[1]
        step = ops.cast(ops.arange(num_steps), code.dtype)[:, None]
        periods = ops.cast([2.0 ** (1 + i) for i in range(self.num_periods)], code.dtype)
        angles = 2.0 * math.pi * (step + 0.5) / periods[None, :]
        position = ops.concatenate(
            [step / self.max_steps, 1.0 / (1.0 + step), ops.sin(angles), ops.cos(angles)], axis=-1
        )
        batch = ops.shape(code)[0]
        return ops.concatenate(
            [
                ops.broadcast_to(code[:, None, :], (batch, num_steps, code.shape[-1])),
                ops.broadcast_to(position[None], (batch, num_steps, 2 + 2 * self.num_periods)),
            ],
            axis=-1,
        )

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because every step is written."""

    def compute_output_shape(self, code_shape: Shape, like_shape: Shape = None) -> Any:
        """Shape (batch, steps, latent_dim + position features)."""
        num_steps = self.max_steps if like_shape is None else like_shape[1]
        return (code_shape[0], num_steps, code_shape[-1] + 2 + 2 * self.num_periods)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "max_steps": self.max_steps}


@keras.saving.register_keras_serializable(package="refold")
class FitSteps(keras.layers.Layer):
    """Cut a decoder's output to the number of steps of ``like``, or pad it with zeros.

    It joins a decoder that writes a fixed number of steps to an encoder that reads any number.

    Examples
    --------
    >>> import numpy as np
    >>> FitSteps()(np.ones((1, 4, 2), "float32"), like=np.ones((1, 3, 1), "float32")).shape
    (1, 3, 2)
    """

    def call(self, inputs: Tensor, like: Tensor) -> Any:
        """Fit inputs of shape (batch, any, features) to (batch, steps of like, features)."""
        num_steps, have = ops.shape(like)[1], ops.shape(inputs)[1]
        if isinstance(num_steps, int) and isinstance(have, int):
            if have >= num_steps:
                return inputs[:, :num_steps]
            return ops.pad(inputs, [[0, 0], [0, num_steps - have], [0, 0]])
        padded = ops.concatenate(
            [
                inputs,
                ops.zeros((ops.shape(inputs)[0], num_steps, inputs.shape[-1]), inputs.dtype),
            ],
            axis=1,
        )
        return padded[:, :num_steps]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because every step is written."""

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Any:
        """Shape (batch, steps of like, features)."""
        return (inputs_shape[0], like_shape[1], inputs_shape[-1])
