"""ROCKET features of a sequence: random convolutions that are pooled over time."""

from typing import Any

import keras
from keras import ops

from refold.kernels import DILATIONS, STEEPNESS, random_convolutions
from refold.network.keras.initializers import Constant
from refold.network.keras.tensors import Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class PooledConvolutions(keras.layers.Layer):
    """ROCKET features: random convolutions, pooled over real steps, without training.

    Each kernel reads up to three channels with nine taps and a dilation of 1, 2, 4 or 8.  As in
    ROCKET [1]_, each kernel gives two features: the proportion of positive values and the maximum.
    A sigmoid replaces the test for positive values, so that small changes of the input change the
    feature little.  The features depend on the shapes in a sequence rather than on their position,
    and suit a linear classifier.  Masked steps become zeros and are not pooled.  Sequences without
    steps get features of zero.

    Parameters
    ----------
    num_kernels : int
        Number of kernels for each dilation.
    stride : int
        Stride of the convolutions.
    seed : int
        Seed of the random kernels.

    References
    ----------
    .. [1] A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and accurate time
       series classification using random convolutional kernels", Data Mining and Knowledge
       Discovery 34, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(2, 20, 3)).astype("float32")
    >>> PooledConvolutions(num_kernels=4)(x).shape
    (2, 32)
    """

    def __init__(
        self, num_kernels: int = 16, stride: int = 1, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_kernels = num_kernels
        self.stride = stride
        self.seed = seed

    def build(self, input_shape: Shape) -> None:
        """Draw the kernels."""
        drawn = random_convolutions(input_shape[-1], self.num_kernels, self.seed).arrays()
        for name, values in drawn.items():
            weight = self.add_weight(
                shape=values.shape, initializer=Constant(), trainable=False, name=name
            )
            weight.assign(values)
            setattr(self, name, weight)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Any:
        """Compute the features (batch, 2 * kernels) of inputs (batch, steps, channels)."""
        real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            real = real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * real
        num_steps: Any = ops.shape(inputs)[1]
        mixed, parts = ops.matmul(inputs, self.channels), []
        for i, dilation in enumerate(DILATIONS):
            chosen = slice(i * self.num_kernels, (i + 1) * self.num_kernels)
            around = dilation * (self.taps.shape[0] // 2)
            padded = ops.pad(mixed[..., chosen], ((0, 0), (around, around), (0, 0)))
            total: Any = self.bias[chosen]
            for tap in range(self.taps.shape[0]):
                shifted = padded[:, tap * dilation : tap * dilation + num_steps : self.stride]
                total = total + shifted * self.taps[tap, chosen]
            parts.append(total)
        convolved: Any = ops.concatenate(parts, axis=-1)
        real = real[:, :: self.stride]
        count = ops.sum(real, axis=1)
        positive = _exact_sum(ops.sigmoid(STEEPNESS * convolved) * real)
        highest = ops.max(ops.where(real > 0, convolved, ops.full_like(convolved, -1e9)), axis=1)
        return ops.concatenate(
            [
                positive / ops.maximum(count, 1.0),
                ops.where(count > 0, highest, ops.zeros_like(highest)),
            ],
            axis=-1,
        )

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because the output has no steps."""

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 2 * kernels)."""
        return (input_shape[0], 2 * len(DILATIONS) * self.num_kernels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        own = ("num_kernels", "stride", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _exact_sum(shares: Tensor) -> Any:
    """Sum numbers from 0 to 1 over axis 1, with the same bits in any order of summation."""
    # Padding and batch size change the order of summation, and with it the rounding of a sum of
    # floats. Integers have no rounding. The high and the low bits are summed separately, because a
    # sum of 24-bit integers would overflow after 128 steps. The plain sum contributes only the
    # gradient, which integers do not have.
    plain = ops.sum(shares, axis=1)
    scaled = ops.cast(shares * float(1 << 24), "int32")
    high, low = ops.right_shift(scaled, 12), ops.bitwise_and(scaled, (1 << 12) - 1)
    high, low = (ops.cast(ops.sum(part, axis=1), shares.dtype) for part in (high, low))
    exact = high * float(2.0**-12) + low * float(2.0**-24)
    return exact + (plain - ops.stop_gradient(plain))


@keras.saving.register_keras_serializable(package="refold")
class FixedMap(keras.layers.Layer):
    """A linear map of centered features. Its weights are set and never trained.

    Centering keeps precision: a large mean times a large weight would leave few digits for the
    differences between sequences. The output does not depend on padding or batch size, to the bit.

    Parameters
    ----------
    size : int
        Number of outputs.

    Examples
    --------
    >>> import numpy as np
    >>> FixedMap(2)(np.ones((3, 5), "float32")).shape
    (3, 2)
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def build(self, input_shape: Shape) -> None:
        """Create the weights, which are zero until they are set."""

        def add(name: str, shape: tuple[int, ...]) -> Any:
            return self.add_weight(shape=shape, initializer=Constant(), trainable=False, name=name)

        self.center = add("center", (input_shape[-1],))
        self.kernel = add("kernel", (input_shape[-1], self.size))

    def call(self, inputs: Tensor) -> Any:
        """Map inputs (batch, width) to (batch, size)."""
        # pairwise sums, because the rounding of a matrix product depends on the batch size
        parts = ops.expand_dims(inputs - self.center, -1) * self.kernel
        while parts.shape[1] > 1:
            if parts.shape[1] % 2:
                parts = ops.pad(parts, ((0, 0), (0, 1), (0, 0)))
            parts = parts[:, ::2] + parts[:, 1::2]
        return parts[:, 0]

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, size)."""
        return (input_shape[0], self.size)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "size": self.size}
