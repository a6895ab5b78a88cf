"""The encoder of the default model: LSTMs, the linear path, the length and ROCKET features."""

import math
from typing import Any

import keras
from keras import ops

from refold.kernels import DILATIONS, STEEPNESS, random_convolutions
from refold.network.keras.heads import ColumnEncoding, LengthEncoding
from refold.network.keras.layer import BaseLayer, Constant, Shape, Tensor, dense
from refold.network.keras.lstm import get_cell
from refold.network.specification import Specification

# Initial log-variances of the posterior of a variational model.
_FIRST_LOG_VARIANCE = -4.0
# Upper bound of these log-variances.
_MAX_LOG_VARIANCE = 2.0


def make_encoder(specification: Specification) -> tuple[keras.Model, keras.Model | None]:
    """Build the encoder, and the model of means and log-variances if it is variational."""
    cell, patch = specification.cell, specification.patch
    num_categories, learned_dim = specification.num_categories, specification.learned_dim
    x = keras.Input((None, specification.num_channels), name="sequence")
    hidden = PaddingMask(name="padding_mask")(x)
    if any(num_categories):
        hidden = ColumnEncoding(num_categories, name="column_encoding")(hidden)
    values = hidden
    if patch > 1:
        hidden = FoldSteps(patch, name="fold")(hidden)
    for i in range(1, specification.depth + 1):
        layer = get_cell(cell).make(specification.units, name=f"{cell}_{i}")
        hidden = keras.layers.Bidirectional(layer, name=f"encoder_{i}")(hidden)
    pooling = StatePooling(specification.max_steps, patch, name="pooling")
    if patch > 1:
        pooled = pooling(hidden, real_steps=RealSteps(name="lengths")(x))
    else:
        pooled = pooling(hidden)
    if specification.dropout:
        pooled = keras.layers.Dropout(specification.dropout, name="dropout")(pooled)
    code = dense(learned_dim, name="code")(pooled)
    if (num_steps := specification.linear_steps) is not None:
        options = {"by_length": specification.by_length, "name": "linear_code"}
        code = LinearEncoding(learned_dim, num_steps, **options)(values, code)
    if specification.length_dim:
        encoding = LengthEncoding(*specification.length_scale, name="length_code")
        length = encoding(RealSteps(name="steps")(x))
        code = ops.concatenate([code, length], axis=-1)
    if specification.rocket_dim:
        stride = specification.convolution_stride
        # The decoder reads these dimensions like any other. Latent optimization leaves them alone.
        features = PooledConvolutions(stride=stride, name="convolutions")(values)
        fixed = FixedMap(specification.rocket_dim, name="rocket_dim")
        code = ops.concatenate([code, fixed(features)], axis=-1)
    encoder = keras.Model(x, code, name="encoder")
    if not specification.variational:
        return encoder, None
    wide = dense(
        learned_dim,
        kernel_initializer=Constant(),
        bias_initializer=Constant(_FIRST_LOG_VARIANCE),
        name="log_variance",
    )
    below: Any = ops.softplus(_MAX_LOG_VARIANCE - wide(pooled))
    return encoder, keras.Model(x, [code, _MAX_LOG_VARIANCE - below], name="posterior")


@keras.saving.register_keras_serializable(package="refold")
class NestedDropout(BaseLayer):
    """In training, keep all of the first dimensions of a code, or the first half, and so on."""

    # O. Rippel, M. Gelbart and R. Adams, "Learning Ordered Representations with Nested Dropout",
    # ICML 2014. The number that is kept is halved with a chance of one half, at most three times:
    # 64, 32, 16 or 8 of 64 dimensions. Any number in between decodes, too. The dimensions of the
    # length and of ROCKET features are always kept.
    learned_dim: int  # dimensions of the code that may be dropped, the first ones

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__(*values, **options)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, code: Tensor, training: Any = None) -> Any:
        """Replace dropped dimensions of a code (batch, width) by zeros."""
        if not training:
            return code
        draw = keras.random.uniform((ops.shape(code)[0], 1), seed=self.seed_generator)
        halvings: Any = ops.minimum(ops.floor(-ops.log2(ops.maximum(draw, 1e-6))), 3.0)
        kept = ops.ceil(self.learned_dim / 2.0**halvings)
        dimension = ops.cast(ops.arange(code.shape[-1]), code.dtype)
        is_kept = ops.logical_or(dimension < kept, dimension >= self.learned_dim)
        return ops.where(is_kept, code, ops.zeros_like(code))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the code."""
        return input_shape


# Masks of real steps, and patches: groups of steps that a recurrent layer reads or writes as one


def num_patches(num_steps: Any, patch: int) -> Any:
    """Return the number of patches of a number of steps; the last patch may be incomplete."""
    return None if num_steps is None else (num_steps + patch - 1) // patch


def _are_real(inputs: Tensor) -> Any:
    present = ops.any(ops.logical_not(ops.isnan(inputs)), axis=-1)
    following = ops.cumsum(ops.flip(ops.cast(present, "int32"), axis=1), axis=1)
    return ops.flip(following, axis=1) > 0


@keras.saving.register_keras_serializable(package="refold")
class RealSteps(BaseLayer):
    """Mask of real steps: those up to the last step that is not NaN in all features."""

    patch: int = 1  # number of steps in a patch; the mask tells whether its first step is real

    def call(self, inputs: Tensor) -> Any:
        """Compute the mask (batch, patches) of inputs (batch, steps, features)."""
        real = _are_real(inputs)
        return real if self.patch == 1 else real[:, :: self.patch]

    def compute_output_spec(self, inputs: Tensor) -> Any:
        """Shape (batch, patches), bool."""
        batch, steps = inputs.shape[:2]
        return keras.KerasTensor((batch, num_patches(steps, self.patch)), dtype="bool")


@keras.saving.register_keras_serializable(package="refold")
class PaddingMask(BaseLayer):
    """Turn trailing NaN steps into a Keras mask, and every NaN into zero.

    A padded step is NaN in all features, and so are all steps after it.  A NaN step before a real
    step is real, and so is a step of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[0.0], [1.0], [np.nan]]], "float32")
    >>> np.asarray(PaddingMask().compute_mask(x)).tolist()
    [[True, True, False]]
    """

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Compute the mask of real steps, of shape (batch, steps)."""
        real = _are_real(inputs)
        return real if previous_mask is None else ops.logical_and(real, previous_mask)

    def call(self, inputs: Tensor) -> Any:
        """Replace every NaN of inputs of shape (batch, steps, features) with zero."""
        return ops.where(ops.isnan(inputs), ops.zeros_like(inputs), inputs)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the output, the same as that of the input."""
        return input_shape


@keras.saving.register_keras_serializable(package="refold")
class FoldSteps(BaseLayer):
    """Concatenate the steps of each patch, and append the fraction of them that is real."""

    # Masked steps and the missing steps of the last patch become zeros, so that a code does not
    # depend on the amount of padding. A patch is masked if its first step is masked.

    # The LSTM does not see the order of the steps within a patch. The linear path reads single
    # steps, so the initialization does not depend on the patch.
    patch: int  # number of steps in a patch

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


@keras.saving.register_keras_serializable(package="refold")
class StatePooling(BaseLayer):
    """Summary of a bidirectional layer's states over real steps."""

    # It concatenates the final states of both directions (the last real step of the forward half,
    # the first of the backward half), the mean and the maximum over real steps, and three features
    # of the length: whether the sequence is empty, the length divided by ``max_steps``, and its
    # logarithm. The first one gives empty sequences their own learned code. With patches, the
    # length is still in steps.

    max_steps: int  # longest training length
    patch: int = 1  # number of steps in a patch; above 1, ``call`` needs ``real_steps``

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

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 6 * units + 3)."""
        return (input_shape[0], 3 * input_shape[-1] + 3)


class LinearMap(BaseLayer):
    """A linear map with the weights ``start + unit * change``, of which ``change`` is trained."""

    def add_weights(self, shape: tuple[int, ...], bias_shape: tuple[int, ...]) -> None:
        """Create the weights."""
        self.start = self.add_constant("start", shape)
        # Scales the step of any optimizer. Full steps of Adam would at once ruin a linear path
        # whose error is a thousandth.
        self.unit = self.add_constant("unit", (), 1.0)
        self.change = self.add_weight(shape=shape, initializer=Constant(), name="change")
        self.bias = self.add_weight(shape=bias_shape, initializer=Constant(), name="bias")


@keras.saving.register_keras_serializable(package="refold")
class LinearEncoding(LinearMap):
    """Code of a sequence as a weighted sum of its values, plus the output of another path."""

    # Each of the first ``num_steps`` steps has its own weights; later steps and masked steps add
    # nothing. The output of the other path is multiplied by ``scale``, an untrained weight.

    latent_dim: int
    num_steps: int
    by_length: bool = False  # whether an offset and matrix for each length are applied to the sum

    def build(self, inputs_shape: Shape, beside_shape: Shape = None) -> None:
        """Create the weights."""
        del beside_shape
        self.add_weights((self.num_steps, inputs_shape[-1], self.latent_dim), (self.latent_dim,))
        self.scale = self.add_constant("scale", (), 1.0)
        if self.by_length:
            maps = (self.num_steps + 1, self.latent_dim, self.latent_dim)
            self.maps = self.add_constant("maps", maps)
            self.offsets = self.add_constant("offsets", maps[:2])

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
            within: Any = ops.cast(ops.minimum(lengths, self.num_steps), "int32")
            linear = linear - ops.take(self.offsets, within, axis=0)
            linear = ops.einsum("nd,nde->ne", linear, ops.take(self.maps, within, axis=0))
        return linear + self.scale * beside

    def compute_output_shape(self, inputs_shape: Shape, beside_shape: Shape = None) -> Any:
        """Shape (batch, latent_dim)."""
        del beside_shape
        return (inputs_shape[0], self.latent_dim)


@keras.saving.register_keras_serializable(package="refold")
class PooledConvolutions(BaseLayer):
    """ROCKET features: random convolutions, pooled over real steps, without training."""

    # Each kernel reads up to three channels with nine taps and a dilation of 1, 2, 4 or 8. As in
    # ROCKET, each kernel gives two features: the proportion of positive values and the maximum. A
    # sigmoid replaces the test for positive values, so that small changes of the input change the
    # feature little. Masked steps become zeros and are not pooled. Sequences without steps get
    # features of zero. A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and
    # accurate time series classification using random convolutional kernels", Data Mining and
    # Knowledge Discovery 34, 2020.

    num_kernels: int = 16  # for each dilation
    stride: int = 1  # of the convolutions

    def build(self, input_shape: Shape) -> None:
        """Draw the kernels."""
        drawn = random_convolutions(input_shape[-1], self.num_kernels).arrays()
        for name, values in drawn.items():
            setattr(self, name, self.add_constant(name, values.shape))
            getattr(self, name).assign(values)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Any:
        """Compute the features (batch, 2 * kernels) of inputs (batch, steps, channels)."""
        real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            real = real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * real
        num_steps: Any = ops.shape(inputs)[1]
        mixed, parts = ops.matmul(inputs, self.channels), []
        for i, dilation in enumerate(DILATIONS):
            own = slice(i * self.num_kernels, (i + 1) * self.num_kernels)
            around = dilation * (self.taps.shape[0] // 2)
            padded = ops.pad(mixed[..., own], ((0, 0), (around, around), (0, 0)))
            total: Any = self.bias[own]
            for tap in range(self.taps.shape[0]):
                shifted = padded[:, tap * dilation : tap * dilation + num_steps : self.stride]
                total = total + shifted * self.taps[tap, own]
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

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape (batch, 2 * kernels)."""
        return (input_shape[0], 2 * len(DILATIONS) * self.num_kernels)


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
class FixedMap(BaseLayer):
    """A linear map of centered features. Its weights are set and never trained."""

    # Centering keeps precision: a large mean times a large weight would leave few digits for the
    # differences between sequences. The output does not depend on padding or batch size, to the
    # bit.

    size: int  # number of outputs

    def build(self, input_shape: Shape) -> None:
        """Create the weights, which are zero until they are set."""
        self.center = self.add_constant("center", (input_shape[-1],))
        self.kernel = self.add_constant("kernel", (input_shape[-1], self.size))

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
