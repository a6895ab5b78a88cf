"""What a sequence looks like wherever in time it is: convolutions that are drawn, and pooled."""

from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["FixedMap", "PooledConvolutions"]

# Steps between the taps of a kernel, taps, and the most channels that a kernel reads.
_DILATIONS, _TAPS, _MOST_CHANNELS = (1, 2, 4, 8), 9, 3
# How steep the soft step is by which it is told whether a convolution is positive.
_STEEPNESS = 4.0


@keras.saving.register_keras_serializable(package="refold")
class PooledConvolutions(keras.layers.Layer):
    """Features of a sequence by random convolutions, pooled over real steps; nothing is trained.

    Each kernel reads up to three channels at nine steps, at distances of 1, 2, 4 or 8.  Of what it
    gives, the share of steps at which it is positive and the maximum are kept, as in ROCKET [1]_,
    but the share by a soft step, so that it changes by little where its input does.  They tell what
    a sequence does rather than when, and a linear classifier tells classes apart by them.  Masked
    steps are zeros, and are not pooled over; of no step at all, features are zero.

    Parameters
    ----------
    num_kernels : int
        By distance of the taps.
    stride : int
        The convolutions are looked at in one of so many steps.
    seed : int
        Draws the kernels.

    References
    ----------
    .. [1] A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and accurate time
       series classification using random convolutional kernels", Data Mining and Knowledge
       Discovery 34, 2020.

    Examples
    --------
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

    def build(self, input_shape: Any) -> None:
        """Draw the kernels."""
        # whose numbers are promised never to change: files do not always hold the kernels
        rng = np.random.RandomState(self.seed)
        num, channels = len(_DILATIONS) * self.num_kernels, input_shape[-1]
        weights = rng.standard_normal((channels, num))
        # of each kernel, channels that it does not read weigh nothing
        read = rng.randint(1, _MOST_CHANNELS + 1, num)
        weights *= rng.random_sample((channels, num)).argsort(axis=0) < read
        taps = rng.standard_normal((_TAPS, num))
        drawn = {
            "channels": weights / np.sqrt((weights**2).sum(axis=0)),
            "taps": taps - taps.mean(axis=0),
            "bias": rng.uniform(-1, 1, num),
        }
        for name, values in drawn.items():
            made = self.add_weight(
                shape=values.shape, initializer="zeros", trainable=False, name=name
            )
            made.assign(values.astype("float32"))
            setattr(self, name, made)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Describe inputs (batch, steps, channels) by (batch, 2 * kernels) numbers."""
        real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            real = real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * real
        num_steps: Any = ops.shape(inputs)[1]
        mixed, parts = ops.matmul(inputs, self.channels), []
        for i, dilation in enumerate(_DILATIONS):
            chosen = slice(i * self.num_kernels, (i + 1) * self.num_kernels)
            around = dilation * (_TAPS // 2)
            wide = ops.pad(mixed[..., chosen], ((0, 0), (around, around), (0, 0)))
            total: Any = self.bias[chosen]
            for tap in range(_TAPS):
                there = wide[:, tap * dilation : tap * dilation + num_steps : self.stride]
                total = total + there * self.taps[tap, chosen]
            parts.append(total)
        found: Any = ops.concatenate(parts, axis=-1)
        real = real[:, :: self.stride]
        count = ops.sum(real, axis=1)
        positive = _exact_sum(ops.sigmoid(_STEEPNESS * found) * real)
        highest = ops.max(ops.where(real > 0, found, ops.full_like(found, -1e9)), axis=1)
        return ops.concatenate(
            [
                positive / ops.maximum(count, 1.0),
                ops.where(count > 0, highest, ops.zeros_like(highest)),
            ],
            axis=-1,
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """No steps are left, so no mask either."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape (batch, 2 * kernels)."""
        return (input_shape[0], 2 * len(_DILATIONS) * self.num_kernels)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        own = ("num_kernels", "stride", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _exact_sum(shares: Any) -> Any:
    """Sum numbers from 0 to 1 over steps, to the same bits in whatever order they are added.

    A backend chooses the order of a sum by the shape of its input, so that padding and batch size
    would change a sum of floats by rounding. Integers have no rounding. The high and the low bits
    are summed apart, because a sum of whole numbers of 24 bits would overflow after 128 steps.
    The plain sum adds nothing but its gradient, which integers do not have.
    """
    plain = ops.sum(shares, axis=1)
    scaled = ops.cast(shares * float(1 << 24), "int32")
    high, low = ops.right_shift(scaled, 12), ops.bitwise_and(scaled, (1 << 12) - 1)
    high, low = (ops.cast(ops.sum(part, axis=1), shares.dtype) for part in (high, low))
    exact = high * float(2.0**-12) + low * float(2.0**-24)
    return exact + (plain - ops.stop_gradient(plain))


@keras.saving.register_keras_serializable(package="refold")
class FixedMap(keras.layers.Layer):
    """A linear map of centered features. Its weights are set and never trained.

    The features are centered first, because a large mean times a large weight would leave few
    digits for the differences between sequences. Padding and batch size change no bit.

    Parameters
    ----------
    size : int
        Number of outputs.

    Examples
    --------
    >>> FixedMap(2)(np.ones((3, 5), "float32")).shape
    (3, 2)
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def build(self, input_shape: Any) -> None:
        """Make the weights, zero until they are set."""

        def add(name: str, shape: tuple[int, ...]) -> Any:
            return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

        self.center = add("center", (input_shape[-1],))
        self.kernel = add("kernel", (input_shape[-1], self.size))

    def call(self, inputs: Any) -> Any:
        """Map inputs (batch, width) to (batch, size)."""
        # pairs of sums rather than a product of matrices, whose rounding depends on the batch size
        parts = ops.expand_dims(inputs - self.center, -1) * self.kernel
        while parts.shape[1] > 1:
            if parts.shape[1] % 2:
                parts = ops.pad(parts, ((0, 0), (0, 1), (0, 0)))
            parts = parts[:, ::2] + parts[:, 1::2]
        return parts[:, 0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape (batch, size)."""
        return (input_shape[0], self.size)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this layer again."""
        return {**super().get_config(), "size": self.size}
