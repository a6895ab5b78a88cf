"""Linear path beside the LSTM: one matrix between all steps of a sequence and its code."""

from typing import Any

import keras
from keras import ops

from refold.network.keras.initializers import Constant
from refold.network.keras.tensors import Shape, Tensor


class _Linear(keras.layers.Layer):
    """A linear map with the weights ``start + unit * change``, of which ``change`` is trained."""

    def _add_weights(self, shape: tuple[int, ...], bias_shape: tuple[int, ...]) -> None:
        def add(name: str, shape: tuple[int, ...], *, initial: float, trainable: bool) -> Any:
            constant = Constant(initial)
            return self.add_weight(
                shape=shape, initializer=constant, trainable=trainable, name=name
            )

        self.start = add("start", shape, initial=0.0, trainable=False)
        # scales the step of any optimizer
        self.unit = add("unit", (), initial=1.0, trainable=False)
        self.change = add("change", shape, initial=0.0, trainable=True)
        self.bias = add("bias", bias_shape, initial=0.0, trainable=True)


@keras.saving.register_keras_serializable(package="refold")
class LinearEncoding(_Linear):
    """Code of a sequence as a weighted sum of its values, plus the output of another path.

    Each of the first ``num_steps`` steps has its own weights; later steps and masked steps add
    nothing.  The output of the other path is multiplied by ``scale``, an untrained weight.

    Parameters
    ----------
    latent_dim : int
        Number of latent dimensions.
    num_steps : int
        Number of steps that have weights.
    by_length : bool
        Whether an offset is subtracted from the weighted sum, and the result is multiplied by a
        matrix.  Both depend on the length, and are untrained weights.

    Examples
    --------
    >>> import numpy as np
    >>> layer = LinearEncoding(latent_dim=3, num_steps=4)
    >>> layer(np.ones((2, 6, 5), "float32"), beside=np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    def __init__(
        self, latent_dim: int, num_steps: int, *, by_length: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.num_steps = num_steps
        self.by_length = by_length
        self.supports_masking = True

    def build(self, inputs_shape: Shape, beside_shape: Shape = None) -> None:
        """Create the weights."""
        del beside_shape
        self._add_weights((self.num_steps, inputs_shape[-1], self.latent_dim), (self.latent_dim,))
        one = Constant(1.0)
        self.scale = self.add_weight(shape=(), initializer=one, trainable=False, name="scale")
        if self.by_length:
            shapes = {
                "maps": (self.num_steps + 1, self.latent_dim, self.latent_dim),
                "offsets": (self.num_steps + 1, self.latent_dim),
            }
            for name, shape in shapes.items():
                weight = self.add_weight(
                    shape=shape, initializer=Constant(), trainable=False, name=name
                )
                setattr(self, name, weight)

    def call(self, inputs: Tensor, beside: Tensor, inputs_mask: Tensor = None) -> Any:
        """Encode inputs (batch, steps, channels), and add codes (batch, latent_dim)."""
        if inputs_mask is None:
            inputs_mask = ops.ones(ops.shape(inputs)[:2], "bool")
        mask: Any = ops.cast(inputs_mask, inputs.dtype)
        lengths = ops.sum(mask, axis=1)
        inputs = (inputs * mask[..., None])[:, : self.num_steps]
        weights = (self.start + self.unit * self.change)[: ops.shape(inputs)[1]]
        axes: Any = ((1, 2), (0, 1))
        linear = ops.tensordot(inputs, weights, axes=axes) + self.bias
        if self.by_length:
            linear = self._mapped(linear, lengths)
        return linear + self.scale * beside

    def _mapped(self, linear: Tensor, lengths: Tensor) -> Any:
        """Apply the map of each length."""
        within: Any = ops.cast(ops.minimum(lengths, self.num_steps), "int32")
        linear = linear - ops.take(self.offsets, within, axis=0)
        return ops.einsum("nd,nde->ne", linear, ops.take(self.maps, within, axis=0))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because the output has no steps."""

    def compute_output_shape(self, inputs_shape: Shape, beside_shape: Shape = None) -> Any:
        """Shape (batch, latent_dim)."""
        del beside_shape
        return (inputs_shape[0], self.latent_dim)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        own = ("latent_dim", "num_steps", "by_length")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="refold")
class LinearDecoding(_Linear):
    """Steps of a sequence as weighted sums of its code.

    Each of the first ``num_steps`` steps has its own weights and bias; later steps are zero.

    Parameters
    ----------
    num_outputs : int
        Number of outputs per step.
    num_steps : int
        Number of steps that have weights.
    max_steps : int
        Number of steps if ``like`` is not given.

    Examples
    --------
    >>> import numpy as np
    >>> layer = LinearDecoding(num_outputs=2, num_steps=4, max_steps=5)
    >>> code = np.zeros((1, 3), "float32")
    >>> layer(code).shape, layer(code, like=np.zeros((1, 3, 1), "float32")).shape
    ((1, 5, 2), (1, 3, 2))
    """

    def __init__(self, num_outputs: int, num_steps: int, max_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_outputs = num_outputs
        self.num_steps = num_steps
        self.max_steps = max_steps

    def build(self, code_shape: Shape, like_shape: Shape = None) -> None:
        """Create the weights."""
        del like_shape
        shape = (self.num_steps, self.num_outputs)
        self._add_weights((code_shape[-1], *shape), shape)

    def call(self, code: Tensor, like: Tensor = None) -> Any:
        """Decode codes (batch, latent_dim) to (batch, steps, outputs)."""
        num_steps = self.max_steps if like is None else ops.shape(like)[1]
        weights = (self.start + self.unit * self.change)[:, :num_steps]
        steps = ops.tensordot(code, weights, axes=1) + self.bias[:num_steps]
        if isinstance(num_steps, int) and num_steps <= self.num_steps:
            return steps
        batch = ops.shape(code)[0]
        rest = ops.zeros((batch, num_steps, self.num_outputs), steps.dtype)
        return ops.concatenate([steps, rest], axis=1)[:, :num_steps]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because every step is written."""

    def compute_output_shape(self, code_shape: Shape, like_shape: Shape = None) -> Any:
        """Shape (batch, steps, outputs)."""
        num_steps = self.max_steps if like_shape is None else like_shape[1]
        return (code_shape[0], num_steps, self.num_outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        own = ("num_outputs", "num_steps", "max_steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
