"""Turn results of Keras models into outputs of each column, losses, and lengths.

The output of a numeric column or of a column of counts is a mean, and that of a binary column is a
probability. The outputs of a categorical column are a probability for each category.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

import keras
from keras import ops

from refold.network.keras.layer import BaseLayer, Constant, Shape, Tensor, make_dense
from refold.network.specification import (
    LENGTH_HIDDEN_WIDTH,
    MIN_PREDICTED_LENGTH_SCALE,
    Specification,
    clip_length_std,
    get_length_spread_limits,
)
from refold.sequences.types import COLUMN_TYPES, MAX_EXPONENT, OutputSlice, output_slices


class KerasLinkFunction(NamedTuple):
    """A link function: it turns logits into outputs, and outputs into the likeliest values."""

    activate: Callable[[Any], Any]  # from logits (..., width) to means or probabilities
    likeliest: Callable[[Any], Any]  # from means or probabilities to likeliest values (..., 1)
    is_elementwise: bool = True  # whether each output depends on one logit


# Links by the name that a column type gives to its link function. The likeliest value of a binary
# column is 0 or 1, and that of a categorical column is the index of a category.
LINKS = {
    "identity": KerasLinkFunction(lambda mean: mean, lambda mean: mean),
    "sigmoid": KerasLinkFunction(ops.sigmoid, lambda p: ops.cast(p > 0.5, p.dtype)),
    "exponential": KerasLinkFunction(
        lambda logarithm: ops.exp(ops.minimum(logarithm, MAX_EXPONENT)), lambda mean: mean
    ),
    "softmax": KerasLinkFunction(
        lambda logits: ops.softmax(logits, axis=-1),
        lambda p: ops.cast(ops.argmax(p, axis=-1, keepdims=True), p.dtype),
        is_elementwise=False,
    ),
}


def activate_logits(logits: Tensor, columns: Iterable[OutputSlice]) -> Any:
    """Turn logits (..., outputs) into means and probabilities by the type of their column."""
    columns = list(columns)
    links = list(dict.fromkeys(column.type.link for column in columns))
    if len(links) == 1 and LINKS[links[0]].is_elementwise:
        return LINKS[links[0]].activate(logits)
    if all(LINKS[link].is_elementwise for link in links):
        # A link is applied to all columns, and its result is used where a column has this link.
        # This is faster than one operation for each column.
        activated = logits
        for link in links:
            if link != "identity":
                has_link = ops.convert_to_tensor([column.type.link == link for column in columns])
                activated = ops.where(has_link, LINKS[link].activate(logits), activated)
        return activated
    blocks = [LINKS[type_.link].activate(logits[..., block]) for _, type_, block in columns]
    return ops.concatenate(blocks, axis=-1)


def compute_column_losses(
    targets: Tensor, y_pred: Tensor, column_types: list[str], num_categories: list[int]
) -> Any:
    """Compute the losses (batch, steps, features) of values; the column type decides which loss."""
    columns = list(output_slices(column_types, num_categories))
    types = {column.type for column in columns}
    if len(types) == 1 and not columns[0].type.has_categories:
        return types.pop().loss(targets, y_pred, ops)  # one call for all columns
    losses = [
        type_.loss(targets[..., i : i + 1], y_pred[..., block], ops) for i, type_, block in columns
    ]
    return ops.concatenate(losses, axis=-1)


def are_all_losses_squared(column_types: Iterable[str]) -> bool:
    """Return whether the losses of all columns are squared errors."""
    return all(COLUMN_TYPES[name].loss_is_squared for name in column_types)


def one_hot_encode_columns(inputs: Tensor, num_categories: list[int]) -> Any:
    """Encode the categorical columns of inputs (..., columns) as one-hot, (..., width)."""
    # `num_categories` has a number for each column, 0 if it is not categorical. The other columns,
    # and the observed flags after the columns, stay as they are.
    blocks = []
    for i, n in enumerate(num_categories):
        column = inputs[..., i : i + 1]
        if n:
            categories = ops.arange(n, dtype=inputs.dtype)
            # an unknown category and NaN become zeros
            column = ops.cast(ops.abs(column - categories) < 0.5, inputs.dtype)
        blocks.append(column)
    blocks.append(inputs[..., len(num_categories) :])
    return ops.concatenate(blocks, axis=-1)


@keras.saving.register_keras_serializable(package="refold")
class ColumnEncoding(BaseLayer):
    """One-hot encoding of categorical columns; other columns are unchanged.

    Parameters
    ----------
    num_categories : sequence of int
        Number of categories of each column; 0 for a column that is not categorical. An index
        beyond the categories (an unknown or missing category) becomes a block of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> layer = ColumnEncoding(num_categories=[0, 3])
    >>> np.asarray(layer(np.array([[[0.5, 2.0], [0.1, 3.0]]], "float32")))[0].round(1).tolist()
    [[0.5, 0.0, 0.0, 1.0], [0.10000000149011612, 0.0, 0.0, 0.0]]
    """

    num_categories: list[int]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Return the mask of the input."""
        del inputs
        return previous_mask

    def call(self, inputs: Tensor) -> Any:
        """Encode inputs (batch, steps, channels): the columns, and then any observed flags."""
        return one_hot_encode_columns(inputs, self.num_categories)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the output: a categorical column becomes one channel for each category."""
        return (*input_shape[:-1], input_shape[-1] + sum(n - 1 for n in self.num_categories if n))


@keras.saving.register_keras_serializable(package="refold")
class ColumnHead(BaseLayer):
    """Dense output of a decoder: means, probabilities and softmax blocks by column type.

    A dense layer computes logits. If another path gives logits ``beside``, the result is ``beside +
    scale * logits``, where ``scale`` is an untrained weight for each output, or for each step and
    output. With patches, the head reads patches and writes their steps, and each step of a patch
    has its own weights.

    Parameters
    ----------
    column_types : sequence of str
        Type of each column, as in `refold.sequences.Column`.
    num_categories : sequence of int, optional
        Number of categories of each column, 0 for columns that are not categorical.
    patch, max_steps : int
        Number of steps in a patch, and number of steps of the output. The head needs ``max_steps``
        with ``scale_by_step``, or with patches if ``like`` does not give the number of steps.
    scale_by_step : bool
        Whether each of ``max_steps`` steps has its own ``scale``.

    Examples
    --------
    >>> import numpy as np
    >>> head = ColumnHead(["numeric", "binary", "categorical"], [0, 0, 3])
    >>> head(np.ones((1, 2, 4), "float32")).shape
    (1, 2, 5)
    """

    column_types: list[str]
    num_categories: list[int] | None = None
    patch: int = 1
    max_steps: int | None = None
    scale_by_step: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_categories = self.num_categories or [0] * len(self.column_types)
        self.dense = make_dense(self.patch * sum(self.widths), name="dense")

    @property
    def widths(self) -> list[int]:
        """Number of outputs of each column."""
        return [column.output_slice.stop - column.output_slice.start for column in self._columns()]

    def _columns(self) -> Iterator[OutputSlice]:
        """Iterate over the columns, with their indices, types and outputs."""
        return output_slices(self.column_types, self.num_categories or [])

    def build(
        self, inputs_shape: Shape, beside_shape: Shape = None, like_shape: Shape = None
    ) -> None:
        """Create the weights."""
        del like_shape
        self.dense.build(inputs_shape)
        if beside_shape is not None:
            num_outputs, max_steps = sum(self.widths), cast(int, self.max_steps)
            shape = (max_steps, num_outputs) if self.scale_by_step else (num_outputs,)
            self.scale = self.add_untrained_weight("scale", shape, 1.0)

    def call(self, inputs: Tensor, beside: Tensor = None, like: Tensor = None) -> Any:
        """Write outputs of shape (batch, steps, outputs), with as many steps as ``like``."""
        logits = self.dense(inputs)
        if self.patch > 1:
            num_steps = self.max_steps if like is None else ops.shape(like)[1]
            batch, num_patches = ops.shape(logits)[:2]
            steps = ops.reshape(logits, (batch, num_patches * self.patch, sum(self.widths)))
            logits = steps[:, :num_steps]
        if beside is not None:
            logits = beside + self.scale * logits
        return activate_logits(logits, self._columns())

    def likeliest(self, outputs: Tensor) -> Any:
        """Return the likeliest values: means, 0 or 1, and indices of categories."""
        columns = self._columns()
        values = [LINKS[type_.link].likeliest(outputs[..., block]) for _, type_, block in columns]
        return ops.concatenate(values, axis=-1)

    def compute_output_shape(
        self, inputs_shape: Shape, beside_shape: Shape = None, like_shape: Shape = None
    ) -> Any:
        """Shape (batch, steps, outputs)."""
        del beside_shape
        if self.patch == 1:
            return (*inputs_shape[:-1], sum(self.widths))
        num_steps = self.max_steps if like_shape is None else like_shape[1]
        return (inputs_shape[0], num_steps, sum(self.widths))


# The length of a sequence: some models have it in a latent dimension, and others predict it


@keras.saving.register_keras_serializable(package="refold")
class LengthHead(BaseLayer):
    """Location and log-scale of a discretized logistic distribution over lengths."""

    # Before training, this is, for every code, about the distribution of the training lengths. The
    # rounded location is the predicted length. The likelihood of a length is the probability within
    # half a step of it: T. Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized
    # Logistic Mixture Likelihood and Other Modifications", ICLR 2017. A squared error would be
    # lowest at the mean length, and the likelihood is highest at the most frequent length.

    mean: float  # of the training lengths, in steps
    deviation: float  # standard deviation of the training lengths, in steps; it may be 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # the initial kernel is zero, so that the initial distribution is the same for all codes
        self.dense = make_dense(2, kernel_initializer=Constant(), name="dense")

    def build(self, hidden_shape: Shape) -> None:
        """Create the weights."""
        self.dense.build(hidden_shape)

    def call(self, hidden: Tensor) -> Any:
        """Compute location and log-scale in steps, of shape (batch, 2)."""
        std = clip_length_std(self.deviation)  # above 0
        initial, minimum, maximum = get_length_spread_limits(std)
        halves: Any = ops.split(self.dense(hidden), 2, axis=-1)
        location, log_scale = halves
        log_scale = ops.clip(log_scale + initial, minimum, maximum)
        return ops.concatenate([self.mean + std * location, log_scale], axis=-1)

    def compute_output_shape(self, hidden_shape: Shape) -> Any:
        """Shape (batch, 2)."""
        return (*hidden_shape[:-1], 2)


@keras.saving.register_keras_serializable(package="refold")
class LengthEncoding(BaseLayer):
    """Write the length of a sequence as a latent dimension: its standardized logarithm."""

    # A decoded sequence of the wrong length has a large error. With this dimension, decoded lengths
    # are exact. Neither training nor latent optimization changes the dimension. In a trial, models
    # without the dimension had 1.11 times the error, in the mean over AR(2) noise and German words.

    center: float  # approximate mean of the logarithm of one plus the length
    scale: float  # approximate standard deviation of this logarithm

    def call(self, real_step_mask: Tensor) -> Any:
        """Compute the dimension (batch, 1) of a mask of real steps (batch, steps)."""
        steps = ops.sum(ops.cast(real_step_mask, "float32"), axis=1, keepdims=True)
        return (ops.log1p(steps) - self.center) / self.scale

    def compute_output_spec(self, real_step_mask: Tensor) -> Any:
        """Shape (batch, 1)."""
        return keras.KerasTensor((real_step_mask.shape[0], 1))


@keras.saving.register_keras_serializable(package="refold")
class LengthDecoding(BaseLayer):
    """Read the length of a sequence from the latent dimension that `LengthEncoding` wrote."""

    center: float  # as in `LengthEncoding`
    scale: float  # as in `LengthEncoding`
    index: int  # index of the latent dimension

    def call(self, codes: Tensor) -> Any:
        """Compute location and log-scale (batch, 2): the minimum scale, as the length is exact."""
        logarithm = self.center + self.scale * codes[:, self.index : self.index + 1]
        location = ops.expm1(ops.maximum(logarithm, 0.0))  # no length is below 0
        log_scale = ops.full_like(location, math.log(MIN_PREDICTED_LENGTH_SCALE))
        return ops.concatenate([location, log_scale], axis=-1)

    def compute_output_shape(self, codes_shape: Shape) -> Any:
        """Shape (batch, 2)."""
        return (*codes_shape[:-1], 2)


def build_length_predictor(specification: Specification) -> keras.Model:
    """Build the model from codes to location and log-scale (batch, 2) of the length."""
    code = keras.Input((specification.latent_dim,), name="code")
    if (index := specification.length_index) is not None:
        center, scale = specification.log_length_moments
        decoding = LengthDecoding(center, scale, index, name="length")
        return keras.Model(code, decoding(code), name="length")
    hidden = make_dense(LENGTH_HIDDEN_WIDTH, activation="gelu", name="hidden")(code)
    mean, deviation = specification.length_mean, specification.length_deviation
    return keras.Model(code, LengthHead(mean, deviation, name="length")(hidden), name="length")


def length_loss(lengths: Tensor, location_and_log_scale: Tensor) -> Any:
    """Return the negative log-likelihood (batch,) of lengths (batch,), in nats."""
    # The distribution is a discretized logistic one, and a `LengthHead` computes its parameters.
    # The probability of a length is the mass from b, half a step below it, to a, half a step above
    # it: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a)), where sigma is the sigmoid. The
    # difference would lose digits, so the product is used.
    location, log_scale = location_and_log_scale[:, 0], location_and_log_scale[:, 1]
    rate = ops.exp(-log_scale)  # a - b, because a and b are in units of the scale
    a = (lengths + 0.5 - location) * rate
    b = (lengths - 0.5 - location) * rate
    # minus the logarithm of each factor: -log sigma(a) = softplus(-a)
    return ops.softplus(-a) + ops.softplus(b) - ops.log1p(-ops.exp(-rate))
