"""Encode sequences with Keras: the encoder of the default model.

A code is the sum of two paths: LSTMs with pooled states, and a linear map of all values, which is
called the linear path.
"""

import math
from typing import Any

import keras
from keras import ops

from refold.kernels import DILATIONS, POSITIVITY_STEEPNESS, draw_convolutions
from refold.network.keras.heads import ColumnEncoding, LengthEncoding
from refold.network.keras.layer import BaseLayer, Constant, Shape, Tensor, make_dense
from refold.network.keras.lstm import CELLS
from refold.network.specification import Specification

# Initial log-variance of each latent dimension in a variational model. It is small, so that noise
# does not hide the code when training begins.
_INITIAL_LOG_VARIANCE = -4.0
# Upper bound of the log-variances in training, so that their exponentials cannot overflow. The
# log-variance of the prior is 0, far below this bound.
_MAX_LOG_VARIANCE = 2.0


def build_encoder_models(specification: Specification) -> tuple[keras.Model, keras.Model | None]:
    """Build the encoder and, if it is variational, the model of means and log-variances."""
    cell, patch = specification.cell, specification.patch
    num_categories = specification.num_categories
    # number of dimensions of the two paths; those of the length and of ROCKET features are appended
    learned_dim = specification.learned_dim
    x = keras.Input((None, specification.num_channels), name="sequence")
    hidden = PaddingMask(name="padding_mask")(x)
    if any(num_categories):
        hidden = ColumnEncoding(num_categories, name="column_encoding")(hidden)
    steps = hidden  # (batch, steps, width): input of the linear path and of the convolutions
    if patch > 1:
        hidden = FoldSteps(patch, name="fold")(hidden)
    for i in range(1, specification.depth + 1):
        layer = CELLS[cell].make_layer(specification.units, name=f"{cell}_{i}")
        hidden = keras.layers.Bidirectional(layer, name=f"encoder_{i}")(hidden)
    pooling = StatePooling(specification.max_steps, patch, name="pooling")
    # ``hidden`` has a mask of patches, but pooling also needs the number of steps
    options = {"real_steps": RealSteps(name="lengths")(x)} if patch > 1 else {}
    pooled = pooling(hidden, **options)
    if specification.dropout:
        pooled = keras.layers.Dropout(specification.dropout, name="dropout")(pooled)
    code = make_dense(learned_dim, name="code")(pooled)
    if (num_steps := specification.num_linear_path_steps) is not None:
        options = {"by_length": specification.by_length, "name": "linear_code"}
        code = LinearEncoding(learned_dim, num_steps, **options)(steps, code)
    if specification.length_dim:
        encoding = LengthEncoding(*specification.log_length_moments, name="length_code")
        length = encoding(RealSteps(name="steps")(x))
        code = ops.concatenate([code, length], axis=-1)
    if specification.rocket_dim:
        # the decoder reads these dimensions like others, but latent optimization keeps them fixed
        stride = specification.rocket_stride
        features = PooledConvolutions(stride=stride, name="convolutions")(steps)
        rocket_map = FixedMap(specification.rocket_dim, name="rocket_dim")
        code = ops.concatenate([code, rocket_map(features)], axis=-1)
    encoder = keras.Model(x, code, name="encoder")
    if not specification.variational:
        return encoder, None
    bias = Constant(_INITIAL_LOG_VARIANCE)
    initializers = {"kernel_initializer": Constant(), "bias_initializer": bias}
    log_variance = make_dense(learned_dim, name="log_variance", **initializers)(pooled)
    # bound - softplus(bound - x) is a smooth minimum of the bound and x
    distance: Any = ops.softplus(_MAX_LOG_VARIANCE - log_variance)
    return encoder, keras.Model(x, [code, _MAX_LOG_VARIANCE - distance], name="posterior")


@keras.saving.register_keras_serializable(package="refold")
class NestedDropout(BaseLayer):
    """In training, replace the end of a code by zeros, so that a half, quarter or eighth stays."""

    # O. Rippel, M. Gelbart and R. Adams, "Learning Ordered Representations with Nested Dropout",
    # ICML 2014. The number of first dimensions that stay is halved with the probability 1/2, and
    # then perhaps again, at most three times. So 64, 32, 16 or 8 of 64 dimensions stay. Numbers in
    # between can be decoded, too. The dimensions of the length and of ROCKET features always stay.
    learned_dim: int  # only the first ``learned_dim`` dimensions can be dropped

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, code: Tensor, training: Any = None) -> Any:
        """Replace the dropped dimensions of codes (batch, width) by zeros."""
        if not training:
            return code
        uniform = keras.random.uniform((ops.shape(code)[0], 1), seed=self.seed_generator)
        # A number from 1/2 to 1 means no halving; from 1/4 to 1/2, it means one halving; from 1/8
        # to 1/4, two; and below 1/8, three. The bound 1e-6 avoids the logarithm of 0.
        num_halvings: Any = ops.minimum(ops.floor(-ops.log2(ops.maximum(uniform, 1e-6))), 3.0)
        num_dims = ops.ceil(self.learned_dim / 2.0**num_halvings)  # (batch, 1)
        index = ops.cast(ops.arange(code.shape[-1]), code.dtype)
        stays = ops.logical_or(index < num_dims, index >= self.learned_dim)
        return ops.where(stays, code, ops.zeros_like(code))


# The following layers mask padding and make patches. A real step is one that is not padding. A
# patch is a group of steps that a recurrent layer reads at once.


def count_patches(num_steps: Any, patch_size: int) -> Any:
    """Return the number of patches, also of an incomplete last one; None if it is not known yet."""
    return None if num_steps is None else (num_steps + patch_size - 1) // patch_size


def _compute_real_step_mask(inputs: Tensor) -> Any:
    """Return whether a step comes before the padding, (batch, steps); see `PaddingMask`."""
    has_value = ops.any(ops.logical_not(ops.isnan(inputs)), axis=-1)
    # A step is real if it or a later step has a value. So the steps with a value are counted from
    # the end of the array.
    counts_from_end = ops.cumsum(ops.flip(ops.cast(has_value, "int32"), axis=1), axis=1)
    return ops.flip(counts_from_end, axis=1) > 0


@keras.saving.register_keras_serializable(package="refold")
class RealSteps(BaseLayer):
    """Mask of real steps: those up to the last step that has a value in any feature."""

    patch: int = 1  # number of steps in a patch; a patch is real if its first step is real

    def call(self, inputs: Tensor) -> Any:
        """Compute the mask (batch, patches) of inputs (batch, steps, features)."""
        is_real = _compute_real_step_mask(inputs)
        return is_real if self.patch == 1 else is_real[:, :: self.patch]

    def compute_output_spec(self, inputs: Tensor) -> Any:
        """Return the shape (batch, patches) and the dtype bool."""
        batch, steps = inputs.shape[:2]
        return keras.KerasTensor((batch, count_patches(steps, self.patch)), dtype="bool")


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
        is_real = _compute_real_step_mask(inputs)
        return is_real if previous_mask is None else ops.logical_and(is_real, previous_mask)

    def call(self, inputs: Tensor) -> Any:
        """Replace every NaN of inputs of shape (batch, steps, features) with zero."""
        return ops.where(ops.isnan(inputs), ops.zeros_like(inputs), inputs)


@keras.saving.register_keras_serializable(package="refold")
class FoldSteps(BaseLayer):
    """Join the steps of each patch to one long step, and append the share of its real steps."""

    # Masked steps become zeros, and so do steps that only complete the last patch. So a code does
    # not depend on the amount of padding. A patch is masked if its first step is masked.

    patch: int  # number of steps in a patch

    def call(self, inputs: Tensor, mask: Tensor = None) -> Any:
        """Fold inputs (batch, steps, channels) to (batch, patches, patch * channels + 1)."""
        is_real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            is_real = is_real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * is_real
        real_shares = ops.mean(self._fold(is_real), axis=-1, keepdims=True)
        return ops.concatenate([self._fold(inputs), real_shares], axis=-1)

    def _fold(self, inputs: Tensor) -> Any:
        """Return inputs (batch, steps, channels) as (batch, patches, patch * channels)."""
        batch, steps = ops.shape(inputs)[:2]
        patches, channels = count_patches(steps, self.patch), inputs.shape[-1]
        zeros = ops.zeros((batch, self.patch - 1, channels), inputs.dtype)
        padded = ops.concatenate([inputs, zeros], axis=1)[:, : patches * self.patch]
        return ops.reshape(padded, (batch, patches, self.patch * channels))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Compute the mask (batch, patches) of patches that begin with a real step."""
        del inputs
        return None if previous_mask is None else previous_mask[:, :: self.patch]

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Return the shape (batch, patches, patch * channels + 1)."""
        batch, steps, channels = input_shape
        return (batch, count_patches(steps, self.patch), self.patch * channels + 1)


@keras.saving.register_keras_serializable(package="refold")
class StatePooling(BaseLayer):
    """Pool the states of a bidirectional layer over the real steps."""

    # The result has the final states of both directions, the mean and the maximum over real steps,
    # and three features of the length. The forward direction ends at the last real step, and the
    # backward direction ends at the first step. The features of the length are a flag of empty
    # sequences, the length divided by ``max_steps``, and the logarithm of the length. The flag lets
    # the network learn a code of empty sequences. With patches, the length is still in steps.

    max_steps: int  # longest training length
    patch: int = 1  # number of steps in a patch; above 1, ``call`` needs ``real_steps``

    def call(self, inputs: Tensor, mask: Tensor = None, real_steps: Tensor = None) -> Any:
        """Pool states of shape (batch, patches, 2 * units) to (batch, 6 * units + 3)."""
        # with patches, the mask is computed from ``real_steps``, of shape (batch, steps)
        if real_steps is not None:
            mask = real_steps[:, :: self.patch]
        if mask is None:
            mask = ops.ones_like(inputs[..., 0], dtype="bool")
        is_real = ops.cast(mask, inputs.dtype)
        # the number of real patches of a sequence, and the number up to and including each patch;
        # without patches, each step is a patch
        num_patches = ops.sum(is_real, axis=1, keepdims=True)  # (batch, 1)
        positions = ops.cumsum(is_real, axis=1)  # (batch, patches)
        is_last = is_real * ops.cast(positions == num_patches, inputs.dtype)
        is_first = is_real * ops.cast(positions == 1, inputs.dtype)
        halves: Any = ops.split(inputs, 2, axis=-1)
        forward, backward = halves
        forward_end = ops.sum(forward * is_last[..., None], axis=1)
        backward_end = ops.sum(backward * is_first[..., None], axis=1)
        mean = ops.sum(inputs * is_real[..., None], axis=1) / ops.maximum(num_patches, 1.0)
        # -1e9 at masked steps, so that they are never the maximum
        masked = ops.where(mask[..., None], inputs, ops.full_like(inputs, -1e9))
        maximum = ops.where(num_patches > 0, ops.max(masked, axis=1), ops.zeros_like(mean))
        pooled = [forward_end, backward_end, mean, maximum]
        is_empty = ops.cast(num_patches == 0, inputs.dtype)
        lengths = num_patches
        if real_steps is not None:  # the features of the length are in steps, not in patches
            lengths = ops.sum(ops.cast(real_steps, inputs.dtype), axis=1, keepdims=True)
        logarithm = ops.log1p(lengths) / math.log1p(self.max_steps)
        length_features = [is_empty, lengths / self.max_steps, logarithm]
        return ops.concatenate(pooled + length_features, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Return the shape (batch, 6 * units + 3)."""
        # the width of the states is 2 * units
        return (input_shape[0], 3 * input_shape[-1] + 3)


class LinearMap(BaseLayer):
    """A linear map ``initial_map + change_factor * map_change``; only ``map_change`` is trained."""

    def add_weights(self, shape: tuple[int, ...], bias_shape: tuple[int, ...]) -> None:
        """Create the weights. Their names in files are start, unit, change and bias."""
        self.initial_map = self.add_untrained_weight("start", shape)
        # A factor below 1 makes the updates of any optimizer smaller. The initial map may have an
        # error of only a thousandth, and full updates of Adam would ruin it.
        self.change_factor = self.add_untrained_weight("unit", (), 1.0)
        self.map_change = self.add_weight(shape=shape, initializer=Constant(), name="change")
        self.bias = self.add_weight(shape=bias_shape, initializer=Constant(), name="bias")


@keras.saving.register_keras_serializable(package="refold")
class LinearEncoding(LinearMap):
    """Add a weighted sum of all values (the linear path) to the code of the LSTM path."""

    # Each of the first ``num_steps`` steps has its own weights. Later steps and masked steps add
    # nothing. ``beside`` is the code of the LSTM path. It is multiplied by the untrained weight
    # ``scale``.

    latent_dim: int  # number of outputs: the `learned_dim` of the model
    num_steps: int  # number of steps that have weights
    # Whether each length has its own offset and matrix. The offset is subtracted from the sum, and
    # the matrix is applied to the difference.
    by_length: bool = False

    def build(self, inputs_shape: Shape, beside_shape: Shape = None) -> None:
        """Create the weights."""
        del beside_shape
        self.add_weights((self.num_steps, inputs_shape[-1], self.latent_dim), (self.latent_dim,))
        self.scale = self.add_untrained_weight("scale", (), 1.0)
        if self.by_length:
            shape = (self.num_steps + 1, self.latent_dim, self.latent_dim)
            self.maps = self.add_untrained_weight("maps", shape)
            self.offsets = self.add_untrained_weight("offsets", shape[:2])

    def call(self, inputs: Tensor, beside: Tensor, inputs_mask: Tensor = None) -> Any:
        """Encode inputs (batch, steps, channels), and add ``beside`` (batch, latent_dim) scaled."""
        if inputs_mask is None:
            inputs_mask = ops.ones(ops.shape(inputs)[:2], "bool")
        mask: Any = ops.cast(inputs_mask, inputs.dtype)
        lengths = ops.sum(mask, axis=1)
        inputs = (inputs * mask[..., None])[:, : self.num_steps]
        weights = (self.initial_map + self.change_factor * self.map_change)[: ops.shape(inputs)[1]]
        axes: Any = ((1, 2), (0, 1))  # the sum is over steps and channels
        linear = ops.tensordot(inputs, weights, axes=axes) + self.bias
        if self.by_length:
            # longer sequences use the map of length ``num_steps``
            index: Any = ops.cast(ops.minimum(lengths, self.num_steps), "int32")
            linear = linear - ops.take(self.offsets, index, axis=0)
            linear = ops.einsum("nd,nde->ne", linear, ops.take(self.maps, index, axis=0))
        return linear + self.scale * beside

    def compute_output_shape(self, inputs_shape: Shape, beside_shape: Shape = None) -> Any:
        """Return the shape (batch, latent_dim)."""
        del beside_shape
        return (inputs_shape[0], self.latent_dim)


@keras.saving.register_keras_serializable(package="refold")
class PooledConvolutions(BaseLayer):
    """Compute ROCKET features: untrained random convolutions, pooled over real steps."""

    # A kernel is one convolution. It reads up to three channels at nine steps (taps), which are 1,
    # 2, 4 or 8 steps apart (dilation). As in ROCKET, each kernel gives two features: the share of
    # positive values, and the maximum. A sigmoid replaces the test for positive values, so that
    # small changes of the input change the feature little. Masked steps become zeros and are not
    # pooled. Sequences without steps get features of zero. A. Dempster, F. Petitjean and G. I.
    # Webb, "ROCKET: exceptionally fast and accurate time series classification using random
    # convolutional kernels", Data Mining and Knowledge Discovery 34, 2020.

    num_kernels: int = 16  # number of kernels of each dilation
    stride: int = 1  # of the convolutions

    def build(self, input_shape: Shape) -> None:
        """Draw the kernels."""
        # they become the attributes ``channels``, ``taps`` and ``bias``
        convolutions = draw_convolutions(input_shape[-1], self.num_kernels).arrays()
        for name, values in convolutions.items():
            setattr(self, name, self.add_untrained_weight(name, values.shape))
            getattr(self, name).assign(values)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Any:
        """Compute the features (batch, 2 * kernels) of inputs (batch, steps, channels)."""
        is_real = ops.ones_like(inputs[..., :1])
        if mask is not None:
            is_real = is_real * ops.cast(mask, inputs.dtype)[..., None]
            inputs = inputs * is_real
        num_steps: Any = ops.shape(inputs)[1]
        # each kernel reads one weighted sum of the channels, (batch, steps, kernels)
        mixed, convolutions = ops.matmul(inputs, self.channels), []
        for i, dilation in enumerate(DILATIONS):
            kernels = slice(i * self.num_kernels, (i + 1) * self.num_kernels)
            # with this padding, a kernel is centered at its step
            padding = dilation * (self.taps.shape[0] // 2)
            padded = ops.pad(mixed[..., kernels], ((0, 0), (padding, padding), (0, 0)))
            total: Any = self.bias[kernels]
            for tap in range(self.taps.shape[0]):
                shifted = padded[:, tap * dilation : tap * dilation + num_steps : self.stride]
                total = total + shifted * self.taps[tap, kernels]
            convolutions.append(total)
        convolved: Any = ops.concatenate(convolutions, axis=-1)  # (batch, positions, kernels)
        is_real = is_real[:, :: self.stride]  # whether a kernel is centered at a real step
        count = ops.sum(is_real, axis=1)
        positive_sums = _sum_reproducibly(ops.sigmoid(POSITIVITY_STEEPNESS * convolved) * is_real)
        maxima = ops.max(ops.where(is_real > 0, convolved, ops.full_like(convolved, -1e9)), axis=1)
        maxima = ops.where(count > 0, maxima, ops.zeros_like(maxima))
        return ops.concatenate([positive_sums / ops.maximum(count, 1.0), maxima], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Return the shape (batch, 2 * kernels)."""
        return (input_shape[0], 2 * len(DILATIONS) * self.num_kernels)


def _sum_reproducibly(fractions: Tensor) -> Any:
    """Sum numbers from 0 to 1 over axis 1, with the same bits in any order of summation."""
    # Padding and batch size change the order of summation, and the rounding of a sum of floats
    # depends on this order. So the numbers are summed as integers of 24 bits. The upper and the
    # lower 12 bits are summed separately, because the sum of 24-bit integers would overflow after
    # 128 steps. Integers have no gradient. So the float sum is added with its gradient, and
    # subtracted without one. The value does not change, and the gradient is that of the float sum.
    float_sum = ops.sum(fractions, axis=1)
    integers = ops.cast(fractions * float(1 << 24), "int32")
    upper, lower = ops.right_shift(integers, 12), ops.bitwise_and(integers, (1 << 12) - 1)
    upper, lower = (ops.cast(ops.sum(bits, axis=1), fractions.dtype) for bits in (upper, lower))
    exact = upper * float(2.0**-12) + lower * float(2.0**-24)
    return exact + (float_sum - ops.stop_gradient(float_sum))


@keras.saving.register_keras_serializable(package="refold")
class FixedMap(BaseLayer):
    """Center features, and apply a linear map whose weights are assigned and not trained."""

    # Without centering, a large mean times a large weight would leave few digits for the
    # differences between sequences. The bits of the output do not depend on padding or batch size.

    # number of outputs; Keras model files store it under this name, so it must not be renamed
    size: int

    def build(self, input_shape: Shape) -> None:
        """Create the weights, which are zero until they are set."""
        self.center = self.add_untrained_weight("center", (input_shape[-1],))
        self.kernel = self.add_untrained_weight("kernel", (input_shape[-1], self.size))

    def call(self, inputs: Tensor) -> Any:
        """Map inputs (batch, width) to (batch, size)."""
        # pairwise sums, because the rounding of a matrix product depends on the batch size
        terms = ops.expand_dims(inputs - self.center, -1) * self.kernel
        while terms.shape[1] > 1:
            if terms.shape[1] % 2:
                terms = ops.pad(terms, ((0, 0), (0, 1), (0, 0)))
            terms = terms[:, ::2] + terms[:, 1::2]
        return terms[:, 0]

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Return the shape (batch, size)."""
        return (input_shape[0], self.size)
