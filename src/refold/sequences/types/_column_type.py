"""The base class of column types: what other rooms ask a type."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from refold.errors import DataError

# Describes a row of a column for a message, given the row and the name of the column.
Where = Callable[[int, str | None], str]
# From the outputs of the last layer to what a decoder writes: a mean, a probability, probabilities.
Link = Literal["identity", "sigmoid", "softmax", "exponential"]
# The exponential link is exp(min(x, 20)), so that it neither overflows nor underflows to NaN.
MAX_EXPONENT = 20.0
# Lower bound of probabilities.
MIN_PROBABILITY = 1e-7


def refuse(wrong: np.ndarray, values: np.ndarray, name: str, where: Where, advice: str) -> None:
    """Raise a DataError that names the first value that is wrong, if one is; arrays (n,)."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise DataError(f"Got {values[rows[0]]:g} at {where(int(rows[0]), name)}. {advice}")


Array = Any
"""An array of NumPy or JAX, or a tensor of Keras."""

ArrayModule = Any
"""The module of such arrays: `numpy`, `jax.numpy` or `keras.ops`."""


class ColumnType:
    """A column type; values are float arrays with NaN where missing.

    ``xp`` is an array module: `numpy`, `jax.numpy` or `keras.ops`.
    """

    name: str  # as in schemas, specifications and model files
    link: Link
    # Whether values are quantities. They are scaled, an error is a squared difference in standard
    # deviations, principal components take them as they are, forecasts continue them, and plots
    # show them as lines. Values of other columns are right or wrong.
    is_number = False
    # Whether a network reads and writes scaled values with a mean of 0. Others are only divided by
    # the standard deviation, because the link gives positive numbers.
    is_centered = True
    # Whether decoded values are whole numbers.
    is_whole = False
    # Whether values are indices of the column's categories, of which a decoder writes one
    # probability each, and networks read one-hot blocks.
    has_categories = False
    # Whether the mean loss is a variance. A variational model then gives the KL divergence the
    # weight that follows from the likelihood of a normal distribution.
    loss_is_squared = False
    # The gradient of the loss with respect to the outputs before the link is this multiple of the
    # difference of output and target. It is so simple because each link is the canonical one.
    loss_slope = 1.0
    # A column of two types of numbers has the more general one; None for types that do not mix.
    generality: int | None = None

    def width(self, num_categories: int) -> int:
        """Return the number of outputs of a column."""
        return num_categories if self.has_categories else 1

    # Encoding

    def describes(self, raw: np.ndarray) -> bool:
        """Return whether this type is inferred for a raw column (num_steps,) of numbers."""
        del raw
        return False

    def encode(
        self, raw: np.ndarray, name: str, where: Where, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Return a raw column (num_steps,) as floats, and its categories; checks the values."""
        del stored
        values = raw.astype(self.dtype(raw.dtype, 0), copy=False)
        self.check(values, name, where)
        return values, ()

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return the type in which `encode` returns a raw column of numbers."""
        del num_categories
        return float_type(raw)

    def check(self, values: np.ndarray, name: str, where: Where) -> None:
        """Raise a DataError if a value (num_steps,) is not of this type."""

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return which numbers mark a missing value in a column of this type."""
        return missing

    # What a decoder writes, compared with the truth

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return errors (..., 1) of outputs (..., width), in training and latent optimization."""
        raise NotImplementedError

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which decoded values are right; NaN, a missing step, is not."""
        raise NotImplementedError

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return the errors of decoded values in units of the error scaler."""
        raise NotImplementedError

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return values of this type for numbers that another method, such as PCA, wrote."""
        return values

    def before_link(self, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the output before the link at a written mean, and its slope around this mean."""
        # A linear path, which was fitted to write means with this spread, is converted by it.
        del spread
        return mean, np.ones_like(mean)

    # Sampling with a temperature

    def noise(self, rng: "np.random.Generator", size: tuple[int, int]) -> np.ndarray | None:
        """Return the noise (num_steps, width) that `draw` adds, or None if it adds none."""
        # The annotation is text, because `numpy.random` is slow to load and seldom needed.
        del rng, size

    def draw(self, output: Array, noise: Array, temperature: Array, xp: ArrayModule) -> Any:
        """Turn outputs (..., width) into scores whose likeliest value is a sample."""
        del noise, temperature, xp
        return output


def float_type(dtype: np.dtype) -> np.dtype:
    """Return float32 if it holds the values of a dtype exactly, else float64."""
    if dtype.kind == "b" or (dtype.kind in "iu" and dtype.itemsize <= 2):
        return np.dtype(np.float32)
    if dtype.kind == "f" and dtype.itemsize <= 4:
        return np.dtype(np.float32)
    return np.dtype(np.float64)
