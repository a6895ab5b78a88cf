"""Column types: a class for each, and `COLUMN_TYPES`, the table of all.

Each class says how a raw column becomes floats, which numbers a decoder writes for it, and how the
decoded values are compared with the truth. The module imports neither JAX nor Keras: the functions
take the array module as an argument, and each backend implements the links.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from refold.errors import DataError

# Function that describes an entry in messages: "sequence 3, step 5, column 'x'". Its arguments are
# the index of the step among all steps, and the name of the column.
Locator = Callable[[int, str | None], str]
# Name of a link: the function from the outputs of the last layer to what a decoder writes. In the
# order of their names, the links give a mean, a probability, a probability for each category, and
# an expected count.
Link = Literal["identity", "sigmoid", "softmax", "exponential"]
# An array of NumPy or JAX, or a tensor of Keras.
Array = Any
# The module of such arrays: `numpy`, `jax.numpy` or `keras.ops`.
ArrayModule = Any

# Stands in decoded sequences for a category that training did not see.
UNKNOWN_TEXT = "<unknown>"
# The exponential link is exp(min(x, 20)), so that counts do not overflow.
MAX_EXPONENT = 20.0
# Lower bound of probabilities, so that the logarithms in losses are finite.
_MIN_PROBABILITY = 1e-7
# Lower bound of a scaled expected count, so that logarithms are finite.
_MIN_COUNT_IN_LOGARITHM = 1e-12
# float32 holds the index of each category exactly if there are fewer categories.
_MAX_CATEGORIES_FLOAT32 = 1 << 24
# Maximum magnitude of an integer that is a category: float64 is exact for all of these.
_MAX_INTEGER_CATEGORY = (1 << 53) - 1


def refuse_where(
    is_wrong: np.ndarray, values: np.ndarray, column_name: str, locate: Locator, advice: str
) -> None:
    """Raise a DataError about the first wrong value of a column (num_steps,), if there is one."""
    rows = np.flatnonzero(is_wrong)
    if len(rows):
        value = values[rows[0]]
        text = value if values.dtype.kind in "iu" else f"{value:g}"
        raise DataError(f"Got {text} at {locate(int(rows[0]), column_name)}. {advice}")


class ColumnType(ABC):
    """A column type; values are float arrays with NaN where missing."""

    name: str  # as in schemas, specifications and model files
    link: Link
    # Whether values are quantities. Quantities are scaled, their error is a squared difference in
    # standard deviations, principal components take them as they are, forecasts continue them, and
    # plots show them as lines. The values of other columns are right or wrong.
    is_number = False
    # Whether scaling subtracts the mean of quantities. Counts are only divided by the standard
    # deviation, because their link gives positive numbers.
    is_centered = True
    # Whether decoded values are whole numbers.
    is_whole = False
    # Whether values are indices of the column's categories. Networks read them as one-hot blocks,
    # and a decoder writes a probability for each category.
    has_categories = False
    # Whether the loss is a squared error, so that its mean is a variance. A variational model then
    # gives the KL divergence the weight that follows from the likelihood of a normal distribution.
    loss_is_squared = False
    # The gradient of the loss with respect to the outputs before the link is this multiple of the
    # difference of output and target. This holds because each link is the canonical link of the
    # loss in a generalized linear model.
    gradient_factor = 1.0
    # If sets of sequences with different types of a column are concatenated, and no type has
    # categories, the column gets the type with the largest number.
    generality = 0

    def output_width(self, num_categories: int) -> int:
        """Return the number of a decoder's outputs per step for a column of this type."""
        return num_categories if self.has_categories else 1

    # Encoding

    def encode(
        self, raw_values: np.ndarray, column_name: str, locate: Locator, categories: tuple | None
    ) -> tuple[np.ndarray, tuple]:
        """Return raw values (num_steps,) as floats, and the categories: the given or new ones."""
        # this default is for types without categories
        values = raw_values.astype(self.encoded_float_dtype(raw_values.dtype, 0), copy=False)
        self.check_values(values, column_name, locate)
        return values, ()

    def encoded_float_dtype(self, raw_dtype: np.dtype, num_categories: int) -> np.dtype:
        """Return the dtype in which `encode` returns raw values of this dtype."""
        # float32 is exact for booleans, integers of at most 16 bits, and itself
        is_small = raw_dtype.itemsize <= {"b": 1, "i": 2, "u": 2, "f": 4}.get(raw_dtype.kind, 0)
        return np.dtype(np.float32 if is_small else np.float64)

    def check_values(self, values: np.ndarray, column_name: str, locate: Locator) -> None:  # noqa: B027
        """Raise a DataError if a value (num_steps,) is impossible in a column of this type."""

    def filter_missing_markers(self, markers: tuple[float, ...]) -> tuple[float, ...]:
        """Return those markers that mean a missing value in a column of this type."""
        return markers

    # What a decoder writes, compared with the truth

    @abstractmethod
    def loss(self, target: Array, linked_output: Array, xp: ArrayModule) -> Any:
        """Return the losses (..., 1) of outputs (..., width); training minimizes their mean."""

    @abstractmethod
    def error(self, target: Array, decoded: Array, xp: ArrayModule) -> Any:
        """Return the errors of decoded values, for evaluation: squared, or 1 for a wrong value."""

    def is_correct(
        self, target: np.ndarray, decoded: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return the mask of decoded values that are right; unknown categories are never right."""
        right = ~np.isnan(decoded) & (self.error(target, decoded, np) == 0)
        return right & (target < num_categories) if self.has_categories else right

    def to_nearest_valid(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest values that this type allows: for counts, 2 is the nearest to 1.8."""
        return values

    def linearize_inverse(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inverse of the link at a mean, and the slope of a line through this point."""
        # The initialization fits a linear function to the values of a column. The two results
        # convert this function to one that gives outputs before the link. ``mean`` and ``std`` are
        # moments of the values that the function gives.
        return mean, np.ones_like(mean)

    # Sampling with a temperature

    def draw_sampling_noise(
        self, rng: "np.random.Generator", shape: tuple[int, int]
    ) -> np.ndarray | None:
        """Return the noise (num_steps, width) for `add_sampling_noise`; None if it adds none."""
        # The annotation is text, because `numpy.random` is slow to load and seldom needed.
        return None

    def add_sampling_noise(
        self, linked_output: Array, noise: Array, temperature: Array, xp: ArrayModule
    ) -> Any:
        """Return outputs (..., width) with noise; the value decoded from them is a sample."""
        return linked_output


class Numeric(ColumnType):
    """Real numbers, with a normal distribution around the mean that a decoder writes."""

    name = "numeric"
    link = "identity"
    is_number = True
    loss_is_squared = True
    gradient_factor = 2.0
    generality = 2

    def loss(self, target: Array, linked_output: Array, xp: ArrayModule) -> Any:
        """Return squared errors."""
        return xp.square(target - linked_output)

    def is_correct(
        self, target: np.ndarray, decoded: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return the mask of values within the tolerance."""
        # a relative tolerance for numbers above a magnitude of 1, else an absolute one
        return np.abs(decoded - target) <= tolerance * np.maximum(1.0, np.abs(target))

    def error(self, target: Array, decoded: Array, xp: ArrayModule) -> Any:
        """Return squared differences."""
        return xp.square(target - decoded)


class Count(Numeric):
    """How often something happened, with a Poisson distribution around the expected count."""

    # Decoded counts are the nearest whole numbers.
    #
    # Errors are measured as in numeric columns: squared differences in standard deviations. So
    # count and numeric columns of the same data have equal weight, and an error of 1 means
    # predicting the mean in both. Square roots of counts would make the noise of small and large
    # counts equal, but errors of the two types could not be compared.
    #
    # A softplus link would need no `linearize_inverse`. But with this link, the errors on held-out
    # sequences were 4 to 80 % larger, on four kinds of simulated counts.
    name = "count"
    link = "exponential"
    is_centered = False
    is_whole = True
    loss_is_squared = False
    generality = 1

    def check_values(self, values: np.ndarray, column_name: str, locate: Locator) -> None:
        """Raise a DataError if a value is negative or has a fraction."""
        with np.errstate(invalid="ignore"):  # infinite values have an error of their own
            is_wrong = (values < 0) | (values % 1 > 0)
        advice = "A count column holds whole numbers from 0; make it numeric or correct the entry."
        refuse_where(is_wrong, values, column_name, locate, advice)

    def loss(self, target: Array, linked_output: Array, xp: ArrayModule) -> Any:
        """Return deviances of the Poisson distribution."""
        # A deviance is twice the negative log-likelihood, plus a constant that makes it 0 where
        # output and target are equal. A squared error is the deviance of a normal distribution, so
        # count and numeric columns have the same weight. Targets are counts in standard deviations,
        # because unscaled counts would outweigh all other columns. That amounts to a Poisson
        # distribution with overdispersion: P. McCullagh and J. A. Nelder, "Generalized Linear
        # Models", 1989, chapter 6.
        linked_output = xp.maximum(linked_output, _MIN_COUNT_IN_LOGARITHM)
        log_ratio = xp.log(xp.maximum(target, _MIN_COUNT_IN_LOGARITHM)) - xp.log(linked_output)
        return 2.0 * (xp.where(target > 0, target * log_ratio, 0.0) - (target - linked_output))

    def to_nearest_valid(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest whole numbers that are not negative."""
        return np.maximum(np.rint(values), 0)

    def linearize_inverse(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the mean, corrected, and a slope of the logarithm around it."""
        # The logarithm needs a mean above 0. These two bounds prevent large negative
        # logarithms where the mean is near 0 or below.
        mean = np.maximum(np.maximum(mean, 0.1 * std), 1e-3)
        # The tangent of the logarithm at the mean has the slope 1 / mean. This slope is flatter:
        # where counts are mostly 0, a code far from the mean must not give an enormous count.
        slope = 1.0 / (mean + std)
        # The mean of exp(x) is exp(m + v / 2) if x is normal with mean m and variance v. So with
        # m = log(mean) - v / 2, the exponential link gives the mean again.
        return np.log(mean) - 0.5 * (std * slope) ** 2, slope


class Binary(ColumnType):
    """Yes and no, stored as 1 and 0; a decoder writes probabilities between them."""

    name = "binary"
    link = "sigmoid"

    def looks_binary(self, raw_values: np.ndarray) -> bool:
        """Return whether values are booleans, or both 0 and 1 and no other numbers."""
        if raw_values.dtype.kind == "b":
            return True
        is_zero = raw_values == 0
        if not is_zero.any():  # true of most numeric columns, so the slower checks are not needed
            return False
        is_one = raw_values == 1
        return bool(is_one.any() and (is_zero | is_one | np.isnan(raw_values)).all())

    def encoded_float_dtype(self, raw_dtype: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 for integers of any size, because only 0 and 1 are allowed."""
        if raw_dtype.kind in "biu":
            return np.dtype(np.float32)
        return super().encoded_float_dtype(raw_dtype, num_categories)

    def check_values(self, values: np.ndarray, column_name: str, locate: Locator) -> None:
        """Raise a DataError if a value is outside 0 to 1."""
        advice = "A binary column holds values from 0 to 1; make it numeric or correct the entry."
        refuse_where((values < 0) | (values > 1), values, column_name, locate, advice)

    def filter_missing_markers(self, markers: tuple[float, ...]) -> tuple[float, ...]:
        """Return the markers outside 0 to 1, because 0 and 1 are values."""
        # The training data of a binary column hold no such marker, but data of a later call may.
        return tuple(value for value in markers if not 0 <= value <= 1)

    def loss(self, target: Array, linked_output: Array, xp: ArrayModule) -> Any:
        """Return binary cross-entropies of probabilities."""
        linked_output = xp.clip(linked_output, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        return -(target * xp.log(linked_output) + (1.0 - target) * xp.log(1.0 - linked_output))

    def error(self, target: Array, decoded: Array, xp: ArrayModule) -> Any:
        """Return 1 where the two values round to different ones, else 0."""
        return xp.where((target >= 0.5) != (decoded >= 0.5), 1.0, 0.0)

    def to_nearest_valid(self, values: np.ndarray) -> np.ndarray:
        """Return 0 or 1, whichever is nearer."""
        return (values >= 0.5).astype(float)

    def draw_sampling_noise(self, rng: "np.random.Generator", shape: tuple[int, int]) -> np.ndarray:
        """Return logistic noise, the difference of two Gumbel variables."""
        return rng.logistic(size=shape)

    def add_sampling_noise(
        self, linked_output: Array, noise: Array, temperature: Array, xp: ArrayModule
    ) -> Any:
        """Return samples, 0 or 1, by the Gumbel-max trick of `Categorical` with two categories."""
        linked_output = xp.clip(linked_output, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        logits = (xp.log(linked_output) - xp.log1p(-linked_output)) / temperature + noise
        return xp.where(logits > 0, 1.0, 0.0)


class Categorical(ColumnType):
    """Tokens, stored as indices of the column's categories; the index after them is unknown."""

    name = "categorical"
    link = "softmax"
    has_categories = True

    def encode(
        self, raw_values: np.ndarray, column_name: str, locate: Locator, categories: tuple | None
    ) -> tuple[np.ndarray, tuple]:
        """Return the indices of text (objects, None where missing) or integers, and categories."""
        is_text = raw_values.dtype.kind == "O"
        tokens = raw_values.tolist() if is_text else _to_integers(raw_values, column_name, locate)
        distinct: set[Any] = set(tokens) - {None}
        # the given categories do not suffice if the data hold other tokens
        if categories is None or not distinct <= {*categories, UNKNOWN_TEXT}:
            categories = tuple(sorted(distinct))
        index_of: dict[Any, float] = {category: i for i, category in enumerate(categories)}
        # a decoded sequence may hold the text "<unknown>", which means an unknown category
        index_of.setdefault(UNKNOWN_TEXT, len(categories))
        index_of[None] = math.nan
        dtype = self.encoded_float_dtype(raw_values.dtype, len(categories))
        indices = (index_of[token] for token in tokens)
        return np.fromiter(indices, dtype=dtype, count=len(tokens)), categories

    def encoded_float_dtype(self, raw_dtype: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 if it holds all indices exactly."""
        return np.dtype(np.float32 if num_categories < _MAX_CATEGORIES_FLOAT32 else np.float64)

    def filter_missing_markers(self, markers: tuple[float, ...]) -> tuple[float, ...]:
        """Return no markers: the values are indices of categories, not numbers of the user."""
        return ()

    def loss(self, target: Array, linked_output: Array, xp: ArrayModule) -> Any:
        """Return cross-entropies of probabilities."""
        # the one-hot mask of the true category, with a tolerance because indices are floats
        is_true = xp.abs(target - xp.arange(linked_output.shape[-1], dtype=target.dtype)) < 0.5
        probability = xp.sum(xp.where(is_true, linked_output, 0.0), axis=-1, keepdims=True)
        return -xp.log(xp.maximum(probability, _MIN_PROBABILITY))

    def error(self, target: Array, decoded: Array, xp: ArrayModule) -> Any:
        """Return 1 where the categories differ, else 0."""
        return xp.where(target != decoded, 1.0, 0.0)

    def draw_sampling_noise(self, rng: "np.random.Generator", shape: tuple[int, int]) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=shape)

    def add_sampling_noise(
        self, linked_output: Array, noise: Array, temperature: Array, xp: ArrayModule
    ) -> Any:
        """Return a score for each category; the sampled category has the largest score."""
        # The Gumbel-max trick: C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", NeurIPS 2014,
        # section 2. The probability of a category is proportional to p ** (1 / temperature).
        return xp.log(xp.maximum(linked_output, _MIN_PROBABILITY)) / temperature + noise


def _to_integers(raw_values: np.ndarray, column_name: str, locate: Locator) -> list[int | None]:
    """Return numbers as integers, None where missing; raise if a number is not an integer."""
    values = raw_values.astype(np.float64)
    is_wrong = (values != np.round(values)) & ~np.isnan(values) | np.isinf(values)
    advice = "A categorical column holds integers or text; make it numeric or correct the entry."
    refuse_where(is_wrong, values, column_name, locate, advice)
    # the error shows `raw_values`, which have all digits of an integer
    advice = f"Integers beyond {_MAX_INTEGER_CATEGORY} cannot be told apart; write them as text."
    refuse_where(np.abs(values) > _MAX_INTEGER_CATEGORY, raw_values, column_name, locate, advice)
    return [None if value != value else int(value) for value in values.tolist()]


NUMERIC, BINARY, CATEGORICAL = Numeric(), Binary(), Categorical()
# All column types by name. To add a type, write its class and add it here.
COLUMN_TYPES: dict[str, ColumnType] = {t.name: t for t in (NUMERIC, BINARY, CATEGORICAL, Count())}


class OutputSlice(NamedTuple):
    """Where a decoder writes one column."""

    index: int  # of the column
    type: ColumnType
    output_slice: slice  # among the outputs (output_width,) of a step


def output_slices(
    type_names: Iterable[str], num_categories: Sequence[int]
) -> Iterator[OutputSlice]:
    """Yield where a decoder writes each column, by its type and its number of categories."""
    start = 0
    for i, (name, count) in enumerate(zip(type_names, num_categories, strict=True)):
        stop = start + COLUMN_TYPES[name].output_width(count)
        yield OutputSlice(i, COLUMN_TYPES[name], slice(start, stop))
        start = stop


def make_quantity_mask(column_type_names: Iterable[str]) -> np.ndarray:
    """Return the mask of columns that hold quantities, bool array of shape (F,)."""
    return np.array([COLUMN_TYPES[name].is_number for name in column_type_names], dtype=bool)
