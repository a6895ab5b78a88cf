"""Layers for the length of a sequence in its code: a dimension for it, or a prediction."""

import math
from typing import Any

import keras
from keras import ops

from refold.network.keras.layer import BaseLayer, Constant, Shape, Tensor, dense
from refold.network.specification import (
    LENGTH_UNITS,
    MIN_LENGTH_SCALE,
    Specification,
    length_unit,
    log_length_scales,
)


@keras.saving.register_keras_serializable(package="refold")
class LengthHead(BaseLayer):
    """Location and log-scale of a discretized logistic distribution over lengths."""

    # It is initialized to the distribution of the training lengths. The rounded location is the
    # predicted length. The likelihood of a length is the logistic mass within half a step: T.
    # Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    # Likelihood and Other Modifications", ICLR 2017.

    # of the training lengths, in steps
    mean: float
    deviation: float

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__(*values, **options)
        self.dense = dense(2, kernel_initializer=Constant(), name="dense")

    def build(self, input_shape: Shape) -> None:
        """Create the weights."""
        self.dense.build(input_shape)

    def call(self, inputs: Tensor) -> Any:
        """Compute location and log-scale in steps, of shape (batch, 2)."""
        unit = length_unit(self.deviation)
        first, least, most = log_length_scales(unit)
        halves: Any = ops.split(self.dense(inputs), 2, axis=-1)
        location, log_scale = halves
        log_scale = ops.clip(log_scale + first, least, most)
        return ops.concatenate([self.mean + unit * location, log_scale], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 2)."""
        return (*input_shape[:-1], 2)


@keras.saving.register_keras_serializable(package="refold")
class LengthEncoding(BaseLayer):
    """The length of a sequence as a latent dimension: its standardized logarithm."""

    # mean and standard deviation, about, of the logarithm of one plus the length
    center: float
    scale: float

    def call(self, inputs: Tensor) -> Any:
        """Compute the dimension (batch, 1) of a mask of real steps (batch, steps)."""
        steps = ops.sum(ops.cast(inputs, "float32"), axis=1, keepdims=True)
        return (ops.log1p(steps) - self.center) / self.scale

    def compute_output_spec(self, inputs: Tensor) -> Any:
        """Shape (batch, 1)."""
        return keras.KerasTensor((inputs.shape[0], 1))


@keras.saving.register_keras_serializable(package="refold")
class LengthDecoding(BaseLayer):
    """The length of a sequence from the latent dimension that `LengthEncoding` wrote."""

    center: float
    scale: float
    index: int  # of the dimension

    def call(self, inputs: Tensor) -> Any:
        """Compute location and smallest log-scale in steps, of shape (batch, 2)."""
        logarithm = self.center + self.scale * inputs[:, self.index : self.index + 1]
        location = ops.expm1(ops.maximum(logarithm, 0.0))
        log_scale = ops.full_like(location, math.log(MIN_LENGTH_SCALE))
        return ops.concatenate([location, log_scale], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 2)."""
        return (*input_shape[:-1], 2)


def length_model(specification: Specification) -> keras.Model:
    """Build the model from codes to location and log-scale (batch, 2) of the length."""
    code = keras.Input((specification.latent_dim,), name="code")
    if (index := specification.length_index) is not None:
        decoding = LengthDecoding(*specification.length_scale, index, name="length")
        return keras.Model(code, decoding(code), name="length")
    hidden = dense(LENGTH_UNITS, activation="gelu", name="hidden")(code)
    mean, deviation = specification.length_mean, specification.length_deviation
    return keras.Model(code, LengthHead(mean, deviation, name="length")(hidden), name="length")


def length_loss(lengths: Tensor, predicted: Tensor) -> Any:
    """Return the negative log-likelihood (batch,) of lengths (batch,), in nats."""
    # a discretized logistic distribution, whose parameters a `LengthHead` writes
    location, log_scale = predicted[:, 0], predicted[:, 1]
    rate = ops.exp(-log_scale)
    above = (lengths + 0.5 - location) * rate
    below = (lengths - 0.5 - location) * rate
    # logistic mass between two points: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
    return ops.softplus(-above) + ops.softplus(below) - ops.log1p(-ops.exp(-rate))
