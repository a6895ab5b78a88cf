"""Teacher-forcing input of an autoregressive decoder: the previous step of each step."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from refold.network.keras.heads import ColumnEncoding
from refold.network.keras.tensors import Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class TeacherForcing(keras.layers.Layer):
    """Shift steps by one, and append a flag that says whether there is a previous step.

    Categorical columns become one-hot.  Before the first step, and after a step that is NaN in all
    columns, the output and the flag are zero.  Other NaN become zero too.  Time-step dropout sets
    whole steps to zero in training, including the flag [1]_, so that the decoder learns to work
    without them.

    Parameters
    ----------
    num_categories : sequence of int
        Number of categories of each column; 0 for a column that is not categorical.
    dropout : float
        Fraction of the steps to drop in training.
    seed : int, optional
        Seed of the dropout.

    References
    ----------
    .. [1] S. Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016.

    Examples
    --------
    >>> import numpy as np
    >>> layer = TeacherForcing(num_categories=[3])
    >>> np.asarray(layer(np.array([[[2.0], [0.0], [1.0]]], "float32")))[0].tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        num_categories: Sequence[int],
        dropout: float = 0.0,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_categories = [int(n) for n in num_categories]
        self.dropout = dropout
        self.seed = seed
        self.one_hot = ColumnEncoding(self.num_categories, name="one_hot")
        if dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, steps_shape: Shape) -> None:
        """Create no weights."""
        self.one_hot.build((*steps_shape[:-1], len(self.num_categories)))

    def call(self, steps: Tensor, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Encode and shift steps (batch, steps, columns + any others) to (batch, steps, width)."""
        encoded = self.encode(steps)
        if training and self.dropout:
            shape = (*ops.shape(encoded)[:2], 1)
            drawn = keras.random.uniform(shape, dtype=encoded.dtype, seed=self.seed_generator)
            encoded = ops.where(drawn < self.dropout, ops.zeros_like(encoded), encoded)
        none = ops.zeros_like(encoded[:, :1])
        return ops.concatenate([none, encoded[:, :-1]], axis=1)

    def encode(self, steps: Tensor) -> Any:
        """Encode steps without the shift."""
        values = steps[..., : len(self.num_categories)]
        missing = ops.isnan(values)
        known = ops.cast(ops.logical_not(ops.all(missing, axis=-1, keepdims=True)), values.dtype)
        # the one-hot block of NaN is all zeros; in other columns, zero is the mean
        blocks = self.one_hot(values)
        blocks = ops.where(ops.isnan(blocks), ops.zeros_like(blocks), blocks)
        return ops.concatenate([blocks, known], axis=-1)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> None:
        """Return no mask, because every step has a previous step or zeros."""

    def compute_output_shape(self, steps_shape: Shape) -> Any:
        """Shape (batch, steps, encoded columns + 1)."""
        return (*steps_shape[:-1], 1 + sum(n or 1 for n in self.num_categories))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        own = ("num_categories", "dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
