"""Column types: one class for each, and the table of all.

Each type says how a raw column becomes floats, what a decoder writes for it and how that is
compared with the truth. It imports neither JAX nor Keras. Each backend implements the links.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from refold.errors import DataError

# Describes a row of a column for a message, given the row and the name of the column.
Where = Callable[[int, str | None], str]
# From the outputs of the last layer to what a decoder writes: a mean, a probability, probabilities.
Link = Literal["identity", "sigmoid", "softmax", "exponential"]
# An array of NumPy or JAX, or a tensor of Keras.
Array = Any
# The module of such arrays: `numpy`, `jax.numpy` or `keras.ops`.
ArrayModule = Any

# Stands for a category that training did not see when sequences are decoded.
UNKNOWN = "<unknown>"
# The exponential link is exp(min(x, 20)), so that it neither overflows nor underflows to NaN.
MAX_EXPONENT = 20.0
# Lower bound of probabilities.
_MIN_PROBABILITY = 1e-7
# Lower bound of an expected count, in standard deviations of the column.
_MIN_RATE = 1e-12
# Largest number of categories whose indices are exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24
# Largest integer that is exact in float64.
_MAX_CATEGORY = (1 << 53) - 1


def refuse(wrong: np.ndarray, values: np.ndarray, name: str, where: Where, advice: str) -> None:
    """Raise a DataError that names the first value that is wrong, if one is; arrays (n,)."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        value = values[rows[0]]
        shown = value if values.dtype.kind in "iu" else f"{value:g}"
        raise DataError(f"Got {shown} at {where(int(rows[0]), name)}. {advice}")


class ColumnType(ABC):
    """A column type; values are float arrays with NaN where missing."""

    # ``xp`` is an array module: `numpy`, `jax.numpy` or `keras.ops`.

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
    # A column of two types without categories has the more general one.
    generality = 0

    def width(self, num_categories: int) -> int:
        """Return the number of outputs of a column."""
        return num_categories if self.has_categories else 1

    # Encoding

    def encode(
        self, raw: np.ndarray, name: str, where: Where, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Return a raw column (num_steps,) as floats, and its categories; checks the values."""
        values = raw.astype(self.dtype(raw.dtype, 0), copy=False)
        self.check(values, name, where)
        return values, ()

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return the type in which `encode` returns a raw column of numbers."""
        is_small = raw.itemsize <= {"b": 1, "i": 2, "u": 2, "f": 4}.get(raw.kind, 0)
        return np.dtype(np.float32 if is_small else np.float64)

    def check(self, values: np.ndarray, name: str, where: Where) -> None:  # noqa: B027
        """Raise a DataError if a value (num_steps,) is not of this type."""

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return which numbers mark a missing value in a column of this type."""
        return missing

    # What a decoder writes, compared with the truth

    @abstractmethod
    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return errors (..., 1) of outputs (..., width), in training and latent optimization."""

    @abstractmethod
    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return the errors of decoded values: squared differences, or 1 for a wrong value."""

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which decoded values are right; missing steps and unknown categories are not."""
        right = ~np.isnan(written) & (self.error(true, written, np) == 0)
        return right & (true < num_categories) if self.has_categories else right

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return values of this type for numbers that another method, such as PCA, wrote."""
        return values

    def before_link(self, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the output before the link at a written mean, and its slope around this mean."""
        # A linear path, which was fitted to write means with this spread, is converted by it.
        return mean, np.ones_like(mean)

    # Sampling with a temperature

    def noise(self, rng: "np.random.Generator", size: tuple[int, int]) -> np.ndarray | None:
        """Return the noise (num_steps, width) that `draw` adds, or None if it adds none."""
        # The annotation is text, because `numpy.random` is slow to load and seldom needed.
        return None

    def draw(self, output: Array, noise: Array, temperature: Array, xp: ArrayModule) -> Any:
        """Turn outputs (..., width) into scores whose likeliest value is a sample."""
        return output


class Numeric(ColumnType):
    """Numbers with a normal distribution around the mean that a decoder writes."""

    name = "numeric"
    link = "identity"
    is_number = True
    loss_is_squared = True
    loss_slope = 2.0
    generality = 2

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return squared errors."""
        return xp.square(target - output)

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which values are within the tolerance; it is relative above a magnitude of 1."""
        return np.abs(written - true) <= tolerance * np.maximum(1.0, np.abs(true))

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return squared differences."""
        return xp.square(true - written)


class Count(Numeric):
    """How often something happened, with a Poisson distribution around the expected count."""

    # Decoded counts are the nearest whole numbers. They are measured like numeric columns.

    # Errors are squared differences in standard deviations, and principal components take
    # standardized counts, so that counts and numbers beside each other have equal weight. A square
    # root would make the noise of small and large counts equal, but then errors of count columns
    # could not be compared with errors of numeric ones, of which 1 means predicting the mean.
    # A softplus link, whose linear path needs no conversion, had errors on held-out sequences that
    # were 4 to 80 % larger on four kinds of simulated counts.
    name = "count"
    link = "exponential"
    is_centered = False
    is_whole = True
    loss_is_squared = False
    generality = 1

    def check(self, values: np.ndarray, name: str, where: Where) -> None:
        """Raise a DataError if a value is negative or has a fraction."""
        with np.errstate(invalid="ignore"):  # infinite values have an error of their own
            wrong = (values < 0) | (values % 1 > 0)
        advice = "A count column holds whole numbers from 0; make it numeric or correct the entry."
        refuse(wrong, values, name, where, advice)

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return deviances of the Poisson distribution."""
        # Twice the negative log-likelihood, but for a constant that makes it 0 where output and
        # target are equal. A squared error is the deviance of a normal distribution, so both have
        # the same weight. Targets are counts in standard deviations, because unscaled ones would
        # outweigh all other columns. That amounts to a Poisson distribution with overdispersion:
        # P. McCullagh and J. A. Nelder, "Generalized Linear Models", 1989, chapter 6.
        output = xp.maximum(output, _MIN_RATE)
        log_ratio = xp.log(xp.maximum(target, _MIN_RATE)) - xp.log(output)
        return 2.0 * (xp.where(target > 0, target * log_ratio, 0.0) - (target - output))

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest counts."""
        return np.maximum(np.rint(values), 0)

    def before_link(self, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the mean, and the slope of the logarithm around it."""
        # The slope is that of a secant, which is flatter than the tangent at the mean: where counts
        # are mostly 0, a code far from the mean must not give an enormous count. The mean of the
        # exponential is the mean again if the written means have a normal distribution.
        mean = np.maximum(np.maximum(mean, 0.1 * spread), 1e-3)
        slope = 1.0 / (mean + spread)
        return np.log(mean) - 0.5 * (spread * slope) ** 2, slope


class Binary(ColumnType):
    """Yes and no, stored as 1 and 0; numbers between are probabilities, as a decoder writes."""

    name = "binary"
    link = "sigmoid"

    def describes(self, raw: np.ndarray) -> bool:
        """Return whether a column holds booleans, or nothing but 0 and 1 and both of them."""
        if raw.dtype.kind == "b":
            return True
        zeros = raw == 0
        if not zeros.any():  # as of most numeric columns
            return False
        ones = raw == 1
        return bool(ones.any() and (zeros | ones | np.isnan(raw)).all())

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 for whole numbers, of which there are only 0 and 1."""
        return np.dtype(np.float32) if raw.kind in "biu" else super().dtype(raw, num_categories)

    def check(self, values: np.ndarray, name: str, where: Where) -> None:
        """Raise a DataError if a value is outside 0 to 1."""
        advice = "A binary column holds values from 0 to 1; make it numeric or correct the entry."
        refuse((values < 0) | (values > 1), values, name, where, advice)

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return the numbers outside 0 to 1."""
        # A binary column cannot hold such a number at first, but data that are aligned with its
        # schema later may.
        return tuple(value for value in missing if not 0 <= value <= 1)

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return binary cross-entropies of probabilities."""
        output = xp.clip(output, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        return -(target * xp.log(output) + (1.0 - target) * xp.log(1.0 - output))

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return 1 for values that round to another one."""
        return xp.where((true >= 0.5) != (written >= 0.5), 1.0, 0.0)

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return 0 and 1."""
        return (values >= 0.5).astype(float)

    def noise(self, rng: "np.random.Generator", size: tuple[int, int]) -> np.ndarray:
        """Return logistic noise, the difference of two Gumbel variables."""
        return rng.logistic(size=size)

    def draw(self, output: Array, noise: Array, temperature: Array, xp: ArrayModule) -> Any:
        """Return 0 and 1."""
        output = xp.clip(output, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        logits = (xp.log(output) - xp.log1p(-output)) / temperature + noise
        return xp.where(logits > 0, 1.0, 0.0)


class Categorical(ColumnType):
    """Tokens, stored as indices of the column's categories; the index after them is unknown."""

    name = "categorical"
    link = "softmax"
    has_categories = True

    def encode(
        self, raw: np.ndarray, name: str, where: Where, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Return the indices of text (objects, None where missing) or integers."""
        objects = raw.tolist() if raw.dtype.kind == "O" else _integers(raw, name, where)
        categories = _categories(set(objects) - {None}, stored)
        index: dict[Any, float] = {category: i for i, category in enumerate(categories)}
        index.setdefault(UNKNOWN, len(categories))
        index[None] = math.nan
        dtype = self.dtype(raw.dtype, len(categories))
        places = (index[value] for value in objects)
        return np.fromiter(places, dtype=dtype, count=len(objects)), categories

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 if it holds all indices exactly."""
        return np.dtype(np.float32 if num_categories < _EXACT_IN_FLOAT32 else np.float64)

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return none: indices are no numbers of the user."""
        return ()

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return cross-entropies of probabilities."""
        is_true = xp.abs(target - xp.arange(output.shape[-1], dtype=target.dtype)) < 0.5
        probability = xp.sum(xp.where(is_true, output, 0.0), axis=-1, keepdims=True)
        return -xp.log(xp.maximum(probability, _MIN_PROBABILITY))

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return 1 for another category."""
        return xp.where(true != written, 1.0, 0.0)

    def noise(self, rng: "np.random.Generator", size: tuple[int, int]) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=size)

    def draw(self, output: Array, noise: Array, temperature: Array, xp: ArrayModule) -> Any:
        """Return scores of which the largest one is a sample."""
        # The Gumbel-max trick: C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", NeurIPS 2014,
        # section 2. A category has a probability proportional to p ** (1 / temperature).
        return xp.log(xp.maximum(output, _MIN_PROBABILITY)) / temperature + noise


def _integers(raw: np.ndarray, name: str, where: Where) -> list[int | None]:
    """Return numbers as integers, None where missing; checks that they are integers."""
    values = raw.astype(np.float64)
    wrong = (values != np.round(values)) & ~np.isnan(values) | np.isinf(values)
    advice = "A categorical column holds integers or text; make it numeric or correct the entry."
    refuse(wrong, values, name, where, advice)
    advice = f"Integers beyond {_MAX_CATEGORY} cannot be told apart; write them as text."
    refuse(np.abs(values) > _MAX_CATEGORY, raw, name, where, advice)
    return [None if value != value else int(value) for value in values.tolist()]


def _categories(present: Iterable[Any], stored: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return the stored categories if they cover those that are present, else these in order."""
    if stored is not None and {*present} <= {*stored, UNKNOWN}:
        return stored
    return tuple(sorted(present))


NUMERIC, BINARY, CATEGORICAL, COUNT = Numeric(), Binary(), Categorical(), Count()
# To add a type, write its class and name it here.
COLUMN_TYPES: dict[str, ColumnType] = {
    type_.name: type_ for type_ in (NUMERIC, BINARY, CATEGORICAL, COUNT)
}


class Outputs(NamedTuple):
    """The outputs of a decoder for one column."""

    index: int  # of the column
    type: ColumnType
    block: slice


def outputs_of(column_types: Iterable[str], num_categories: Sequence[int]) -> Iterator[Outputs]:
    """Iterate over the outputs of columns, given the names of their types."""
    first = 0
    for i, (name, number) in enumerate(zip(column_types, num_categories, strict=True)):
        width = COLUMN_TYPES[name].width(number)
        yield Outputs(i, COLUMN_TYPES[name], slice(first, first + width))
        first += width


def number_mask(column_types: Iterable[str]) -> np.ndarray:
    """Return which columns hold quantities, bool array of shape (F,)."""
    return np.array([COLUMN_TYPES[name].is_number for name in column_types], dtype=bool)
