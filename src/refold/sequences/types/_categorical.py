"""Categorical columns: one of a fixed set of categories; a decoder writes their probabilities."""

import math
from typing import Any

import numpy as np

from refold.errors import DataError
from refold.sequences.types._column_type import (
    MIN_PROBABILITY,
    Array,
    ArrayModule,
    ColumnType,
    Where,
    refuse,
)

# Stands for a category that training did not see when sequences are decoded.
UNKNOWN = "<unknown>"

# Largest number of categories whose indices are exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24
# Largest integer that is exact in float64.
_MAX_CATEGORY = (1 << 53) - 1


class Categorical(ColumnType):
    """Tokens, stored as indices of the column's categories; the index after them is unknown."""

    name = "categorical"
    link = "softmax"
    has_categories = True

    def encode(
        self, raw: np.ndarray, name: str, where: Where, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Return the indices of text (objects, None where missing) or integers."""
        if raw.dtype.kind == "O":
            return self._encode_text(raw, stored)
        return self._encode_integers(raw, name, where, stored)

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 if it holds all indices exactly."""
        del raw
        return np.dtype(np.float32 if num_categories < _EXACT_IN_FLOAT32 else np.float64)

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return none: indices are no numbers of the user."""
        del missing
        return ()

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return cross-entropies of probabilities."""
        is_true = xp.abs(target - xp.arange(output.shape[-1], dtype=target.dtype)) < 0.5
        probability = xp.sum(xp.where(is_true, output, 0.0), axis=-1, keepdims=True)
        return -xp.log(xp.maximum(probability, MIN_PROBABILITY))

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which categories are the true ones; an unknown one is always wrong."""
        del tolerance
        return (true == written) & (true < num_categories)

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
        return xp.log(xp.maximum(output, MIN_PROBABILITY)) / temperature + noise

    def _encode_text(
        self, raw: np.ndarray, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        objects = raw.tolist()
        present = set(objects) - {None}
        if stored is not None and present <= {*stored, UNKNOWN}:
            categories = stored
        else:  # none are stored, or they do not cover the data
            categories = tuple(sorted(present))
        index: dict[Any, float] = {category: i for i, category in enumerate(categories)}
        index.setdefault(UNKNOWN, len(categories))
        index[None] = math.nan
        dtype = self.dtype(raw.dtype, len(categories))
        values = np.fromiter((index[value] for value in objects), dtype=dtype, count=len(objects))
        return values, categories

    def _encode_integers(
        self, raw: np.ndarray, name: str, where: Where, stored: tuple[Any, ...] | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        values = raw.astype(np.float64)
        observed = ~np.isnan(values)
        wrong = observed & (values != np.round(values)) | np.isinf(values)
        advice = (
            "A categorical column holds integers or text; make it numeric or correct the entry."
        )
        refuse(wrong, values, name, where, advice)
        large = np.flatnonzero(np.abs(values) > _MAX_CATEGORY)
        if len(large):
            raise DataError(
                f"Got {int(raw[large[0]])} at {where(int(large[0]), name)}. Integer categories "
                f"beyond {_MAX_CATEGORY} cannot be told apart; write them as text."
            )
        distinct, inverse = np.unique(values[observed], return_inverse=True)
        categories = tuple(int(category) for category in distinct)
        if stored is not None and set(categories) <= set(stored):
            position = {category: i for i, category in enumerate(stored)}
            places = [position[category] for category in categories]
            inverse = np.array(places, dtype=np.int64)[inverse]
            categories = stored
        indices = np.full(len(values), np.nan, dtype=self.dtype(raw.dtype, len(categories)))
        indices[observed] = inverse
        return indices, categories


CATEGORICAL = Categorical()
