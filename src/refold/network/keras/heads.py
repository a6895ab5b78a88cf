"""Column types in Keras: links, encoding of the input columns, and the output head."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from refold.network.keras.initializers import Constant, dense
from refold.network.keras.patches import unfold
from refold.network.keras.tensors import Shape, Tensor
from refold.sequences.types import MAX_EXPONENT, Outputs, outputs_of


class KerasLink(NamedTuple):
    """A link of column types."""

    activate: Callable[[Any], Any]  # from (..., width) to means or probabilities
    likeliest: Callable[[Any], Any]  # from these to values (..., 1)
    is_elementwise: bool = True


def _is_likely(probability: Tensor) -> Any:
    return ops.cast(probability > 0.5, probability.dtype)


def _index(probabilities: Tensor) -> Any:
    return ops.cast(ops.argmax(probabilities, axis=-1, keepdims=True), probabilities.dtype)


LINKS = {
    "identity": KerasLink(lambda mean: mean, lambda mean: mean),
    "sigmoid": KerasLink(ops.sigmoid, _is_likely),
    "exponential": KerasLink(
        lambda logarithm: ops.exp(ops.minimum(logarithm, MAX_EXPONENT)), lambda mean: mean
    ),
    "softmax": KerasLink(lambda logits: ops.softmax(logits, axis=-1), _index, is_elementwise=False),
}


def activate(logits: Tensor, outputs: Iterable[Outputs]) -> Any:
    """Turn outputs (..., outputs) of the last layer into means and probabilities."""
    outputs = list(outputs)
    links = list(dict.fromkeys(one.type.link for one in outputs))
    if len(links) == 1 and LINKS[links[0]].is_elementwise:
        return LINKS[links[0]].activate(logits)
    if all(LINKS[link].is_elementwise for link in links):
        # an operation for all columns is faster than one for each
        written = logits
        for link in links:
            if link != "identity":
                here = ops.convert_to_tensor([one.type.link == link for one in outputs])
                written = ops.where(here, LINKS[link].activate(logits), written)
        return written
    blocks = [LINKS[one.type.link].activate(logits[..., one.block]) for one in outputs]
    return ops.concatenate(blocks, axis=-1)


def likeliest(written: Tensor, outputs: Iterable[Outputs]) -> Any:
    """Return the likeliest values (..., columns): means, 0 or 1, and indices of categories."""
    values = [LINKS[one.type.link].likeliest(written[..., one.block]) for one in outputs]
    return ops.concatenate(values, axis=-1)


@keras.saving.register_keras_serializable(package="refold")
class ColumnEncoding(keras.layers.Layer):
    """One-hot encoding of categorical columns; other columns are unchanged.

    Parameters
    ----------
    num_categories : sequence of int
        Number of categories of each column; 0 for a column that is not categorical.  An index
        beyond the categories (an unknown or missing category) becomes a block of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> layer = ColumnEncoding(num_categories=[0, 3])
    >>> np.asarray(layer(np.array([[[0.5, 2.0], [0.1, 3.0]]], "float32")))[0].round(1).tolist()
    [[0.5, 0.0, 0.0, 1.0], [0.10000000149011612, 0.0, 0.0, 0.0]]
    """

    def __init__(self, num_categories: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_categories = [int(n) for n in num_categories]
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Any:
        """Encode inputs of shape (batch, steps, columns + observed flags)."""
        blocks = []
        for i, n in enumerate(self.num_categories):
            column = inputs[..., i : i + 1]
            if n:
                categories = ops.arange(n, dtype=inputs.dtype)
                column = ops.cast(ops.abs(column - categories) < 0.5, inputs.dtype)
            blocks.append(column)
        blocks.append(inputs[..., len(self.num_categories) :])
        return ops.concatenate(blocks, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the output: a categorical column has one channel for each category."""
        return (*input_shape[:-1], input_shape[-1] + sum(n - 1 for n in self.num_categories if n))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "num_categories": self.num_categories}


@keras.saving.register_keras_serializable(package="refold")
class ColumnHead(keras.layers.Layer):
    """Dense output of a decoder: means, probabilities and softmax blocks by column type.

    If another path gives ``beside``, it is added to the logits, after the dense layer's output was
    multiplied by ``scale``, an untrained weight for each output, or for each step and output.  With
    patches, the head writes steps, and each step of a patch has its own weights.

    Parameters
    ----------
    column_types : sequence of str
        Type of each column, as in `refold.sequences.Column`.
    num_categories : sequence of int, optional
        Number of categories of each column; ignored for columns that are not categorical.
    patch : int
        Number of steps in a patch.
    max_steps : int, optional
        With patches, the number of steps if ``like`` is not given.
    scale_by_step : bool
        Whether each of ``max_steps`` steps has its own ``scale``.

    Examples
    --------
    >>> import numpy as np
    >>> head = ColumnHead(["numeric", "binary", "categorical"], [0, 0, 3])
    >>> y = np.asarray(head(np.ones((1, 2, 4), "float32")))
    >>> y.shape, bool(abs(y[..., 2:].sum(-1) - 1).max() < 1e-6)
    ((1, 2, 5), True)
    """

    def __init__(
        self,
        column_types: Sequence[str],
        num_categories: Sequence[int] | None = None,
        patch: int = 1,
        max_steps: int | None = None,
        *,
        scale_by_step: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale_by_step = scale_by_step
        self.column_types = list(column_types)
        self.num_categories = [int(n) for n in num_categories or [0] * len(self.column_types)]
        self.patch = patch
        self.max_steps = max_steps
        self.dense = dense(patch * sum(self.widths), name="dense")
        self.supports_masking = True

    @property
    def widths(self) -> list[int]:
        """Number of outputs of each column."""
        return [one.block.stop - one.block.start for one in self._outputs()]

    def _outputs(self) -> Iterator[Outputs]:
        return outputs_of(self.column_types, self.num_categories)

    def build(
        self, inputs_shape: Shape, beside_shape: Shape = None, like_shape: Shape = None
    ) -> None:
        """Create the weights."""
        del like_shape
        self.dense.build(inputs_shape)
        if beside_shape is not None:
            steps = (self.max_steps,) if self.scale_by_step else ()
            shape = (*steps, sum(self.widths))
            self.scale = self.add_weight(
                shape=shape, initializer=Constant(1.0), trainable=False, name="scale"
            )

    def call(self, inputs: Tensor, beside: Tensor = None, like: Tensor = None) -> Any:
        """Write outputs of shape (batch, steps, outputs), with as many steps as ``like``."""
        logits = self.dense(inputs)
        if self.patch > 1:
            num_steps = self.max_steps if like is None else ops.shape(like)[1]
            logits = unfold(logits, self.patch, num_steps)
        if beside is not None:
            logits = beside + self.scale * logits
        return activate(logits, self._outputs())

    def likeliest(self, outputs: Tensor) -> Any:
        """Return the likeliest values: means, 0 or 1, and indices of categories."""
        return likeliest(outputs, self._outputs())

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because every step is written."""

    def compute_output_shape(
        self, inputs_shape: Shape, beside_shape: Shape = None, like_shape: Shape = None
    ) -> Any:
        """Shape (batch, steps, outputs)."""
        del beside_shape
        if self.patch == 1:
            return (*inputs_shape[:-1], sum(self.widths))
        num_steps = self.max_steps if like_shape is None else like_shape[1]
        return (inputs_shape[0], num_steps, sum(self.widths))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        own = ("column_types", "num_categories", "patch", "max_steps", "scale_by_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
